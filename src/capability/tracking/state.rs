//! All documents of tracking in memory, and the staging of a group of writes that may still fail.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, RwLock};

use super::columns::Columns;
use super::effect::{Effect, RunPoints, observe, patch};
use super::points::Point;
use super::types::{Experiment, Key, Latest, LoggedModel, Run};
use super::unfolded::{Changed, Unfolded};
use crate::base::id::{ExperimentId, ModelId, RunId};

/// The documents, and what has changed in them since the last fold. Readers take `Arc`s out and let go.
#[derive(Debug, Default)]
pub struct State {
    experiments: BTreeMap<ExperimentId, Arc<Experiment>>,
    experiment_names: HashMap<String, ExperimentId>,
    runs: Vec<Arc<Run>>,
    run_places: HashMap<RunId, u32>,
    runs_of: HashMap<ExperimentId, Vec<u32>>,
    columns: Columns,
    models: HashMap<ModelId, Arc<LoggedModel>>,
    unfolded: Unfolded,
}

/// What a fold writes, as it stood at one moment.
#[derive(Debug)]
pub struct Snapshot {
    pub experiments: Vec<Arc<Experiment>>,
    pub runs: Vec<Arc<Run>>,
    pub models: Vec<Arc<LoggedModel>>,
    pub tails: Vec<Tail>,
}

/// Points of one series that go to its chunks.
#[derive(Debug)]
pub struct Tail {
    pub run: RunId,
    pub key: Key,
    pub points: Vec<Point>,
    /// Whether the series has chunks already.
    pub has_chunks: bool,
}

impl State {
    pub fn experiment(&self, id: ExperimentId) -> Option<&Arc<Experiment>> {
        self.experiments.get(&id)
    }

    /// Also finds deleted ones: a name stays taken.
    pub fn experiment_named(&self, name: &str) -> Option<&Arc<Experiment>> {
        self.experiment_names.get(name).and_then(|id| self.experiments.get(id))
    }

    pub fn experiments(&self) -> impl Iterator<Item = &Arc<Experiment>> {
        self.experiments.values()
    }

    pub fn run(&self, id: RunId) -> Option<&Arc<Run>> {
        self.run_places.get(&id).map(|&place| &self.runs[place as usize])
    }

    pub fn runs_of(&self, experiment: ExperimentId) -> impl Iterator<Item = &Arc<Run>> {
        self.runs_of.get(&experiment).into_iter().flatten().map(|&place| &self.runs[place as usize])
    }

    /// Places of an experiment's runs in [`Self::runs`] and [`Self::columns`].
    pub fn places_of(&self, experiment: ExperimentId) -> &[u32] {
        self.runs_of.get(&experiment).map_or(&[], Vec::as_slice)
    }

    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    pub fn runs(&self) -> &[Arc<Run>] {
        &self.runs
    }

    pub fn model(&self, id: ModelId) -> Option<&Arc<LoggedModel>> {
        self.models.get(&id)
    }

    pub fn models(&self) -> impl Iterator<Item = &Arc<LoggedModel>> {
        self.models.values()
    }

    /// Points of one metric that no chunk holds yet.
    pub fn tail(&self, run: RunId, key: Key) -> &[Point] {
        self.unfolded.tail((run, key))
    }

    pub fn tail_points(&self) -> usize {
        self.unfolded.points()
    }

    pub fn unfolded(&self) -> &Unfolded {
        &self.unfolded
    }

    /// Takes what a fold of all groups up to `seq` writes.
    pub fn begin_fold(&mut self, seq: i64, journal_bytes: usize) -> Snapshot {
        let (changed, tails) = self.unfolded.begin(seq, journal_bytes);
        let tail = |((run, key), points): ((RunId, Key), Vec<Point>)| {
            let received = self.run(run).and_then(|r| r.metrics.get(key.as_str())).map_or(0, |l| l.count as usize);
            Tail { run, key, has_chunks: received > points.len(), points }
        };
        Snapshot {
            experiments: changed.experiments.iter().filter_map(|id| self.experiment(*id).cloned()).collect(),
            runs: changed.runs.iter().filter_map(|id| self.run(*id).cloned()).collect(),
            models: changed.models.iter().filter_map(|id| self.model(*id).cloned()).collect(),
            tails: tails.into_iter().map(tail).collect(),
        }
    }

