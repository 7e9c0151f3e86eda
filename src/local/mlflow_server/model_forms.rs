//! The forms of MLflow's answers about models, logged and registered, and what is found in them.

use serde::Deserialize;

use super::forms::{Metric, Pair, int, pairs};
use crate::base::Timestamp;
use crate::base::id::ExperimentId;
use crate::capability::registry::Stage;
use crate::capability::tracking::types::{ModelMetric, ModelStatus};
use crate::capability::tracking::{Key, LoggedModel};
use crate::local::found::{Registered, Version};
use crate::local::mlruns::lifecycle;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ModelPage {
    pub model: ModelForm,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ModelForm {
    info: ModelInfo,
    data: ModelData,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ModelData {
    params: Vec<Pair>,
    metrics: Vec<ModelMetricForm>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ModelMetricForm {
    #[serde(flatten)]
    point: Metric,
    run_id: String,
    dataset_name: Option<String>,
    dataset_digest: Option<String>,
}

impl ModelMetricForm {
    fn found(self) -> Option<ModelMetric> {
        let Metric { key, value, timestamp, step } = self.point;
        let run = self.run_id.parse().ok()?;
        let dataset = self.dataset_name.map(|name| (name, self.dataset_digest.unwrap_or_default()));
        Some(ModelMetric { key: Key::from(&key), value, timestamp, step, run, dataset })
    }
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
    status: String,
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
            // It is looked at once: one whose files are on their way will be ready.
            status: ModelStatus::parse(&info.status)
                .filter(|s| *s != ModelStatus::Pending)
                .unwrap_or(ModelStatus::Ready),
            lifecycle: lifecycle(None),
            created: Timestamp::from_millis(info.creation_timestamp_ms),
            updated: Timestamp::from_millis(info.last_updated_timestamp_ms),
            params: pairs(&self.data.params),
            tags: pairs(&info.tags),
            metrics: self.data.metrics.into_iter().filter_map(ModelMetricForm::found).collect(),
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
