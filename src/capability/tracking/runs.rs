//! Decisions about runs: create, log, tag, inputs, end.

use std::collections::BTreeMap;

use super::effect::{Effect, RunPatch, RunPoints};
use super::experiments;
use super::models;
use super::points::Point;
use super::rules;
use super::state::Staged;
use super::types::{
    DatasetInput, Key, KeyMap, Lifecycle, LoggedModel, MetricPoint, ModelMetric, ModelOutput, Run, RunStatus, Text,
};
use super::writer::{Decision, Tracking};
use crate::base::id::{ExperimentId, ModelId, RunId};
use crate::base::{Fault, fault::Result, names};
use crate::db::Tx;

/// The tag that mirrors a run's name.
pub const RUN_NAME_TAG: &str = "mlflow.runName";

/// What a new run is made of.
#[derive(Debug, Clone, Default)]
pub struct NewRun {
    pub experiment: Option<ExperimentId>,
    pub name: Option<String>,
    pub user: String,
    /// Milliseconds since 1970.
    pub start_ms: i64,
    pub tags: Vec<(String, String)>,
}

/// What a script logs at once: all of it holds, or nothing.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub metrics: Vec<MetricPoint>,
    pub params: Vec<(String, String)>,
    pub tags: Vec<(String, String)>,
    /// Words of a refusal differ between a batch and a single param.
    pub single: bool,
}

impl Tracking {
    /// # Errors
    /// `NotFound` for the experiment, `Invalid` for a deleted one or a bad tag.
    pub async fn create_run(&self, new: NewRun) -> Result<RunId> {
        let (id, random) = (RunId::random(), crate::base::id::random_u128());
        self.write(move |staged| create(staged, new, id, random)).await
    }

    /// Status, end and name; `None` leaves as it is.
    ///
    /// # Errors
    /// `NotFound`, `Invalid` when deleted.
    pub async fn update_run(
        &self,
        id: RunId,
        status: Option<RunStatus>,
        end_ms: Option<i64>,
        name: Option<String>,
    ) -> Result<()> {
        self.write(move |staged| {
            active(staged, id)?;
            let name = name.filter(|n| !n.is_empty());
            let tags = name.iter().map(|n| (Key::from(RUN_NAME_TAG), Some(Text::from(n.as_str())))).collect();
            let name = name.map(|n| Text::from(rules::cut(&n, rules::RUN_NAME_CHARS_MAX)));
            let patch = RunPatch { name, status, end_ms, tags, ..RunPatch::of(id) };
            Ok(Decision::new(vec![Effect::PatchRun(Box::new(patch))], ()))
        })
        .await
    }

    /// Params, then metrics, then tags, in one go.
    ///
    /// # Errors
    /// `NotFound`, `Invalid` (limits, names, a changed param); then nothing of it was logged.
    pub async fn log(&self, id: RunId, batch: Batch) -> Result<()> {
        self.write(move |staged| log(staged, id, &batch)).await
    }

    /// # Errors
    /// `NotFound` for the run or the tag.
    pub async fn delete_tag(&self, id: RunId, key: String) -> Result<()> {
        rules::refuse_reserved(&key)?;
        self.write(move |staged| {
            let run = active(staged, id)?;
            if run.tags.get(&key).is_none() {
                return Err(Fault::not_found(format!("No tag with name: {key} in run with id {id}")));
            }
            let patch = RunPatch { tags: vec![(Key::from(&key), None)], ..RunPatch::of(id) };
            Ok(Decision::new(vec![Effect::PatchRun(Box::new(patch))], ()))
        })
        .await
    }

    /// Datasets and models that the run read.
    ///
    /// # Errors
    /// `NotFound`, `Invalid` for over-long fields.
    pub async fn log_inputs(&self, id: RunId, inputs: Vec<DatasetInput>, models: Vec<ModelId>) -> Result<()> {
        self.write(move |staged| {
            active(staged, id)?;
            inputs.iter().try_for_each(check_input)?;
            let patch = RunPatch { inputs, model_inputs: models, ..RunPatch::of(id) };
            Ok(Decision::new(vec![Effect::PatchRun(Box::new(patch))], ()))
        })
        .await
    }

