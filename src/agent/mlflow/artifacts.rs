//! `mlflow-artifacts/…`: the artifact store behind the URIs that experiments hand out, and uploads in parts.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, ETAG};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde::Serialize;
use std::collections::BTreeMap;

use super::answer::{Answer, done, json};
use super::asked::{Asked, missing};
use super::files::{FileShape, below, body_of, download, encoded, files, limited, safe_path};
use super::form::form;
use crate::agent::{App, here};
use crate::base::fault::Result;
use crate::capability::tracking::parts::Part;

/// Beneath `/api/2.0/mlflow-artifacts`.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/artifacts", get(list))
        .route("/artifacts/", get(list))
        .route("/artifacts/{*path}", get(read).put(write).delete(delete))
        .route("/presigned/{*path}", get(presigned))
        .route("/mpu/create", post(create_at_root))
        .route("/mpu/create/{*folder}", post(create))
        .route("/mpu/complete", post(complete_at_root))
        .route("/mpu/complete/{*folder}", post(complete))
        .route("/mpu/abort", post(abort_at_root))
        .route("/mpu/abort/{*folder}", post(abort))
        .route("/mpu/parts/{upload}/{number}", put(write_part))
}

form! {
    List { path: Text }
    Begin { path: Text required, num_parts: Int }
    Complete { path: Text required, upload_id: Text, parts: List<Sent> required }
    Sent { part_number: Int, etag: Text }
    Abort { path: Text required, upload_id: Text }
}

#[derive(Serialize)]
struct Listing {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<FileShape>,
}

async fn list(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: List<'_> = asked.form()?;
    let folder = safe_path(form.path.as_deref().unwrap_or_default())?;
    json(&Listing { files: files(app.ctx().artifacts.list(&folder).await?, "") })
}

async fn read(State(app): State<App>, Path(path): Path<String>, headers: HeaderMap) -> Answer {
    download(&app, &safe_path(&path)?, &headers).await
}

async fn write(State(app): State<App>, Path(path): Path<String>, request: Request) -> Answer {
    let path = safe_path(&path)?;
    let bytes_max = app.settings().artifact_bytes_max;
    app.ctx().artifacts.put(&path, limited(body_of(request, bytes_max)?, bytes_max)).await?;
    Ok(done())
}

async fn delete(State(app): State<App>, Path(path): Path<String>) -> Answer {
    app.ctx().artifacts.delete(&safe_path(&path)?).await?;
    Ok(done())
}

/// Where this caller reaches this agent, and what it has to say there.
struct Here {
    base: String,
    headers: BTreeMap<String, String>,
}

impl Here {
    fn of(app: &App, headers: &HeaderMap) -> Self {
        // Clients send parts without their own credentials, only with the headers named here.
        let own = headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok());
        let own = own.map(|v| ("Authorization".to_owned(), v.to_owned()));
        let base = format!("{}/api/2.0/mlflow-artifacts", here::base(app, headers));
        Self { base, headers: own.into_iter().collect() }
    }
}

#[derive(Serialize)]
struct Presigned {
    url: String,
    headers: BTreeMap<String, String>,
    file_size: u64,
}

async fn presigned(State(app): State<App>, Path(path): Path<String>, headers: HeaderMap) -> Answer {
    let path = safe_path(&path)?;
    let file_size = app.ctx().artifacts.size(&path).await?;
    let here = Here::of(&app, &headers);
    let encoded: Vec<String> = path.split('/').map(encoded).collect();
    json(&Presigned { url: format!("{}/artifacts/{}", here.base, encoded.join("/")), headers: here.headers, file_size })
}

/// What an upload in parts will be: the client names its folder in the path, and its own file in the body.
fn target(folder: &str, file: &str) -> Result<String> {
    let name = file.rsplit(['/', '\\']).next().unwrap_or_default();
    let path = below(&safe_path(folder)?, &safe_path(name)?);
    if path.is_empty() { Err(missing("path")) } else { Ok(path) }
}

#[derive(Serialize)]
struct Begun {
    upload_id: String,
    credentials: Vec<Credential>,
}

#[derive(Serialize)]
struct Credential {
    url: String,
    part_number: i64,
    headers: BTreeMap<String, String>,
}

async fn create_at_root(state: State<App>, asked: Asked) -> Answer {
    create(state, Path(String::new()), asked).await
}

async fn create(State(app): State<App>, Path(folder): Path<String>, mut asked: Asked) -> Answer {
    let here = Here::of(&app, &asked.headers);
    let form: Begin<'_> = asked.form()?;
    let path = target(&folder, form.path.as_deref().unwrap_or_default())?;
    let parts = form.num_parts.map_or(1, |n| n.0);
    if !(1..=10_000).contains(&parts) {
        return Err(super::asked::invalid("num_parts", &parts.into(), "It must be between 1 and 10000.").into());
    }
    let upload_id = app.ctx().artifacts.begin_parts(&path, app.now()).await?;
    let credential = |part_number| Credential {
        url: format!("{}/mpu/parts/{upload_id}/{part_number}", here.base),
        part_number,
        headers: here.headers.clone(),
    };
    json(&Begun { credentials: (1..=parts).map(credential).collect(), upload_id: upload_id.clone() })
}

async fn write_part(
    State(app): State<App>,
    Path((upload, number)): Path<(String, u32)>,
    request: Request,
) -> Result<Response, crate::agent::fault::Mlflow> {
    let bytes_max = app.settings().artifact_bytes_max;
    let body = limited(body_of(request, bytes_max)?, bytes_max);
    let tag = app.ctx().artifacts.put_part(&upload, number, body).await?;
    Ok(([(ETAG, format!("\"{tag}\""))], done()).into_response())
}

async fn complete_at_root(state: State<App>, asked: Asked) -> Answer {
    complete(state, Path(String::new()), asked).await
}

async fn complete(State(app): State<App>, Path(folder): Path<String>, mut asked: Asked) -> Answer {
    let form: Complete<'_> = asked.form()?;
    let path = target(&folder, form.path.as_deref().unwrap_or_default())?;
    let part = |sent: Sent<'_>| {
        let number =
            sent.part_number.and_then(|n| u32::try_from(n.0).ok()).ok_or_else(|| missing("parts.part_number"))?;
        Ok(Part { number, tag: sent.etag.unwrap_or_default().trim_matches('"').to_owned() })
    };
    let parts = form.parts.unwrap_or_default().into_iter().map(part).collect::<Result<_>>()?;
    app.ctx().artifacts.complete_parts(&path, &form.upload_id.unwrap_or_default(), parts).await?;
    Ok(done())
}

async fn abort_at_root(state: State<App>, asked: Asked) -> Answer {
    abort(state, Path(String::new()), asked).await
}

async fn abort(State(app): State<App>, Path(folder): Path<String>, mut asked: Asked) -> Answer {
    let form: Abort<'_> = asked.form()?;
    let path = target(&folder, form.path.as_deref().unwrap_or_default())?;
    app.ctx().artifacts.abort_parts(&path, &form.upload_id.unwrap_or_default()).await?;
    Ok(done())
}
