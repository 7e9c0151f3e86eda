//! `experiments/…`.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde::Serialize;

use super::answer::{Answer, done, json, page_offset, page_token};
use super::asked::{Asked, invalid};
use super::form::{Choice, Int, Pair, form, pairs};
use super::shape::ExperimentShape;
use crate::agent::App;
use crate::base::id::ExperimentId;
use crate::base::{Fault, fault::Result};
use crate::capability::tracking::experiments::{self, NewExperiment};
use crate::capability::tracking::filter::{self, Target};
use crate::capability::tracking::search::{Query, View};
use crate::capability::tracking::{self, Experiment};
use crate::capability::{Actor, Command, Envelope, perform};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/experiments/create", post(create))
        .route("/experiments/get", get(by_id))
        .route("/experiments/get-by-name", get(by_name))
        .route("/experiments/search", get(search).post(search))
        .route("/experiments/update", post(update))
        .route("/experiments/delete", post(delete))
        .route("/experiments/restore", post(restore))
        .route("/experiments/set-experiment-tag", post(set_tag))
        .route("/experiments/delete-experiment-tag", post(delete_tag))
        .route("/experiments/search-datasets", post(search_datasets))
}

const SEARCH_DATASETS_EXPERIMENTS_MAX: usize = 20;

form! {
    Create { name: Text required, artifact_location: Text, tags: List<Pair> }
    One { experiment_id: Text required }
    Named { experiment_name: Text required }
    Rename { experiment_id: Text required, new_name: Text required }
    Tag { experiment_id: Text required, key: Text required, value: Text }
    Search { view_type: Choice, max_results: Int, order_by: Texts, filter: Text, page_token: Text }
    Datasets { experiment_ids: Texts }
}

/// An experiment's id; `MLflow`'s are numbers in texts.
pub(super) fn experiment_id(text: Option<&str>) -> Result<ExperimentId> {
    let text = text.unwrap_or_default();
    text.trim().parse().map_err(|()| match text.trim().parse::<i128>() {
        // A number that no experiment has.
        Ok(number) => experiments::missing(number),
        Err(_) => Fault::invalid(format!("Invalid experiment ID '{text}'. Experiment ID must be a valid integer.")),
    })
}

/// Which of active and deleted things are asked for.
pub(super) fn view(choice: Option<&Choice<'_>>) -> View {
    let names = [("ACTIVE_ONLY", 1, View::ActiveOnly), ("DELETED_ONLY", 2, View::DeletedOnly), ("ALL", 3, View::All)];
    choice.and_then(|c| c.of(&names)).unwrap_or_default()
}

/// How many rows a page may have: 1 to `most`.
pub(super) fn page_size(asked: Option<Int>, default: i64, most: i64) -> Result<usize> {
    let size = asked.map_or(default, |n| n.0);
    match usize::try_from(size) {
        Ok(rows) if rows > 0 && size <= most => Ok(rows),
        Ok(rows) if rows > 0 => Err(invalid("max_results", &size.into(), &format!("It must be at most {most}."))),
        _ => Err(invalid("max_results", &size.into(), "It must be a positive integer.")),
    }
}

#[derive(Serialize)]
struct Id {
    experiment_id: ExperimentId,
}

#[derive(Serialize)]
struct OneExperiment<'a> {
    experiment: ExperimentShape<'a>,
}

async fn create(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: Create<'_> = asked.form()?;
    let new = NewExperiment {
        name: form.name.unwrap_or_default().into(),
        artifact_location: form.artifact_location.map(|l| location(&l)).transpose()?,
        tags: pairs("tags", form.tags)?,
        id: None,
    };
    let experiment_id = app.ctx().tracking.create_experiment(new, app.now()).await?;
    json(&Id { experiment_id })
}

/// Where an experiment is to keep its artifacts: a relative folder is meant from where the agent runs.
fn location(given: &str) -> Result<String> {
    let refused = |why: &str| Fault::invalid(format!("Invalid artifact_location: '{given}'. {why}"));
    if given.starts_with("runs:") {
        return Err(refused("Artifact location cannot be a runs:/ URI"));
    }
    if given.contains('#') {
        return Err(refused("URL can't include fragments or params"));
    }
    if given.split(['/', '\\']).any(|part| part == "..") {
        return Err(refused("It must not contain '..'"));
    }
    if given.is_empty() || given.starts_with('/') || given.contains(":/") {
        return Ok(given.to_owned());
    }
    let here = std::path::absolute(given).map_err(|e| refused(&e.to_string()))?;
    Ok(here.display().to_string())
}

