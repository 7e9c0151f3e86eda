//! The shapes of `MLflow`'s answers: experiments and runs, borrowed from the documents and written as they are.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::base::id::{ExperimentId, ModelId, RunId};
use crate::capability::tracking::types::{DatasetInput, KeyMap, Latest, ModelOutput, number};
use crate::capability::tracking::{Experiment, Run, Text, Tracking};

/// `{"key", "value"}`.
#[derive(Serialize)]
struct Pair<'a> {
    key: &'a str,
    value: &'a str,
}

/// A map as a list of pairs.
pub(super) struct Pairs<'a>(pub &'a BTreeMap<String, String>);

impl Pairs<'_> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().map(|(key, value)| Pair { key, value }))
    }
}

struct Texts<'a>(&'a KeyMap<Text>);

impl Texts<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().map(|(key, value)| Pair { key: key.as_str(), value }))
    }
}

#[derive(Serialize)]
struct MetricShape<'a> {
    key: &'a str,
    #[serde(with = "number")]
    value: f64,
    timestamp: i64,
    step: i64,
}

struct Metrics<'a>(&'a KeyMap<Latest>);

impl Metrics<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Metrics<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().map(|(key, m)| MetricShape {
            key: key.as_str(),
            value: m.value,
            timestamp: m.timestamp,
            step: m.step,
        }))
    }
}

#[derive(Serialize)]
pub(super) struct ExperimentShape<'a> {
    experiment_id: ExperimentId,
    name: &'a str,
    artifact_location: &'a str,
    lifecycle_stage: &'static str,
    last_update_time: i64,
    creation_time: i64,
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    tags: Pairs<'a>,
}

impl<'a> From<&'a Experiment> for ExperimentShape<'a> {
    fn from(e: &'a Experiment) -> Self {
        Self {
            experiment_id: e.id,
            name: &e.name,
            artifact_location: &e.artifact_location,
            lifecycle_stage: e.lifecycle.name(),
            last_update_time: e.updated.millis(),
            creation_time: e.created.millis(),
            tags: Pairs(&e.tags),
        }
    }
}

#[derive(Serialize)]
pub(super) struct InfoShape<'a> {
    run_id: RunId,
    run_uuid: RunId,
    run_name: &'a str,
    experiment_id: ExperimentId,
    user_id: &'a str,
    status: &'static str,
    start_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<i64>,
    artifact_uri: String,
    lifecycle_stage: &'static str,
}

#[derive(Serialize)]
struct DataShape<'a> {
    #[serde(skip_serializing_if = "Metrics::is_empty")]
    metrics: Metrics<'a>,
    #[serde(skip_serializing_if = "Texts::is_empty")]
    params: Texts<'a>,
    #[serde(skip_serializing_if = "Texts::is_empty")]
    tags: Texts<'a>,
}

#[derive(Serialize)]
struct DatasetShape<'a> {
    name: &'a str,
    digest: &'a str,
    source_type: &'a str,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
}

#[derive(Serialize)]
struct DatasetInputShape<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Pair<'a>>,
    dataset: DatasetShape<'a>,
}

impl<'a> From<&'a DatasetInput> for DatasetInputShape<'a> {
    fn from(i: &'a DatasetInput) -> Self {
        Self {
            tags: i.tags.iter().map(|(key, value)| Pair { key, value }).collect(),
            dataset: DatasetShape {
                name: &i.name,
                digest: &i.digest,
                source_type: &i.source_type,
                source: &i.source,
                schema: i.schema.as_deref(),
                profile: i.profile.as_deref(),
            },
        }
    }
}

#[derive(Serialize)]
struct ModelInputShape {
    model_id: ModelId,
}

#[derive(Serialize)]
struct InputsShape<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dataset_inputs: Vec<DatasetInputShape<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_inputs: Vec<ModelInputShape>,
}

#[derive(Serialize)]
struct OutputsShape<'a> {
    #[serde(skip_serializing_if = "<[ModelOutput]>::is_empty")]
    model_outputs: &'a [ModelOutput],
}

#[derive(Serialize)]
pub(super) struct RunShape<'a> {
    pub info: InfoShape<'a>,
    data: DataShape<'a>,
    inputs: InputsShape<'a>,
    outputs: OutputsShape<'a>,
}

impl<'a> RunShape<'a> {
    pub fn new(run: &'a Run, homes: &Homes) -> Self {
        Self {
            info: InfoShape {
                run_id: run.id,
                run_uuid: run.id,
                run_name: &run.name,
                experiment_id: run.experiment,
                user_id: run.user.as_str(),
                status: run.status.name(),
                start_time: run.start_ms,
                end_time: run.end_ms,
                artifact_uri: homes.artifact_uri(run),
                lifecycle_stage: run.lifecycle.name(),
            },
            data: DataShape { metrics: Metrics(&run.metrics), params: Texts(&run.params), tags: Texts(&run.tags) },
            inputs: InputsShape {
                dataset_inputs: run.inputs.iter().map(Into::into).collect(),
                model_inputs: run.model_inputs.iter().map(|&model_id| ModelInputShape { model_id }).collect(),
            },
            outputs: OutputsShape { model_outputs: &run.model_outputs },
        }
    }
}

/// The experiments of some runs: a run's artifacts lie below its experiment's location.
pub(super) struct Homes(HashMap<ExperimentId, Arc<Experiment>>);

impl Homes {
    pub fn of(tracking: &Tracking, runs: &[Arc<Run>]) -> Self {
        tracking.read(|state| {
            let mut homes = HashMap::new();
            for run in runs {
                if let Some(home) = state.experiment(run.experiment)
                    && !homes.contains_key(&run.experiment)
                {
                    homes.insert(run.experiment, home.clone());
                }
            }
            Self(homes)
        })
    }

    fn artifact_uri(&self, run: &Run) -> String {
        let location = self.0.get(&run.experiment).map_or("", |e| e.artifact_location.as_str());
        run.artifact_uri_in(location)
    }
}
