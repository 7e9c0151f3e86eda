//! A run as its script announces it: made when it is new, changed when it is there.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::config::{self, Config};
use super::{
    AXES_TAG, CONFIG_TAG, ENTITY_TAG, GROUP_TAG, HOST_TAG, ID_TAG, IMPORTED_TAG, JOB_TYPE_TAG, LABELS_TAG, NO_PROJECT,
    PROGRESS_TAG, Progress, SWEEP_TAG, run_id,
};
use crate::base::id::{ExperimentId, RunId, random_u128};
use crate::base::{Fault, Timestamp, fault::Result, names};
use crate::capability::tracking::effect::{Effect, RunPatch};
use crate::capability::tracking::experiments::{self, NewExperiment};
use crate::capability::tracking::rules;
use crate::capability::tracking::runs::RUN_NAME_TAG;
use crate::capability::tracking::state::Staged;
use crate::capability::tracking::types::{Key, KeyMap, Lifecycle, Run, RunStatus, Text};
use crate::capability::tracking::writer::{Decision, Tracking};

/// What a script says about its run; `None` leaves as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Upsert {
    pub project: String,
    /// Its name in W&B's URLs.
    pub id: String,
    pub entity: Option<String>,
    pub user: String,
    pub display_name: Option<String>,
    pub group: Option<String>,
    pub job_type: Option<String>,
    pub sweep: Option<String>,
    pub notes: Option<String>,
    pub tags: Option<Vec<String>>,
    /// With each value wrapped, as clients send it.
    pub config: Option<Map<String, Value>>,
    pub host: Option<String>,
    pub program: Option<String>,
    pub commit: Option<String>,
    pub repository: Option<String>,
    /// A script begins with this, and does not merely tell more.
    pub begins: bool,
    /// It is read from a file.
    pub from_file: bool,
    /// When the script began, milliseconds since 1970; else it begins now.
    pub started_ms: Option<i64>,
}

/// The run behind an announcement.
#[derive(Debug, Clone)]
pub struct Opened {
    pub id: RunId,
    pub experiment: ExperimentId,
    pub name: String,
    pub inserted: bool,
    /// Another script was at it and had not ended.
    pub shared: bool,
}

impl Tracking {
    /// Makes the run and its project, or takes over what is new about it.
    ///
    /// # Errors
    /// `Invalid` for a name, or when project or run are deleted.
    pub async fn open_wandb_run(&self, upsert: Upsert, now: Timestamp) -> Result<Opened> {
        let random = random_u128();
        self.write(move |staged| open(staged, &upsert, random, now)).await
    }
}

fn open(staged: &Staged, upsert: &Upsert, random: u128, now: Timestamp) -> Result<Decision<Opened>> {
    let project = if upsert.project.is_empty() { NO_PROJECT } else { &upsert.project };
    if upsert.id.is_empty() {
        return Err(Fault::invalid("a run needs an id"));
    }
    let id = run_id(project, &upsert.id);
    let config = upsert.config.clone().map(config::unwrapped);
    if let Some(run) = staged.run(id) {
        return change(&run, upsert, config.as_ref());
    }
    let (experiment, mut effects) = home(staged, project, now)?;
    let name = upsert.display_name.clone().filter(|n| !n.is_empty()).unwrap_or_else(|| names::invent(random));
    let patch = patch(id, upsert, config.as_ref(), &BTreeSet::new());
    let mut run = bare(id, experiment, &name, now);
    run.user = Key::from(&user(upsert, config.as_ref()));
    run.start_ms = upsert.started_ms.unwrap_or(run.start_ms);
    if upsert.from_file {
        run.tags.insert(Key::from(IMPORTED_TAG), Text::from("true"));
    }
    run.tags.insert(Key::from(ID_TAG), Text::from(upsert.id.as_str()));
    run.tags.insert(Key::from("mlflow.user"), Text::from(run.user.as_str()));
    run.tags.insert(Key::from(PROGRESS_TAG), Text::from(Progress::default().written()));
    if let Some(entity) = upsert.entity.as_deref().filter(|e| !e.is_empty()) {
        run.tags.insert(Key::from(ENTITY_TAG), Text::from(rules::cut(entity, rules::RUN_TAG_CHARS_MAX)));
    }
    effects.push(Effect::PutRun(Box::new(run)));
    effects.push(Effect::PatchRun(Box::new(patch)));
    Ok(Decision::new(effects, Opened { id, experiment, name, inserted: true, shared: false }))
}

/// The project's experiment, made when there is none.
fn home(staged: &Staged, project: &str, now: Timestamp) -> Result<(ExperimentId, Vec<Effect>)> {
    match staged.experiment_named(project) {
        Some(known) if known.lifecycle == Lifecycle::Deleted => {
            Err(Fault::invalid(format!("the experiment {project} is deleted"))
                .next("restore it, or log to another project"))
        }
        Some(known) => Ok((known.id, Vec::new())),
        None => {
            let new = NewExperiment { name: project.to_owned(), ..NewExperiment::default() };
            let Decision { effects, reply } = experiments::create(staged, new, now)?;
            Ok((reply, effects))
        }
    }
}