    /// Appends to the list of models that clients before logged models kept in a tag of the run.
    ///
    /// # Errors
    /// `NotFound`, `Invalid` when deleted.
    pub async fn append_model_history(&self, id: RunId, model: serde_json::Value) -> Result<()> {
        const TAG: &str = "mlflow.log-model.history";
        self.write(move |staged| {
            let run = active(staged, id)?;
            let known =
                run.tags.get(TAG).and_then(|t| serde_json::from_slice::<Vec<serde_json::Value>>(t.as_bytes()).ok());
            let mut models = known.unwrap_or_default();
            models.push(model);
            let text = Text::from(serde_json::Value::Array(models).to_string());
            let patch = RunPatch { tags: vec![(Key::from(TAG), Some(text))], ..RunPatch::of(id) };
            Ok(Decision::new(vec![Effect::PatchRun(Box::new(patch))], ()))
        })
        .await
    }

    /// Logged models that the run made.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn log_outputs(&self, id: RunId, outputs: Vec<ModelOutput>) -> Result<()> {
        self.write(move |staged| {
            active(staged, id)?;
            let patch = RunPatch { model_outputs: outputs, ..RunPatch::of(id) };
            Ok(Decision::new(vec![Effect::PatchRun(Box::new(patch))], ()))
        })
        .await
    }

    /// Puts a whole run with its history, as an import brings it. A run that is here already is left alone.
    ///
    /// # Errors
    /// The store's. Answers whether it was new.
    pub async fn import_run(&self, run: Run, series: Vec<(Key, Vec<Point>)>) -> Result<bool> {
        self.write(move |staged| {
            if staged.run(run.id).is_some() {
                return Ok(Decision::new(Vec::new(), false));
            }
            let id = run.id;
            let mut bare = Run { metrics: KeyMap::default(), ..run };
            // Another store's verdicts are not this one's.
            rules::RESERVED_TAGS.iter().for_each(|key| drop(bare.tags.remove(key)));
            let points = Effect::Points(RunPoints { run: id, series });
            Ok(Decision::new(vec![Effect::PutRun(Box::new(bare)), points], true))
        })
        .await
    }
}

/// "Run with id=… not found", as `MLflow` says it.
pub fn missing(id: impl std::fmt::Display) -> Fault {
    Fault::not_found(format!("Run with id={id} not found"))
}

fn active(staged: &Staged, id: RunId) -> Result<std::sync::Arc<Run>> {
    let run = staged.run(id).ok_or_else(|| missing(id))?;
    if run.lifecycle == Lifecycle::Deleted {
        return Err(Fault::invalid(format!("The run {id} must be in the 'active' state. Current state is deleted."))
            .next("restore the run first"));
    }
    Ok(run)
}

fn create(staged: &Staged, new: NewRun, id: RunId, random: u128) -> Result<Decision<RunId>> {
    let experiment = new.experiment.unwrap_or(experiments::DEFAULT);
    let home = staged.experiment(experiment).ok_or_else(|| experiments::missing(experiment))?;
    if home.lifecycle == Lifecycle::Deleted {
        return Err(Fault::invalid(format!(
            "The experiment {experiment} must be in the 'active' state. Current state is deleted."
        ))
        .next("restore the experiment first"));
    }
    let mut tags = KeyMap::default();
    for (key, value) in &new.tags {
        rules::check_key("tags", key)?;
        rules::refuse_reserved(key)?;
        tags.insert(Key::from(key), Text::from(rules::cut(value, rules::RUN_TAG_CHARS_MAX)));
    }
    let tagged = tags.get(RUN_NAME_TAG).map(|t: &Text| t.to_string());
    let given = new.name.filter(|n| !n.is_empty());
    if let (Some(name), Some(tag)) = (&given, &tagged)
        && name != tag
    {
        return Err(Fault::invalid(format!(
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values \
             (run_name='{name}', mlflow.runName='{tag}')."
        )));
    }
    let name = given.or(tagged).unwrap_or_else(|| names::invent(random));
    tags.insert(Key::from(RUN_NAME_TAG), Text::from(name.as_str()));
    tags.shrink();
    let run = Run {
        id,
        experiment,
        name: Text::from(rules::cut(&name, rules::RUN_NAME_CHARS_MAX)),
        user: Key::from(&new.user),
        status: RunStatus::Running,
        lifecycle: Lifecycle::Active,
        start_ms: new.start_ms,
        end_ms: None,
        artifact_uri: None,
        params: KeyMap::default(),
        tags,
        metrics: KeyMap::default(),
        inputs: Vec::new(),
        model_inputs: Vec::new(),
        model_outputs: Vec::new(),
    };
    Ok(Decision::new(vec![Effect::PutRun(Box::new(run))], id))
}

