//! Decisions about logged models.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::effect::Effect;
use super::experiments;
use super::rules;
use super::state::Staged;
use super::types::{Lifecycle, LoggedModel, ModelStatus};
use super::writer::{Decision, Tracking};
use crate::base::id::{ExperimentId, ModelId};
use crate::base::{Fault, Timestamp, fault::Result, names};

/// What a new logged model is made of.
#[derive(Debug, Clone, Default)]
pub struct NewModel {
    pub experiment: Option<ExperimentId>,
    pub name: Option<String>,
    pub model_type: String,
    pub source_run: Option<String>,
    pub params: Vec<(String, String)>,
    pub tags: Vec<(String, String)>,
}

impl Tracking {
    /// # Errors
    /// `NotFound` for the experiment, `Invalid` for the name.
    pub async fn create_model(&self, new: NewModel, now: Timestamp) -> Result<ModelId> {
        let (id, random) = (ModelId::random(), crate::base::id::random_u128());
        self.write(move |staged| {
            let experiment = new.experiment.unwrap_or(experiments::DEFAULT);
            let home = staged.experiment(experiment).ok_or_else(|| experiments::missing(experiment))?;
            if home.lifecycle == Lifecycle::Deleted {
                return Err(Fault::invalid(format!(
                    "The experiment {experiment} must be in the 'active' state. Current state is deleted."
                )));
            }
            let name = new.name.filter(|n| !n.is_empty()).unwrap_or_else(|| names::invent(random));
            check_name(&name)?;
            let (mut params, mut tags) = (BTreeMap::new(), BTreeMap::new());
            add_params(&mut params, new.params)?;
            set_tags(&mut tags, new.tags)?;
            let model = LoggedModel {
                id,
                experiment,
                name,
                model_type: new.model_type,
                source_run: new.source_run.map(Into::into),
                artifact_uri: format!("{}/models/{id}/artifacts", home.artifact_location.trim_end_matches('/')),
                status: ModelStatus::Pending,
                lifecycle: Lifecycle::Active,
                created: now,
                updated: now,
                params,
                tags,
                metrics: Vec::new(),
            };
            Ok(Decision::new(vec![Effect::PutModel(Box::new(model))], id))
        })
        .await
    }

    /// Changes a logged model that is not deleted.
    ///
    /// # Errors
    /// `NotFound`, or what `change` refuses.
    pub async fn change_model(
        &self,
        id: ModelId,
        now: Timestamp,
        change: impl FnOnce(&mut LoggedModel) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        self.write(move |staged| {
            let mut model = (*active(staged, id)?).clone();
            change(&mut model)?;
            model.updated = now;
            Ok(Decision::new(vec![Effect::PutModel(Box::new(model))], ()))
        })
        .await
    }

    /// Puts a whole logged model, as an import brings it; one that is here already is left alone.
    ///
    /// # Errors
    /// The store's. Answers whether it was new.
    pub async fn import_model(&self, model: LoggedModel) -> Result<bool> {
        self.write(move |staged| {
            if staged.model(model.id).is_some() {
                return Ok(Decision::new(Vec::new(), false));
            }
            Ok(Decision::new(vec![Effect::PutModel(Box::new(model))], true))
        })
        .await
    }
}

/// New params of a logged model; a changed one is refused.
///
/// # Errors
/// `Invalid`.
pub fn add_params(known: &mut BTreeMap<String, String>, new: Vec<(String, String)>) -> Result<()> {
    for (key, value) in new {
        rules::check_key("key", &key)?;
        let value = rules::cut(&value, rules::PARAM_VALUE_CHARS_MAX);
        if known.get(&key).is_some_and(|old| *old != value) {
            return Err(Fault::invalid(format!("Changing param values is not allowed. Param with key='{key}'.")));
        }
        known.insert(key, value.to_owned());
    }
    Ok(())
}

/// Sets tags of a logged model.
///
/// # Errors
/// `Invalid`.
pub fn set_tags(known: &mut BTreeMap<String, String>, new: Vec<(String, String)>) -> Result<()> {
    for (key, value) in new {
        rules::check_key("key", &key)?;
        known.insert(key, rules::cut(&value, rules::RUN_TAG_CHARS_MAX).to_owned());
    }
    Ok(())
}

fn check_name(name: &str) -> Result<()> {
    if name.contains(['/', ':', '.', '%', '"', '\'']) {
        return Err(Fault::invalid(format!(
            "Invalid model name ({name}) provided. Model name must be a non-empty string and cannot contain the \
             following characters: ('/', ':', '.', '%', '\"', \"'\")"
        )));
    }
    Ok(())
}

/// "Logged model with ID '…' not found.", as `MLflow` says it.
pub fn missing(id: impl std::fmt::Display) -> Fault {
    Fault::not_found(format!("Logged model with ID '{id}' not found."))
}

pub(super) fn active(staged: &Staged, id: ModelId) -> Result<Arc<LoggedModel>> {
    staged.model(id).filter(|m| m.lifecycle == Lifecycle::Active).ok_or_else(|| missing(id))
}

pub(super) fn set_lifecycle(staged: &Staged, id: ModelId, to: Lifecycle, now: Timestamp) -> Result<Decision<()>> {
    let model = staged.model(id).filter(|m| m.lifecycle != to).ok_or_else(|| missing(id))?;
    let model = LoggedModel { lifecycle: to, updated: now, ..(*model).clone() };
    Ok(Decision::new(vec![Effect::PutModel(Box::new(model))], ()))
}