pub(super) fn bare(id: RunId, experiment: ExperimentId, name: &str, now: Timestamp) -> Run {
    let mut tags = KeyMap::default();
    tags.insert(Key::from(RUN_NAME_TAG), Text::from(name));
    Run {
        id,
        experiment,
        name: Text::from(rules::cut(name, rules::RUN_NAME_CHARS_MAX)),
        user: Key::from(""),
        status: RunStatus::Running,
        lifecycle: Lifecycle::Active,
        start_ms: now.millis(),
        end_ms: None,
        artifact_uri: None,
        params: KeyMap::default(),
        tags,
        metrics: KeyMap::default(),
        inputs: Vec::new(),
        model_inputs: Vec::new(),
        model_outputs: Vec::new(),
    }
}

fn change(run: &Run, upsert: &Upsert, config: Option<&Config>) -> Result<Decision<Opened>> {
    if run.lifecycle == Lifecycle::Deleted {
        return Err(Fault::invalid(format!("the run {} is deleted", upsert.id))
            .next("restore it (`opsroom runs restore`), or log with another id"));
    }
    let mut patch = patch(run.id, upsert, config, &labels(run));
    let shared = upsert.begins && run.status == RunStatus::Running;
    if upsert.begins {
        // It goes on, or is begun anew: what was asked of the script before is over.
        patch.status = Some(RunStatus::Running);
        patch.tags.extend([rules::STOP_TAG, IMPORTED_TAG].map(|tag| (Key::from(tag), None)));
    }
    let name = patch.name.as_ref().map_or_else(|| run.name.to_string(), ToString::to_string);
    let opened = Opened { id: run.id, experiment: run.experiment, name, inserted: false, shared };
    Ok(Decision::new(vec![Effect::PatchRun(Box::new(patch))], opened))
}

/// The tags that the script gave the run so far.
fn labels(run: &Run) -> BTreeSet<String> {
    run.tags.get(LABELS_TAG).and_then(|t| serde_json::from_slice(t.as_bytes()).ok()).unwrap_or_default()
}

fn user(upsert: &Upsert, config: Option<&Config>) -> String {
    let there = config.and_then(|c| config::environment(&c.client)).and_then(|e| e.get("username")?.as_str());
    there.map_or_else(|| upsert.user.clone(), str::to_owned)
}

fn patch(id: RunId, upsert: &Upsert, config: Option<&Config>, before: &BTreeSet<String>) -> RunPatch {
    let mut patch = RunPatch::of(id);
    let given = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
    let mut tag = |key: &str, value: Option<String>| {
        let value = value.map(|v| Some(Text::from(rules::cut(&v, rules::RUN_TAG_CHARS_MAX))));
        patch.tags.extend(value.map(|v| (Key::from(key), v)));
    };
    tag(GROUP_TAG, given(&upsert.group));
    tag(JOB_TYPE_TAG, given(&upsert.job_type));
    tag(SWEEP_TAG, given(&upsert.sweep));
    tag(HOST_TAG, given(&upsert.host));
    tag(rules::NOTE_TAG, upsert.notes.clone());
    tag("mlflow.source.name", given(&upsert.program));
    tag("mlflow.source.git.commit", given(&upsert.commit));
    tag("mlflow.source.git.repoURL", given(&upsert.repository));
    tag(RUN_NAME_TAG, given(&upsert.display_name));
    patch.name = given(&upsert.display_name).map(|n| Text::from(rules::cut(&n, rules::RUN_NAME_CHARS_MAX)));
    if let Some(new) = &upsert.tags {
        label(&mut patch, new, before);
    }
    if let Some(config) = config {
        let whole = Value::Object(config.values.clone()).to_string();
        patch.tags.push((Key::from(CONFIG_TAG), Some(Text::from(whole))));
        let params = config::params(&config.values).into_iter();
        patch.params = params.map(|(k, v)| (Key::from(&k), Text::from(v))).collect();
        let axes = config::axes(&config.client);
        if !axes.is_empty() {
            let written = serde_json::to_string(&axes).unwrap_or_default();
            patch.tags.push((Key::from(AXES_TAG), Some(Text::from(written))));
        }
        let git = config::environment(&config.client).and_then(|e| e.get("git")?.as_object());
        let fact = |field: &str| git.and_then(|g| g.get(field)?.as_str()).map(Text::from);
        patch.tags.extend(fact("commit").map(|v| (Key::from("mlflow.source.git.commit"), Some(v))));
        patch.tags.extend(fact("remote").map(|v| (Key::from("mlflow.source.git.repoURL"), Some(v))));
    }
    patch
}

/// Each of the script's tags is a tag without much of a value; those that it no longer has go.
fn label(patch: &mut RunPatch, new: &[String], before: &BTreeSet<String>) {
    let own = |tag: &&String| !tag.is_empty() && !tag.starts_with("mlflow.") && !tag.starts_with("opsroom.");
    let new: BTreeSet<String> = new.iter().filter(own).map(|t| super::line::metric_key(t)).collect();
    patch.tags.extend(before.difference(&new).map(|gone| (Key::from(gone), None)));
    patch.tags.extend(new.iter().map(|tag| (Key::from(tag), Some(Text::from("true")))));
    let list = serde_json::to_string(&new).unwrap_or_default();
    patch.tags.push((Key::from(LABELS_TAG), (!new.is_empty()).then(|| Text::from(list))));
}
