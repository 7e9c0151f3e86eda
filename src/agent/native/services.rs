//! Services and rollouts on opsroom's own API.

use axum::Json;
use axum::extract::{Path, State};

use super::super::App;
use super::super::fault::Own;
use crate::capability::rollout::{self, Seen, ServiceView, Standing, Traffic};
use crate::db::Source;

type Answer<T> = Result<Json<T>, Own>;

pub(super) async fn list(State(app): State<App>) -> Answer<Vec<Standing>> {
    Ok(Json(rollout::services(Source::Pool(app.ctx().db.read())).await?))
}

pub(super) async fn show(State(app): State<App>, Path(name): Path<String>) -> Answer<ServiceView> {
    let mut view = rollout::view(app.ctx(), &name, app.now()).await?;
    let versions = app.ctx().counters.standing().versions;
    let of = versions.into_iter().filter(|v| v.service == name);
    view.seen = of.map(|v| Seen { version: v.version, last: v.last }).collect();
    view.seen.sort_by_key(|s| std::cmp::Reverse(s.last));
    view.envoy_status = (view.standing.service.traffic == Traffic::Envoy).then(|| app.envoy());
    Ok(Json(view))
}
