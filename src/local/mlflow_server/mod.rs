//! A live MLflow server, read by its REST API and never written to. After the first pass only what may have changed is asked
//! for: runs that began or ended since, and those that go on.

mod forms;
mod model_forms;
mod rest;
mod write_back;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::json;

use super::found::{Damage, Experiment, Registered, RunKey, TakenModel, TakenRun};
use crate::base::{Fault, Kind, fault::Result};
use crate::capability::tracking::points::Point;
use crate::capability::tracking::{RunStatus, Text};
use crate::client::Client;
use forms::{ExperimentPage, History, RunForm, RunPage};
use model_forms::{ModelPage, RegisteredPage, VersionPage};
use rest::Rest;

/// Of a run that is mirrored: the server that it is on.
pub const MIRROR_TAG: &str = "opsroom.mirror";
/// Of an experiment: the server, and the newest beginning and end of the runs there that have been taken.
const UNTIL_TAG: &str = "opsroom.mirror.until";
/// Rows that a page of a server has.
const PAGE: usize = 1000;
/// Clocks of scripts differ: so far back is looked again. What is listed twice is only compared.
const OVERLAP_MS: i64 = 600_000;

/// A server that is mirrored.
pub struct Server {
    rest: Rest,
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The documents of the runs that the last listing named.
    runs: HashMap<String, RunForm>,
    /// Newest beginning and newest end of the runs that are known, per experiment there; none: all are asked for.
    newest: BTreeMap<String, (i64, i64)>,
    /// The same of what was listed, with the experiment's name, until it has been taken.
    until: BTreeMap<String, (String, (i64, i64))>,
}

impl Server {
    /// # Errors
    /// `Invalid` for an address.
    pub fn new(url: &str) -> Result<Self> {
        let rest = Rest::new(url)?;
        Ok(Self { path: PathBuf::from(&rest.url), rest, state: Mutex::default() })
    }

