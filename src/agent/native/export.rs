//! Everything that the store holds, for whoever takes it elsewhere: tables row by row, and the list of files.

use axum::body::{Body, Bytes};
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::super::App;
use super::super::fault::Own;
use super::super::json::Json;
use crate::base::Fault;
use crate::capability::Actor;
use crate::capability::access::Role;
use crate::capability::wire::{ExportFile, ExportTable};
use crate::db::blobs::HIDDEN;
use crate::db::tables::{self, TABLES};

/// Rows that wait for the line.
const ROWS_AHEAD: usize = 256;
/// Digests of tokens are nobody's business elsewhere; whom to erase is not carried on.
const KEPT_HERE: &[&str] = &["access_tokens", "erasures"];

fn check(actor: &Actor) -> Result<(), Own> {
    if actor.role >= Role::Admin {
        return Ok(());
    }
    Err(Own(Fault::denied(format!("{} may not take everything", actor.who.name))
        .why("an export holds everything, whoever may see it")
        .next("come by the agent's own socket, or with an admin's token")))
}

/// The tables; what is only in the journals goes to them first.
pub(super) async fn tables(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
) -> Result<Json<Vec<ExportTable>>, Own> {
    check(&actor)?;
    app.ctx().tracking.fold().await?;
    app.ctx().counters.fold(app.now()).await?;
    let shown = TABLES.iter().filter(|t| !KEPT_HERE.contains(&t.name));
    let columns = |t: &tables::Table| t.columns.iter().map(|(n, h)| ((*n).to_owned(), h.name().to_owned())).collect();
    Ok(Json(shown.map(|t| ExportTable { name: t.name.to_owned(), columns: columns(t) }).collect()))
}

/// Rows of a table, a JSON array a line; bytes in base64. The last line is `null`: without it, the line broke.
pub(super) async fn rows(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
) -> Result<Response, Own> {
    check(&actor)?;
    let table = TABLES
        .iter()
        .find(|t| t.name == name && !KEPT_HERE.contains(&t.name))
        .ok_or_else(|| Fault::not_found(format!("no table {name}")).next("see /api/v1/export"))?;
    let (tell, told) = mpsc::channel(ROWS_AHEAD);
    let pool = app.ctx().db.read().clone();
    tokio::spawn(async move {
        match tables::read(&pool, table, &tell).await {
            Ok(()) => drop(tell.send(serde_json::Value::Null).await),
            Err(fault) => tracing::warn!("export of {}: {fault}", table.name),
        }
    });
    lines(ReceiverStream::new(told))
}

/// Files of the artifact store.
pub(super) async fn files(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
) -> Result<Json<Vec<ExportFile>>, Own> {
    check(&actor)?;
    let files = app.ctx().artifacts.blobs().aged().await?;
    let visible = files.into_iter().filter(|f| f.path.split('/').next() != Some(HIDDEN));
    Ok(Json(visible.map(|f| ExportFile { path: f.path, bytes: f.bytes }).collect()))
}

fn lines(values: ReceiverStream<serde_json::Value>) -> Result<Response, Own> {
    let lines = values.map(|value| {
        let mut line = serde_json::to_vec(&value)?;
        line.push(b'\n');
        Ok::<_, serde_json::Error>(Bytes::from(line))
    });
    let response = Response::builder().header("content-type", "application/x-ndjson").body(Body::from_stream(lines));
    Ok(response.map_err(|e| Fault::bug("answer").why(e.to_string()))?)
}
