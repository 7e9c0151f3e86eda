//! The columns of the table of runs, and which ones show when nobody chose.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::tui::model::Run;
use crate::tui::msg::RunOrder;

/// A column, in the order of the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Column {
    Name,
    State,
    Experiment,
    Started,
    Duration,
    Step,
    Metric(String),
    Param(String),
    User,
    Note,
}

/// Metrics and params shown when nobody chose.
const METRICS_SHOWN: usize = 3;
const PARAMS_SHOWN: usize = 3;

impl Column {
    /// Sorts columns into the order of the table; the sort is stable, so metrics keep the order in which they were added.
    pub fn rank(&self) -> u8 {
        match self {
            Self::Name => 0,
            Self::State => 1,
            Self::Experiment => 2,
            Self::Started => 3,
            Self::Duration => 4,
            Self::Step => 5,
            Self::Metric(_) => 6,
            Self::Param(_) => 7,
            Self::User => 8,
            Self::Note => 9,
        }
    }

    pub fn title(&self) -> String {
        match self {
            Self::Name => "RUN".into(),
            Self::State => "STATE".into(),
            Self::Experiment => "EXPERIMENT".into(),
            Self::Started => "STARTED".into(),
            Self::Duration => "DUR".into(),
            Self::Step => "STEP".into(),
            Self::Metric(key) | Self::Param(key) => key.clone(),
            Self::User => "USER".into(),
            Self::Note => "NOTE".into(),
        }
    }

    /// How the agent sorts by it.
    pub fn order(&self) -> RunOrder {
        match self {
            Self::Name => RunOrder::Name,
            Self::State => RunOrder::Status,
            Self::Started => RunOrder::Started,
            Self::User => RunOrder::User,
            Self::Metric(key) => RunOrder::Metric(key.clone()),
            Self::Param(key) => RunOrder::Param(key.clone()),
            Self::Experiment => RunOrder::Experiment,
            Self::Duration => RunOrder::Duration,
            Self::Step => RunOrder::Step,
            Self::Note => RunOrder::Note,
        }
    }

    /// For the list to choose from.
    pub fn label(&self) -> String {
        match self {
            Self::Metric(key) => format!("metric  {key}"),
            Self::Param(key) => format!("param  {key}"),
            other => other.title().to_lowercase(),
        }
    }
}

pub const FIXED: [Column; 8] = [
    Column::Name,
    Column::State,
    Column::Experiment,
    Column::Started,
    Column::Duration,
    Column::Step,
    Column::User,
    Column::Note,
];

/// Metric keys of these runs, those that most runs have first; the machine's own figures last.
pub fn metrics(rows: &[Run]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for key in rows.iter().flat_map(|r| r.metrics.keys()) {
        *counts.entry(key).or_default() += 1;
    }
    let mut keys: Vec<(&str, usize)> = counts.into_iter().collect();
    keys.sort_by_key(|(key, n)| (key.starts_with("system/"), usize::MAX - n, preference(key), (*key).to_owned()));
    keys.into_iter().map(|(k, _)| k.to_owned()).collect()
}

/// Among equally common metrics, those by which runs are judged come first.
fn preference(key: &str) -> usize {
    let key = key.to_lowercase();
    let held_out = key.contains("val") || key.contains("test") || key.contains("eval");
    let judged = ["loss", "auc", "accuracy", "f1", "rmse", "mae", "r2", "error"].iter().position(|w| key.contains(w));
    judged.map_or(100, |n| n * 2 + usize::from(!held_out))
}

/// Param keys of these runs: those that differ between runs first.
pub fn params(rows: &[Run]) -> Vec<String> {
    let mut values: BTreeMap<&str, (usize, BTreeSet<&str>)> = BTreeMap::new();
    for (key, value) in rows.iter().flat_map(|r| &r.params) {
        let (n, set) = values.entry(key).or_default();
        *n += 1;
        if set.len() < 8 {
            set.insert(value);
        }
    }
    let mut keys: Vec<_> = values.into_iter().collect();
    keys.sort_by_key(|(key, (n, set))| (set.len() < 2, usize::MAX - n, (*key).to_owned()));
    keys.into_iter().map(|(k, _)| k.to_owned()).collect()
}

/// What shows when nobody chose: the metrics most runs have, and the params in which they differ.
pub fn automatic(rows: &[Run], many_experiments: bool) -> Vec<Column> {
    let mut columns = vec![Column::Name, Column::State];
    let one = rows.iter().map(|r| r.experiment.as_str()).collect::<BTreeSet<_>>().len() < 2;
    if many_experiments && !one {
        columns.push(Column::Experiment);
    }
    columns.extend([Column::Started, Column::Duration, Column::Step]);
    columns.extend(metrics(rows).into_iter().take(METRICS_SHOWN).map(Column::Metric));
    columns.extend(params(rows).into_iter().take(PARAMS_SHOWN).map(Column::Param));
    if rows.iter().any(|r| !r.note().is_empty()) {
        columns.push(Column::Note);
    }
    columns
}
