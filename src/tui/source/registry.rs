//! Models, versions and their stages from an agent.

use std::collections::BTreeMap;

use futures::StreamExt;

use super::Agent;
use crate::base::Timestamp;
use crate::base::fault::Result;
use crate::base::id::RunId;
use crate::capability::registry::{HistoryEntry, ModelVersion, ModelView};
use crate::tui::model::{Event, Happened, Input, Model, Move, Stage, Version};

/// Models whose history is asked for, and requests at once.
const HISTORIES_MAX: usize = 200;
const AT_ONCE: usize = 8;

/// What a version's run says of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Origin {
    name: String,
    metrics: BTreeMap<String, f64>,
    params: BTreeMap<String, String>,
}

impl Agent {
    /// Every model with its history; with `as_of`, as they stood at that moment.
    pub(super) async fn models(&self, as_of: Option<Timestamp>) -> Result<Vec<Model>> {
        let views = self.client.models(as_of).await?;
        let full = futures::stream::iter(views.into_iter().enumerate()).map(|(n, view)| async move {
            if n >= HISTORIES_MAX {
                return view;
            }
            self.client.model(&view.model.name, as_of).await.unwrap_or(view)
        });
        let full: Vec<ModelView> = full.buffered(AT_ONCE).collect().await;
        let mut runs: Vec<String> =
            full.iter().flat_map(|m| &m.versions).filter_map(|v| v.doc.run_id.clone()).collect();
        runs.sort_unstable();
        runs.dedup();
        let origins = self.origins(runs).await;
        Ok(full.into_iter().map(|view| model(view, &origins)).collect())
    }

    /// Names and metrics of the runs behind versions; those that are over are asked for once.
    async fn origins(&self, runs: Vec<String>) -> BTreeMap<String, Origin> {
        let known = |id: &String| self.finished.lock().ok().and_then(|f| f.get(id).cloned());
        let found = futures::stream::iter(runs).map(|id| async move {
            if let Some(origin) = known(&id) {
                return (id, origin);
            }
            let Ok(run_id) = id.parse::<RunId>() else { return (id, Origin::default()) };
            let Ok(view) = self.client.run(run_id).await else { return (id, Origin::default()) };
            let metrics = view.metrics.iter().map(|(k, m)| (k.clone(), m.value)).collect();
            let origin = Origin { name: view.name, metrics, params: view.params };
            if view.status.is_over()
                && let Ok(mut finished) = self.finished.lock()
            {
                finished.insert(id.clone(), origin.clone());
            }
            (id, origin)
        });
        found.buffer_unordered(AT_ONCE).collect().await
    }
}

fn model(view: ModelView, origins: &BTreeMap<String, Origin>) -> Model {
    let ModelView { model, versions, history, .. } = view;
    let versions = versions.into_iter().map(|v| version(v, &history, origins)).collect();
    let history = history.into_iter().map(event).collect();
    Model {
        name: model.name,
        description: model.description,
        generation: model.generation,
        versions,
        tags: model.tags,
        history,
    }
}

fn event(e: HistoryEntry) -> Event {
    let what = match (e.what.strip_prefix("alias:"), e.value.as_deref()) {
        (Some(alias), Some(_)) => Happened::Alias(alias.to_owned()),
        (Some(alias), None) => Happened::AliasGone(alias.to_owned()),
        (None, Some(stage)) => Happened::Stage(Stage::parse(stage).unwrap_or_default()),
        (None, None) => Happened::Deleted,
    };
    Event { at: e.at, version: e.version, what, by: e.actor, reason: e.reason, audit: e.audit }
}

fn version(v: ModelVersion, history: &[HistoryEntry], origins: &BTreeMap<String, Origin>) -> Version {
    let origin = v.doc.run_id.as_ref().and_then(|id| origins.get(id)).cloned().unwrap_or_default();
    let moves = history.iter().filter(|e| e.version == v.version && e.what == "stage").map(|e| Move {
        at: e.at,
        stage: e.value.as_deref().and_then(Stage::parse),
        by: e.actor.clone(),
        reason: e.reason.clone(),
    });
    let inputs = v.doc.datasets.into_iter().map(|d| Input {
        name: d.shown(),
        digest: d.digest,
        context: d.context,
        source: String::new(),
    });
    Version {
        number: v.version,
        stage: v.stage,
        aliases: v.aliases,
        run_name: (!origin.name.is_empty()).then_some(origin.name),
        run: v.doc.run_id,
        source: v.doc.source,
        digest: v.doc.artifact.as_ref().map(|a| a.digest.clone()),
        size: v.doc.artifact.as_ref().map(|a| a.bytes),
        files: v.doc.artifact.as_ref().map(|a| a.files),
        created: v.created,
        by: v.doc.user,
        description: v.doc.description,
        inputs: inputs.collect(),
        params: origin.params,
        metrics: origin.metrics,
        tags: v.doc.tags,
        moves: moves.collect(),
    }
}
