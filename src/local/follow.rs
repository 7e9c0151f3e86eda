//! Following a store that grows: new runs, and what is added to those that go on.

use std::collections::{BTreeMap, HashMap, HashSet};

use reqwest::Method;
use serde_json::{Value, json};

use super::Store;
use super::found::{Experiment, RunKey, TakenRun};
use super::import::{Files, Import, Report, goes_on};
use super::registry;
use crate::base::fault::Result;
use crate::capability::tracking::view::PAGE_ROWS_MAX;
use crate::capability::tracking::{RunQuery, RunView};
use crate::client::Client;

/// What was sent of a run that goes on.
struct Sent {
    mark: u128,
    points: BTreeMap<String, usize>,
    params: HashSet<String>,
    tags: BTreeMap<String, String>,
    models: HashSet<String>,
}

/// Keeps an agent level with a store.
pub struct Follow {
    client: Client,
    store: Store,
    files: Files,
    /// Runs that are over, or have been given up.
    settled: HashSet<RunKey>,
    going: HashMap<RunKey, Sent>,
    /// Logged models that have been taken.
    models: HashSet<String>,
    /// Of the whole, where that is cheap to know.
    mark: Option<u128>,
    looks: u64,
}

/// A registry changes seldom and is read as a whole.
const REGISTRY_EVERY_LOOKS: u64 = 5;

const METRICS_A_REQUEST: usize = 1000;
const TEXTS_A_REQUEST: usize = 100;

impl Follow {
    pub fn new(client: Client, store: Store, files: Files) -> Self {
        let (settled, going, models) = (HashSet::new(), HashMap::new(), HashSet::new());
        Self { client, store, files, settled, going, models, mark: None, looks: 0 }
    }

