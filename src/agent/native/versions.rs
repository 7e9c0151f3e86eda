//! The files of a registered version on opsroom's own API.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::super::App;
use super::super::fault::Own;
use super::super::json::Json;
use super::artifacts::{PathQuery, stream};
use crate::base::Fault;
use crate::capability::registry::{self, ModelVersion, VersionFile};
use crate::db::Source;

#[derive(Deserialize)]
pub(super) struct FilesQuery {
    /// Digest each file too.
    #[serde(default)]
    digests: bool,
}

async fn version_of(app: &App, name: &str, version: &str) -> Result<ModelVersion, Own> {
    let view = registry::model(Source::Pool(app.ctx().db.read()), name, None).await?;
    let number: u32 = version.parse().map_err(|_| Fault::invalid(format!("not a version: {version}")))?;
    Ok(view.version(number).cloned().ok_or_else(|| registry::missing_version(name, number))?)
}

pub(super) async fn files(
    State(app): State<App>,
    Path((name, version)): Path<(String, String)>,
    Query(query): Query<FilesQuery>,
) -> Result<Json<Vec<VersionFile>>, Own> {
    let version = version_of(&app, &name, &version).await?;
    Ok(Json(registry::files(&app.ctx().artifacts, &version, query.digests).await?))
}

pub(super) async fn file(
    State(app): State<App>,
    Path((name, version)): Path<(String, String)>,
    Query(query): Query<PathQuery>,
) -> Result<Response, Own> {
    let version = version_of(&app, &name, &version).await?;
    let path = registry::file_path(&version, &query.path)?;
    stream(&app, &path, query.first_bytes).await
}