    /// Ends the fold under way, whether its commit held or not. Answers the bytes that the journal is shorter by.
    pub fn end_fold(&mut self, held: bool) -> usize {
        self.unfolded.end(held)
    }

    /// Someone else has folded everything.
    pub fn folded(&mut self) {
        self.unfolded = Unfolded::default();
    }

    pub fn put_experiment(&mut self, experiment: Arc<Experiment>) {
        if let Some(old) = self.experiments.get(&experiment.id) {
            self.experiment_names.remove(&old.name);
        }
        self.experiment_names.insert(experiment.name.clone(), experiment.id);
        self.experiments.insert(experiment.id, experiment);
    }

    pub fn put_run(&mut self, run: Arc<Run>) {
        if let Some(&place) = self.run_places.get(&run.id) {
            self.columns.set(place, &run);
            self.runs[place as usize] = run;
            return;
        }
        let Ok(place) = u32::try_from(self.runs.len()) else { return };
        self.run_places.insert(run.id, place);
        self.runs_of.entry(run.experiment).or_default().push(place);
        self.columns.set(place, &run);
        self.runs.push(run);
    }

    /// Takes documents out that the store has no more. Places move up, so everything that counts by them is made anew.
    pub(super) fn remove(&mut self, runs: &HashSet<RunId>, models: &HashSet<ModelId>) {
        self.models.retain(|id, _| !models.contains(id));
        if runs.is_empty() {
            return;
        }
        let all = std::mem::take(&mut self.runs);
        self.run_places = HashMap::new();
        self.runs_of = HashMap::new();
        self.columns = Columns::default();
        for run in all.into_iter().filter(|r| !runs.contains(&r.id)) {
            self.put_run(run);
        }
    }

    pub fn put_model(&mut self, model: Arc<LoggedModel>) {
        self.models.insert(model.id, model);
    }
}

/// A group of writes on top of the state, not yet true: dropped when the store refuses, published when it holds.
#[derive(Debug)]
pub struct Staged {
    state: Arc<RwLock<State>>,
    experiments: BTreeMap<ExperimentId, Arc<Experiment>>,
    runs: HashMap<RunId, Arc<Run>>,
    models: HashMap<ModelId, Arc<LoggedModel>>,
    points: Vec<RunPoints>,
    effects: Vec<Effect>,
}

impl Staged {
    pub fn on(state: Arc<RwLock<State>>) -> Self {
        Self {
            state,
            experiments: BTreeMap::new(),
            runs: HashMap::new(),
            models: HashMap::new(),
            points: Vec::new(),
            effects: Vec::new(),
        }
    }

