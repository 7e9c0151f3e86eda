//! The artifacts of a run or a logged model, seen from there: what the web UI and older clients ask for.

use std::collections::HashMap;

use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::HeaderMap;
use axum::routing::{get, post};
use serde::Serialize;

use super::answer::{Answer, done, json};
use super::asked::Asked;
use super::files::{FileShape, below, download, files, safe_path};
use super::form::{Word, form};
use super::runs::run_id;
use crate::agent::App;
use crate::base::{Fault, Kind, fault::Result};
use crate::capability::tracking::artifacts::path_of_uri;
use crate::capability::tracking::runs;

/// Beneath the MLflow prefixes.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/artifacts/list", get(list))
        .route("/upload-artifact", post(upload))
        .route("/logged-models/{model_id}/artifacts/directories", get(list_of_model))
        .route("/logged-models/{model_id}/artifacts/files", get(file_of_model))
}

form! {
    List { run_id: Text, run_uuid: Text, path: Text, page_token: Text }
    ListModel { artifact_directory_path: Text, page_token: Text }
}

const UPLOAD_BYTES_MAX: usize = 10 << 20;

#[derive(Serialize)]
struct Listing {
    root_uri: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<FileShape>,
}

/// Where in our artifact store a URI lies.
pub(super) fn place(uri: &str) -> Result<String> {
    path_of_uri(uri).ok_or_else(|| {
        Fault::new(Kind::Unsupported, format!("the artifacts at {uri} are not kept by this server"))
            .next("read them where they are")
    })
}

async fn listing(app: &App, root_uri: String, folder: &str) -> Answer {
    let folder = safe_path(folder)?;
    let entries = app.ctx().artifacts.list(&below(&place(&root_uri)?, &folder)).await?;
    json(&Listing { files: files(entries, &folder), root_uri })
}

fn uri_of_run(app: &App, id: Option<&Word<'_>>, uuid: Option<&Word<'_>>) -> Result<String> {
    let id = run_id(id, uuid)?;
    let run = app.ctx().tracking.read(|s| s.run(id).cloned()).ok_or_else(|| runs::missing(id))?;
    Ok(app.ctx().tracking.artifact_uri(&run))
}

async fn list(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: List<'_> = asked.form()?;
    let folder = safe_path(form.path.as_deref().unwrap_or_default())?;
    let root = uri_of_run(&app, form.run_id.as_ref(), form.run_uuid.as_ref())?;
    listing(&app, root, &folder).await
}

async fn list_of_model(State(app): State<App>, Path(id): Path<String>, mut asked: Asked) -> Answer {
    let form: ListModel<'_> = asked.form()?;
    let root = super::models::found(&app, &id, false)?.artifact_uri.clone();
    listing(&app, root, form.artifact_directory_path.as_deref().unwrap_or_default()).await
}

/// A parameter of a query, where the form is not `MLflow`'s usual one.
pub(super) fn parameter<'a>(query: &'a HashMap<String, String>, name: &str) -> Result<&'a str> {
    let given = query.get(name).filter(|v| !v.is_empty());
    given.map(String::as_str).ok_or_else(|| Fault::invalid(format!("Request must specify {name}.")))
}

async fn file_of_model(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    let path = safe_path(parameter(&query, "artifact_file_path")?)?;
    let model = super::models::found(&app, &id, false)?;
    download(&app, &below(&place(&model.artifact_uri)?, &path), &headers).await
}

/// `/get-artifact`, a browser's download.
pub(super) async fn get_artifact(
    State(app): State<App>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    let path = safe_path(parameter(&query, "path")?)?;
    let word = |name: &str| query.get(name).map(|v| Word(v.as_str().into()));
    let root = uri_of_run(&app, word("run_id").as_ref(), word("run_uuid").as_ref())?;
    download(&app, &below(&place(&root)?, &path), &headers).await
}

async fn upload(State(app): State<App>, Query(query): Query<HashMap<String, String>>, request: Request) -> Answer {
    let run = Word(parameter(&query, "run_uuid")?.into());
    let path = safe_path(parameter(&query, "path")?)?;
    let body = axum::body::to_bytes(request.into_body(), UPLOAD_BYTES_MAX)
        .await
        .map_err(|_| Fault::invalid("Artifact size is too large. Max size is 10MB."))?;
    if body.is_empty() {
        return Err(Fault::invalid("Request must specify data.").into());
    }
    let root = place(&uri_of_run(&app, Some(&run), None)?)?;
    let whole = futures::stream::iter([Ok::<_, std::convert::Infallible>(body)]);
    app.ctx().artifacts.put(&below(&root, &path), whole).await?;
    Ok(done())
}
