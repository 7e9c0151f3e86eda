//! What Weights & Biases' client asks of its server: GraphQL by the operation's name, numbered lines, and uploads.
//!
//! There is no GraphQL engine: clients send a fixed set of operations, and each has its handler. What the client retries
//! for minutes (5xx, 429) is answered only when trying again can help.

mod alert;
mod artifact;
mod artifact_lists;
mod artifact_read;
mod call;
mod console;
mod graphql;
mod history;
mod link;
mod live;
mod manifest;
mod media;
mod reads;
mod run;
mod shape;
mod signed;
mod storage;
mod stream;
mod sweep;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path};
use axum::routing::{any, get, post};

use super::App;
use crate::capability::tracking::wandb::run_id;

pub use live::Live;
pub use signed::is_signed;

/// All of W&B's routes.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/graphql", post(graphql::answer))
        .route("/files/{entity}/{project}/{run}/file_stream", post(stream::receive))
        .route("/wandb/storage/{signature}/{until}/{*path}", get(storage::read).put(storage::write))
        // The client's reports about itself.
        .route("/sdk/otel/{*rest}", any(|| async {}))
        .route("/{entity}/{project}/runs/{run}", get(whereabouts))
        .layer(DefaultBodyLimit::disable())
}

/// The address that the client prints. The room is no web page; this says how to get there.
async fn whereabouts(Path((_, project, run)): Path<(String, String, String)>) -> String {
    let id = run_id(&project, &run);
    format!("Run {run} of project {project} is run {id} in opsroom:\n\n    opsroom runs show {id}\n")
}
