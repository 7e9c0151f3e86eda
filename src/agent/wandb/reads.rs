//! What `wandb.Api` asks of runs and projects: runs by filter and order, their configuration, summary, history and files.

use std::sync::Arc;

use serde_json::{Value, json};

use super::artifact::experiment;
use super::call::{Call, folder, project_shape};
use super::run;
use super::signed::{self, Use};
use crate::base::id::ExperimentId;
use crate::base::{Fault, Timestamp, fault::Result};
use crate::capability::tracking::experiments::NewExperiment;
use crate::capability::tracking::wandb::{
    GROUP_TAG, JOB_TYPE_TAG, SWEEP_TAG, labels_of, matches, name_of, ordered, progress, run_id, state_of,
};
use crate::capability::tracking::{Lifecycle, Run, Text, rules};

/// Rows and files that one page may have.
const PAGE_MAX: usize = 1000;

/// The run that is meant, of whichever client: by its name in the project, or by its id here.
pub(super) fn find(call: &Call<'_>) -> Option<Arc<Run>> {
    let name = call.text(&["name", "run", "runName"])?;
    let here = experiment(call).ok();
    let by_name = run_id(&call.project(), &name);
    call.app.ctx().tracking.read(|s| {
        let by_id = || s.run(name.parse().ok()?).filter(|r| Some(r.experiment) == here);
        s.run(by_name).or_else(by_id).filter(|r| r.lifecycle == Lifecycle::Active).cloned()
    })
}

fn time(ms: i64) -> String {
    Timestamp::from_millis(ms).to_string()
}

/// A run with all that clients read of it.
pub(super) fn run_shape(call: &Call<'_>, run: &Run) -> Value {
    let tag = |key: &str| run.tags.get(key).map(Text::as_str);
    let lines = progress(run).unwrap_or_default();
    let own = || run.metrics.iter().filter(|(key, _)| !key.starts_with("system/"));
    let last = own().map(|(_, latest)| latest.step).max();
    let keys: serde_json::Map<String, Value> = own()
        .map(|(key, latest)| (key.to_string(), json!({ "typeCounts": [{ "type": "number", "count": latest.count }] })))
        .collect();
    let rows = if lines.history > 0 { lines.history } else { last.map_or(0, |step| step.unsigned_abs() + 1) };
    let user = run.user.as_str();
    json!({
        "id": run.id.to_string(), "name": name_of(run), "displayName": run.name, "state": state_of(run),
        "tags": labels_of(run), "sweepName": tag(SWEEP_TAG), "group": tag(GROUP_TAG), "jobType": tag(JOB_TYPE_TAG),
        "commit": tag("mlflow.source.git.commit"), "readOnly": false, "createdAt": time(run.start_ms),
        "heartbeatAt": time(run.end_ms.unwrap_or(run.start_ms.max(lines.at_ms))), "description": null,
        "notes": tag(rules::NOTE_TAG), "historyLineCount": rows, "projectId": run.experiment.to_string(),
        "config": run::config(run).to_string(), "summaryMetrics": run::summary(run, &lines).to_string(),
        "systemMetrics": run::machine(run).to_string(), "shouldStop": run::asked_to_stop(run),
        "stopped": run::asked_to_stop(run), "failed": state_of(run) == "failed", "running": state_of(run) == "running",
        "exitcode": null, "user": { "id": user, "name": user, "username": user },
        "historyKeys": { "lastStep": last.unwrap_or(-1), "sets": [], "keys": keys },
        "project": project_shape(&call.entity(), &call.project()),
    })
}

pub(super) fn run(call: &Call<'_>) -> Value {
    let run = find(call).map_or(Value::Null, |run| run_shape(call, &run));
    json!({ "project": { "internalId": "0", "run": run } })
}

/// A page of the runs that a filter lets through; the cursor is the number of the first one.
pub(super) fn runs(call: &Call<'_>) -> Result<Value> {
    let Ok(experiment) = experiment(call) else { return Ok(json!({ "project": null })) };
    let filter = call.text(&["filters"]).filter(|f| !f.trim().is_empty()).unwrap_or_else(|| "{}".to_owned());
    let filter: Value = serde_json::from_slice(filter.as_bytes())
        .map_err(|e| Fault::invalid("the filter of runs is no JSON").why(e.to_string()))?;
    let order = call.text(&["order"]).unwrap_or_default();
    let all: Vec<Arc<Run>> = call
        .app
        .ctx()
        .tracking
        .read(|s| s.runs_of(experiment).filter(|r| r.lifecycle == Lifecycle::Active).cloned().collect());
    let mut found = Vec::with_capacity(all.len());
    for run in all {
        if matches(&filter, &run)? {
            found.push(run);
        }
    }
    found.sort_by(|a, b| ordered(a, b, &order));
    let first = call.text(&["cursor", "after"]).and_then(|c| c.parse::<usize>().ok()).unwrap_or(0);
    let size = count(call, "perPage").unwrap_or(50).clamp(1, PAGE_MAX);
    let edges: Vec<Value> = (first..)
        .zip(found.iter().skip(first).take(size))
        .map(|(at, run)| json!({ "node": run_shape(call, run), "cursor": (at + 1).to_string() }))
        .collect();
    let next = first + edges.len();
    let page = json!({
        "__typename": "PageInfo", "endCursor": next.to_string(), "hasNextPage": next < found.len(),
    });
    Ok(json!({ "project": {
        "internalId": experiment.to_string(), "runCount": found.len(), "readOnly": false,
        "runs": { "edges": edges, "pageInfo": page, "totalCount": found.len() },
    } }))
}

