//! What scripts log into a run: metrics, params, tags, inputs, outputs. These are the routes that have to be fast.

use axum::Router;
use axum::extract::State;
use axum::routing::post;

use super::answer::{Answer, done};
use super::asked::{Asked, missing};
use super::form::{Field, Form, Given, Int, Kind, Number, Pair, Word, form, pairs};
use super::runs::run_id;
use crate::agent::App;
use crate::base::id::ModelId;
use crate::base::{Fault, fault::Result};
use crate::capability::tracking::models;
use crate::capability::tracking::runs::Batch;
use crate::capability::tracking::types::ModelOutput;
use crate::capability::tracking::{DatasetInput, Key, MetricPoint};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/runs/log-metric", post(log_metric))
        .route("/runs/log-parameter", post(log_param))
        .route("/runs/log-batch", post(log_batch))
        .route("/runs/set-tag", post(set_tag))
        .route("/runs/delete-tag", post(delete_tag))
        .route("/runs/log-inputs", post(log_inputs))
        .route("/runs/outputs", post(log_outputs))
        .route("/runs/log-model", post(log_model))
}

form! {
    LogMetric {
        run_id: Text, run_uuid: Text, key: Text required, value: Number required, timestamp: Int required, step: Int,
        model_id: Text, dataset_name: Text, dataset_digest: Text,
    }
    LogPair { run_id: Text, run_uuid: Text, key: Text required, value: Text }
    DeleteTag { run_id: Text required, key: Text required }
    LogBatch { run_id: Text required, metrics: List<Metric>, params: List<Pair>, tags: List<Pair> }
    Metric {
        key: Text required, value: Number required, timestamp: Int required, step: Int, model_id: Text,
        dataset_name: Text, dataset_digest: Text,
    }
    LogInputs { run_id: Text required, datasets: List<Input>, models: List<ModelInput> }
    ModelInput { model_id: Text }
    LogOutputs { run_id: Text required, models: List<Output> required }
    Output { model_id: Text required, step: Int }
    LogModel { run_id: Text required, model_json: Text required }
}

/// An optional logged model; an id that is no id names nothing that exists.
pub(super) fn model_id(text: Option<&Word<'_>>) -> Result<Option<ModelId>> {
    let text = text.filter(|t| !t.is_empty());
    text.map(|t| t.parse().map_err(|()| models::missing(&**t))).transpose()
}

fn point(
    (key, value, timestamp, step): (&str, Number, Int, Option<Int>),
    model: Option<&Word<'_>>,
    name: Option<Word<'_>>,
    digest: Option<Word<'_>>,
) -> Result<MetricPoint> {
    let dataset = name.filter(Given::given).map(|name| (name.into(), digest.unwrap_or_default().into()));
    Ok(MetricPoint {
        key: Key::from(key),
        value: value.0,
        timestamp: timestamp.0,
        step: step.map_or(0, |s| s.0),
        model: model_id(model)?,
        dataset,
    })
}

async fn log_metric(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: LogMetric<'_> = asked.form()?;
    let id = run_id(form.run_id.as_ref(), form.run_uuid.as_ref())?;
    let (Some(key), Some(value), Some(timestamp)) = (form.key, form.value, form.timestamp) else {
        return Err(missing("value").into());
    };
    let point =
        point((&key, value, timestamp, form.step), form.model_id.as_ref(), form.dataset_name, form.dataset_digest)?;
    let batch = Batch { metrics: vec![point], single: true, ..Batch::default() };
    app.ctx().tracking.log(id, batch).await?;
    Ok(done())
}

async fn log_param(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: LogPair<'_> = asked.form()?;
    let id = run_id(form.run_id.as_ref(), form.run_uuid.as_ref())?;
    let param = (form.key.unwrap_or_default().into(), form.value.unwrap_or_default().into());
    app.ctx().tracking.log(id, Batch { params: vec![param], single: true, ..Batch::default() }).await?;
    Ok(done())
}

async fn set_tag(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: LogPair<'_> = asked.form()?;
    let id = run_id(form.run_id.as_ref(), form.run_uuid.as_ref())?;
    let tag = (form.key.unwrap_or_default().into(), form.value.unwrap_or_default().into());
    app.ctx().tracking.log(id, Batch { tags: vec![tag], single: true, ..Batch::default() }).await?;
    Ok(done())
}

