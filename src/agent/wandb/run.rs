//! Operations about runs: begin, change, go on, stop.

use serde_json::{Map, Value, json};

use super::call::{Call, ENTITY, project_shape};
use crate::base::fault::Result;
use crate::capability::tracking::rules::STOP_TAG;
use crate::capability::tracking::wandb::{
    ID_TAG, Progress, SWEEP_TAG, Upsert, config_of, json as lenient, labels_of, progress, run_id,
};
use crate::capability::tracking::{Lifecycle, Run, Text, rules};

/// Who is asking.
pub(super) fn viewer(call: &Call<'_>) -> Value {
    let name = &call.actor.who.name;
    json!({ "viewer": {
        "id": name, "entity": ENTITY, "username": name, "name": name, "email": format!("{name}@localhost"), "admin": false,
        "flags": "{}", "teams": { "edges": [] },
    } })
}

/// The newest client that is known to work; older ones do as well.
pub(super) fn server_info() -> Value {
    json!({ "serverInfo": {
        "cliVersionInfo": { "max_cli_version": "0.31.0" },
        "latestLocalVersionInfo": { "outOfDate": false, "latestVersionString": "", "versionOnThisInstanceString": "" },
        "features": [],
    } })
}

/// A script begins a run, or tells more about it.
pub(super) async fn upsert(call: &Call<'_>) -> Result<Value> {
    let given = |name: &str| call.text(&[name]);
    let config = given("config").map(|text| object(&text));
    let (entity, project, id) = (call.entity(), run_project(call), run_name(call));
    let upsert = Upsert {
        project: project.clone(),
        id: id.clone(),
        entity: Some(entity.clone()).filter(|e| e != ENTITY),
        user: call.actor.who.name.clone(),
        display_name: given("displayName"),
        group: given("groupName"),
        job_type: given("jobType"),
        sweep: given("sweep"),
        notes: given("notes"),
        tags: call.texts(&["tags"]),
        config: config.transpose()?,
        begins: given("host").is_some(),
        host: given("host"),
        program: given("program"),
        commit: given("commit"),
        repository: given("repo"),
        ..Upsert::default()
    };
    let tracking = &call.app.ctx().tracking;
    let opened = tracking.open_wandb_run(upsert, call.app.now()).await?;
    if opened.shared {
        tracing::warn!("a second script logs to run {id} of project {project}: what both log is kept");
    }
    call.app.wandb().heard(opened.id, call.app.now());
    let run = tracking.read(|s| s.run(opened.id).cloned());
    let lines = run.as_deref().and_then(progress).unwrap_or_default();
    Ok(json!({ "upsertBucket": {
        "bucket": {
            "id": opened.id.to_string(), "name": id, "displayName": opened.name, "description": null, "config": "{}",
            "sweepName": run.as_deref().and_then(|r| r.tags.get(SWEEP_TAG)).map(Text::as_str), "project": project_shape(&entity, &project), "historyLineCount": lines.history,
        },
        "inserted": opened.inserted,
    } }))
}

/// A run that is here, where the id that it has here is all that is said.
fn known(call: &Call<'_>) -> Option<std::sync::Arc<Run>> {
    let id = call.text(&["id"])?.parse().ok()?;
    call.app.ctx().tracking.read(|s| s.run(id).filter(|r| r.tags.get(ID_TAG).is_some()).cloned())
}

fn run_name(call: &Call<'_>) -> String {
    let known = || known(call)?.tags.get(ID_TAG).map(ToString::to_string);
    call.text(&["name"]).or_else(known).or_else(|| call.text(&["id"])).unwrap_or_default()
}

fn run_project(call: &Call<'_>) -> String {
    let known = || {
        let run = known(call)?;
        call.app.ctx().tracking.read(|s| s.experiment(run.experiment).map(|e| e.name.clone()))
    };
    let given = call.text(&["project", "projectName", "modelName"]).filter(|p| !p.is_empty());
    given.or_else(known).unwrap_or_else(|| call.project())
}

