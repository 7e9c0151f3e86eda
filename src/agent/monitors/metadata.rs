//! Keeps a JSON copy of each version's metadata beside its artifact, for scripts without an agent.

use std::collections::HashMap;
use std::time::Duration;

use super::{App, woken};
use crate::base::{Fault, fault::Result};
use crate::capability::{Hint, gates, registry};
use crate::db::Source;

/// A version, and how it stands to its gates: a deploy script can refuse by itself.
#[derive(serde::Serialize)]
struct Metadata<'a> {
    #[serde(flatten)]
    version: &'a registry::ModelVersion,
    #[serde(flatten)]
    gates: gates::OfVersion<'a>,
}

/// Writes what differs from what was written last.
pub(super) async fn keep(app: App) {
    let mut hints = app.ctx().hints.listen();
    let mut written: HashMap<String, String> = HashMap::new();
    loop {
        if let Err(fault) = write_changed(&app, &mut written).await {
            tracing::warn!("metadata beside artifacts: {fault}");
        }
        if !woken(&app, &mut hints, Duration::from_mins(10), |h| matches!(h, Hint::Model(_) | Hint::Everything)).await {
            return;
        }
    }
}

async fn write_changed(app: &App, written: &mut HashMap<String, String>) -> Result<()> {
    let ctx = app.ctx();
    let standing = gates::standing(Source::Pool(ctx.db.read()), None, app.now()).await?;
    for model in registry::models(Source::Pool(ctx.db.read()), None).await? {
        for version in &model.versions {
            let Some(path) = registry::metadata_path(version) else { continue };
            let text = serde_json::to_string_pretty(&Metadata { version, gates: standing.of_version(version) })
                .map_err(|e| Fault::bug("metadata").why(e.to_string()))?;
            // By digest: ten thousand versions must not stay in memory as text.
            let digest = blake3::hash(text.as_bytes()).to_hex().to_string();
            if written.get(&path) == Some(&digest) {
                continue;
            }
            ctx.artifacts.blobs().put(&path, text.into()).await?;
            written.insert(path, digest);
        }
    }
    Ok(())
}
