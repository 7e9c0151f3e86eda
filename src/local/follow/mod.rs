//! Following a store that grows: new runs, and what is added to those that go on.

mod sent;

use std::collections::{HashMap, HashSet};

use super::Store;
use super::found::{Damage, Experiment, RunKey};
use super::import::{Files, Import, Report, goes_on};
use super::mlflow_server::Server;
use super::registry;
use crate::base::{Kind, Timestamp, fault::Result};
use crate::capability::tracking::RunQuery;
use crate::client::Client;
use sent::{Sent, send, sent, sent_before};

/// Keeps an agent level with a store.
pub struct Follow {
    client: Client,
    store: Store,
    files: Files,
    /// Runs that are over, or have been given up, each with its mark then.
    settled: HashMap<RunKey, u128>,
    going: HashMap<RunKey, Sent>,
    /// Logged models that have been taken.
    models: HashSet<String>,
    /// Of the whole, where that is cheap to know.
    mark: Option<u128>,
    looks: u64,
    /// What was skipped since the last look that was told of.
    skipped: Vec<Damage>,
}

/// A registry changes seldom and is read as a whole.
const REGISTRY_EVERY_LOOKS: u64 = 5;

/// Runs that one question to the agent names.
const RUNS_A_QUESTION: usize = 200;

impl Follow {
    pub fn new(client: Client, store: Store, files: Files) -> Self {
        let (settled, going, models) = (HashMap::new(), HashMap::new(), HashSet::new());
        Self { client, store, files, settled, going, models, mark: None, looks: 0, skipped: Vec::new() }
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
        if let Store::Server(server) = &self.store {
            self.going.extend(take_up(&self.client, server, &before, &self.going).await?);
        }
        self.models = before.iter().flat_map(|e| e.models.iter().cloned()).collect();
        let over = before.into_iter().flat_map(|e| e.runs).filter(|key| !self.going.contains_key(key));
        self.settled =
            over.map(|key| (self.store.mark_of_ended(&key).unwrap_or(0), key)).map(|(mark, key)| (key, mark)).collect();
        // What could not be read is asked for again.
        let lost = format!("{}: ", self.store.path().display());
        if !report.skipped.iter().any(|d| d.place.starts_with(&lost)) {
            self.store.taken(&self.client).await?;
        }
        Ok(report)
    }

    /// Whether there are runs that go on.
    pub fn has_going(&self) -> bool {
        !self.going.is_empty()
    }

    /// What is looked at.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// One look: what is new since the last one. Answers what was skipped.
    ///
    /// # Errors
    /// `Unavailable`; the next look goes on where this one stopped.
    pub async fn look(&mut self) -> Result<Vec<Damage>> {
        let mark = self.store.whole_mark().await;
        if mark.is_some() && mark == self.mark {
            return Ok(Vec::new());
        }
        let mut missed = false;
        let experiments = self.store.experiments(&mut self.skipped).await?;
        for experiment in &experiments {
            self.take_models(experiment).await?;
            for key in &experiment.runs {
                if self.is_settled(key).await? {
                    continue;
                }
                let mark = self.store.mark(key).await;
                missed |= match self.going.get(key) {
                    None => !self.take_new(experiment, key, mark).await?,
                    Some(sent) if sent.mark != mark => !self.send_new(experiment, key, mark).await?,
                    Some(_) => false,
                };
            }
        }
        if !missed {
            self.store.taken(&self.client).await?;
        }
        self.mark = mark;
        self.looks += 1;
        if self.looks.is_multiple_of(REGISTRY_EVERY_LOOKS) {
            let import = self.import();
            registry::all(&import).await?;
            let skipped = import.into_report().skipped;
            self.skipped.extend(skipped);
        }
        Ok(std::mem::take(&mut self.skipped))
    }

