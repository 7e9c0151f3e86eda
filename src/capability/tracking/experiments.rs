//! Decisions about experiments.

use std::collections::BTreeMap;

use super::effect::{Effect, RunPatch};
use super::rules;
use super::state::Staged;
use super::types::{Experiment, Lifecycle};
use super::writer::{Decision, Tracking};
use crate::base::id::ExperimentId;
use crate::base::{Fault, Timestamp, fault::Result};

/// The experiment that exists from the start.
pub const DEFAULT: ExperimentId = ExperimentId(0);

/// What a new experiment is made of.
#[derive(Debug, Clone, Default)]
pub struct NewExperiment {
    pub name: String,
    /// `None`: below the agent's own artifact root.
    pub artifact_location: Option<String>,
    pub tags: Vec<(String, String)>,
    /// Kept as given when free (imports); else the next number.
    pub id: Option<ExperimentId>,
}

impl Tracking {
    /// Experiment 0, "Default", when the store is new.
    ///
    /// # Errors
    /// The store's.
    pub async fn ensure_default(&self, now: Timestamp) -> Result<()> {
        if self.read(|s| s.experiment(DEFAULT).is_some()) {
            return Ok(());
        }
        let new = NewExperiment { name: "Default".to_owned(), id: Some(DEFAULT), ..NewExperiment::default() };
        self.create_experiment(new, now).await.map(drop)
    }

    /// # Errors
    /// `Invalid` for the name or a tag, `Exists` when the name is taken, also by a deleted one.
    pub async fn create_experiment(&self, new: NewExperiment, now: Timestamp) -> Result<ExperimentId> {
        self.write(move |staged| create(staged, new, now)).await
    }

    /// # Errors
    /// `NotFound`, `Exists`, `Invalid`.
    pub async fn rename_experiment(&self, id: ExperimentId, name: String, now: Timestamp) -> Result<()> {
        self.write(move |staged| {
            rules::check_experiment_name(&name)?;
            let mut experiment = active(staged, id)?;
            if staged.experiment_named(&name).is_some_and(|other| other.id != id) {
                return Err(taken(&name));
            }
            experiment.name = name;
            experiment.updated = now;
            Ok(Decision::new(vec![Effect::PutExperiment(experiment)], ()))
        })
        .await
    }

    /// Sets a tag, or with `None` removes it.
    ///
    /// # Errors
    /// `NotFound`, `Invalid`.
    pub async fn tag_experiment(
        &self,
        id: ExperimentId,
        key: String,
        value: Option<String>,
        now: Timestamp,
    ) -> Result<()> {
        self.write(move |staged| {
            rules::check_key("key", &key)?;
            let mut experiment = active(staged, id)?;
            match value {
                Some(value) => {
                    rules::check_length("value", &value, rules::EXPERIMENT_TAG_CHARS_MAX)?;
                    experiment.tags.insert(key, value);
                }
                None if experiment.tags.remove(&key).is_none() => {
                    return Err(Fault::not_found(format!("No tag with name: {key} in experiment with id {id}")));
                }
                None => {}
            }
            experiment.updated = now;
            Ok(Decision::new(vec![Effect::PutExperiment(experiment)], ()))
        })
        .await
    }
}

fn taken(name: &str) -> Fault {
    Fault::exists(format!("Experiment(name={name}) already exists."))
        .next("use it, restore it if it is deleted, or choose another name")
}

/// "No Experiment with id=… exists", as `MLflow` says it.
pub fn missing(id: impl std::fmt::Display) -> Fault {
    Fault::not_found(format!("No Experiment with id={id} exists"))
}

fn active(staged: &Staged, id: ExperimentId) -> Result<Experiment> {
    let experiment = staged.experiment(id).ok_or_else(|| missing(id))?;
    if experiment.lifecycle == Lifecycle::Deleted {
        return Err(Fault::invalid(format!(
            "The experiment {id} must be in the 'active' state. Current state is deleted."
        ))
        .next("restore the experiment first"));
    }
    Ok((*experiment).clone())
}

pub(super) fn create(staged: &Staged, new: NewExperiment, now: Timestamp) -> Result<Decision<ExperimentId>> {
    rules::check_experiment_name(&new.name)?;
    if staged.experiment_named(&new.name).is_some() {
        return Err(taken(&new.name));
    }
    let location = new.artifact_location.filter(|l| !l.is_empty());
    if let Some(location) = &location {
        rules::check_length("artifact_location", location, rules::ARTIFACT_LOCATION_CHARS_MAX)?;
    }
    let mut tags = BTreeMap::new();
    for (key, value) in new.tags {
        rules::check_key("tags", &key)?;
        rules::check_length("value", &value, rules::EXPERIMENT_TAG_CHARS_MAX)?;
        tags.insert(key, value);
    }
    let id = new.id.filter(|id| staged.experiment(*id).is_none()).unwrap_or_else(|| staged.next_experiment_id());
    let experiment = Experiment {
        id,
        name: new.name,
        artifact_location: location.unwrap_or_else(|| format!("mlflow-artifacts:/{id}")),
        lifecycle: Lifecycle::Active,
        created: now,
        updated: now,
        tags,
    };
    Ok(Decision::new(vec![Effect::PutExperiment(experiment)], id))
}

/// Deletes or restores an experiment together with its runs.
pub(super) fn set_lifecycle(staged: &Staged, id: ExperimentId, to: Lifecycle, now: Timestamp) -> Result<Decision<()>> {
    let experiment = staged.experiment(id).ok_or_else(|| missing(id))?;
    if experiment.lifecycle == to {
        let state = to.name();
        return Err(Fault::not_found(format!("No Experiment with id={id} exists that is not {state} already")));
    }
    let mut effects = vec![Effect::PutExperiment(Experiment { lifecycle: to, updated: now, ..(*experiment).clone() })];
    for run in staged.runs_of(id) {
        effects.push(Effect::PatchRun(Box::new(RunPatch { lifecycle: Some(to), ..RunPatch::of(run) })));
    }
    Ok(Decision::new(effects, ()))
}