async fn by_id(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: One<'_> = asked.form()?;
    let id = experiment_id(form.experiment_id.as_deref())?;
    let found = app.ctx().tracking.read(|s| s.experiment(id).cloned()).ok_or_else(|| experiments::missing(id))?;
    shown(&found)
}

fn shown(experiment: &Experiment) -> Answer {
    json(&OneExperiment { experiment: experiment.into() })
}

async fn by_name(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: Named<'_> = asked.form()?;
    let name = form.experiment_name.unwrap_or_default();
    let found = app.ctx().tracking.read(|s| s.experiment_named(&name).cloned());
    let found = found.ok_or_else(|| Fault::not_found(format!("Could not find experiment with name '{}'", &*name)))?;
    shown(&found)
}

#[derive(Serialize)]
struct Page<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    experiments: Vec<ExperimentShape<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

async fn search(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: Search<'_> = asked.form()?;
    let refuse = |e: filter::Invalid| Fault::invalid(e.to_string());
    let query = Query {
        experiments: None,
        filter: filter::parse(form.filter.as_deref().unwrap_or_default(), Target::Experiments).map_err(refuse)?,
        view: view(form.view_type.as_ref()),
        order_by: filter::parse_order_list(&form.order_by.unwrap_or_default(), Target::Experiments).map_err(refuse)?,
        offset: page_offset(form.page_token.as_deref())?,
        limit: page_size(form.max_results, 0, 50_000)?,
        ..Query::default()
    };
    let page = app.ctx().tracking.search_experiments(&query);
    json(&Page {
        experiments: page.items.iter().map(|e| (&**e).into()).collect(),
        next_page_token: page.next(&query).map(page_token),
    })
}

async fn update(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: Rename<'_> = asked.form()?;
    let id = experiment_id(form.experiment_id.as_deref())?;
    app.ctx().tracking.rename_experiment(id, form.new_name.unwrap_or_default().into(), app.now()).await?;
    Ok(done())
}

async fn delete(State(app): State<App>, Extension(actor): Extension<Actor>, mut asked: Asked) -> Answer {
    let form: One<'_> = asked.form()?;
    let id = experiment_id(form.experiment_id.as_deref())?;
    decide(&app, &actor, tracking::Command::DeleteExperiment { id }).await
}

async fn restore(State(app): State<App>, Extension(actor): Extension<Actor>, mut asked: Asked) -> Answer {
    let form: One<'_> = asked.form()?;
    let id = experiment_id(form.experiment_id.as_deref())?;
    decide(&app, &actor, tracking::Command::RestoreExperiment { id }).await
}

/// Performs a command of tracking; `MLflow`'s clients have no reason to give.
pub(super) async fn decide(app: &App, actor: &Actor, command: tracking::Command) -> Answer {
    perform(app.ctx(), actor, Envelope::new(Command::Tracking(command), "")).await?;
    Ok(done())
}

async fn set_tag(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: Tag<'_> = asked.form()?;
    let id = experiment_id(form.experiment_id.as_deref())?;
    let (key, value) = (form.key.unwrap_or_default().into(), form.value.unwrap_or_default().into());
    app.ctx().tracking.tag_experiment(id, key, Some(value), app.now()).await?;
    Ok(done())
}

async fn delete_tag(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: Tag<'_> = asked.form()?;
    let id = experiment_id(form.experiment_id.as_deref())?;
    app.ctx().tracking.tag_experiment(id, form.key.unwrap_or_default().into(), None, app.now()).await?;
    Ok(done())
}

#[derive(Serialize)]
struct Summaries {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dataset_summaries: Vec<tracking::DatasetSummary>,
}

async fn search_datasets(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: Datasets<'_> = asked.form()?;
    let ids = form.experiment_ids.unwrap_or_default();
    if ids.is_empty() {
        return Err(Fault::invalid("SearchDatasets request must specify at least one experiment_id.").into());
    }
    if ids.len() > SEARCH_DATASETS_EXPERIMENTS_MAX {
        let (most, n) = (SEARCH_DATASETS_EXPERIMENTS_MAX, ids.len());
        let what = format!(
            "SearchDatasets request cannot specify more than {most} experiment_ids. Received {n} experiment_ids."
        );
        return Err(Fault::invalid(what).into());
    }
    let ids: Vec<ExperimentId> = ids.iter().map(|id| experiment_id(Some(id))).collect::<Result<_>>()?;
    json(&Summaries { dataset_summaries: app.ctx().tracking.dataset_summaries(&ids) })
}
