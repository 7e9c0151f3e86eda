//! The forms of MLflow's answers, and what is found in them.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::base::Timestamp;
use crate::base::id::ExperimentId;
use crate::capability::registry::Stage;
use crate::capability::tracking::points::Point;
use crate::capability::tracking::types::{KeyMap, ModelOutput};
use crate::capability::tracking::{DatasetInput, Key, LoggedModel, Run, Text};
use crate::local::found::{Experiment, Registered, Version};
use crate::local::mlruns::{key_map, lifecycle, model_status, status_of};

/// Numbers come as numbers or as texts.
fn int<'de, D: Deserializer<'de>>(d: D) -> Result<i64, D::Error> {
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

fn pairs(list: &[Pair]) -> BTreeMap<String, String> {
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
    value: f64,
    #[serde(deserialize_with = "int")]
    timestamp: i64,
    #[serde(deserialize_with = "int")]
    step: i64,
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
            model_inputs: Vec::new(),
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

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ModelPage {
    pub model: ModelForm,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ModelForm {
    info: ModelInfo,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ModelInfo {
    model_id: String,
    experiment_id: String,
    name: String,
    #[serde(deserialize_with = "int")]
    creation_timestamp_ms: i64,
    #[serde(deserialize_with = "int")]
    last_updated_timestamp_ms: i64,
    artifact_uri: String,
    model_type: String,
    source_run_id: String,
    tags: Vec<Pair>,
}

impl ModelForm {
    /// The logged model, and where its files are.
    pub fn found(self) -> Option<(LoggedModel, String)> {
        let info = self.info;
        let model = LoggedModel {
            id: info.model_id.parse().ok()?,
            experiment: ExperimentId(info.experiment_id.parse().ok()?),
            name: info.name,
            model_type: info.model_type,
            source_run: Some(info.source_run_id).filter(|r| !r.is_empty()).map(Into::into),
            artifact_uri: String::new(),
            status: model_status(None),
            lifecycle: lifecycle(None),
            created: Timestamp::from_millis(info.creation_timestamp_ms),
            updated: Timestamp::from_millis(info.last_updated_timestamp_ms),
            params: BTreeMap::new(),
            tags: pairs(&info.tags),
            metrics: Vec::new(),
        };
        Some((model, info.artifact_uri))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RegisteredPage {
    pub registered_models: Vec<RegisteredForm>,
    pub next_page_token: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RegisteredForm {
    pub name: String,
    description: String,
    tags: Vec<Pair>,
    aliases: Vec<Alias>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Alias {
    alias: String,
    #[serde(deserialize_with = "int")]
    version: i64,
}

impl RegisteredForm {
    pub fn found(self) -> Registered {
        let alias = |a: Alias| Some((a.alias, u32::try_from(a.version).ok()?));
        Registered {
            name: self.name,
            description: self.description,
            tags: pairs(&self.tags),
            aliases: self.aliases.into_iter().filter_map(alias).collect(),
            versions: Vec::new(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct VersionPage {
    pub model_versions: Vec<VersionForm>,
    pub next_page_token: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct VersionForm {
    pub name: String,
    #[serde(deserialize_with = "int")]
    version: i64,
    #[serde(deserialize_with = "int")]
    creation_timestamp: i64,
    current_stage: String,
    description: String,
    source: String,
    run_id: String,
    run_link: String,
    user_id: String,
    tags: Vec<Pair>,
}

impl VersionForm {
    pub fn found(self) -> Option<Version> {
        Some(Version {
            number: u32::try_from(self.version).ok()?,
            created: Timestamp::from_millis(self.creation_timestamp),
            stage: Stage::parse(&self.current_stage).unwrap_or_default(),
            description: self.description,
            source: self.source,
            run_id: Some(self.run_id).filter(|r| !r.is_empty()),
            run_link: self.run_link,
            user: self.user_id,
            tags: pairs(&self.tags),
        })
    }
}
