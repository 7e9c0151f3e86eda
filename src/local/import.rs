//! Taking what MLflow wrote into an agent: each experiment, run, logged model and version once, however often it is
//! tried. A run comes as a whole, its files before it, so an interrupted import is simply begun again.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use futures::StreamExt;
use reqwest::Method;
use serde::Serialize;

use super::Store;
use super::found::{Artifacts, Damage, Experiment, RunKey, TakenRun};
use super::mlruns::files_beneath;
use super::registry;
use crate::base::id::ExperimentId;
use crate::base::{Fault, Kind, fault::Result};
use crate::capability::tracking::artifacts::path_of_uri;
use crate::capability::tracking::{Lifecycle, RunQuery, Text, command};
use crate::capability::wire::{ImportExperiment, ImportRun};
use crate::capability::{Command, Envelope};
use crate::client::{Client, pieces};

/// What an import did. Run a second time, all that is new is 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub experiments: u64,
    pub runs_new: u64,
    pub runs_known: u64,
    pub points: u64,
    pub models_new: u64,
    pub models_known: u64,
    pub versions_new: u64,
    pub versions_known: u64,
    pub files: u64,
    pub bytes: u64,
    /// What could not be read or taken, and why.
    #[serde(serialize_with = "lines")]
    pub skipped: Vec<Damage>,
}

pub(super) fn lines<S: serde::Serializer>(skipped: &[Damage], s: S) -> std::result::Result<S::Ok, S::Error> {
    s.collect_seq(skipped.iter().map(|d| format!("{}: {}", d.place, d.why)))
}

/// What becomes of artifacts.
#[derive(Debug, Clone)]
pub enum Files {
    /// They are sent to the agent.
    Copy,
    /// The agent's artifact folder is here and for us alone: links lead to them, and nothing is frozen, so that
    /// nothing is written where they lie.
    Link(PathBuf),
}

/// An import under way.
pub struct Import<'a> {
    pub(super) client: &'a Client,
    pub(super) store: &'a Store,
    pub(super) files: Files,
    /// Hears how many runs are done of how many.
    told: &'a (dyn Fn(u64, u64) + Sync),
    report: Mutex<Report>,
    done: Mutex<(u64, u64)>,
    /// Runs that were taken while they go on.
    going: Mutex<Vec<(RunKey, TakenRun)>>,
    reason: String,
}

/// Runs on their way at a time: their commits share a sync.
const TOGETHER: usize = 8;

impl<'a> Import<'a> {
    pub fn new(client: &'a Client, store: &'a Store, files: Files, told: &'a (dyn Fn(u64, u64) + Sync)) -> Self {
        let reason = format!("imported from {}", store.path().display());
        let (report, done, going) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { client, store, files, told, report, done, going, reason }
    }

    /// Another reason than where it came from, for the audit trail.
    #[must_use]
    pub fn because(self, reason: &str) -> Self {
        let reason = if reason.trim().is_empty() { self.reason } else { reason.trim().to_owned() };
        Self { reason, ..self }
    }

    /// Takes everything in.
    ///
    /// # Errors
    /// `Unavailable` when the store or the agent fails as a whole; what is damaged is skipped and named in the report.
    pub async fn all(&self) -> Result<Report> {
        let mut damage = Vec::new();
        let experiments = self.store.experiments(&mut damage).await?;
        self.skip(damage);
        self.listed(&experiments).await
    }

