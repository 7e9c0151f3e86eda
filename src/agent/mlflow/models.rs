//! `logged-models/…`: models that runs logged, before any registration.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, Query as UrlQuery, State};
use axum::routing::{delete, get, patch, post};
use axum::{Extension, Router};
use serde::Serialize;

use super::answer::{Answer, done, json, page_offset, page_token};
use super::asked::{Asked, invalid};
use super::experiments::{decide, experiment_id, page_size};
use super::form::{Choice, Given, Int, Pair, form, pairs};
use super::shape::Pairs;
use crate::agent::App;
use crate::base::id::{ExperimentId, ModelId, RunId};
use crate::base::{Fault, fault::Result};
use crate::capability::Actor;
use crate::capability::tracking::filter::{self, Target};
use crate::capability::tracking::models::{self, NewModel};
use crate::capability::tracking::search::{Dataset, Query, View};
use crate::capability::tracking::types::{ModelMetric, ModelStatus, number};
use crate::capability::tracking::{self, Lifecycle, LoggedModel};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/logged-models", post(create))
        .route("/logged-models/search", post(search))
        .route("/logged-models/{model_id}", get(by_id).patch(finalise).delete(remove))
        .route("/logged-models/{model_id}/tags", patch(set_tags))
        .route("/logged-models/{model_id}/tags/{*key}", delete(delete_tag))
        .route("/logged-models/{model_id}/params", post(log_params))
}

form! {
    Create {
        experiment_id: Text required, name: Text, model_type: Text, source_run_id: Text, params: List<Pair>, tags: List<Pair>,
    }
    Finalise { model_id: Text, status: Choice required }
    Tags { tags: List<Pair> }
    Params { params: List<Pair> }
    Search {
        experiment_ids: Texts required, filter: Text, datasets: List<OnDataset>, max_results: Int,
        order_by: List<Order>, page_token: Text,
    }
    OnDataset { dataset_name: Text, dataset_digest: Text }
    Order { field_name: Text required, ascending: Flag, dataset_name: Text, dataset_digest: Text }
}

#[derive(Serialize)]
struct InfoShape<'a> {
    model_id: ModelId,
    experiment_id: ExperimentId,
    name: &'a str,
    creation_timestamp_ms: i64,
    last_updated_timestamp_ms: i64,
    artifact_uri: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    model_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_run_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    tags: Pairs<'a>,
}

#[derive(Serialize)]
struct MetricShape<'a> {
    key: &'a str,
    #[serde(with = "number")]
    value: f64,
    timestamp: i64,
    step: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_digest: Option<&'a str>,
    model_id: ModelId,
    run_id: RunId,
}

impl<'a> MetricShape<'a> {
    fn of(model_id: ModelId, m: &'a ModelMetric) -> Self {
        Self {
            key: m.key.as_str(),
            value: m.value,
            timestamp: m.timestamp,
            step: m.step,
            dataset_name: m.dataset.as_ref().map(|(name, _)| name.as_str()),
            dataset_digest: m.dataset.as_ref().map(|(_, digest)| digest.as_str()),
            model_id,
            run_id: m.run,
        }
    }
}

#[derive(Serialize)]
struct DataShape<'a> {
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    params: Pairs<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<MetricShape<'a>>,
}

#[derive(Serialize)]
struct ModelShape<'a> {
    info: InfoShape<'a>,
    data: DataShape<'a>,
}

impl<'a> From<&'a LoggedModel> for ModelShape<'a> {
    fn from(m: &'a LoggedModel) -> Self {
        Self {
            info: InfoShape {
                model_id: m.id,
                experiment_id: m.experiment,
                name: &m.name,
                creation_timestamp_ms: m.created.millis(),
                last_updated_timestamp_ms: m.updated.millis(),
                artifact_uri: &m.artifact_uri,
                status: m.status.name(),
                model_type: &m.model_type,
                source_run_id: m.source_run.as_deref(),
                tags: Pairs(&m.tags),
            },
            data: DataShape {
                params: Pairs(&m.params),
                metrics: m.metrics.iter().map(|k| MetricShape::of(m.id, k)).collect(),
            },
        }
    }
}

#[derive(Serialize)]
struct OneModel<'a> {
    model: ModelShape<'a>,
}

fn model_id(text: &str) -> Result<ModelId> {
    text.parse().map_err(|()| models::missing(text))
}

pub(super) fn found(app: &App, id: &str, also_deleted: bool) -> Result<Arc<LoggedModel>> {
    let id = model_id(id)?;
    let model = app.ctx().tracking.read(|s| s.model(id).cloned());
    model.filter(|m| also_deleted || m.lifecycle == Lifecycle::Active).ok_or_else(|| models::missing(id))
}

fn shown(app: &App, id: &str, also_deleted: bool) -> Answer {
    json(&OneModel { model: (&*found(app, id, also_deleted)?).into() })
}

async fn create(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: Create<'_> = asked.form()?;
    let new = NewModel {
        experiment: Some(experiment_id(form.experiment_id.as_deref())?),
        name: form.name.map(Into::into),
        model_type: form.model_type.unwrap_or_default().into(),
        source_run: form.source_run_id.filter(Given::given).map(Into::into),
        params: pairs("params", form.params)?,
        tags: pairs("tags", form.tags)?,
    };
    let id = app.ctx().tracking.create_model(new, app.now()).await?;
    shown(&app, &id.to_string(), false)
}

