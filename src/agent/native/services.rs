//! Services and rollouts on opsroom's own API.

use axum::Json;
use axum::extract::{Path, State};

use super::super::App;
use super::super::fault::Own;
use crate::capability::rollout::{self, ServiceView, Standing};
use crate::db::Source;

type Answer<T> = Result<Json<T>, Own>;

pub(super) async fn list(State(app): State<App>) -> Answer<Vec<Standing>> {
    Ok(Json(rollout::services(Source::Pool(app.ctx().db.read())).await?))
}

pub(super) async fn show(State(app): State<App>, Path(name): Path<String>) -> Answer<ServiceView> {
    Ok(Json(rollout::view(Source::Pool(app.ctx().db.read()), &name, app.now()).await?))
}
