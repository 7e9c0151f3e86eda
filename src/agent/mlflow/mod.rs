//! `MLflow`'s REST API: foreign wire forms in, rooms' functions called, foreign wire forms out.
//!
//! One table of routes serves both prefixes, `/api` (clients) and `/ajax-api` (the web UI). Forms are lenient where
//! `MLflow` is, and refusals carry its words: clients and their users' scripts match on them.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;

use super::App;

mod about;
mod answer;
mod artifacts;
mod asked;
mod browse;
mod experiments;
pub(super) mod files;
mod form;
mod history;
mod log;
mod models;
mod registered;
mod registry;
mod runs;
mod shape;
mod versions;

/// All of `MLflow`'s routes.
pub fn routes() -> Router<App> {
    let table = Router::new()
        .merge(experiments::routes())
        .merge(runs::routes())
        .merge(log::routes())
        .merge(history::routes())
        .merge(models::routes())
        .merge(browse::routes())
        .merge(registry::routes())
        .merge(versions::routes());
    let mut all = about::routes()
        .route("/get-artifact", get(browse::get_artifact))
        .route("/model-versions/get-artifact", get(versions::get_artifact));
    for prefix in ["/api/2.0", "/api/2.11", "/ajax-api/2.0"] {
        all = all.nest(&format!("{prefix}/mlflow"), table.clone());
        all = all.nest(&format!("{prefix}/mlflow-artifacts"), artifacts::routes());
    }
    // An artifact's length is limited where it is read.
    all.method_not_allowed_fallback(about::wrong_method).layer(DefaultBodyLimit::disable())
}
