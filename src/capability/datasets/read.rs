//! Reading the datasets: versions, and the runs that read them.

use std::collections::{BTreeMap, BTreeSet};

use super::store;
use super::types::{DatasetVersion, DatasetView, LoggedDataset, PinnedRun, VersionView};
use crate::base::{Fault, fault::Result};
use crate::capability::tracking::{DatasetInput, Lifecycle, Tracking};
use crate::db::{Pool, Source};

/// Runs that are listed beside a version or a logged dataset.
const RUNS_MAX: usize = 100;
/// `source_type` of an input that is a version kept here.
pub use crate::capability::tracking::KEPT_SOURCE as PINNED_SOURCE;

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

/// Every version of every dataset.
///
/// # Errors
/// The store's.
pub async fn all(pool: &Pool) -> Result<Vec<DatasetVersion>> {
    store::versions(Source::Pool(pool), None).await
}

pub fn missing(name: &str) -> Fault {
    Fault::not_found(format!("no dataset {name}")).next("see `opsroom data list`")
}

pub fn missing_version(name: &str, version: u32) -> Fault {
    Fault::not_found(format!("{name} has no version {version}")).next(format!("see `opsroom data show {name}`"))
}

/// What active runs logged as their inputs, each dataset once.
struct Logged {
    found: BTreeMap<(String, String), LoggedDataset>,
    /// Digests that are another word for a version's, see [`same_place`].
    means: BTreeMap<(String, String), String>,
    matched: BTreeSet<(String, String)>,
}

impl Logged {
    fn of(tracking: &Tracking) -> Self {
        let mut all = Self { found: BTreeMap::new(), means: BTreeMap::new(), matched: BTreeSet::new() };
        tracking.read(|state| {
            let mut runs: Vec<_> = state.runs().iter().filter(|r| !r.inputs.is_empty()).collect();
            runs.retain(|r| r.lifecycle == Lifecycle::Active);
            runs.sort_by_key(|r| std::cmp::Reverse(r.start_ms));
            for run in runs {
                for input in &run.inputs {
                    let key = (input.name.clone(), input.digest.clone());
                    if let Some(pinned) = run.inputs.iter().find(|pinned| same_place(pinned, input)) {
                        all.means.insert(key.clone(), pinned.digest.clone());
                    }
                    let entry = all.found.entry(key).or_insert_with(|| fresh(input));
                    if entry.runs.len() < RUNS_MAX {
                        let context = input.context().unwrap_or_default().to_owned();
                        entry.runs.push(PinnedRun { run: run.id, name: run.name.to_string(), context });
                    }
                }
            }
        });
        all
    }

    /// The runs that read this version, each once. The same bytes may be versions of several datasets.
    fn take(&mut self, version: &DatasetVersion) -> Vec<PinnedRun> {
        let mut runs: Vec<PinnedRun> = Vec::new();
        for (key, logged) in &self.found {
            let meant = version.doc.is_meant_by(&logged.digest)
                || self.means.get(key).is_some_and(|pinned| version.doc.is_meant_by(pinned));
            if meant {
                self.matched.insert(key.clone());
                let fresh = |run: &&PinnedRun| !runs.iter().any(|r| r.run == run.run);
                let fresh: Vec<PinnedRun> = logged.runs.iter().filter(fresh).cloned().collect();
                runs.extend(fresh);
            }
        }
        runs
    }

    /// What is no version of anything here.
    fn rest(self) -> Vec<LoggedDataset> {
        self.found.into_iter().filter(|(key, _)| !self.matched.contains(key)).map(|(_, l)| l).collect()
    }
}

/// Whether an input of a run is the very file that the same run was given as a version: an MLflow client digests what
/// it read from there in a way of its own, and that digest means the version from then on, in other runs as well.
fn same_place(pinned: &DatasetInput, input: &DatasetInput) -> bool {
    pinned.source_type == PINNED_SOURCE
        && input.source_type != PINNED_SOURCE
        && uri(&pinned.source).is_some_and(|at| uri(&input.source).is_some_and(|other| at == other))
}

/// The path in a source as MLflow writes it: JSON with `uri`, or the text itself.
fn uri(source: &str) -> Option<String> {
    let parsed = serde_json::from_slice::<serde_json::Value>(source.as_bytes()).ok();
    let text = parsed.as_ref().map_or(Some(source), |v| v["uri"].as_str().or_else(|| v.as_str()))?;
    let path = text.strip_prefix("file://").unwrap_or(text);
    path.starts_with('/').then(|| path.to_owned())
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
