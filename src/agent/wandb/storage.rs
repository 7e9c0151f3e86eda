//! Files of runs: where to send them, sending them, and fetching them.

use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use serde_json::{Value, json};

use super::call::{Call, folder};
use super::signed::{self, Use};
use crate::agent::App;
use crate::agent::fault::Mlflow;
use crate::agent::mlflow::files::{body_of, download, limited};
use crate::base::id::RunId;
use crate::base::{Fault, fault::Result};
use crate::capability::tracking::Run;
use crate::capability::tracking::wandb::{file_path, progress};

/// Files that one request may ask addresses for.
const FILES_MAX: usize = 10_000;
/// What a script wrote. The agent has its lines already, also those of scripts before.
pub(super) const CONSOLE: &str = "output.log";

async fn addresses(call: &Call<'_>, run: &Run) -> Result<Vec<(String, String)>> {
    let names = call.texts(&["files"]).unwrap_or_default();
    if names.len() > FILES_MAX {
        return Err(Fault::invalid(format!("at most {FILES_MAX} files at once")));
    }
    let folder = folder(call.app, run)?;
    let mut addresses = Vec::with_capacity(names.len());
    for name in names {
        let path = format!("{folder}/{}", file_path(&name)?);
        addresses.push((name, signed::address(call.app, &call.base, Use::Put, &path).await?));
    }
    Ok(addresses)
}

pub(super) async fn create_run_files(call: &Call<'_>) -> Result<Value> {
    let run = call.run(&["run", "runName"])?;
    let files = addresses(call, &run).await?.into_iter();
    let files: Vec<Value> = files.map(|(name, url)| json!({ "name": name, "uploadUrl": url })).collect();
    Ok(json!({ "createRunFiles": { "runID": run.id.to_string(), "uploadHeaders": [], "files": files } }))
}

/// The same for clients of old.
pub(super) async fn run_upload_urls(call: &Call<'_>) -> Result<Value> {
    let project = call.required(&["name"])?;
    let run = super::call::find(call.app, &project, &call.required(&["run"])?)?;
    let edges = addresses(call, &run).await?.into_iter();
    let edges: Vec<Value> =
        edges.map(|(name, url)| json!({ "node": { "name": name, "url": url, "updatedAt": null } })).collect();
    Ok(json!({ "model": { "bucket": { "id": run.id.to_string(), "files": { "uploadHeaders": [], "edges": edges } } } }))
}

pub(super) async fn write(
    State(app): State<App>,
    Path((signature, until, path)): Path<(String, i64, String)>,
    request: Request,
) -> Result<Response, Mlflow> {
    signed::check(&app, Use::Put, &signature, until, &path).await?;
    let bytes_max = app.settings().artifact_bytes_max;
    let body = body_of(request, bytes_max)?;
    if is_known_console(&app, &path) {
        // Read and let go, so that the connection can be used on.
        let mut rest = limited(body, bytes_max);
        while rest.next().await.is_some_and(|piece| piece.is_ok()) {}
        return Ok(().into_response());
    }
    app.ctx().artifacts.put(&path, limited(body, bytes_max)).await?;
    Ok(().into_response())
}

/// Whether this is the console of a run whose lines have come already.
fn is_known_console(app: &App, path: &str) -> bool {
    let mut parts = path.rsplit('/');
    if parts.next() != Some(CONSOLE) || parts.next() != Some("artifacts") {
        return false;
    }
    let Some(id) = parts.next().and_then(|id| id.parse::<RunId>().ok()) else { return false };
    app.ctx().tracking.read(|s| s.run(id).and_then(|r| progress(r))).is_some_and(|p| p.output > 0)
}

pub(super) async fn read(
    State(app): State<App>,
    Path((signature, until, path)): Path<(String, i64, String)>,
    headers: HeaderMap,
) -> Result<Response, Mlflow> {
    signed::check(&app, Use::Get, &signature, until, &path).await?;
    download(&app, &path, &headers).await
}
