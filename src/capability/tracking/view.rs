//! What doors and clients are shown of tracking: the wire types of opsroom's own API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::filter::{self, Target};
use super::points::Point;
use super::question;
use super::search::{Query, View};
use super::types::{DatasetInput, Latest, Run, RunStatus};
use super::writer::Tracking;
use crate::base::id::{ExperimentId, ModelId, RunId};
use crate::base::{Fault, Figure, Timestamp, fault::Result};

/// An experiment and how many runs it has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExperimentView {
    pub id: ExperimentId,
    pub name: String,
    pub lifecycle: super::Lifecycle,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub artifact_location: String,
    pub tags: BTreeMap<String, String>,
    /// Active runs.
    pub runs: usize,
    /// Runs that are going on.
    pub running: usize,
}

/// A question for runs. `filter` and `order_by` speak `MLflow`'s grammar; orders are also by `duration`, `step`,
/// `experiment_name` and `note`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunQuery {
    /// Empty: all experiments.
    #[serde(default)]
    pub experiments: Vec<ExperimentId>,
    #[serde(default)]
    pub filter: String,
    #[serde(default)]
    pub order_by: Vec<String>,
    /// In the room's own language; what it lets through must pass `filter` as well.
    #[serde(default, skip_serializing_if = "super::query::Query::is_empty")]
    pub search: super::query::Query,
    /// Only runs that go on, or ended since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    #[serde(default)]
    pub deleted: bool,
    #[serde(default)]
    pub offset: usize,
    /// 0: 100.
    #[serde(default)]
    pub limit: usize,
}

/// Runs of one page.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunPage {
    pub runs: Vec<RunView>,
    /// How many match in all.
    pub matched: usize,
    /// How many active runs there are in these experiments.
    pub total: usize,
    /// Of those, how many are going on.
    pub running: usize,
}

/// One run as shown. Metrics are their latest values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunView {
    pub id: RunId,
    pub name: String,
    pub experiment: ExperimentId,
    pub experiment_name: String,
    pub status: RunStatus,
    pub lifecycle: super::Lifecycle,
    pub user: String,
    pub started: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    pub artifact_uri: String,
    pub params: BTreeMap<String, String>,
    pub metrics: BTreeMap<String, Latest>,
    pub tags: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<DatasetInput>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelId>,
}

/// A metric's course, thinned for a number of columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    pub run: RunId,
    pub key: String,
    /// Points that the run has received for it.
    pub count: u64,
    /// The metric's value now, with its evidence.
    pub latest: Figure,
    /// Of those, how many are NaN or infinite.
    #[serde(default)]
    pub not_finite: u64,
    /// (step, milliseconds since 1970, value), by step.
    pub points: Vec<Point>,
}

/// Rows a page may have.
pub const PAGE_ROWS_MAX: usize = 1000;

impl Run {
    /// Where it keeps its artifacts, given the location of its experiment.
    pub fn artifact_uri_in(&self, location: &str) -> String {
        match &self.artifact_uri {
            Some(uri) => uri.to_string(),
            None => format!("{}/{}/artifacts", location.trim_end_matches('/'), self.id),
        }
    }
}

impl RunQuery {
    /// # Errors
    /// `Invalid` when filter or order cannot be read.
    pub fn question(&self) -> Result<Query> {
        let invalid = |e: filter::Invalid| Fault::invalid(e.to_string());
        let order_by = self.order_by.iter().map(|o| match question::own_order(o) {
            Some(own) => Ok(own),
            None => filter::parse_order_by(o, Target::Runs).map_err(invalid),
        });
        Ok(Query {
            experiments: (!self.experiments.is_empty()).then(|| self.experiments.clone()),
            filter: filter::parse(&self.filter, Target::Runs).map_err(invalid)?,
            search: self.search.clone(),
            since_ms: self.since.map(Timestamp::millis),
            view: if self.deleted { View::DeletedOnly } else { View::ActiveOnly },
            order_by: order_by.collect::<Result<_>>()?,
            offset: self.offset,
            limit: if self.limit == 0 { 100 } else { self.limit.min(PAGE_ROWS_MAX) },
        })
    }
}

