//! `file_stream`: what a script logs, in lines that are numbered and may come twice.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::json::Json;
use super::call::{find, folder};
use super::live::Turn;
use super::run::asked_to_stop;
use super::{console, media};
use crate::agent::App;
use crate::agent::fault::Mlflow;
use crate::base::{Fault, Kind, fault::Result};
use crate::capability::Actor;
use crate::capability::tracking::wandb::{Lines, Update, json as lenient, line};
use crate::capability::tracking::{Run, RunStatus};

/// Clients send about 10 MB at most.
const BODY_BYTES_MAX: usize = 64 << 20;
/// A script that was interrupted from its keyboard ends with this.
const INTERRUPTED: i64 = 255;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sent {
    files: Files,
    complete: Option<bool>,
    exitcode: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Files {
    #[serde(rename = "wandb-history.jsonl")]
    history: Part,
    #[serde(rename = "wandb-events.jsonl")]
    events: Part,
    #[serde(rename = "wandb-summary.json")]
    summary: Part,
    #[serde(rename = "output.log")]
    output: Part,
}

/// Lines from a number on.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Part {
    offset: u64,
    content: Vec<String>,
}

pub(super) async fn receive(
    State(app): State<App>,
    Extension(_): Extension<Actor>,
    Path((_, project, name)): Path<(String, String, String)>,
    body: axum::body::Body,
) -> Result<Response, Mlflow> {
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX)
        .await
        .map_err(|e| Fault::invalid("the request broke off or is too large").why(e.to_string()))?;
    let sent: Sent = if body.is_empty() {
        Sent::default()
    } else {
        serde_json::from_slice(&body).map_err(|e| Fault::invalid("no lines of W&B's").why(e.to_string()))?
    };
    let run = find(&app, &project, &name)?;
    let script = app.wandb().heard(run.id, app.now());
    let mut turn = script.turn.lock().await;
    take(&app, &run, sent, &mut turn).await?;
    let stopped = app.ctx().tracking.read(|s| s.run(run.id).is_some_and(|r| asked_to_stop(r)));
    Ok(Json(json!({ "exitcode": null, "limits": {}, "stopped": stopped })).into_response())
}

async fn take(app: &App, run: &Run, sent: Sent, turn: &mut Turn) -> Result<()> {
    let ended = sent.complete.unwrap_or(false);
    let history = lines(&sent.files.history, line::history);
    let folder = folder(app, run);
    if let Ok(folder) = &folder {
        media::keep(app, folder, &history.lines).await?;
        let output = &sent.files.output;
        console::take(app, run.id, output.offset, &output.content, &mut turn.console).await?;
    }
    let mut update = Update {
        history,
        events: lines(&sent.files.events, line::machine),
        output: end_of(&sent.files.output),
        ended: ended.then(|| status(sent.exitcode.unwrap_or(0))),
        ..Update::default()
    };
    turn.summary.logged(&update.history.lines);
    if let Some(whole) = sent.files.summary.content.last() {
        turn.summary.renew(&mut update, run, object(whole)?);
    }
    if ended {
        turn.summary.conclude(&mut update, run);
    }
    app.ctx().tracking.stream_wandb(run.id, update, app.now().millis()).await?;
    if let Ok(folder) = &folder {
        match console::assemble(app, run.id, folder, ended, &mut turn.console).await {
            Err(fault) if fault.kind == Kind::Unavailable => return Err(fault),
            // The run's files are frozen: its lines are taken all the same.
            Err(fault) => tracing::debug!("{fault}"),
            Ok(()) => {}
        }
    }
    if ended {
        app.wandb().ended(run.id);
    }
    Ok(())
}

/// Lines that cannot be read are left out, and keep their number: the rest of the run is worth more than a refusal, which
/// would end the client's stream.
fn lines(part: &Part, read: fn(&Map<String, Value>) -> line::Line) -> Lines {
    let one = |text: &String| object(text).map(|map| read(&map)).unwrap_or_default();
    Lines { offset: part.offset, lines: part.content.iter().map(one).collect() }
}

fn object(text: &str) -> Result<Map<String, Value>> {
    match lenient::parse(text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(Fault::invalid("a line of W&B's is an object")),
        Err(e) => Err(Fault::invalid("a line of W&B's is no JSON").why(e.to_string())),
    }
}

fn end_of(part: &Part) -> u64 {
    if part.content.is_empty() { 0 } else { part.offset.saturating_add(part.content.len() as u64) }
}

fn status(exitcode: i64) -> RunStatus {
    match exitcode {
        0 => RunStatus::Finished,
        INTERRUPTED => RunStatus::Killed,
        _ => RunStatus::Failed,
    }
}
