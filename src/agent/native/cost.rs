//! What things cost.

use axum::extract::{Query, State};

use super::super::App;
use super::super::fault::Own;
use super::super::json::Json;
use crate::capability::cost::{self, Asked, Book, CostReport};
use crate::db::Source;

pub(super) async fn report(State(app): State<App>, Query(asked): Query<Asked>) -> Result<Json<CostReport>, Own> {
    Ok(Json(cost::report(app.ctx(), &asked, app.now()).await?))
}

pub(super) async fn book(State(app): State<App>) -> Result<Json<Book>, Own> {
    Ok(Json(cost::book(Source::Pool(app.ctx().db.read())).await?))
}
