//! `runs/…`: create, read, update, search, delete.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde::Serialize;

use super::answer::{Answer, json, page_offset, page_token};
use super::asked::Asked;
use super::experiments::{decide, experiment_id, page_size, view};
use super::form::{Choice, Pair, Word, form, pairs};
use super::shape::{Homes, InfoShape, RunShape};
use crate::agent::App;
use crate::base::id::{ExperimentId, RunId};
use crate::base::{Fault, fault::Result};
use crate::capability::Actor;
use crate::capability::tracking::filter::{self, Target};
use crate::capability::tracking::runs::{self, NewRun};
use crate::capability::tracking::search::Query;
use crate::capability::tracking::{self, Run, RunStatus};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/runs/create", post(create))
        .route("/runs/get", get(by_id))
        .route("/runs/update", post(update))
        .route("/runs/search", post(search))
        .route("/runs/delete", post(delete))
        .route("/runs/restore", post(restore))
}

form! {
    Create { experiment_id: Text, user_id: Text, run_name: Text, start_time: Int, tags: List<Pair> }
    Get { run_id: Text, run_uuid: Text }
    One { run_id: Text required }
    Update { run_id: Text, run_uuid: Text, status: Choice, end_time: Int, run_name: Text }
    Search {
        experiment_ids: Texts, filter: Text, run_view_type: Choice, max_results: Int, order_by: Texts, page_token: Text,
    }
}

/// The run that is meant: old clients still say `run_uuid`.
pub(super) fn run_id(run_id: Option<&Word<'_>>, run_uuid: Option<&Word<'_>>) -> Result<RunId> {
    let given = run_id.filter(|w| !w.is_empty()).or_else(|| run_uuid.filter(|w| !w.is_empty()));
    let text = given.ok_or_else(|| super::asked::missing("run_id"))?;
    text.parse().map_err(|()| runs::missing(&**text))
}

#[derive(Serialize)]
struct OneRun<'a> {
    run: RunShape<'a>,
}

fn shown(app: &App, id: RunId) -> Answer {
    let tracking = &app.ctx().tracking;
    let run = [tracking.read(|s| s.run(id).cloned()).ok_or_else(|| runs::missing(id))?];
    json(&OneRun { run: RunShape::new(&run[0], &Homes::of(tracking, &run)) })
}

async fn create(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: Create<'_> = asked.form()?;
    let new = NewRun {
        experiment: form.experiment_id.filter(|e| !e.is_empty()).map(|e| experiment_id(Some(&e))).transpose()?,
        name: form.run_name.map(Into::into),
        user: form.user_id.unwrap_or_default().into(),
        start_ms: form.start_time.map_or_else(|| app.now().millis(), |t| t.0),
        tags: pairs("tags", form.tags)?,
    };
    let id = app.ctx().tracking.create_run(new).await?;
    shown(&app, id)
}

async fn by_id(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: Get<'_> = asked.form()?;
    shown(&app, run_id(form.run_id.as_ref(), form.run_uuid.as_ref())?)
}

#[derive(Serialize)]
struct Updated<'a> {
    run_info: InfoShape<'a>,
}

/// The states of a run with protobuf's numbers of them.
fn status(choice: Option<&Choice<'_>>) -> Option<RunStatus> {
    use RunStatus::{Failed, Finished, Killed, Running, Scheduled};
    let all = [Running, Scheduled, Finished, Failed, Killed];
    let names: Vec<_> = all.into_iter().zip(1..).map(|(s, n)| (s.name(), n, s)).collect();
    choice.and_then(|c| c.of(&names))
}

async fn update(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: Update<'_> = asked.form()?;
    let id = run_id(form.run_id.as_ref(), form.run_uuid.as_ref())?;
    let tracking = &app.ctx().tracking;
    let (status, end) = (status(form.status.as_ref()), form.end_time.map(|t| t.0));
    tracking.update_run(id, status, end, form.run_name.map(Into::into)).await?;
    let run = [tracking.read(|s| s.run(id).cloned()).ok_or_else(|| runs::missing(id))?];
    json(&Updated { run_info: RunShape::new(&run[0], &Homes::of(tracking, &run)).info })
}

#[derive(Serialize)]
struct Page<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    runs: Vec<RunShape<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

async fn search(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: Search<'_> = asked.form()?;
    let refuse = |e: filter::Invalid| Fault::invalid(e.to_string());
    let ids = form.experiment_ids.unwrap_or_default();
    let experiments: Vec<ExperimentId> = ids.iter().map(|id| experiment_id(Some(id))).collect::<Result<_>>()?;
    let query = Query {
        experiments: Some(experiments),
        filter: filter::parse(form.filter.as_deref().unwrap_or_default(), Target::Runs).map_err(refuse)?,
        view: view(form.run_view_type.as_ref()),
        order_by: filter::parse_order_list(&form.order_by.unwrap_or_default(), Target::Runs).map_err(refuse)?,
        offset: page_offset(form.page_token.as_deref())?,
        limit: page_size(form.max_results, 1000, 50_000)?,
        ..Query::default()
    };
    let tracking = &app.ctx().tracking;
    let page = tracking.search_runs(&query);
    let homes = Homes::of(tracking, &page.items);
    json(&Page {
        runs: page.items.iter().map(|run: &Arc<Run>| RunShape::new(run, &homes)).collect(),
        next_page_token: page.next(&query).map(page_token),
    })
}

async fn delete(State(app): State<App>, Extension(actor): Extension<Actor>, mut asked: Asked) -> Answer {
    let form: One<'_> = asked.form()?;
    let id = run_id(form.run_id.as_ref(), None)?;
    decide(&app, &actor, tracking::Command::DeleteRun { id }).await
}

async fn restore(State(app): State<App>, Extension(actor): Extension<Actor>, mut asked: Asked) -> Answer {
    let form: One<'_> = asked.form()?;
    let id = run_id(form.run_id.as_ref(), None)?;
    decide(&app, &actor, tracking::Command::RestoreRun { id }).await
}