    fn import(&self) -> Import<'_> {
        Import::new(&self.client, &self.store, self.files.clone(), &|_, _| {})
    }

    /// Whether a run is over and stands as it did then. One that was begun again, or got more after its end, is gone on with.
    async fn is_settled(&mut self, key: &RunKey) -> Result<bool> {
        let Some(then) = self.settled.get(key).copied() else { return Ok(false) };
        let Some(now) = self.store.mark_of_ended(key).filter(|now| *now != then) else { return Ok(true) };
        let here = match key.id.parse() {
            Ok(id) => self.client.run(id).await,
            Err(()) => return Ok(true),
        };
        match here {
            Ok(here) => {
                self.settled.remove(key);
                self.going.insert(key.clone(), sent_before(&here));
                Ok(false)
            }
            // It was refused then, or erased here since.
            Err(fault) if fault.kind == Kind::NotFound => {
                self.settled.insert(key.clone(), now);
                Ok(true)
            }
            Err(fault) => Err(fault),
        }
    }

    /// Models come before the runs that name them.
    async fn take_models(&mut self, experiment: &Experiment) -> Result<()> {
        let new: Vec<&String> = experiment.models.iter().filter(|id| !self.models.contains(*id)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let import = self.import();
        let home = import.home(experiment).await?;
        for id in &new {
            import.model(experiment, id, &home).await?;
        }
        let skipped = import.into_report().skipped;
        self.skipped.extend(skipped);
        self.models.extend(new.into_iter().cloned());
        Ok(())
    }

    /// Whether it was taken. A run that is being written at this moment is looked at again.
    async fn take_new(&mut self, experiment: &Experiment, key: &RunKey, mark: u128) -> Result<bool> {
        let import = self.import();
        let home = import.home(experiment).await?;
        let taken = import.run(experiment, key, &home).await?;
        let skipped = import.into_report().skipped;
        self.skipped.extend(skipped);
        let Some(run) = taken else { return Ok(false) };
        if goes_on(&run) {
            self.going.insert(key.clone(), sent(&run, mark));
        } else {
            self.settled.insert(key.clone(), mark);
        }
        Ok(true)
    }

    /// Whether what is new of a run that goes on was sent, or will never be taken.
    async fn send_new(&mut self, experiment: &Experiment, key: &RunKey, mark: u128) -> Result<bool> {
        let Some(run) = self.store.run(experiment, key, &mut self.skipped).await? else { return Ok(false) };
        let Some(before) = self.going.get_mut(key) else { return Ok(true) };
        let sending = send(&self.client, &run, before).await;
        if let Err(fault) = sending {
            before.doubt();
            if matches!(fault.kind, Kind::Unavailable | Kind::Unauthenticated | Kind::Denied | Kind::Exhausted) {
                return Err(fault);
            }
            // The run here takes no more, as one that was deleted here.
            self.skipped.push(Damage::new(format!("run {}", key.id), fault));
            self.going.remove(key);
            self.settled.insert(key.clone(), mark);
        } else if goes_on(&run) {
            self.going.insert(key.clone(), sent(&run, mark));
        } else {
            self.going.remove(key);
            self.settled.insert(key.clone(), mark);
        }
        Ok(true)
    }
}

/// Runs that an earlier process mirrored and that stand otherwise there by now, or go on, are gone on with from what is
/// here.
async fn take_up(
    client: &Client,
    server: &Server,
    experiments: &[Experiment],
    going: &HashMap<RunKey, Sent>,
) -> Result<Vec<(RunKey, Sent)>> {
    let mut found = Vec::new();
    for experiment in experiments {
        let known: Vec<&RunKey> = experiment.runs.iter().filter(|key| !going.contains_key(*key)).collect();
        for keys in known.chunks(RUNS_A_QUESTION) {
            let ids: Vec<String> = keys.iter().map(|key| format!("'{}'", key.id)).collect();
            let filter = format!("attributes.run_id IN ({})", ids.join(", "));
            let query = RunQuery { filter, limit: RUNS_A_QUESTION, ..RunQuery::default() };
            for run in client.search_runs(&query).await?.runs {
                let id = run.id.to_string();
                let Some(key) = keys.iter().find(|key| key.id == id) else { continue };
                let here = (run.status, run.ended.map(Timestamp::millis));
                if !run.status.is_over() || server.stands(key).is_some_and(|there| there != here) {
                    found.push(((*key).clone(), sent_before(&run)));
                }
            }
        }
    }
    Ok(found)
}
