//! Services and rollouts on opsroom's own API.

use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::super::App;
use super::super::fault::Own;
use super::super::json::Json;
use super::fleet::past;
use crate::capability::rollout::{self, Seen, ServiceView, Standing, Traffic};
use crate::db::Source;

type Answer<T> = Result<Json<T>, Own>;

#[derive(Deserialize)]
pub(super) struct AsOf {
    #[serde(default)]
    as_of: Option<String>,
}

pub(super) async fn list(State(app): State<App>, Query(of): Query<AsOf>) -> Answer<Vec<Standing>> {
    let source = Source::Pool(app.ctx().db.read());
    Ok(Json(match past(of.as_of)? {
        None => rollout::services(source).await?,
        Some(at) => rollout::services_at(source, at).await?,
    }))
}

pub(super) async fn show(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(of): Query<AsOf>,
) -> Answer<ServiceView> {
    if let Some(at) = past(of.as_of)? {
        return Ok(Json(rollout::view_at(Source::Pool(app.ctx().db.read()), &name, at).await?));
    }
    let mut view = rollout::view(app.ctx(), &name, app.now()).await?;
    let versions = app.ctx().counters.standing().versions;
    let of = versions.into_iter().filter(|v| v.service == name);
    view.seen = of.map(|v| Seen { version: v.version, last: v.last }).collect();
    view.seen.sort_by_key(|s| std::cmp::Reverse(s.last));
    view.envoy_status = (view.standing.service.traffic == Traffic::Envoy).then(|| app.envoy());
    Ok(Json(view))
}
