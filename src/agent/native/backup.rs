//! Backing the store up while it is written to; progress is told a JSON line at a time.

use std::path::PathBuf;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::response::Response;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::super::App;
use super::super::fault::Own;
use super::reads::Body as Json;
use crate::base::Fault;
use crate::capability::access::Role;
use crate::capability::wire::{BackupRequest, BackupStep};
use crate::capability::{Actor, keeping};
use crate::db::backup::{self, Progress};

pub(super) async fn make(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Json(request): Json<BackupRequest>,
) -> Result<Response, Own> {
    if actor.role < Role::Admin {
        return Err(Own(Fault::denied(format!("{} may not back the store up", actor.who.name))
            .why("a backup holds everything, whoever may see it")
            .next("come by the agent's own socket, or with an admin's token")));
    }
    let to = PathBuf::from(&request.to);
    if !to.is_absolute() {
        return Err(Own(Fault::invalid(format!("not a whole path: {:?}", request.to)).next("begin it with /")));
    }
    let (tell, told) = mpsc::unbounded_channel();
    // It goes on to its end, also when nobody listens any more.
    tokio::spawn(async move {
        let told = tell.clone();
        let progress = move |progress| drop(told.send(step(progress)));
        let made = backup::make(&app.ctx().db, app.ctx().artifacts.blobs(), &to, app.now(), &progress).await;
        let last = match made {
            Ok(manifest) => {
                let bytes = manifest.store.bytes + manifest.artifacts.iter().map(|f| f.bytes).sum::<u64>();
                let place = to.to_string_lossy();
                if let Err(fault) = keeping::backed_up(&app.ctx().db, manifest.made, &place, bytes).await {
                    tracing::warn!("that a backup was made at {place}: {fault}");
                }
                BackupStep::Done { files: manifest.artifacts.len() as u64, bytes, digest: manifest.store.digest }
            }
            Err(fault) => BackupStep::Failed { fault },
        };
        drop(tell.send(last));
    });
    let lines = UnboundedReceiverStream::new(told).map(|step| {
        let mut line = serde_json::to_vec(&step)?;
        line.push(b'\n');
        Ok::<_, serde_json::Error>(Bytes::from(line))
    });
    let response = Response::builder().header("content-type", "application/x-ndjson").body(Body::from_stream(lines));
    Ok(response.map_err(|e| Fault::bug("answer").why(e.to_string()))?)
}

fn step(progress: Progress) -> BackupStep {
    match progress {
        Progress::Store => BackupStep::Store,
        Progress::Artifacts { done, of } => BackupStep::Artifacts { done, of },
    }
}
