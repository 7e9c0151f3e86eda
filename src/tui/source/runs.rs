//! Runs, experiments, curves and artifacts from an agent.

use bytes::BytesMut;
use futures::{StreamExt, TryStreamExt};

use super::Agent;
use crate::base::clock::{Clock, SystemClock};
use crate::base::fault::Result;
use crate::base::id::{ExperimentId, RunId};
use crate::base::{Fault, Timestamp};
use crate::capability::cost::HOST_TAG;
use crate::capability::tracking::filter::{Condition, Entity, Filter, Op as Asked, Value};
use crate::capability::tracking::groups::PARENT_TAG;
use crate::capability::tracking::{GroupBy, RunQuery, RunView};
use crate::tui::format;
use crate::tui::model::{Artifact, Curve, Experiment, Input, Latest, Point, Preview, Run, Window};
use crate::tui::msg::{RunOrder, RunsWant};
use crate::tui::query::Query;
use crate::tui::span::Span;

/// Histories asked for at once.
const CURVES_AT_ONCE: usize = 8;
/// Bytes of an artifact shown in a preview.
const PREVIEW_BYTES: u64 = 64 * 1024;

impl Agent {
    pub(super) async fn experiments(&self) -> Result<Vec<Experiment>> {
        let mut all = self.client.experiments().await?;
        all.retain(|e| e.lifecycle == crate::capability::tracking::Lifecycle::Active);
        all.sort_by_key(|e| std::cmp::Reverse(e.updated));
        Ok(all.into_iter().map(|e| Experiment { id: e.id.to_string(), name: e.name }).collect())
    }

    /// A stretch of the list; the agent filters and sorts.
    pub(super) async fn runs(&self, want: &RunsWant) -> Result<Window<Run>> {
        let mut experiment = want.experiment.as_deref();
        let mut within = Filter::default();
        match &want.within {
            Some((GroupBy::Experiment, value)) => experiment = value.as_deref(),
            Some((by, value)) => within.conditions.push(belongs(by, value.as_deref())),
            None => {}
        }
        let query = RunQuery {
            filter: within.to_string(),
            order_by: vec![order(&want.order, want.descending)],
            offset: want.offset,
            limit: want.limit,
            ..page_query(experiment, &want.filter, want.window, want.deleted)
        };
        let page = self.client.search_runs(&query).await?;
        Ok(Window { offset: want.offset, total: page.matched, rows: page.runs.into_iter().map(run).collect() })
    }

    pub(super) async fn run(&self, id: &str) -> Result<Run> {
        let view = self.client.run(run_id(id)?).await?;
        let host = view.tags.get(HOST_TAG).filter(|_| !view.status.is_over()).cloned();
        let host = match host {
            // What it does is an aside: without it the run is shown all the same.
            Some(name) => self.client.hosts().await.ok().and_then(|all| all.into_iter().find(|h| h.host.name == name)),
            None => None,
        };
        Ok(Run { host: host.map(|h| h.words()), ..run(view) })
    }

    /// Several runs at once; one that cannot be had is left out, unless none can.
    pub(super) async fn views(&self, ids: &[String]) -> Result<Vec<RunView>> {
        let one = |id: &String| {
            let id = run_id(id);
            async move { self.client.run(id?).await }
        };
        let all: Vec<Result<RunView>> =
            futures::stream::iter(ids.iter().map(one)).buffered(CURVES_AT_ONCE).collect().await;
        let fault = all.iter().find_map(|r| r.as_ref().err().cloned());
        let found: Vec<RunView> = all.into_iter().flatten().collect();
        match fault {
            Some(fault) if found.is_empty() => Err(fault),
            _ => Ok(found),
        }
    }

    /// What one of them lacks must not hide the others: a history that cannot be had comes as an empty curve.
    pub(super) async fn curves(&self, of: Vec<(String, String)>, points: usize) -> Result<Vec<Curve>> {
        let one = |(id, key): (String, String)| async move {
            let series = match id.parse::<RunId>() {
                Ok(run) => self.client.history(run, &key, points).await.ok(),
                Err(()) => None,
            };
            let not_finite = series.as_ref().map_or(0, |s| s.not_finite);
            let points = series.map(|s| s.points.iter().map(point).collect()).unwrap_or_default();
            Curve { run: id, key, points, not_finite }
        };
        Ok(futures::stream::iter(of).map(one).buffer_unordered(CURVES_AT_ONCE).collect().await)
    }