async fn by_id(
    State(app): State<App>,
    Path(id): Path<String>,
    UrlQuery(query): UrlQuery<HashMap<String, String>>,
) -> Answer {
    shown(&app, &id, query.get("allow_deleted").is_some_and(|v| v.eq_ignore_ascii_case("true")))
}

async fn finalise(State(app): State<App>, Path(id): Path<String>, mut asked: Asked) -> Answer {
    let form: Finalise<'_> = asked.form()?;
    use ModelStatus::{Pending, Ready, UploadFailed};
    let names: Vec<_> = [Pending, Ready, UploadFailed].into_iter().zip(1..).map(|(s, n)| (s.name(), n, s)).collect();
    let status = form.status.as_ref().and_then(|c: &Choice<'_>| c.of(&names));
    let status =
        status.ok_or_else(|| Fault::invalid("Unknown status of a logged model").next("use LOGGED_MODEL_READY"))?;
    let change = move |model: &mut LoggedModel| {
        model.status = status;
        Ok(())
    };
    app.ctx().tracking.change_model(model_id(&id)?, app.now(), change).await?;
    shown(&app, &id, false)
}

async fn remove(State(app): State<App>, Extension(actor): Extension<Actor>, Path(id): Path<String>) -> Answer {
    decide(&app, &actor, tracking::Command::DeleteLoggedModel { id: model_id(&id)? }).await
}

async fn set_tags(State(app): State<App>, Path(id): Path<String>, mut asked: Asked) -> Answer {
    let form: Tags<'_> = asked.form()?;
    let tags = pairs("tags", form.tags)?;
    let change = move |model: &mut LoggedModel| models::set_tags(&mut model.tags, tags);
    app.ctx().tracking.change_model(model_id(&id)?, app.now(), change).await?;
    shown(&app, &id, false)
}

async fn delete_tag(State(app): State<App>, Path((id, key)): Path<(String, String)>) -> Answer {
    let model = model_id(&id)?;
    let change = move |model: &mut LoggedModel| match model.tags.remove(&key) {
        Some(_) => Ok(()),
        None => Err(Fault::not_found(format!("No tag with key '{key}' found for model with ID '{}'.", model.id))),
    };
    app.ctx().tracking.change_model(model, app.now(), change).await?;
    Ok(done())
}

async fn log_params(State(app): State<App>, Path(id): Path<String>, mut asked: Asked) -> Answer {
    let form: Params<'_> = asked.form()?;
    let params = pairs("params", form.params)?;
    let change = move |model: &mut LoggedModel| models::add_params(&mut model.params, params);
    app.ctx().tracking.change_model(model_id(&id)?, app.now(), change).await?;
    Ok(done())
}

#[derive(Serialize)]
struct Page<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    models: Vec<ModelShape<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

fn dataset(name: Option<super::form::Word<'_>>, digest: Option<super::form::Word<'_>>) -> Option<Dataset> {
    let name = name.filter(Given::given)?;
    Some((name.into(), digest.filter(Given::given).map(Into::into)))
}

async fn search(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: Search<'_> = asked.form()?;
    let refuse = |e: filter::Invalid| Fault::invalid(e.to_string());
    let ids = form.experiment_ids.unwrap_or_default();
    let on = |d: OnDataset<'_>| {
        let unnamed = || Fault::invalid("`dataset_name` in the `datasets` clause must be specified.");
        dataset(d.dataset_name, d.dataset_digest).ok_or_else(unnamed)
    };
    let datasets = form.datasets.unwrap_or_default().into_iter().map(on).collect::<Result<Vec<_>>>()?;
    let (mut order_by, mut order_on) = (Vec::new(), Vec::new());
    for order in form.order_by.unwrap_or_default() {
        let field = order.field_name.unwrap_or_default();
        order_by.push(filter::logged_model_order(&field, order.ascending.unwrap_or(true)).map_err(refuse)?);
        order_on.push(dataset(order.dataset_name, order.dataset_digest));
    }
    let asked_size = form.max_results.filter(|n: &Int| n.0 != 0);
    let query = Query {
        experiments: Some(ids.iter().map(|id| experiment_id(Some(id))).collect::<Result<_>>()?),
        filter: filter::parse(form.filter.as_deref().unwrap_or_default(), Target::LoggedModels).map_err(refuse)?,
        view: View::ActiveOnly,
        order_by,
        offset: page_offset(form.page_token.as_deref())?,
        limit: page_size(asked_size, 100, 50_000)?,
        ..Query::default()
    };
    if ids.is_empty() {
        return Err(invalid("experiment_ids", &serde_json::json!([]), "It must name an experiment.").into());
    }
    let page = app.ctx().tracking.search_models(&query, &datasets, &order_on);
    json(&Page {
        models: page.items.iter().map(|m| (&**m).into()).collect(),
        next_page_token: page.next(&query).map(page_token),
    })
}