pub(super) fn count(call: &Call<'_>, name: &str) -> Option<usize> {
    call.value(&[name]).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok())
}

/// Files of a run, a page at a time.
pub(super) async fn files(call: &Call<'_>) -> Result<Value> {
    let Some(run) = find(call) else { return Ok(json!({ "project": { "internalId": "0", "run": null } })) };
    let folder = folder(call.app, &run)?;
    let mut all = call.app.ctx().artifacts.tree(&folder).await?;
    all.retain(|(path, _)| !path.split('/').any(|part| part.ends_with(".opsroom")));
    if let Some(names) = call.texts(&["fileNames"]).filter(|n| !n.is_empty()) {
        all.retain(|(path, _)| names.contains(path));
    }
    let first = call.text(&["fileCursor"]).and_then(|c| c.parse::<usize>().ok()).unwrap_or(0);
    let size = count(call, "fileLimit").unwrap_or(50).clamp(1, PAGE_MAX);
    let mut edges = Vec::new();
    for (path, bytes) in all.iter().skip(first).take(size) {
        let url = signed::address(call.app, &call.base, Use::Get, &format!("{folder}/{path}")).await?;
        let cursor = (first + edges.len() + 1).to_string();
        edges.push(json!({ "cursor": cursor, "node": {
            "__typename": "File", "id": path, "name": path, "url": url, "directUrl": url, "sizeBytes": bytes,
            "mimetype": null, "updatedAt": time(run.end_ms.unwrap_or(run.start_ms)), "md5": null, "digest": null,
        } }));
    }
    let next = first + edges.len();
    let page = json!({ "__typename": "PageInfo", "endCursor": next.to_string(), "hasNextPage": next < all.len() });
    let files = json!({ "edges": edges, "pageInfo": page });
    Ok(json!({ "project": {
        "internalId": run.experiment.to_string(), "run": { "fileCount": all.len(), "files": files },
    } }))
}

/// Makes a project where there is none.
pub(super) async fn create_project(call: &Call<'_>) -> Result<Value> {
    let name = call.required(&["name", "modelName"])?;
    let tracking = &call.app.ctx().tracking;
    let known = tracking.read(|s| s.experiment_named(&name).is_some());
    if !known {
        let new = NewExperiment { name: name.clone(), ..NewExperiment::default() };
        tracking.create_experiment(new, call.app.now()).await?;
    }
    let project = project_shape(&call.entity(), &name);
    let made = json!({ "project": project, "model": project, "inserted": !known });
    Ok(json!({ "result": made, "upsertModel": made }))
}

fn project_of(call: &Call<'_>, id: ExperimentId) -> Option<Value> {
    let experiment = call.app.ctx().tracking.read(|s| s.experiment(id).cloned())?;
    let mut shape = project_shape(&call.entity(), &experiment.name);
    shape["__typename"] = "Project".into();
    shape["createdAt"] = experiment.created.to_string().into();
    shape["isBenchmark"] = false.into();
    shape["readOnly"] = false.into();
    shape["user"] = Value::Null;
    Some(shape)
}

pub(super) fn project(call: &Call<'_>) -> Value {
    let name = call.text(&["name", "project", "projectName"]).unwrap_or_default();
    let known = call.app.ctx().tracking.read(|s| s.experiment_named(&name).map(|e| e.id));
    let project = known.and_then(|id| project_of(call, id)).unwrap_or_default();
    json!({ "project": project, "model": project })
}

pub(super) fn projects(call: &Call<'_>) -> Value {
    let ids: Vec<ExperimentId> = call
        .app
        .ctx()
        .tracking
        .read(|s| s.experiments().filter(|e| e.lifecycle == Lifecycle::Active).map(|e| e.id).collect());
    let nodes = ids.into_iter().filter_map(|id| project_of(call, id));
    let edges: Vec<Value> = nodes.map(|node| json!({ "node": node, "cursor": node["name"] })).collect();
    let page = json!({ "__typename": "PageInfo", "endCursor": null, "hasNextPage": false });
    json!({ "models": { "edges": edges, "pageInfo": page } })
}
