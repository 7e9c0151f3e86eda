//! Artifacts of a run on opsroom's own API.

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::super::App;
use super::super::fault::Own;
use super::super::json::Json;
use super::reads::run_id;
use crate::base::Fault;
use crate::capability::tracking::artifacts::path_of_uri;
use crate::capability::tracking::outputs::Outputs;
use crate::capability::tracking::runs;
use crate::capability::wire::ArtifactEntry;

#[derive(Deserialize)]
pub(super) struct PathQuery {
    #[serde(default)]
    pub(super) path: String,
    /// Only the first bytes, for a preview.
    #[serde(default)]
    pub(super) first_bytes: Option<u64>,
}

fn place(app: &App, id: &str, below: &str) -> Result<String, Own> {
    let id = run_id(id)?;
    let tracking = &app.ctx().tracking;
    let run = tracking.read(|s| s.run(id).cloned()).ok_or_else(|| runs::missing(id))?;
    let uri = tracking.artifact_uri(&run);
    let base = path_of_uri(&uri).ok_or_else(|| {
        Fault::not_found(format!("the artifacts of run {id} are not kept here")).why(format!("they lie at {uri}"))
    })?;
    let below = crate::db::blobs::clean_path(below.trim_matches('/'))?;
    Ok(if below.is_empty() { base } else { format!("{base}/{below}") })
}

pub(super) async fn list(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(query): Query<PathQuery>,
) -> Result<Json<Vec<ArtifactEntry>>, Own> {
    let folder = place(&app, &id, &query.path)?;
    let entries = app.ctx().artifacts.list(&folder).await?;
    let below = query.path.trim_matches('/');
    let shown = |e: crate::db::blobs::Entry| ArtifactEntry {
        path: if below.is_empty() { e.name } else { format!("{below}/{}", e.name) },
        is_dir: e.is_dir,
        size: e.size,
    };
    Ok(Json(entries.into_iter().map(shown).collect()))
}

pub(super) async fn download(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(query): Query<PathQuery>,
) -> Result<Response, Own> {
    let path = place(&app, &id, &query.path)?;
    stream(&app, &path, query.first_bytes).await
}

/// A file's bytes as they come, or the first of them.
pub(super) async fn stream(app: &App, path: &str, first_bytes: Option<u64>) -> Result<Response, Own> {
    let range = first_bytes.filter(|n| *n > 0).map(|n| object_store::GetRange::Bounded(0..n));
    let content = app.ctx().artifacts.get(path, range).await?;
    let response = Response::builder()
        .header("content-type", "application/octet-stream")
        .header("content-length", content.range.end - content.range.start)
        .header("x-opsroom-size", content.size)
        .body(Body::from_stream(content.stream));
    Ok(response.map_err(|e| Fault::bug("answer").why(e.to_string()))?)
}

pub(super) async fn outputs(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Outputs>, Own> {
    let (id, ctx) = (run_id(&id)?, app.ctx());
    let run = ctx.tracking.read(|s| s.run(id).cloned()).ok_or_else(|| runs::missing(id))?;
    Ok(Json(ctx.tracking.outputs(&ctx.artifacts, &run).await?))
}

pub(super) async fn output(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(query): Query<PathQuery>,
) -> Result<Response, Own> {
    let (id, ctx) = (run_id(&id)?, app.ctx());
    let run = ctx.tracking.read(|s| s.run(id).cloned()).ok_or_else(|| runs::missing(id))?;
    let content = ctx.artifacts.get(&ctx.tracking.output_path(&run, &query.path)?, None).await?;
    let response = Response::builder()
        .header("content-type", "application/octet-stream")
        .header("content-length", content.size)
        .body(Body::from_stream(content.stream));
    Ok(response.map_err(|e| Fault::bug("answer").why(e.to_string()))?)
}