async fn delete_tag(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: DeleteTag<'_> = asked.form()?;
    let id = run_id(form.run_id.as_ref(), None)?;
    app.ctx().tracking.delete_tag(id, form.key.unwrap_or_default().into()).await?;
    Ok(done())
}

async fn log_batch(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: LogBatch<'_> = asked.form()?;
    let id = run_id(form.run_id.as_ref(), None)?;
    let metrics = form.metrics.unwrap_or_default();
    let metric = |(nth, m): (usize, Metric<'_>)| {
        let key = m.key.as_ref().filter(|k| !k.is_empty()).ok_or_else(|| missing(&format!("metrics[{nth}].key")))?;
        let value = m.value.ok_or_else(|| missing(&format!("metrics[{nth}].value")))?;
        let timestamp = m.timestamp.ok_or_else(|| missing(&format!("metrics[{nth}].timestamp")))?;
        point((key, value, timestamp, m.step), m.model_id.as_ref(), m.dataset_name, m.dataset_digest)
    };
    let batch = Batch {
        metrics: metrics.into_iter().enumerate().map(metric).collect::<Result<_>>()?,
        params: pairs("params", form.params)?,
        tags: pairs("tags", form.tags)?,
        single: false,
    };
    app.ctx().tracking.log(id, batch).await?;
    Ok(done())
}

/// `{"dataset": {…}, "tags": […]}`.
#[derive(Debug, serde::Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Input<'a> {
    dataset: Option<Dataset<'a>>,
    tags: Option<Vec<Pair<'a>>>,
}

impl<'a> Form<'a> for Input<'a> {
    const FIELDS: &'static [Field] =
        &[Field { name: "tags", kind: Kind::List, required: false, items: <Pair<'static> as Form<'static>>::FIELDS }];

    fn missing(&self) -> Option<&'static str> {
        None
    }
}

form! {
    Dataset {
        name: Text required, digest: Text required, source_type: Text, source: Text, schema: Text, profile: Text,
    }
}

async fn log_inputs(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: LogInputs<'_> = asked.form()?;
    let id = run_id(form.run_id.as_ref(), None)?;
    let input = |input: Input<'_>| {
        let dataset = input.dataset.ok_or_else(|| missing("datasets.dataset"))?;
        Ok(DatasetInput {
            name: dataset.name.unwrap_or_default().into(),
            digest: dataset.digest.unwrap_or_default().into(),
            source_type: dataset.source_type.unwrap_or_default().into(),
            source: dataset.source.unwrap_or_default().into(),
            schema: dataset.schema.map(Into::into),
            profile: dataset.profile.map(Into::into),
            tags: pairs("datasets.tags", input.tags)?,
        })
    };
    let inputs = form.datasets.unwrap_or_default().into_iter().map(input).collect::<Result<_>>()?;
    let models = form.models.unwrap_or_default();
    let models: Vec<Option<ModelId>> = models.iter().map(|m| model_id(m.model_id.as_ref())).collect::<Result<_>>()?;
    app.ctx().tracking.log_inputs(id, inputs, models.into_iter().flatten().collect()).await?;
    Ok(done())
}

async fn log_outputs(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: LogOutputs<'_> = asked.form()?;
    let id = run_id(form.run_id.as_ref(), None)?;
    let output = |o: Output<'_>| {
        let model_id = model_id(o.model_id.as_ref())?.ok_or_else(|| missing("models.model_id"))?;
        Ok(ModelOutput { model_id, step: o.step.map_or(0, |s| s.0) })
    };
    let outputs = form.models.unwrap_or_default().into_iter().map(output).collect::<Result<_>>()?;
    app.ctx().tracking.log_outputs(id, outputs).await?;
    Ok(done())
}

async fn log_model(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: LogModel<'_> = asked.form()?;
    let id = run_id(form.run_id.as_ref(), None)?;
    let text = form.model_json.unwrap_or_default();
    let model: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(text.as_bytes())
        .map_err(|_| Fault::invalid(format!("Malformed model info. \n {} \n is not a valid JSON.", &*text)))?;
    let absent =
        ["artifact_path", "flavors", "utc_time_created", "run_id"].into_iter().find(|f| !model.contains_key(*f));
    if let Some(field) = absent {
        return Err(Fault::invalid(format!("Model json is missing mandatory fields: {{'{field}'}}")).into());
    }
    app.ctx().tracking.append_model_history(id, model.into()).await?;
    Ok(done())
}
