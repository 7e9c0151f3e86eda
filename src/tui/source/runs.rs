//! Runs, experiments, curves and artifacts from an agent.

use bytes::BytesMut;
use futures::{StreamExt, TryStreamExt};

use super::Agent;
use crate::base::fault::Result;
use crate::base::id::{ExperimentId, RunId};
use crate::base::{Fault, Timestamp};
use crate::capability::tracking::filter::{Condition, Entity, Filter, Op as Asked, Value};
use crate::capability::tracking::groups::PARENT_TAG;
use crate::capability::tracking::{GroupBy, RunQuery, RunView};
use crate::tui::format;
use crate::tui::model::{Artifact, Curve, Experiment, Input, Latest, Point, Preview, Run, Window};
use crate::tui::msg::{RunOrder, RunsWant};
use crate::tui::query::{Op, Query, Term};
use crate::tui::screen::runs::filter;

/// Rows asked for at once, and pages at most, where the agent's grammar cannot say what is filtered for.
const SIFT_ROWS: usize = 1000;
const SIFT_PAGES_MAX: usize = 20;
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

    /// A stretch of the list. What the agent's grammar can say is filtered there; the rest is sifted here.
    pub(super) async fn runs(&self, want: &RunsWant) -> Result<Window<Run>> {
        let (mut said, all_said) = say(&want.filter);
        let mut experiment = want.experiment.as_deref();
        match &want.within {
            Some((GroupBy::Experiment, value)) => experiment = value.as_deref(),
            Some((by, value)) => said.conditions.push(belongs(by, value.as_deref())),
            None => {}
        }
        let query = RunQuery {
            order_by: vec![order(&want.order, want.descending)],
            offset: want.offset,
            limit: want.limit,
            ..page_query(experiment, said.to_string(), want.deleted)
        };
        if all_said {
            let page = self.client.search_runs(&query).await?;
            return Ok(Window {
                offset: want.offset,
                total: page.matched,
                rows: page.runs.into_iter().map(run).collect(),
            });
        }
        let mut fitting = Vec::new();
        for n in 0..SIFT_PAGES_MAX {
            let part = RunQuery { offset: n * SIFT_ROWS, limit: SIFT_ROWS, ..query.clone() };
            let page = self.client.search_runs(&part).await?;
            let rows = page.runs.len();
            fitting
                .extend(page.runs.into_iter().map(run).filter(|r| want.filter.matches(|field| filter::held(r, field))));
            if rows < SIFT_ROWS {
                break;
            }
        }
        let total = fitting.len();
        Ok(Window {
            offset: want.offset,
            total,
            rows: fitting.into_iter().skip(want.offset).take(want.limit).collect(),
        })
    }

    pub(super) async fn run(&self, id: &str) -> Result<Run> {
        Ok(run(self.client.run(run_id(id)?).await?))
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
            serde_json::from_str::<serde_json::Value>(&text)
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
        name: i.name,
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
    }
}

/// Runs of one experiment or all, in no order yet.
pub(super) fn page_query(experiment: Option<&str>, filter: String, deleted: bool) -> RunQuery {
    let experiments = experiment.iter().filter_map(|e| e.parse::<ExperimentId>().ok()).collect();
    RunQuery { experiments, filter, deleted, ..RunQuery::default() }
}

/// What runs of a group have in common.
fn belongs(by: &GroupBy, value: Option<&str>) -> Condition {
    let (entity, key) = match by {
        GroupBy::Experiment => (Entity::Attribute, "experiment_id".to_owned()),
        GroupBy::Parent => (Entity::Tag, PARENT_TAG.to_owned()),
        GroupBy::Param(key) => (Entity::Param, key.clone()),
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
        RunOrder::Metric(key) => format!("metrics.{}", quoted(key)),
        RunOrder::Param(key) => format!("params.{}", quoted(key)),
    };
    format!("{field} {}", if descending { "DESC" } else { "ASC" })
}

/// As much of a filter as the agent's grammar can say, and whether that is all of it. It has no OR and no NOT.
pub(super) fn say(query: &Query) -> (Filter, bool) {
    let [all] = query.any.as_slice() else { return (Filter::default(), query.any.is_empty()) };
    let said: Vec<Option<Condition>> = all.iter().map(condition).collect();
    let complete = said.iter().all(Option::is_some);
    (Filter { conditions: said.into_iter().flatten().collect() }, complete)
}

fn condition(term: &Term) -> Option<Condition> {
    let attribute = |key: &str| (Entity::Attribute, key.to_owned());
    let (entity, key) = match term.field.as_deref() {
        None | Some("name") => attribute("run_name"),
        Some("user") => attribute("user_id"),
        Some("state") => attribute("status"),
        Some(field) => match field.split_once('.')? {
            ("metrics", key) => (Entity::Metric, key.to_owned()),
            ("params", key) => (Entity::Param, key.to_owned()),
            ("tags", key) => (Entity::Tag, key.to_owned()),
            _ => return None,
        },
    };
    let always_there = entity == Entity::Attribute;
    let op = match (term.op, term.negated) {
        (op, false) => op,
        (Op::Eq, true) if always_there => Op::Ne,
        (Op::Ne, true) if always_there => Op::Eq,
        _ => return None,
    };
    let (op, value) = if entity == Entity::Metric {
        (numeric(op)?, Value::Number(term.value.parse().ok()?))
    } else if key == "status" && always_there {
        (equality(op)?, Value::Text(filter::status(&term.value)?.name().to_owned()))
    } else if op == Op::Contains {
        // The agent would read these as wildcards.
        (!term.value.contains(['%', '_'])).then_some(())?;
        (Asked::ILike, Value::Text(format!("%{}%", term.value)))
    } else {
        // What is missing differs from everything here, and from nothing there.
        (op == Op::Eq || always_there).then_some(())?;
        (equality(op)?, Value::Text(term.value.clone()))
    };
    Some(Condition { entity, key, op, value })
}

fn numeric(op: Op) -> Option<Asked> {
    Some(match op {
        Op::Eq => Asked::Eq,
        Op::Gt => Asked::Gt,
        Op::Ge => Asked::Ge,
        Op::Lt => Asked::Lt,
        Op::Le => Asked::Le,
        Op::Ne | Op::Contains | Op::Lacks => return None,
    })
}

fn equality(op: Op) -> Option<Asked> {
    match op {
        Op::Eq => Some(Asked::Eq),
        Op::Ne => Some(Asked::Ne),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::capability::tracking::filter::{Target, parse};

    #[test]
    fn what_the_agent_can_say_parses_there_and_the_rest_is_sifted() {
        let known = BTreeSet::from(["system/cpu".to_owned()]);
        for (text, complete) in [
            ("auc>0.93 state!=failed user=kim geo", true),
            ("lr=3e-4 tags.team~risk system/cpu>5", true),
            ("auc>0.93 -lr=3e-4", false),
            ("a OR b", false),
            ("100%", false),
            ("tag~geo", false),
            ("", true),
        ] {
            let (said, all) = say(&filter::resolve(&Query::parse(text).unwrap(), &known));
            assert_eq!(all, complete, "{text}: {said}");
            parse(&said.to_string(), Target::Runs).unwrap();
        }
    }
}
