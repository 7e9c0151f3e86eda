//! Histograms and other objects that lines of a history hold whole: each becomes a file of the run.

use serde_json::Value;

use crate::agent::App;
use crate::base::{Kind, fault::Result};
use crate::capability::tracking::wandb::file_path;
use crate::capability::tracking::wandb::line::Line;

/// Writes the objects that are no references to files: those come by themselves. One that has no place, as its name is too
/// long or the run's files are frozen, is left out: the rest of the run is worth more than a refusal, which would end the
/// client's stream.
///
/// # Errors
/// `Unavailable` when they cannot be written.
pub(super) async fn keep(app: &App, folder: &str, lines: &[Line]) -> Result<()> {
    for line in lines {
        let step = line.step.unwrap_or(0);
        for (key, value) in line.media.iter().filter(|(_, v)| v.get("path").is_none()) {
            match put(app, folder, key, step, value).await {
                Err(fault) if fault.kind == Kind::Unavailable => return Err(fault),
                Err(fault) => tracing::debug!("{fault}"),
                Ok(()) => {}
            }
        }
    }
    Ok(())
}

async fn put(app: &App, folder: &str, key: &str, step: i64, value: &Value) -> Result<()> {
    let kind = value.get("_type").and_then(Value::as_str).unwrap_or("object");
    let path = format!("{folder}/{}", file_path(&format!("media/{kind}/{key}_{step}.json"))?);
    let body = futures::stream::iter([Ok::<_, String>(value.to_string().into())]);
    app.ctx().artifacts.put(&path, body).await
}