fn log(staged: &Staged, id: RunId, batch: &Batch) -> Result<Decision<()>> {
    rules::check_batch(batch.metrics.len(), batch.params.len(), batch.tags.len())?;
    let run = active(staged, id)?;
    let params = new_params(&run, batch)?;
    let mut patch = RunPatch { params, ..RunPatch::of(id) };
    for (key, value) in &batch.tags {
        rules::check_key("key", key)?;
        rules::refuse_reserved(key)?;
        if key == RUN_NAME_TAG {
            patch.name = Some(Text::from(rules::cut(value, rules::RUN_NAME_CHARS_MAX)));
        }
        patch.tags.push((Key::from(key), Some(Text::from(rules::cut(value, rules::RUN_TAG_CHARS_MAX)))));
    }
    let mut effects = Vec::with_capacity(2);
    if !patch.params.is_empty() || !patch.tags.is_empty() {
        effects.push(Effect::PatchRun(Box::new(patch)));
    }
    if !batch.metrics.is_empty() {
        effects.extend(model_metrics(staged, id, &batch.metrics)?);
        effects.push(Effect::Points(RunPoints { run: id, series: by_key(&batch.metrics)? }));
    }
    Ok(Decision::new(effects, ()))
}

/// The params of a batch that the run does not have yet; a changed one refuses all.
fn new_params(run: &Run, batch: &Batch) -> Result<Vec<(Key, Text)>> {
    let mut seen = BTreeMap::new();
    let mut fresh = Vec::new();
    let mut changed = Vec::new();
    for (key, value) in &batch.params {
        rules::check_key("key", key)?;
        let value = rules::cut(value, rules::PARAM_VALUE_CHARS_MAX);
        if let Some(before) = seen.insert(key.as_str(), value)
            && (before != value || !batch.single)
        {
            return Err(Fault::invalid(format!(
                "Duplicate parameter keys have been submitted: ['{key}']. Please ensure the request contains only \
                 one param value per param key."
            )));
        }
        match run.params.get(key) {
            None => fresh.push((Key::from(key), Text::from(value))),
            Some(old) if old == value => {}
            Some(old) => changed.push((key.clone(), old.to_string(), value.to_owned())),
        }
    }
    if changed.is_empty() {
        return Ok(fresh);
    }
    let what = if batch.single {
        let (key, old, new) = &changed[0];
        format!(
            "Changing param values is not allowed. Param with key='{key}' was already logged with value='{old}' for \
             run ID='{}'. Attempted logging new value '{new}'.",
            run.id
        )
    } else {
        let list: Vec<_> = changed
            .iter()
            .map(|(key, old, new)| format!("{{'key': '{key}', 'old_value': '{old}', 'new_value': '{new}'}}"))
            .collect();
        format!(
            "Changing param values is not allowed. Params were already logged='[{}]' for run ID='{}'.",
            list.join(", "),
            run.id
        )
    };
    Err(Fault::invalid(what))
}