    pub(super) async fn artifacts(&self, run: &str, path: &str) -> Result<Vec<Artifact>> {
        let mut entries = self.client.artifacts(run_id(run)?, path).await?;
        entries.sort_by(|a, b| (!a.is_dir, &a.path).cmp(&(!b.is_dir, &b.path)));
        Ok(entries
            .into_iter()
            .map(|e| Artifact { path: e.path, is_dir: e.is_dir, size: (!e.is_dir).then_some(e.size) })
            .collect())
    }

    pub(super) async fn preview(&self, run: &str, path: String) -> Result<Preview> {
        let stream = self.client.artifact(run_id(run)?, &path, Some(PREVIEW_BYTES)).await?;
        let bytes: BytesMut = stream
            .try_fold(BytesMut::new(), |mut all, part| async move {
                all.extend_from_slice(&part);
                Ok(all)
            })
            .await?;
        let cut = bytes.len() as u64 >= PREVIEW_BYTES;
        let note =
            if cut { format!("the first {}", format::bytes(PREVIEW_BYTES)) } else { format::bytes(bytes.len() as u64) };
        if bytes.iter().take(4096).any(|b| *b == 0) {
            return Ok(Preview { text: String::new(), note: format!("not text ({note})"), path });
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let pretty = path.to_lowercase().rsplit('.').next() == Some("json") && !cut;
        let text = if pretty {
            serde_json::from_slice::<serde_json::Value>(text.as_bytes())
                .ok()
                .and_then(|v| serde_json::to_string_pretty(&v).ok())
                .unwrap_or(text)
        } else {
            text
        };
        Ok(Preview { path, text, note })
    }
}

pub(super) fn run_id(id: &str) -> Result<RunId> {
    id.parse().map_err(|()| Fault::not_found(format!("\"{id}\" is not a run's id")))
}

fn point(p: &crate::capability::tracking::points::Point) -> Point {
    Point { step: p.step, at: Timestamp::from_millis(p.timestamp), value: p.value }
}

pub(super) fn run(view: RunView) -> Run {
    let latest = |m: &crate::capability::tracking::Latest| Latest {
        value: m.value,
        step: m.step,
        at: Timestamp::from_millis(m.timestamp),
        count: u64::from(m.count),
    };
    let input = |i: crate::capability::tracking::DatasetInput| Input {
        context: i.context().unwrap_or_default().to_owned(),
        name: i.shown(),
        digest: i.digest,
        source: i.source,
    };
    Run {
        id: view.id.to_string(),
        name: view.name,
        experiment: view.experiment_name,
        status: view.status,
        user: view.user,
        started: view.started,
        ended: view.ended,
        params: view.params,
        metrics: view.metrics.iter().map(|(k, m)| (k.clone(), latest(m))).collect(),
        tags: view.tags,
        inputs: view.inputs.into_iter().map(input).collect(),
        models: view.models.iter().map(ToString::to_string).collect(),
        artifact_uri: view.artifact_uri,
        host: None,
    }
}

/// Runs of one experiment or all, in no order yet.
pub(super) fn page_query(experiment: Option<&str>, search: &Query, window: Option<Span>, deleted: bool) -> RunQuery {
    let experiments = experiment.iter().filter_map(|e| e.parse::<ExperimentId>().ok()).collect();
    let since = window.map(|w| w.since(SystemClock.now()));
    RunQuery { experiments, search: search.clone(), since, deleted, ..RunQuery::default() }
}

/// What runs of a group have in common.
fn belongs(by: &GroupBy, value: Option<&str>) -> Condition {
    let (entity, key) = match by {
        GroupBy::Experiment => (Entity::Attribute, "experiment_id".to_owned()),
        GroupBy::Parent => (Entity::Tag, PARENT_TAG.to_owned()),
        GroupBy::Param(key) => (Entity::Param, key.clone()),
        GroupBy::Tag(key) => (Entity::Tag, key.clone()),
    };
    match value {
        Some(text) => Condition { entity, key, op: Asked::Eq, value: Value::Text(text.to_owned()) },
        None => Condition { entity, key, op: Asked::IsNull, value: Value::None },
    }
}

pub(super) fn order(by: &RunOrder, descending: bool) -> String {
    let quoted = |key: &str| format!("`{}`", key.replace('`', "``"));
    let field = match by {
        RunOrder::Name => "run_name".into(),
        RunOrder::Status => "status".into(),
        RunOrder::Started => "start_time".into(),
        RunOrder::User => "user_id".into(),
        RunOrder::Experiment => "experiment_name".into(),
        RunOrder::Duration => "duration".into(),
        RunOrder::Step => "step".into(),
        RunOrder::Note => "note".into(),
        RunOrder::Metric(key) => format!("metrics.{}", quoted(key)),
        RunOrder::Param(key) => format!("params.{}", quoted(key)),
    };
    format!("{field} {}", if descending { "DESC" } else { "ASC" })
}