    /// Takes in what has been listed, and the registry.
    ///
    /// # Errors
    /// As [`Self::all`].
    pub(super) async fn listed(&self, experiments: &[Experiment]) -> Result<Report> {
        let of = experiments.iter().map(|e| e.runs.len() as u64).sum();
        self.progress(0, of);
        for experiment in experiments {
            self.experiment(experiment).await?;
        }
        registry::all(self).await?;
        Ok(self.report.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// What was done in parts.
    pub(super) fn into_report(self) -> Report {
        self.report.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs that were taken while they go on, as they were then.
    pub(super) fn into_going(self) -> Vec<(RunKey, TakenRun)> {
        self.going.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn skip(&self, damage: Vec<Damage>) {
        self.note(|r| r.skipped.extend(damage));
    }

    fn progress(&self, more: u64, all: u64) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        *done = (done.0 + more, done.1 + all);
        (self.told)(done.0, done.1);
    }

    async fn experiment(&self, experiment: &Experiment) -> Result<()> {
        let home = self.home(experiment).await?;
        let known = if home.new || experiment.runs.is_empty() {
            HashSet::new()
        } else {
            known_runs(self.client, home.id).await?
        };
        let home = &home;
        for key in &experiment.models {
            self.model(experiment, key, home).await?;
        }
        let new = experiment.runs.iter().filter(|key| !known.contains(&key.id));
        let skipped = experiment.runs.len() as u64 - new.clone().count() as u64;
        self.note(|r| r.runs_known += skipped);
        self.progress(skipped, 0);
        let mut runs = futures::stream::iter(new.map(|key| self.run(experiment, key, home))).buffer_unordered(TOGETHER);
        while let Some(taken) = runs.next().await {
            taken?;
            self.progress(1, 0);
        }
        if experiment.deleted && home.new {
            let command = Command::Tracking(command::Command::DeleteExperiment { id: home.id });
            self.client.perform(&Envelope::new(command, self.reason())).await?;
        }
        Ok(())
    }

    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    /// Where an experiment is in the agent; made when it is not.
    pub(super) async fn home(&self, experiment: &Experiment) -> Result<Home> {
        let before = self.client.experiments().await?;
        let new = !before.iter().any(|e| e.name == experiment.name);
        let import = ImportExperiment {
            name: experiment.name.clone(),
            id: Some(ExperimentId(experiment.id)),
            artifact_location: None,
            created: experiment.created,
            tags: experiment.tags.clone(),
        };
        let id = self.client.import_experiment(&import).await?;
        let all = if new { self.client.experiments().await? } else { before };
        let location = all.into_iter().find(|e| e.id == id).map(|e| e.artifact_location).unwrap_or_default();
        self.note(|r| r.experiments += u64::from(new));
        Ok(Home { id, location, new })
    }

    /// Takes one run in, its files first; answers with it when it was new.
    pub(super) async fn run(&self, experiment: &Experiment, key: &RunKey, home: &Home) -> Result<Option<TakenRun>> {
        let mut damage = Vec::new();
        let taken = self.store.run(experiment, key, &mut damage).await?;
        self.skip(damage);
        let Some(mut taken) = taken else { return Ok(None) };
        taken.run.experiment = home.id;
        let place = format!("{}/{}/artifacts", home.location.trim_end_matches('/'), taken.run.id);
        match &taken.artifacts {
            Artifacts::Here(folder) => self.artifacts(folder, &place).await?,
            Artifacts::Elsewhere(uri) => taken.run.artifact_uri = Some(Text::from(uri.as_str())),
            Artifacts::None => {}
        }
        let points = taken.series.values().map(|p| p.len() as u64).sum::<u64>();
        let import = ImportRun { run: taken.run.clone(), series: taken.series.clone() };
        match self.client.import_run(&import).await {
            Ok(true) => self.note(|r| {
                r.runs_new += 1;
                r.points += points;
            }),
            Ok(false) => self.note(|r| r.runs_known += 1),
            Err(fault) => self.or_skip(format!("run {}", key.id), fault)?,
        }
        if goes_on(&taken) {
            self.going.lock().unwrap_or_else(PoisonError::into_inner).push((key.clone(), taken.clone()));
        }
        Ok(Some(taken))
    }

    pub(super) async fn model(&self, experiment: &Experiment, key: &str, home: &Home) -> Result<()> {
        let path = format!("/api/2.0/mlflow/logged-models/{key}");
        if key.starts_with("m-") && self.client.mlflow(Method::GET, &path, &serde_json::Value::Null).await.is_ok() {
            self.note(|r| r.models_known += 1);
            return Ok(());
        }
        let mut damage = Vec::new();
        let taken = self.store.model(experiment, key, &mut damage).await?;
        self.skip(damage);
        let Some(mut taken) = taken else { return Ok(()) };
        let place = format!("{}/models/{}/artifacts", home.location.trim_end_matches('/'), taken.model.id);
        taken.model.experiment = home.id;
        match &taken.artifacts {
            Artifacts::Here(folder) => self.artifacts(folder, &place).await?,
            Artifacts::Elsewhere(uri) => taken.model.artifact_uri.clone_from(uri),
            Artifacts::None => {}
        }
        if taken.model.artifact_uri.is_empty() {
            taken.model.artifact_uri = place;
        }
        match self.client.import_model(&taken.model).await {
            Ok(true) => self.note(|r| r.models_new += 1),
            Ok(false) => self.note(|r| r.models_known += 1),
            Err(fault) => self.or_skip(format!("logged model {key}"), fault)?,
        }
        Ok(())
    }

    /// What fails for one thing is skipped; what fails as a whole ends the import.
    pub(super) fn or_skip(&self, place: String, fault: Fault) -> Result<()> {
        if matches!(fault.kind, Kind::Unavailable | Kind::Unauthenticated | Kind::Denied) {
            return Err(fault);
        }
        self.skip(vec![Damage::new(place, fault)]);
        Ok(())
    }

    /// Brings a folder of artifacts to its place in the agent's store.
    async fn artifacts(&self, folder: &Path, place: &str) -> Result<()> {
        let Some(path) = path_of_uri(place) else {
            self.skip(vec![Damage::new(folder.display(), format!("the agent keeps its artifacts elsewhere: {place}"))]);
            return Ok(());
        };
        if let Files::Link(root) = &self.files {
            return link(folder, &root.join(path));
        }
        for (name, file) in files_beneath(folder) {
            let sent = match tokio::fs::File::open(&file).await {
                Ok(opened) => {
                    let bytes = opened.metadata().await.map_or(0, |m| m.len());
                    let body = reqwest::Body::wrap_stream(pieces(opened));
                    self.client.put_artifact(&format!("{path}/{name}"), body).await.map(|()| bytes)
                }
                Err(e) => Err(Fault::invalid("it cannot be read").why(e.to_string())),
            };
            match sent {
                Ok(bytes) => self.note(|r| {
                    r.files += 1;
                    r.bytes += bytes;
                }),
                Err(fault) => self.or_skip(file.display().to_string(), fault)?,
            }
        }
        Ok(())
    }
}

/// An experiment in the agent.
#[derive(Debug, Clone)]
pub struct Home {
    pub id: ExperimentId,
    pub location: String,
    /// It was made by this import.
    pub new: bool,
}

pub(super) fn link(folder: &Path, at: &Path) -> Result<()> {
    let problem = |e: std::io::Error| Fault::unavailable(format!("cannot link {}", at.display())).why(e.to_string());
    if at.symlink_metadata().is_ok() {
        return Ok(());
    }
    at.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(problem)?;
    std::os::unix::fs::symlink(folder, at).map_err(problem)
}

/// Ids of all runs of an experiment, deleted ones too.
async fn known_runs(client: &Client, experiment: ExperimentId) -> Result<HashSet<String>> {
    const PAGE_RUNS: usize = 1000;
    let mut ids = HashSet::new();
    for deleted in [false, true] {
        let mut query = RunQuery { experiments: vec![experiment], deleted, limit: PAGE_RUNS, ..RunQuery::default() };
        loop {
            let page = client.search_runs(&query).await?;
            let last = page.runs.len() < PAGE_RUNS;
            query.offset += page.runs.len();
            ids.extend(page.runs.iter().map(|r| r.id.to_string()));
            if last {
                break;
            }
        }
    }
    Ok(ids)
}

/// Whether a run is going on, so that more of it may come.
pub(super) fn goes_on(run: &TakenRun) -> bool {
    !run.run.status.is_over() && run.run.lifecycle == Lifecycle::Active
}
