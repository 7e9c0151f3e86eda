//! Reads of opsroom's own API, and the tags of runs.

use axum::extract::{Extension, FromRequest, Path, Query, Request, State};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::fault::Own;
use super::super::json::Json;
use super::super::{App, monitors};
use crate::base::id::RunId;
use crate::base::{Fault, Timestamp};
use crate::capability::Actor;
use crate::capability::access::{self, Role, Token};
use crate::capability::audit::{self, AuditPage, AuditQuery, Record, SignedHead, Verification};
use crate::capability::registry::{self, ModelView};
use crate::capability::tracking::runs::{self, Batch};
use crate::capability::tracking::{ExperimentView, GroupQuery, RunGroups, RunPage, RunQuery, RunView, Series};
use crate::capability::training::{self, Grade};
use crate::db::Source;

type Answer<T> = Result<Json<T>, Own>;

/// A JSON body, refused in our own form when it is not what the route takes.
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Own;

    async fn from_request(request: Request, state: &S) -> Result<Self, Own> {
        let bytes = axum::body::Bytes::from_request(request, state)
            .await
            .map_err(|e| Fault::invalid("the body cannot be read").why(e.to_string()))?;
        let value = serde_json::from_slice(&bytes).map_err(|e| {
            Fault::invalid("the body is not what this route takes").why(e.to_string()).next("see /api/v1/openapi.json")
        })?;
        Ok(Self(value))
    }
}

pub(super) fn run_id(text: &str) -> Result<RunId, Own> {
    text.parse().map_err(|()| Own(runs::missing(text).next("see `opsroom runs list`")))
}

fn moment(text: Option<&String>) -> Result<Option<Timestamp>, Own> {
    let Some(text) = text.filter(|t| !t.is_empty()) else { return Ok(None) };
    let unreadable =
        || Own(Fault::invalid(format!("not a time: {text}")).next("write it as 2026-05-03 or 2026-05-03T14:00:00Z"));
    Timestamp::parse(text).map(Some).ok_or_else(unreadable)
}

pub(super) async fn experiments(State(app): State<App>) -> Json<Vec<ExperimentView>> {
    Json(app.ctx().tracking.experiment_views())
}

pub(super) async fn search_runs(State(app): State<App>, Body(query): Body<RunQuery>) -> Answer<RunPage> {
    Ok(Json(app.ctx().tracking.run_page(&query)?))
}

pub(super) async fn run_groups(State(app): State<App>, Body(query): Body<GroupQuery>) -> Answer<RunGroups> {
    Ok(Json(app.ctx().tracking.run_groups(&query)?))
}

pub(super) async fn run(State(app): State<App>, Path(id): Path<String>) -> Answer<RunView> {
    let (id, tracking) = (run_id(&id)?, &app.ctx().tracking);
    let run = tracking.read(|s| s.run(id).cloned()).ok_or_else(|| runs::missing(id))?;
    Ok(Json(tracking.run_view(&run)))
}

#[derive(Deserialize)]
pub(super) struct HistoryQuery {
    key: String,
    #[serde(default)]
    columns: Option<usize>,
}

pub(super) async fn history(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Answer<Series> {
    Ok(Json(app.ctx().tracking.series(run_id(&id)?, &query.key, query.columns.unwrap_or(400), app.now()).await?))
}

/// Without the list of what was compared, which may be long.
pub(super) async fn grade(State(app): State<App>, Path(id): Path<String>) -> Answer<Option<Grade>> {
    let id = run_id(&id)?;
    let grade = training::grade(Source::Pool(app.ctx().db.read()), id).await?;
    Ok(Json(grade.map(|grade| Grade { made: Vec::new(), ..grade })))
}

/// `null` removes a tag.
pub(super) async fn tag_run(
    State(app): State<App>,
    Path(id): Path<String>,
    Body(tags): Body<std::collections::BTreeMap<String, Option<String>>>,
) -> Answer<()> {
    let (id, tracking) = (run_id(&id)?, &app.ctx().tracking);
    let (set, removed): (Vec<_>, Vec<_>) = tags.into_iter().partition(|(_, v)| v.is_some());
    let set: Vec<(String, String)> = set.into_iter().filter_map(|(k, v)| Some((k, v?))).collect();
    if !set.is_empty() {
        tracking.log(id, Batch { tags: set, ..Batch::default() }).await?;
    }
    for (key, _) in removed {
        tracking.delete_tag(id, key).await?;
    }
    Ok(Json(()))
}

#[derive(Deserialize)]
pub(super) struct AsOf {
    #[serde(default)]
    as_of: Option<String>,
}

pub(super) async fn models(State(app): State<App>, Query(query): Query<AsOf>) -> Answer<Vec<ModelView>> {
    let at = moment(query.as_of.as_ref())?;
    Ok(Json(registry::models(Source::Pool(app.ctx().db.read()), at).await?))
}

pub(super) async fn model(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(query): Query<AsOf>,
) -> Answer<ModelView> {
    let at = moment(query.as_of.as_ref())?;
    Ok(Json(registry::model(Source::Pool(app.ctx().db.read()), &name, at).await?))
}

pub(super) async fn audit_list(State(app): State<App>, Query(query): Query<AuditQuery>) -> Answer<AuditPage> {
    Ok(Json(audit::list(app.ctx().db.read(), &query).await?))
}

pub(super) async fn audit_show(State(app): State<App>, Path(seq): Path<i64>) -> Answer<Record> {
    Ok(Json(audit::show(app.ctx().db.read(), seq).await?))
}

/// The body holds further heads to compare with; the agent's own are always compared.
pub(super) async fn audit_verify(State(app): State<App>, Body(further): Body<Vec<SignedHead>>) -> Answer<Verification> {
    let mut heads = monitors::read_heads(std::path::Path::new(&app.settings().audit_heads))?;
    heads.extend(further);
    Ok(Json(audit::verify(app.ctx().db.read(), &heads).await?))
}

pub(super) async fn tokens(State(app): State<App>, Extension(actor): Extension<Actor>) -> Answer<Vec<Token>> {
    if actor.role < Role::Admin {
        return Err(Own(
            Fault::denied(format!("{} may not see tokens", actor.who.name)).next("come with an admin's token")
        ));
    }
    Ok(Json(access::list(app.ctx().db.read()).await?))
}