fn by_key(metrics: &[MetricPoint]) -> Result<Vec<(Key, Vec<Point>)>> {
    let mut series: Vec<(Key, Vec<Point>)> = Vec::new();
    let mut places: std::collections::HashMap<Key, usize> = std::collections::HashMap::new();
    for m in metrics {
        if m.timestamp < 0 {
            return Err(Fault::invalid(format!(
                "Invalid value {} for parameter 'timestamp' supplied: a metric's timestamp must be a nonnegative \
                 long (64-bit integer)",
                m.timestamp
            )));
        }
        let place = if let Some(&place) = places.get(&m.key) {
            place
        } else {
            rules::check_key("name", m.key.as_str())?;
            places.insert(m.key, series.len());
            series.push((m.key, Vec::new()));
            series.len() - 1
        };
        series[place].1.push(Point { step: m.step, timestamp: m.timestamp, value: m.value });
    }
    Ok(series)
}

/// Metrics that name a logged model belong to the model as well.
fn model_metrics(staged: &Staged, run: RunId, metrics: &[MetricPoint]) -> Result<Vec<Effect>> {
    let mut touched: BTreeMap<ModelId, LoggedModel> = BTreeMap::new();
    for m in metrics {
        let Some(id) = m.model else { continue };
        let model = match touched.get_mut(&id) {
            Some(model) => model,
            None => touched.entry(id).or_insert((*models::active(staged, id)?).clone()),
        };
        let new = ModelMetric {
            key: m.key,
            value: m.value,
            timestamp: m.timestamp,
            step: m.step,
            run,
            dataset: m.dataset.clone(),
        };
        match model
            .metrics
            .iter_mut()
            .find(|k| k.key == new.key && k.run == run && k.dataset == new.dataset && k.step == new.step)
        {
            Some(known) => *known = new,
            None => model.metrics.push(new),
        }
    }
    Ok(touched.into_values().map(|m| Effect::PutModel(Box::new(m))).collect())
}

fn check_input(input: &DatasetInput) -> Result<()> {
    let required = |what: &str, text: &str| {
        if text.is_empty() {
            return Err(Fault::invalid(format!("Missing value for required parameter 'datasets.dataset.{what}'.")));
        }
        Ok(())
    };
    required("name", &input.name)?;
    required("digest", &input.digest)?;
    rules::check_length("name", &input.name, 500)?;
    rules::check_length("digest", &input.digest, 36)?;
    rules::check_length("source", &input.source, 65_535)?;
    rules::check_length("schema", input.schema.as_deref().unwrap_or_default(), 1_048_575)?;
    rules::check_length("profile", input.profile.as_deref().unwrap_or_default(), 16_777_215)?;
    for (key, value) in &input.tags {
        rules::check_length("key", key, 255)?;
        rules::check_length("value", value, 500)?;
    }
    Ok(())
}

/// Tags of runs that mirror a fact, in the transaction that makes it one. A run that is gone needs none.
///
/// # Errors
/// The store's.
pub async fn mark(
    tracking: &Tracking,
    tx: &mut Tx,
    marks: Vec<(RunId, Vec<(&'static str, String)>)>,
) -> Result<Staged> {
    tracking
        .stage(tx, move |staged| {
            let there = marks.into_iter().filter(|(id, _)| staged.run(*id).is_some());
            let patch = |(id, tags): (RunId, Vec<(&'static str, String)>)| {
                let tags = tags.into_iter().map(|(k, v)| (Key::from(k), Some(Text::from(v)))).collect();
                Effect::PatchRun(Box::new(RunPatch { tags, ..RunPatch::of(id) }))
            };
            Ok(Decision::new(there.map(patch).collect(), ()))
        })
        .await
}

pub(super) fn set_lifecycle(staged: &Staged, id: RunId, to: Lifecycle) -> Result<Decision<()>> {
    let run = staged.run(id).ok_or_else(|| missing(id))?;
    let deleted_home = staged.experiment(run.experiment).is_some_and(|e| e.lifecycle == Lifecycle::Deleted);
    if to == Lifecycle::Active && deleted_home {
        return Err(Fault::invalid(format!("The run {id} belongs to a deleted experiment."))
            .next("restore the experiment instead"));
    }
    let patch = RunPatch { lifecycle: Some(to), ..RunPatch::of(id) };
    let effects = if run.lifecycle == to { Vec::new() } else { vec![Effect::PatchRun(Box::new(patch))] };
    Ok(Decision::new(effects, ()))
}