    /// The address, where others have a path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn state<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Finds out how far an agent has mirrored this server, so that the next listing asks for the rest only.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn go_on_from(&self, agent: &Client) -> Result<()> {
        let there = self.listed(&mut Vec::new()).await?;
        for experiment in agent.experiments().await? {
            let Some(there) = there.iter().find(|e| e.name == experiment.name) else { continue };
            let until = experiment.tags.get(UNTIL_TAG).and_then(|tag| tag.strip_prefix(&format!("{} ", self.rest.url)));
            let span = until.and_then(|span| span.split_once(' '));
            if let Some((Ok(start), Ok(end))) = span.map(|(start, end)| (start.parse(), end.parse())) {
                self.state(|s| s.newest.insert(there.id.to_string(), (start, end)));
            }
        }
        Ok(())
    }

    /// What was listed has been taken: the next listing asks for what comes after it, also that of another process.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn taken(&self, agent: &Client) -> Result<()> {
        let listed = self.state(|s| std::mem::take(&mut s.until));
        let here = agent.experiments().await?;
        for (id, (name, span)) in listed {
            if self.state(|s| s.newest.insert(id, span)) == Some(span) {
                continue;
            }
            let Some(experiment) = here.iter().find(|e| e.name == name) else { continue };
            let value = format!("{} {} {}", self.rest.url, span.0, span.1);
            let body = json!({ "experiment_id": experiment.id.to_string(), "key": UNTIL_TAG, "value": value });
            agent.mlflow(reqwest::Method::POST, "/api/2.0/mlflow/experiments/set-experiment-tag", &body).await?;
        }
        Ok(())
    }

    /// Experiments without their runs.
    async fn listed(&self, damage: &mut Vec<Damage>) -> Result<Vec<Experiment>> {
        let mut found = Vec::new();
        let mut token = String::new();
        loop {
            let mut body = json!({ "max_results": PAGE, "view_type": "ALL" });
            if !token.is_empty() {
                body["page_token"] = token.clone().into();
            }
            let page: ExperimentPage = self.rest.post("experiments/search", &body).await?;
            for experiment in page.experiments {
                match experiment.found() {
                    Some(experiment) => found.push(experiment),
                    None => {
                        damage.push(Damage::new(format!("{}: an experiment", self.rest.url), "its id is no number"));
                    }
                }
            }
            token = page.next_page_token;
            if token.is_empty() {
                return Ok(found);
            }
        }
    }

    /// # Errors
    /// `Unavailable`.
    pub async fn experiments(&self, damage: &mut Vec<Damage>) -> Result<Vec<Experiment>> {
        let mut found = self.listed(damage).await?;
        let mut documents = HashMap::new();
        for experiment in &mut found {
            let id = experiment.id.to_string();
            let newest = self.state(|s| s.newest.get(&id).copied());
            let mut seen = BTreeSet::new();
            for filter in questions(newest) {
                for run in self.runs(&id, &filter).await? {
                    if seen.insert(run.info.run_id.clone()) {
                        if run.found().is_none() {
                            let place = format!("{}: run {}", self.rest.url, run.info.run_id);
                            damage.push(Damage::new(place, "its id or its status is none that is known here"));
                            continue;
                        }
                        experiment.models.extend(run.models());
                        experiment.runs.push(RunKey { id: run.info.run_id.clone(), folder: PathBuf::new() });
                        documents.insert(run.info.run_id.clone(), run);
                    }
                }
            }
            experiment.models.sort_unstable();
            experiment.models.dedup();
            let begun = |id: &RunKey| documents.get(&id.id).map_or((0, 0), RunForm::span);
            let all = experiment.runs.iter().map(begun);
            let newest = all.chain(newest).reduce(|a, b| (a.0.max(b.0), a.1.max(b.1)));
            let name = experiment.name.clone();
            self.state(|s| newest.map(|n| s.until.insert(id, (name, n))));
        }
        self.state(|s| s.runs = documents);
        Ok(found)
    }

    async fn runs(&self, experiment: &str, filter: &str) -> Result<Vec<RunForm>> {
        let mut found = Vec::new();
        let mut token = String::new();
        loop {
            let mut body = json!({
                "experiment_ids": [experiment], "filter": filter, "max_results": PAGE, "run_view_type": "ALL",
                "order_by": ["attributes.start_time ASC"],
            });
            if !token.is_empty() {
                body["page_token"] = token.clone().into();
            }
            let page: RunPage = self.rest.post("runs/search", &body).await?;
            found.extend(page.runs);
            token = page.next_page_token;
            if token.is_empty() {
                return Ok(found);
            }
        }
    }

    /// # Errors
    /// `Unavailable` when the server is away; what fails for this run alone is damage.
    pub async fn run(&self, key: &RunKey, damage: &mut Vec<Damage>) -> Result<Option<TakenRun>> {
        match self.read_run(key).await {
            Ok(run) => Ok(run),
            Err(fault) => {
                let place = format!("{}: run {}", self.rest.url, key.id);
                damage.push(Damage::new(place, self.of_one_thing(fault).await?));
                Ok(None)
            }
        }
    }

    /// A fault of one thing, as the server answers to other questions; else it is the server's as a whole.
    async fn of_one_thing(&self, fault: Fault) -> Result<Fault> {
        let whole = match fault.kind {
            Kind::Unavailable => !self.rest.answers().await,
            Kind::Unauthenticated => true,
            _ => false,
        };
        if whole { Err(fault) } else { Ok(fault) }
    }

    async fn read_run(&self, key: &RunKey) -> Result<Option<TakenRun>> {
        let Some(document) = self.state(|s| s.runs.get(&key.id).cloned()) else { return Ok(None) };
        let mut series = BTreeMap::new();
        for metric in &document.data.metrics {
            series.insert(metric.key.clone(), self.history(&key.id, &metric.key).await?);
        }
        let Some(mut run) = document.found() else { return Ok(None) };
        run.tags.insert(MIRROR_TAG.into(), Text::from(self.rest.url.as_str()));
        Ok(Some(TakenRun { run, series, artifacts: self.artifacts(&document.info.artifact_uri) }))
    }

    async fn history(&self, run: &str, key: &str) -> Result<Vec<Point>> {
        const POINTS: &str = "25000";
        let mut points = Vec::new();
        let mut token = String::new();
        loop {
            let mut query = vec![("run_id", run), ("metric_key", key), ("max_results", POINTS)];
            if !token.is_empty() {
                query.push(("page_token", &token));
            }
            let page: History = self.rest.get("metrics/get-history", &query).await?;
            points.extend(page.metrics.iter().map(forms::Metric::point));
            token = page.next_page_token;
            if token.is_empty() {
                return Ok(points);
            }
        }
    }

    /// What the server proxies is fetched from the server, when someone asks for it.
    fn artifacts(&self, uri: &str) -> super::found::Artifacts {
        use super::found::Artifacts;
        if uri.is_empty() {
            return Artifacts::None;
        }
        match uri.strip_prefix("mlflow-artifacts:") {
            Some(rest) => {
                let below = match rest.strip_prefix("//") {
                    Some(with_host) => with_host.split_once('/').map_or("", |(_, below)| below),
                    None => rest.trim_start_matches('/'),
                };
                Artifacts::Elsewhere(format!("{}/api/2.0/mlflow-artifacts/artifacts/{below}", self.rest.url))
            }
            None => Artifacts::Elsewhere(uri.to_owned()),
        }
    }

    /// # Errors
    /// As [`Self::run`].
    pub async fn model(&self, key: &str, damage: &mut Vec<Damage>) -> Result<Option<TakenModel>> {
        let read: Result<ModelPage> = self.rest.get(&format!("logged-models/{key}"), &[]).await;
        let place = format!("{}: logged model {key}", self.rest.url);
        match read {
            Ok(page) => {
                let found = page.model.found();
                if found.is_none() {
                    damage.push(Damage::new(place, "it cannot be read"));
                }
                Ok(found.map(|(model, uri)| TakenModel { model, artifacts: self.artifacts(&uri) }))
            }
            Err(fault) => {
                damage.push(Damage::new(place, self.of_one_thing(fault).await?));
                Ok(None)
            }
        }
    }

    /// # Errors
    /// `Unavailable`.
    pub async fn registered(&self) -> Result<Vec<Registered>> {
        let mut found: BTreeMap<String, Registered> = BTreeMap::new();
        let mut token = String::new();
        loop {
            let query = [("max_results", "1000"), ("page_token", token.as_str())];
            let page: RegisteredPage = self
                .rest
                .get("registered-models/search", if token.is_empty() { &query[..1] } else { &query[..] })
                .await?;
            found.extend(page.registered_models.into_iter().map(|m| (m.name.clone(), m.found())));
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        loop {
            let query = [("max_results", "10000"), ("page_token", token.as_str())];
            let page: VersionPage =
                self.rest.get("model-versions/search", if token.is_empty() { &query[..1] } else { &query[..] }).await?;
            for version in page.model_versions {
                let model = found.get_mut(&version.name);
                if let (Some(model), Some(version)) = (model, version.found()) {
                    model.versions.push(version);
                }
            }
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        let mut all: Vec<Registered> = found.into_values().collect();
        all.iter_mut().for_each(|m| m.versions.sort_by_key(|v| v.number));
        Ok(all)
    }

    /// Where a run stood when it was listed: its status, and its end in milliseconds.
    pub fn stands(&self, key: &RunKey) -> Option<(RunStatus, Option<i64>)> {
        self.state(|s| s.runs.get(&key.id).and_then(RunForm::found)).map(|run| (run.status, run.end_ms))
    }

    /// Something that differs when a run may have changed.
    pub fn mark(&self, key: &RunKey) -> u128 {
        self.state(|s| s.runs.get(&key.id).map_or(0, RunForm::mark))
    }
}

/// What to ask for: all, or what may be new.
fn questions(newest: Option<(i64, i64)>) -> Vec<String> {
    match newest {
        None => vec![String::new()],
        Some((start, end)) => vec![
            format!("attributes.start_time > {}", start.saturating_sub(OVERLAP_MS)),
            format!("attributes.end_time > {}", end.saturating_sub(OVERLAP_MS)),
            "attributes.status = 'RUNNING'".to_owned(),
        ],
    }
}
