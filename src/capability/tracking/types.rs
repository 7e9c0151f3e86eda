//! What experiment tracking speaks of: experiments, runs, metrics, inputs, logged models.
//!
//! All of it is kept in memory too, so the types are lean: keys are interned, values are short strings in place.

use std::collections::BTreeMap;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use ustr::Ustr;

use crate::base::Timestamp;
use crate::base::id::{ExperimentId, ModelId, RunId};
pub use crate::base::number;

/// An interned name of a param, metric or tag.
pub type Key = Ustr;
/// A short text, kept in place up to 24 bytes.
pub type Text = CompactString;

/// Deleting is soft: what is deleted can be restored until it is collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lifecycle {
    #[default]
    Active,
    Deleted,
}

impl Lifecycle {
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deleted => "deleted",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    pub id: ExperimentId,
    pub name: String,
    /// URI below which its runs keep their artifacts.
    pub artifact_location: String,
    pub lifecycle: Lifecycle,
    pub created: Timestamp,
    pub updated: Timestamp,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RunStatus {
    Running,
    Scheduled,
    Finished,
    Failed,
    Killed,
}

impl RunStatus {
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Scheduled => "SCHEDULED",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Self::Running, Self::Scheduled, Self::Finished, Self::Failed, Self::Killed]
            .into_iter()
            .find(|s| s.name() == name)
    }

    pub fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Killed)
    }
}

/// One run with everything but the history of its metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub id: RunId,
    pub experiment: ExperimentId,
    pub name: Text,
    pub user: Key,
    pub status: RunStatus,
    pub lifecycle: Lifecycle,
    /// Milliseconds since 1970, as the client said.
    pub start_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_ms: Option<i64>,
    /// `None`: `<experiment location>/<run id>/artifacts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_uri: Option<Text>,
    #[serde(default)]
    pub params: KeyMap<Text>,
    #[serde(default)]
    pub tags: KeyMap<Text>,
    #[serde(default)]
    pub metrics: KeyMap<Latest>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<DatasetInput>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub model_inputs: Vec<ModelId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub model_outputs: Vec<ModelOutput>,
}

/// A logged model that a run made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelOutput {
    pub model_id: ModelId,
    pub step: i64,
}

/// The point of a metric that counts as its value now: the greatest by (step, timestamp, value).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latest {
    #[serde(with = "number")]
    pub value: f64,
    pub step: i64,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// Points received. While it is 1, this point is the whole history and no chunk is kept.
    pub count: u32,
}

/// One point of a metric, as a client logs it.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricPoint {
    pub key: Key,
    pub value: f64,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    pub step: i64,
    pub model: Option<ModelId>,
    pub dataset: Option<(String, String)>,
}

/// Source type of an input that is a version of a dataset kept here; its source is JSON with `dataset` and `version`.
pub const KEPT_SOURCE: &str = "opsroom";

/// Data that a run read, and in which role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetInput {
    pub name: String,
    pub digest: String,
    pub source_type: String,
    pub source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// `mlflow.data.context` = training, evaluation, …
    #[serde(default)]
    pub tags: Vec<(String, String)>,
}

impl DatasetInput {
    /// The version that it is of a dataset kept here, as the run was pinned to it.
    pub fn kept_version(&self) -> Option<u32> {
        let source: serde_json::Value =
            (self.source_type == KEPT_SOURCE).then(|| serde_json::from_slice(self.source.as_bytes()).ok())??;
        source["version"].as_u64()?.try_into().ok()
    }

    /// `flights@3` for a version that is kept here, else the name alone.
    pub fn shown(&self) -> String {
        self.kept_version().map_or_else(|| self.name.clone(), |version| format!("{}@{version}", self.name))
    }

    pub fn context(&self) -> Option<&str> {
        self.tags.iter().find(|(k, _)| k == "mlflow.data.context").map(|(_, v)| v.as_str())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModelStatus {
    #[serde(rename = "LOGGED_MODEL_PENDING")]
    Pending,
    #[serde(rename = "LOGGED_MODEL_READY")]
    Ready,
    #[serde(rename = "LOGGED_MODEL_UPLOAD_FAILED")]
    UploadFailed,
}

impl ModelStatus {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "LOGGED_MODEL_PENDING",
            Self::Ready => "LOGGED_MODEL_READY",
            Self::UploadFailed => "LOGGED_MODEL_UPLOAD_FAILED",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Self::Pending, Self::Ready, Self::UploadFailed].into_iter().find(|s| s.name() == name)
    }
}

/// A model that a run logged (`MLflow` 3), before any registration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoggedModel {
    pub id: ModelId,
    pub experiment: ExperimentId,
    pub name: String,
    pub model_type: String,
    /// As the client says it; a run of another server is possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_run: Option<Text>,
    pub artifact_uri: String,
    pub status: ModelStatus,
    pub lifecycle: Lifecycle,
    pub created: Timestamp,
    pub updated: Timestamp,
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    #[serde(default)]
    pub metrics: Vec<ModelMetric>,
}

/// A metric of a logged model, on a dataset where the client said so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelMetric {
    pub key: Key,
    #[serde(with = "number")]
    pub value: f64,
    pub timestamp: i64,
    pub step: i64,
    pub run: RunId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<(String, String)>,
}

/// A small map sorted by key: lean in memory, an object in JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyMap<V>(Vec<(Key, V)>);

impl<V> Default for KeyMap<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V> KeyMap<V> {
    fn place(&self, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(k, _)| k.as_str().cmp(key))
    }

    pub fn get(&self, key: &str) -> Option<&V> {
        self.place(key).ok().map(|i| &self.0[i].1)
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        self.place(key).ok().map(|i| &mut self.0[i].1)
    }

    pub fn insert(&mut self, key: Key, value: V) {
        match self.place(key.as_str()) {
            Ok(i) => self.0[i].1 = value,
            Err(i) => self.0.insert(i, (key, value)),
        }
    }

    pub fn remove(&mut self, key: &str) -> Option<V> {
        self.place(key).ok().map(|i| self.0.remove(i).1)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Key, &V)> {
        self.0.iter().map(|(k, v)| (*k, v))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }
}

impl<V: Serialize> Serialize for KeyMap<V> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.0.iter().map(|(k, v)| (k.as_str(), v)))
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for KeyMap<V> {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor<V>(std::marker::PhantomData<V>);
        impl<'de, V: Deserialize<'de>> serde::de::Visitor<'de> for Visitor<V> {
            type Value = KeyMap<V>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<KeyMap<V>, A::Error> {
                let mut items = Vec::with_capacity(map.size_hint().unwrap_or(0).min(1024));
                while let Some((key, value)) = map.next_entry::<std::borrow::Cow<'de, str>, V>()? {
                    items.push((Key::from(&key), value));
                }
                items.sort_by(|a, b| a.0.as_str().cmp(b.0.as_str()));
                items.shrink_to_fit();
                Ok(KeyMap(items))
            }
        }
        d.deserialize_map(Visitor(std::marker::PhantomData))
    }
}

impl<V> FromIterator<(Key, V)> for KeyMap<V> {
    fn from_iter<I: IntoIterator<Item = (Key, V)>>(items: I) -> Self {
        let mut map = Self::default();
        for (key, value) in items {
            map.insert(key, value);
        }
        map
    }
}