    /// Reads the published state; a panic elsewhere does not make it unreadable.
    pub fn read<T>(&self, f: impl FnOnce(&State) -> T) -> T {
        f(&self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    pub fn experiment(&self, id: ExperimentId) -> Option<Arc<Experiment>> {
        self.experiments.get(&id).cloned().or_else(|| self.read(|s| s.experiment(id).cloned()))
    }

    pub fn experiment_named(&self, name: &str) -> Option<Arc<Experiment>> {
        let staged = self.experiments.values().find(|e| e.name == name).cloned();
        staged.or_else(|| {
            let published = self.read(|s| s.experiment_named(name).cloned())?;
            // Renamed within this group: the old name is free.
            (!self.experiments.contains_key(&published.id)).then_some(published)
        })
    }

    /// One more than the greatest number given.
    pub fn next_experiment_id(&self) -> ExperimentId {
        let published = self.read(|s| s.experiments.last_key_value().map(|(id, _)| id.0));
        let staged = self.experiments.last_key_value().map(|(id, _)| id.0);
        ExperimentId(published.max(staged).map_or(0, |n| n + 1))
    }

    pub fn run(&self, id: RunId) -> Option<Arc<Run>> {
        self.runs.get(&id).cloned().or_else(|| self.read(|s| s.run(id).cloned()))
    }

    pub fn runs_of(&self, experiment: ExperimentId) -> Vec<RunId> {
        let mut ids: Vec<RunId> = self.read(|s| s.runs_of(experiment).map(|r| r.id).collect());
        ids.extend(
            self.runs
                .values()
                .filter(|r| r.experiment == experiment && self.read(|s| s.run(r.id).is_none()))
                .map(|r| r.id),
        );
        ids
    }

    pub fn model(&self, id: ModelId) -> Option<Arc<LoggedModel>> {
        self.models.get(&id).cloned().or_else(|| self.read(|s| s.model(id).cloned()))
    }

    pub fn effects(&self) -> &[Effect] {
        &self.effects
    }

    pub fn is_empty(&self) -> bool {
        self.effects.is_empty()
    }

    /// Takes an effect in. It cannot fail: whoever decided on it has checked.
    pub fn apply(&mut self, effect: Effect) {
        match &effect {
            Effect::PutExperiment(e) => drop(self.experiments.insert(e.id, Arc::new(e.clone()))),
            Effect::PutRun(run) => drop(self.runs.insert(run.id, Arc::new((**run).clone()))),
            Effect::PutModel(model) => drop(self.models.insert(model.id, Arc::new((**model).clone()))),
            Effect::PatchRun(change) => {
                if let Some(run) = change.run.and_then(|id| self.run_mut(id)) {
                    patch(run, change);
                }
            }
            Effect::Points(new) => self.take_points(new),
        }
        self.effects.push(effect);
    }

    fn run_mut(&mut self, id: RunId) -> Option<&mut Run> {
        if !self.runs.contains_key(&id) {
            let published = self.read(|s| s.run(id).cloned())?;
            self.runs.insert(id, published);
        }
        self.runs.get_mut(&id).map(Arc::make_mut)
    }

    fn take_points(&mut self, new: &RunPoints) {
        let Some(run) = self.run_mut(new.run) else { return };
        let mut kept = Vec::with_capacity(new.series.len());
        for (key, points) in &new.series {
            let before = run.metrics.get(key.as_str()).copied();
            let tail = beyond_the_first(before, points);
            if !tail.is_empty() {
                kept.push((*key, tail));
            }
            if let Some(latest) = points.iter().fold(before, |latest, p| Some(observe(latest, *p))) {
                run.metrics.insert(*key, latest);
            }
        }
        run.metrics.shrink();
        if !kept.is_empty() {
            self.points.push(RunPoints { run: new.run, series: kept });
        }
    }

    /// Makes the group true for readers. Gives what it touched, for hints.
    pub fn publish(self) -> Changed {
        let mut state = self.state.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut touched = Changed::default();
        for (id, experiment) in self.experiments {
            touched.experiments.insert(id);
            state.put_experiment(experiment);
        }
        for (id, run) in self.runs {
            touched.runs.insert(id);
            state.put_run(run);
        }
        for (id, model) in self.models {
            touched.models.insert(id);
            state.put_model(model);
        }
        for RunPoints { run, series } in self.points {
            for (key, points) in series {
                state.unfolded.add_points((run, key), points);
            }
        }
        state.unfolded.add_changed(&touched);
        touched
    }
}

/// The points that history has to keep. A metric's only point lives in its run's document; when a second one comes,
/// the first joins it.
fn beyond_the_first(before: Option<Latest>, points: &[Point]) -> Vec<Point> {
    match before {
        None if points.len() == 1 => Vec::new(),
        None => points.to_vec(),
        Some(only) if only.count == 1 => {
            let first = Point { step: only.step, timestamp: only.timestamp, value: only.value };
            std::iter::once(first).chain(points.iter().copied()).collect()
        }
        Some(_) => points.to_vec(),
    }
}