    /// Everything as it stands, which is also how following begins.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn begin(&mut self, told: &(dyn Fn(u64, u64) + Sync)) -> Result<Report> {
        let mut damage = Vec::new();
        let before = self.store.experiments(&mut damage).await?;
        let import = Import::new(&self.client, &self.store, self.files.clone(), told);
        import.skip(damage);
        let report = import.listed(&before).await?;
        // They may have grown since: no mark is 0, so the first look sends the difference.
        self.going = import.into_going().into_iter().map(|(key, run)| (key, sent(&run, 0))).collect();
        if matches!(self.store, Store::Server(_)) {
            self.take_up(&before).await?;
        }
        self.models = before.iter().flat_map(|e| e.models.iter().cloned()).collect();
        let over = before.into_iter().flat_map(|e| e.runs).filter(|key| !self.going.contains_key(key));
        self.settled = over.collect();
        // What could not be read is asked for again.
        let lost = format!("{}: run ", self.store.path().display());
        if !report.skipped.iter().any(|d| d.place.starts_with(&lost)) {
            self.store.taken(&self.client).await?;
        }
        Ok(report)
    }

    /// Runs that an earlier process mirrored while they went on are gone on with from what is here.
    async fn take_up(&mut self, experiments: &[Experiment]) -> Result<()> {
        let here = self.client.experiments().await?;
        for experiment in experiments.iter().filter(|e| !e.runs.is_empty()) {
            let Some(home) = here.iter().find(|e| e.name == experiment.name) else { continue };
            let filter = "attributes.status = 'RUNNING'".to_owned();
            let mut query =
                RunQuery { experiments: vec![home.id], filter, limit: PAGE_ROWS_MAX, ..RunQuery::default() };
            loop {
                let page = self.client.search_runs(&query).await?;
                for run in &page.runs {
                    let key = experiment.runs.iter().find(|key| key.id == run.id.to_string());
                    if let Some(key) = key.filter(|key| !self.going.contains_key(*key)) {
                        self.going.insert(key.clone(), sent_before(run));
                    }
                }
                query.offset += page.runs.len();
                if page.runs.len() < PAGE_ROWS_MAX {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Whether there are runs that go on.
    pub fn has_going(&self) -> bool {
        !self.going.is_empty()
    }

    /// What is looked at.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// One look: what is new since the last one.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn look(&mut self) -> Result<()> {
        let mark = self.store.whole_mark().await;
        if mark.is_some() && mark == self.mark {
            return Ok(());
        }
        let mut ignored = Vec::new();
        let mut missed = false;
        for experiment in self.store.experiments(&mut ignored).await? {
            self.take_models(&experiment).await?;
            for key in &experiment.runs {
                if self.settled.contains(key) {
                    continue;
                }
                let mark = self.store.mark(key).await;
                match self.going.get(key) {
                    None => self.take_new(&experiment, key, mark).await?,
                    Some(sent) if sent.mark != mark => self.send_new(&experiment, key, mark).await?,
                    Some(_) => {}
                }
                missed |= !self.settled.contains(key) && !self.going.contains_key(key);
            }
        }
        if !missed {
            self.store.taken(&self.client).await?;
        }
        self.mark = mark;
        self.looks += 1;
        if !self.looks.is_multiple_of(REGISTRY_EVERY_LOOKS) {
            return Ok(());
        }
        let import = Import::new(&self.client, &self.store, self.files.clone(), &|_, _| {});
        registry::all(&import).await
    }

    /// Models come before the runs that name them.
    async fn take_models(&mut self, experiment: &Experiment) -> Result<()> {
        let new: Vec<&String> = experiment.models.iter().filter(|id| !self.models.contains(*id)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let import = Import::new(&self.client, &self.store, self.files.clone(), &|_, _| {});
        let home = import.home(experiment).await?;
        for id in new {
            import.model(experiment, id, &home).await?;
            self.models.insert(id.clone());
        }
        Ok(())
    }

    async fn take_new(&mut self, experiment: &Experiment, key: &RunKey, mark: u128) -> Result<()> {
        let import = Import::new(&self.client, &self.store, self.files.clone(), &|_, _| {});
        let home = import.home(experiment).await?;
        // A run that is being written at this moment is looked at again.
        let Some(run) = import.run(experiment, key, &home).await? else { return Ok(()) };
        if goes_on(&run) {
            self.going.insert(key.clone(), sent(&run, mark));
        } else {
            self.settled.insert(key.clone());
        }
        Ok(())
    }

    async fn send_new(&mut self, experiment: &Experiment, key: &RunKey, mark: u128) -> Result<()> {
        let Some(run) = self.store.run(experiment, key, &mut Vec::new()).await else { return Ok(()) };
        let Some(before) = self.going.get(key) else { return Ok(()) };
        for batch in batches(&run, before) {
            let body = with_run(batch, &key.id);
            self.client.mlflow(Method::POST, "/api/2.0/mlflow/runs/log-batch", &body).await?;
        }
        let models = run.run.model_outputs.iter().filter(|o| !before.models.contains(&o.model_id.to_string()));
        let models: Vec<_> = models.map(|o| json!({ "model_id": o.model_id.to_string(), "step": o.step })).collect();
        if !models.is_empty() {
            let body = json!({ "run_id": key.id, "models": models });
            self.client.mlflow(Method::POST, "/api/2.0/mlflow/runs/outputs", &body).await?;
        }
        if goes_on(&run) {
            self.going.insert(key.clone(), sent(&run, mark));
            return Ok(());
        }
        let body = json!({ "run_id": key.id, "status": run.run.status.name(), "end_time": run.run.end_ms });
        self.client.mlflow(Method::POST, "/api/2.0/mlflow/runs/update", &body).await?;
        self.going.remove(key);
        self.settled.insert(key.clone());
        Ok(())
    }
}

fn with_run(mut batch: Value, id: &str) -> Value {
    batch["run_id"] = id.into();
    batch
}

fn sent(run: &TakenRun, mark: u128) -> Sent {
    Sent {
        mark,
        points: run.series.iter().map(|(k, p)| (k.clone(), p.len())).collect(),
        params: run.run.params.iter().map(|(k, _)| k.to_string()).collect(),
        tags: run.run.tags.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
        models: run.run.model_outputs.iter().map(|o| o.model_id.to_string()).collect(),
    }
}

/// What is here of a run that an earlier process sent.
fn sent_before(run: &RunView) -> Sent {
    Sent {
        // No mark is 0: the next look sends the difference.
        mark: 0,
        points: run.metrics.iter().map(|(k, m)| (k.clone(), m.count as usize)).collect(),
        params: run.params.keys().cloned().collect(),
        tags: run.tags.clone(),
        models: run.models.iter().map(ToString::to_string).collect(),
    }
}

/// What a run has more than was sent, in requests of the sizes that are taken.
fn batches(run: &TakenRun, before: &Sent) -> Vec<Value> {
    let mut metrics = Vec::new();
    for (key, points) in &run.series {
        for p in points.iter().skip(before.points.get(key).copied().unwrap_or(0)) {
            let value = crate::base::number::word(p.value).map_or_else(|| json!(p.value), Into::into);
            metrics.push(json!({ "key": key, "value": value, "timestamp": p.timestamp, "step": p.step }));
        }
    }
    let text = |k: &str, v: &str| json!({ "key": k, "value": v });
    let params = run.run.params.iter().filter(|(k, _)| !before.params.contains(k.as_str()));
    let params: Vec<Value> = params.map(|(k, v)| text(&k, v)).collect();
    let tags =
        run.run.tags.iter().filter(|(k, v)| before.tags.get(k.as_str()).is_none_or(|b| b.as_str() != v.as_str()));
    let tags: Vec<Value> = tags.map(|(k, v)| text(&k, v)).collect();
    let metrics = metrics.chunks(METRICS_A_REQUEST).map(|c| json!({ "metrics": c }));
    let params = params.chunks(TEXTS_A_REQUEST).map(|c| json!({ "params": c }));
    let tags = tags.chunks(TEXTS_A_REQUEST).map(|c| json!({ "tags": c }));
    metrics.chain(params).chain(tags).collect()
}
