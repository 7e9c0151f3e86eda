//! The forms of MLflow's answers about experiments and runs, and what is found in them.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::base::Timestamp;
use crate::base::id::ExperimentId;
use crate::capability::tracking::points::Point;
use crate::capability::tracking::types::{KeyMap, ModelOutput};
use crate::capability::tracking::{DatasetInput, Key, Run, Text};
use crate::local::found::Experiment;
use crate::local::mlruns::{key_map, lifecycle, status_of};

/// Numbers come as numbers or as texts.
pub(super) fn int<'de, D: Deserializer<'de>>(d: D) -> Result<i64, D::Error> {
    Ok(match Value::deserialize(d)? {
        Value::Number(n) => n.as_i64().or_else(|| n.as_f64().map(whole)).unwrap_or(0),
        Value::String(s) => s.parse().unwrap_or(0),
        _ => 0,
    })
}

#[allow(clippy::cast_possible_truncation)] // saturates
fn whole(x: f64) -> i64 {
    x as i64
}

/// A number, or a word for what is none.
fn float<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
    Ok(match Value::deserialize(d)? {
        Value::Number(n) => n.as_f64().unwrap_or(f64::NAN),
        Value::String(s) => match s.as_str() {
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            other => other.parse().unwrap_or(f64::NAN),
        },
        _ => f64::NAN,
    })
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Pair {
    key: String,
    value: String,
}

pub(super) fn pairs(list: &[Pair]) -> BTreeMap<String, String> {
    list.iter().map(|p| (p.key.clone(), p.value.clone())).collect()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ExperimentPage {
    pub experiments: Vec<ExperimentForm>,
    pub next_page_token: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ExperimentForm {
    experiment_id: String,
    name: String,
    lifecycle_stage: String,
    #[serde(deserialize_with = "int")]
    creation_time: i64,
    tags: Vec<Pair>,
}

impl ExperimentForm {
    pub fn found(self) -> Option<Experiment> {
        Some(Experiment {
            id: self.experiment_id.parse().ok()?,
            name: self.name,
            created: (self.creation_time > 0).then(|| Timestamp::from_millis(self.creation_time)),
            deleted: self.lifecycle_stage == "deleted",
            tags: pairs(&self.tags),
            ..Experiment::default()
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RunPage {
    pub runs: Vec<RunForm>,
    pub next_page_token: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RunForm {
    pub info: Info,
    pub data: Data,
    inputs: Inputs,
    outputs: Outputs,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Info {
    pub run_id: String,
    run_name: String,
    experiment_id: String,
    user_id: String,
    status: String,
    #[serde(deserialize_with = "int")]
    start_time: i64,
    #[serde(deserialize_with = "int")]
    end_time: i64,
    lifecycle_stage: String,
    pub artifact_uri: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Data {
    pub metrics: Vec<Metric>,
    params: Vec<Pair>,
    tags: Vec<Pair>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Metric {
    pub key: String,
    #[serde(deserialize_with = "float")]
    pub value: f64,
    #[serde(deserialize_with = "int")]
    pub timestamp: i64,
    #[serde(deserialize_with = "int")]
    pub step: i64,
}

impl Metric {
    pub fn point(&self) -> Point {
        Point { step: self.step, timestamp: self.timestamp, value: self.value }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Inputs {
    dataset_inputs: Vec<Input>,
    model_inputs: Vec<ModelInput>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct ModelInput {
    model_id: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Input {
    dataset: Dataset,
    tags: Vec<Pair>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Dataset {
    name: String,
    digest: String,
    source_type: String,
    source: String,
    schema: Option<String>,
    profile: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Outputs {
    model_outputs: Vec<Output>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Output {
    model_id: String,
    #[serde(deserialize_with = "int")]
    step: i64,
}

impl RunForm {
    /// Ids of the models that it logged.
    pub fn models(&self) -> impl Iterator<Item = String> {
        self.outputs.model_outputs.iter().map(|o| o.model_id.clone()).filter(|id| !id.is_empty())
    }

    /// Beginning and end.
    pub fn span(&self) -> (i64, i64) {
        (self.info.start_time, self.info.end_time)
    }

    /// Something that differs when the run has changed.
    pub fn mark(&self) -> u128 {
        let mut mark = blake3::Hasher::new();
        let mut part = |text: &str| {
            mark.update(text.as_bytes()).update(b"\0");
        };
        part(&self.info.status);
        part(&self.info.end_time.to_string());
        for m in &self.data.metrics {
            part(&format!("{} {} {} {:x}", m.key, m.step, m.timestamp, m.value.to_bits()));
        }
        self.data.params.iter().chain(&self.data.tags).for_each(|p| part(&format!("{}={}", p.key, p.value)));
        self.models().for_each(|id| part(&id));
        self.inputs.model_inputs.iter().for_each(|i| part(&i.model_id));
        self.inputs.dataset_inputs.iter().for_each(|i| part(&format!("{} {}", i.dataset.name, i.dataset.digest)));
        let mut half = [0; 16];
        half.copy_from_slice(&mark.finalize().as_bytes()[..16]);
        u128::from_be_bytes(half)
    }

    /// The run without its history and artifacts; its experiment is the number that it has there.
    pub fn found(&self) -> Option<Run> {
        let info = &self.info;
        let input = |input: &Input| DatasetInput {
            name: input.dataset.name.clone(),
            digest: input.dataset.digest.clone(),
            source_type: input.dataset.source_type.clone(),
            source: input.dataset.source.clone(),
            schema: input.dataset.schema.clone(),
            profile: input.dataset.profile.clone(),
            tags: pairs(&input.tags).into_iter().collect(),
        };
        let output = |o: &Output| Some(ModelOutput { model_id: o.model_id.parse().ok()?, step: o.step });
        Some(Run {
            id: info.run_id.parse().ok()?,
            experiment: ExperimentId(info.experiment_id.parse().ok()?),
            name: Text::from(info.run_name.as_str()),
            user: Key::from(&info.user_id),
            status: status_of(&info.status)?,
            lifecycle: lifecycle(Some(&info.lifecycle_stage)),
            start_ms: info.start_time,
            end_ms: (info.end_time > 0).then_some(info.end_time),
            artifact_uri: None,
            params: key_map(pairs(&self.data.params)),
            tags: key_map(pairs(&self.data.tags)),
            metrics: KeyMap::default(),
            inputs: self.inputs.dataset_inputs.iter().map(input).collect(),
            model_inputs: self.inputs.model_inputs.iter().filter_map(|i| i.model_id.parse().ok()).collect(),
            model_outputs: self.outputs.model_outputs.iter().filter_map(output).collect(),
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct History {
    pub metrics: Vec<Metric>,
    pub next_page_token: String,
}
