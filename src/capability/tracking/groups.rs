//! Runs in groups, by experiment, parent run, a param or a tag (a sweep of W&B's is one), with mean and spread of each metric.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::view::RunQuery;
use super::writer::Tracking;
use super::{Run, RunStatus};
use crate::base::{Timestamp, fault::Result};

/// Where `MLflow` notes the run above a nested one.
pub const PARENT_TAG: &str = "mlflow.parentRunId";
/// Groups that one answer may hold.
pub const GROUPS_MAX: usize = 1000;

/// What puts runs together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "by", content = "key")]
pub enum GroupBy {
    Experiment,
    Parent,
    Param(String),
    Tag(String),
}

/// Which runs, put together how. Order and page of `runs` do not matter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupQuery {
    pub runs: RunQuery,
    #[serde(flatten)]
    pub by: GroupBy,
    /// The metrics to average.
    #[serde(default)]
    pub metrics: Vec<String>,
}

/// Mean and spread of the latest values of a metric. Runs whose value is not finite are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Spread {
    /// Finite values.
    pub n: usize,
    pub mean: f64,
    /// Sum of squared distances from the mean (Welford 1962).
    m2: f64,
    /// NaN and infinite values.
    #[serde(default)]
    pub not_finite: usize,
}

impl Spread {
    pub fn add(&mut self, value: f64) {
        if !value.is_finite() {
            self.not_finite += 1;
            return;
        }
        self.n += 1;
        let from_old = value - self.mean;
        self.mean += from_old / self.n as f64;
        self.m2 += from_old * (value - self.mean);
    }

    /// Sample standard deviation; `None` below two values.
    pub fn sd(&self) -> Option<f64> {
        (self.n > 1).then(|| (self.m2 / (self.n - 1) as f64).max(0.0).sqrt())
    }
}

/// Runs with the same value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunGroup {
    /// Experiment id, parent run id or the value of param or tag; `None`: runs without one.
    pub value: Option<String>,
    /// The value for people: an experiment's or run's name.
    pub label: String,
    pub runs: usize,
    pub running: usize,
    /// When the newest began.
    pub newest: Timestamp,
    pub metrics: BTreeMap<String, Spread>,
}

/// At most [`GROUPS_MAX`] groups, and how many there are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunGroups {
    pub groups: Vec<RunGroup>,
    pub total: usize,
}

/// Puts runs together one by one.
#[derive(Debug, Default)]
pub struct Grouping {
    at: HashMap<Option<String>, usize>,
    groups: Vec<RunGroup>,
}

impl Grouping {
    /// The group of a value, made when it is new; then the run's metrics are added to it.
    pub fn add(&mut self, value: Option<&str>, status: RunStatus, started: Timestamp) -> &mut RunGroup {
        let value = value.map(ToOwned::to_owned);
        let next = self.groups.len();
        let at = *self.at.entry(value.clone()).or_insert(next);
        if at == next {
            let label = value.clone().unwrap_or_else(|| "none".to_owned());
            let newest = Timestamp(i64::MIN);
            self.groups.push(RunGroup { value, label, runs: 0, running: 0, newest, metrics: BTreeMap::new() });
        }
        let group = &mut self.groups[at];
        group.runs += 1;
        group.running += usize::from(status == RunStatus::Running);
        group.newest = group.newest.max(started);
        group
    }

    /// Params in their own order (numbers as numbers), the others newest first; runs without a value last.
    pub fn finish(mut self, by: &GroupBy) -> RunGroups {
        let number = |g: &RunGroup| g.value.as_deref().and_then(|v| v.parse::<f64>().ok()).filter(|v| v.is_finite());
        self.groups.sort_by(|a, b| {
            let valued = a.value.is_none().cmp(&b.value.is_none());
            valued.then_with(|| match (by, number(a), number(b)) {
                (GroupBy::Param(_), Some(x), Some(y)) => x.total_cmp(&y),
                (GroupBy::Param(_), _, _) => a.value.cmp(&b.value),
                _ => b.newest.cmp(&a.newest),
            })
        });
        let total = self.groups.len();
        self.groups.truncate(GROUPS_MAX);
        RunGroups { groups: self.groups, total }
    }
}

impl Tracking {
    /// # Errors
    /// `Invalid` when the filter cannot be read.
    pub fn run_groups(&self, query: &GroupQuery) -> Result<RunGroups> {
        let found = self.matching_runs(&query.runs.question()?);
        let mut grouping = Grouping::default();
        for run in &found {
            let experiment;
            let value = match &query.by {
                GroupBy::Experiment => {
                    experiment = run.experiment.to_string();
                    Some(experiment.as_str())
                }
                GroupBy::Parent => run.tags.get(PARENT_TAG).map(super::Text::as_str),
                GroupBy::Param(key) => run.params.get(key).map(super::Text::as_str),
                GroupBy::Tag(key) => run.tags.get(key).map(super::Text::as_str),
            };
            let group = grouping.add(value, run.status, Timestamp::from_millis(run.start_ms));
            add_metrics(group, run, &query.metrics);
        }
        let mut groups = grouping.finish(&query.by);
        self.name_groups(&query.by, &mut groups.groups);
        Ok(groups)
    }

    fn name_groups(&self, by: &GroupBy, groups: &mut [RunGroup]) {
        self.read(|state| {
            for group in groups {
                let Some(value) = &group.value else { continue };
                let name = match by {
                    GroupBy::Experiment => {
                        value.parse().ok().and_then(|id| state.experiment(id)).map(|e| e.name.clone())
                    }
                    GroupBy::Parent => value.parse().ok().and_then(|id| state.run(id)).map(|r| r.name.to_string()),
                    GroupBy::Param(_) | GroupBy::Tag(_) => None,
                };
                group.label = name.unwrap_or_else(|| value.clone());
            }
        });
    }
}

fn add_metrics(group: &mut RunGroup, run: &Run, keys: &[String]) {
    for key in keys {
        if let Some(latest) = run.metrics.get(key) {
            match group.metrics.get_mut(key) {
                Some(spread) => spread.add(latest.value),
                None => group.metrics.entry(key.clone()).or_default().add(latest.value),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_spread_are_the_textbook_ones() {
        let mut spread = Spread::default();
        for v in [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0, f64::NAN] {
            spread.add(v);
        }
        assert_eq!((spread.n, spread.not_finite), (8, 1));
        assert!((spread.mean - 5.0).abs() < 1e-12);
        assert!((spread.sd().unwrap() - (32.0_f64 / 7.0).sqrt()).abs() < 1e-12);
        let mut one = Spread::default();
        one.add(3.0);
        assert_eq!(one.sd(), None, "one value has no spread");
    }

    #[test]
    fn params_are_ordered_as_numbers_and_what_has_none_comes_last() {
        let mut grouping = Grouping::default();
        for value in [None, Some("0.1"), Some("3e-4"), Some("0.1"), Some("0.01")] {
            grouping.add(value, RunStatus::Running, Timestamp(1));
        }
        let groups = grouping.finish(&GroupBy::Param("lr".to_owned()));
        let found: Vec<_> = groups.groups.iter().map(|g| (g.label.as_str(), g.runs)).collect();
        assert_eq!(found, [("3e-4", 1), ("0.01", 1), ("0.1", 2), ("none", 1)]);
    }
}
