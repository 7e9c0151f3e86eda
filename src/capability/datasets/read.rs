//! Reading the datasets: versions, and the runs that read them.

use std::collections::BTreeMap;

use super::store;
use super::types::{DatasetVersion, DatasetView, LoggedDataset, PinnedRun, VersionView};
use crate::base::{Fault, fault::Result};
use crate::capability::tracking::{DatasetInput, Lifecycle, Tracking};
use crate::db::{Pool, Source};

/// Runs that are listed beside a version or a logged dataset.
const RUNS_MAX: usize = 100;

/// Every dataset by name: versions that are kept here, and what runs logged beside them.
///
/// # Errors
/// The store's.
pub async fn datasets(pool: &Pool, tracking: &Tracking) -> Result<Vec<DatasetView>> {
    let names = store::names(Source::Pool(pool), None).await?;
    let versions = store::versions(Source::Pool(pool), None).await?;
    let mut views: BTreeMap<String, DatasetView> = names
        .into_iter()
        .map(|(name, created)| (name.clone(), DatasetView { name, created, versions: Vec::new(), logged: Vec::new() }))
        .collect();
    let mut logged = Logged::of(tracking);
    for version in versions {
        let runs = logged.take(&version);
        if let Some(view) = views.get_mut(&version.dataset) {
            view.versions.push(VersionView { version, runs });
        }
    }
    for one in logged.rest() {
        let empty = || DatasetView {
            name: one.name.clone(),
            created: crate::base::Timestamp(0),
            versions: Vec::new(),
            logged: Vec::new(),
        };
        views.entry(one.name.clone()).or_insert_with(empty).logged.push(one);
    }
    Ok(views.into_values().collect())
}

/// One dataset.
///
/// # Errors
/// `NotFound`.
pub async fn dataset(pool: &Pool, tracking: &Tracking, name: &str) -> Result<DatasetView> {
    let found = datasets(pool, tracking).await?.into_iter().find(|d| d.name == name);
    found.ok_or_else(|| missing(name))
}

/// One version.
///
/// # Errors
/// `NotFound`.
pub async fn version(pool: &Pool, name: &str, version: u32) -> Result<DatasetVersion> {
    let found = store::versions(Source::Pool(pool), Some(name)).await?.into_iter().find(|v| v.version == version);
    found.ok_or_else(|| missing_version(name, version))
}

/// The newest version that a logged digest means: from a run's or a model version's inputs to the data and its profile.
///
/// # Errors
/// The store's.
pub async fn meant_by(pool: &Pool, digest: &str) -> Result<Option<DatasetVersion>> {
    let mut all = store::versions(Source::Pool(pool), None).await?;
    all.retain(|v| v.doc.is_meant_by(digest));
    Ok(all.into_iter().max_by_key(|v| v.created))
}

pub fn missing(name: &str) -> Fault {
    Fault::not_found(format!("no dataset {name}")).next("see `opsroom data list`")
}

pub fn missing_version(name: &str, version: u32) -> Fault {
    Fault::not_found(format!("{name} has no version {version}")).next(format!("see `opsroom data show {name}`"))
}

/// What active runs logged as their inputs, each dataset once.
struct Logged(Vec<(LoggedDataset, bool)>);

impl Logged {
    fn of(tracking: &Tracking) -> Self {
        let mut found: BTreeMap<(String, String), LoggedDataset> = BTreeMap::new();
        tracking.read(|state| {
            let mut runs: Vec<_> = state.runs().iter().filter(|r| !r.inputs.is_empty()).collect();
            runs.retain(|r| r.lifecycle == Lifecycle::Active);
            runs.sort_by_key(|r| std::cmp::Reverse(r.start_ms));
            for run in runs {
                for input in &run.inputs {
                    let key = (input.name.clone(), input.digest.clone());
                    let entry = found.entry(key).or_insert_with(|| fresh(input));
                    if entry.runs.len() < RUNS_MAX {
                        let context = input.context().unwrap_or_default().to_owned();
                        entry.runs.push(PinnedRun { run: run.id, name: run.name.to_string(), context });
                    }
                }
            }
        });
        Self(found.into_values().map(|l| (l, false)).collect())
    }

    /// The runs that read this version. The same bytes may be versions of several datasets.
    fn take(&mut self, version: &DatasetVersion) -> Vec<PinnedRun> {
        let mut runs = Vec::new();
        for (logged, matched) in self.0.iter_mut().filter(|(l, _)| version.doc.is_meant_by(&l.digest)) {
            *matched = true;
            runs.extend_from_slice(&logged.runs);
        }
        runs
    }

    /// What is no version of anything here.
    fn rest(self) -> Vec<LoggedDataset> {
        self.0.into_iter().filter(|(_, matched)| !matched).map(|(l, _)| l).collect()
    }
}

fn fresh(input: &DatasetInput) -> LoggedDataset {
    LoggedDataset {
        name: input.name.clone(),
        digest: input.digest.clone(),
        source_type: input.source_type.clone(),
        source: input.source.clone(),
        runs: Vec::new(),
    }
}
