//! Reading the registry: now, and at any past moment.

use std::collections::{BTreeMap, BTreeSet};

use super::store;
use super::types::{HistoryEntry, ModelVersion, ModelView, RegisteredModel, Stage, VersionDoc};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::db::Source;

/// All models by name; with `as_of`, as they stood at that moment.
///
/// # Errors
/// The store's.
pub async fn models(mut source: Source<'_>, as_of: Option<Timestamp>) -> Result<Vec<ModelView>> {
    let now = store::load(source.again(), None).await?;
    let views =
        now.into_iter().map(|(model, versions)| ModelView { model, versions, history: Vec::new(), as_of: None });
    let Some(at) = as_of else { return Ok(views.collect()) };
    let mut until: BTreeMap<String, Vec<HistoryEntry>> = BTreeMap::new();
    for entry in store::history_until(source, at).await? {
        until.entry(entry.model.clone()).or_default().push(entry);
    }
    let mut then: Vec<ModelView> = views
        .map(|v| {
            let entries = until.remove(&v.model.name).unwrap_or_default();
            at_moment(v, &entries, at)
        })
        .collect();
    // Models that are gone today stood there then.
    then.extend(until.into_iter().map(|(name, entries)| at_moment(gone(name), &entries, at)));
    then.retain(|v| !v.versions.is_empty() || v.model.created <= at && v.model.generation > 0);
    then.sort_by(|a, b| a.model.name.cmp(&b.model.name));
    Ok(then)
}

/// Entries of a model's history that are shown; a past state is played from all of them.
const HISTORY_SHOWN_MAX: usize = 2000;

/// One model with the newest entries of its history.
///
/// # Errors
/// `NotFound`, or the store's.
pub async fn model(mut source: Source<'_>, name: &str, as_of: Option<Timestamp>) -> Result<ModelView> {
    let now = store::load(source.again(), Some(name)).await?.pop();
    let Some(at) = as_of else {
        let (model, versions) = now.ok_or_else(|| missing(name))?;
        let history = store::history(source, name).await?;
        return Ok(ModelView { model, versions, history, as_of: None });
    };
    let entries = store::history_of_until(source, name, at).await?;
    let now = now.map(|(model, versions)| ModelView { model, versions, history: Vec::new(), as_of: None });
    let here_then = now.as_ref().is_some_and(|v| v.model.created <= at);
    if entries.is_empty() && !here_then {
        return Err(Fault::not_found(format!("Registered Model with name={name} not found"))
            .why(format!("it was not there at {at}"))
            .next("see `opsroom model list --as-of TIME`"));
    }
    let mut view = at_moment(now.unwrap_or_else(|| gone(name.to_owned())), &entries, at);
    view.history = entries.into_iter().rev().take(HISTORY_SHOWN_MAX).collect();
    Ok(view)
}

pub(super) async fn load(source: Source<'_>, name: &str) -> Result<(RegisteredModel, Vec<ModelVersion>)> {
    store::load(source, Some(name)).await?.pop().ok_or_else(|| missing(name))
}

/// "Registered Model with name=… not found", as `MLflow` says it.
pub fn missing(name: &str) -> Fault {
    Fault::not_found(format!("Registered Model with name={name} not found")).next("see `opsroom model list`")
}

/// "Model Version (name=…, version=…) not found", as `MLflow` says it.
pub fn missing_version(name: &str, version: impl std::fmt::Display) -> Fault {
    Fault::not_found(format!("Model Version (name={name}, version={version}) not found"))
        .next(format!("see `opsroom model show {name}`"))
}

/// What is left of a model that was deleted: its name, and what history says of it.
fn gone(name: String) -> ModelView {
    let model = RegisteredModel {
        name,
        created: Timestamp(0),
        updated: Timestamp(0),
        description: "deleted since then".to_owned(),
        tags: BTreeMap::new(),
        generation: 0,
        aliases: BTreeMap::new(),
    };
    ModelView { model, versions: Vec::new(), history: Vec::new(), as_of: None }
}

/// A version that was deleted since then: number and stage are known, the rest went with it.
fn gone_version(model: &str, version: u32, at: Timestamp) -> ModelVersion {
    let doc = VersionDoc { description: "deleted since then".to_owned(), ..VersionDoc::default() };
    let model = model.to_owned();
    ModelVersion { model, version, created: at, updated: at, stage: Stage::Dev, doc, aliases: Vec::new() }
}

/// Plays stage and alias changes, oldest first, up to the moment. What the view holds of a name or number that was
/// given again later is not what stood there then.
fn at_moment(view: ModelView, entries: &[HistoryEntry], at: Timestamp) -> ModelView {
    let mut stages: BTreeMap<u32, Stage> = BTreeMap::new();
    let mut aliases: BTreeMap<String, u32> = BTreeMap::new();
    for entry in entries {
        match (entry.what.strip_prefix("alias:"), &entry.value) {
            (Some(alias), Some(_)) => drop(aliases.insert(alias.to_owned(), entry.version)),
            (Some(alias), None) => drop(aliases.remove(alias)),
            (None, Some(value)) => drop(stages.insert(entry.version, Stage::parse(value).unwrap_or_default())),
            (None, None) => drop(stages.remove(&entry.version)),
        }
    }
    let ModelView { model, versions, .. } = if view.model.created > at { gone(view.model.name) } else { view };
    let then = |mut v: ModelVersion| {
        v.stage = *stages.get(&v.version)?;
        v.aliases = aliases.iter().filter(|(_, n)| **n == v.version).map(|(a, _)| a.clone()).collect();
        Some(v)
    };
    let kept: Vec<ModelVersion> = versions.into_iter().filter(|v| v.created <= at).collect();
    let known: BTreeSet<u32> = kept.iter().map(|v| v.version).collect();
    let first = |version: u32| entries.iter().find(|e| e.version == version).map_or(at, |e| e.at);
    let lost = stages.keys().filter(|v| !known.contains(v)).map(|v| gone_version(&model.name, *v, first(*v)));
    let mut versions: Vec<ModelVersion> = lost.chain(kept).filter_map(then).collect();
    versions.sort_by_key(|v| std::cmp::Reverse(v.version));
    ModelView { model: RegisteredModel { aliases, ..model }, versions, history: Vec::new(), as_of: Some(at) }
}