impl Tracking {
    pub fn experiment_views(&self) -> Vec<ExperimentView> {
        self.read(|state| {
            let view = |e: &std::sync::Arc<super::Experiment>| {
                let active = || state.runs_of(e.id).filter(|r| r.lifecycle == super::Lifecycle::Active);
                ExperimentView {
                    id: e.id,
                    name: e.name.clone(),
                    lifecycle: e.lifecycle,
                    created: e.created,
                    updated: e.updated,
                    artifact_location: e.artifact_location.clone(),
                    tags: e.tags.clone(),
                    runs: active().count(),
                    running: active().filter(|r| r.status == RunStatus::Running).count(),
                }
            };
            state.experiments().map(view).collect()
        })
    }

    /// # Errors
    /// `Invalid` when filter or order cannot be read.
    pub fn run_page(&self, query: &RunQuery) -> Result<RunPage> {
        let question = query.question()?;
        let experiments = &question.experiments;
        let page = self.search_runs(&question);
        let (total, running) = self.read(|state| {
            let here = |r: &&std::sync::Arc<Run>| {
                r.lifecycle == super::Lifecycle::Active
                    && experiments.as_ref().is_none_or(|ids| ids.contains(&r.experiment))
            };
            state
                .runs()
                .iter()
                .filter(here)
                .fold((0, 0), |(all, on), r| (all + 1, on + usize::from(r.status == RunStatus::Running)))
        });
        let runs = page.items.iter().map(|r| self.run_view(r)).collect();
        Ok(RunPage { runs, matched: page.matched, total, running })
    }

    /// The run as shown.
    pub fn run_view(&self, run: &Run) -> RunView {
        let home = self.read(|s| s.experiment(run.experiment).cloned());
        let texts = |map: &super::types::KeyMap<super::Text>| {
            map.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect::<BTreeMap<_, _>>()
        };
        RunView {
            id: run.id,
            name: run.name.to_string(),
            experiment: run.experiment,
            experiment_name: home.as_ref().map(|e| e.name.clone()).unwrap_or_default(),
            status: run.status,
            lifecycle: run.lifecycle,
            user: run.user.to_string(),
            started: Timestamp::from_millis(run.start_ms),
            ended: run.end_ms.map(Timestamp::from_millis),
            artifact_uri: self.artifact_uri(run),
            params: texts(&run.params),
            metrics: run.metrics.iter().map(|(k, v)| (k.to_string(), *v)).collect(),
            tags: texts(&run.tags),
            inputs: run.inputs.clone(),
            models: run.model_outputs.iter().map(|o| o.model_id).collect(),
        }
    }

    /// Where a run keeps its artifacts.
    pub fn artifact_uri(&self, run: &Run) -> String {
        let home = self.read(|s| s.experiment(run.experiment).cloned());
        run.artifact_uri_in(home.as_ref().map_or("", |e| e.artifact_location.as_str()))
    }

    /// # Errors
    /// `NotFound` for the run.
    pub async fn series(&self, run: RunId, key: &str, columns: usize, now: Timestamp) -> Result<Series> {
        let document = self.read(|s| s.run(run).cloned()).ok_or_else(|| super::runs::missing(run))?;
        let known = document.metrics.get(key);
        let count = known.map_or(0, |m| u64::from(m.count));
        let latest = Figure {
            value: known.map(|m| m.value),
            n: count,
            window: None,
            query: format!("opsroom runs history {run} {key}"),
            age: known.map(|m| now.seconds_since(Timestamp::from_millis(m.timestamp))),
        };
        let super::history::Thinned { points, not_finite } = self.chart(run, key, columns.clamp(1, 4000)).await?;
        Ok(Series { run, key: key.to_owned(), count, latest, not_finite, points })
    }
}