fn object(text: &str) -> Result<Map<String, Value>> {
    match lenient::parse(text) {
        Ok(Value::Object(map)) => Ok(map),
        _ => Err(crate::base::Fault::invalid("a configuration is an object of JSON")),
    }
}

/// How far a run has come, for a script that goes on with it.
pub(super) fn resume_status(call: &Call<'_>) -> Value {
    let (entity, project) = (call.entity(), call.project());
    let name = call.text(&["name"]).unwrap_or_default();
    let id = run_id(&project, &name);
    let run = call.app.ctx().tracking.read(|s| s.run(id).cloned()).filter(|r| r.lifecycle == Lifecycle::Active);
    let bucket = run.map_or(Value::Null, |run| bucket(&run, &name));
    json!({ "model": {
        "id": project, "name": project, "entity": { "id": entity, "name": entity }, "bucket": bucket,
    } })
}

fn bucket(run: &Run, name: &str) -> Value {
    let lines: Progress = progress(run).unwrap_or_default();
    let tail = json!({ "_step": lines.step, "_runtime": lines.runtime, "_timestamp": seconds(lines.at_ms) });
    let begun = lines.history > 0;
    let list = |there: bool, line: &Value| if there { json!([line.to_string()]).to_string() } else { "[]".to_owned() };
    let events = json!({ "_runtime": lines.runtime, "_timestamp": seconds(lines.at_ms) });
    json!({
        "id": run.id.to_string(), "name": name, "displayName": run.name, "summaryMetrics": summary(run, &lines).to_string(),
        "logLineCount": lines.output, "historyLineCount": lines.history, "eventsLineCount": lines.events,
        "historyTail": list(begun, &tail), "eventsTail": list(lines.events > 0, &events),
        "config": config(run).to_string(), "tags": labels_of(run), "notes": run.tags.get(rules::NOTE_TAG),
        // Its presence says that the run has begun.
        "wandbConfig": "{\"t\":1}",
    })
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// The newest value of each of the script's own metrics, and the texts of its summary.
pub(super) fn summary(run: &Run, lines: &Progress) -> Value {
    let own = run.metrics.iter().filter(|(key, _)| !key.starts_with("system/"));
    let number = |value: f64| crate::base::number::word(value).map_or_else(|| json!(value), Into::into);
    let mut all: Map<String, Value> = own.map(|(key, latest)| (key.to_string(), number(latest.value))).collect();
    let texts =
        run.tags.iter().filter_map(|(key, text)| Some((key.strip_prefix("summary.")?.to_owned(), text.as_str())));
    all.extend(texts.map(|(key, text)| (key, json!(text))));
    if lines.history > 0 {
        all.insert("_step".to_owned(), json!(lines.step));
    }
    all.insert("_runtime".to_owned(), json!(lines.runtime));
    all.insert("_wandb".to_owned(), json!({ "runtime": lines.runtime.floor() }));
    Value::Object(all)
}

/// The newest figures of the machine.
pub(super) fn machine(run: &Run) -> Value {
    let own =
        run.metrics.iter().filter_map(|(key, latest)| Some((key.strip_prefix("system/")?.to_owned(), latest.value)));
    Value::Object(own.map(|(key, value)| (format!("system.{key}"), json!(value))).collect())
}

pub(super) fn config(run: &Run) -> Value {
    let mut wrapped: Map<String, Value> = config_of(run).into_iter().map(|(k, v)| (k, json!({ "value": v }))).collect();
    wrapped.insert("_wandb".to_owned(), json!({ "value": { "t": {} } }));
    Value::Object(wrapped)
}

/// Older clients ask whether they have been told to stop.
pub(super) fn stopped_status(call: &Call<'_>) -> Value {
    let stopped = call.run(&["runId", "runName", "name"]).is_ok_and(|run| asked_to_stop(&run));
    json!({ "project": { "run": { "stopped": stopped } } })
}

/// Whether someone asked the run's script to stop.
pub(super) fn asked_to_stop(run: &Run) -> bool {
    run.tags.get(STOP_TAG).is_some()
}
