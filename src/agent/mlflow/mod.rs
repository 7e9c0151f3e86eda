//! `MLflow`'s REST API: foreign wire forms in, rooms' functions called, foreign wire forms out.
//!
//! One table of routes serves both prefixes, `/api` (clients) and `/ajax-api` (the web UI). Forms are lenient where
//! `MLflow` is, and refusals carry its words: clients and their users' scripts match on them.

use axum::Router;

use super::App;

mod about;
mod answer;
mod asked;
mod experiments;
mod form;
mod history;
mod log;
mod runs;
mod shape;

/// All of `MLflow`'s routes.
pub fn routes() -> Router<App> {
    let table =
        Router::new().merge(experiments::routes()).merge(runs::routes()).merge(log::routes()).merge(history::routes());
    let mut all = about::routes();
    for prefix in ["/api/2.0/mlflow", "/api/2.11/mlflow", "/ajax-api/2.0/mlflow"] {
        all = all.nest(prefix, table.clone());
    }
    all.method_not_allowed_fallback(about::wrong_method)
}
