//! `MLflow`'s REST API: foreign wire forms in, rooms' functions called, foreign wire forms out.

use axum::Router;

use super::App;

/// All of `MLflow`'s routes.
pub fn routes() -> Router<App> {
    Router::new()
}
