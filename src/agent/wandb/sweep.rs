//! Operations of sweeps: make one, change its state, take agents on and tell them what to try.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::artifact::experiment;
use super::call::{Call, project_shape};
use super::reads;
use super::run::asked_to_stop;
use crate::base::{Fault, Kind, fault::Result};
use crate::capability::tracking::experiments::NewExperiment;
use crate::capability::tracking::runs::Batch;
use crate::capability::tracking::sweeps::{self, Change, Next, State, Sweep};
use crate::capability::tracking::wandb::{SWEEP_TAG, run_id};
use crate::capability::tracking::{Run, Tracking};
use crate::db::Source;

/// Why a sweep ended a run early.
const ENDED_TAG: &str = "opsroom.ended_early";

/// Makes a sweep, or changes the one whose id is given.
pub(super) async fn upsert(call: &Call<'_>) -> Result<Value> {
    let (db, tracking, now) = (&call.app.ctx().db, &call.app.ctx().tracking, call.app.now());
    let state = call.text(&["state"]).map(|s| State::parse(&s)).transpose()?;
    let change = Change {
        config: call.text(&["config"]),
        display_name: call.text(&["displayName"]),
        description: call.text(&["description"]),
        state,
    };
    let (sweep, warnings) = if let Some(id) = call.text(&["id"]) {
        (sweeps::change(db, &id, change, now).await?, Vec::new())
    } else {
        // A project begins with its sweep as it does with its first run.
        if experiment(call).is_err() {
            tracking.create_experiment(NewExperiment { name: call.project(), ..NewExperiment::default() }, now).await?;
        }
        let (sweep, space) = sweeps::create(db, experiment(call)?, change, now).await?;
        (sweep, space.warnings)
    };
    let mut shape = shape(call, &sweep);
    shape["project"] = project_shape(&call.entity(), &project_of(call, &sweep));
    Ok(json!({ "upsertSweep": { "sweep": shape, "configValidationWarnings": warnings } }))
}

fn project_of(call: &Call<'_>, sweep: &Sweep) -> String {
    let name = call.app.ctx().tracking.read(|s| s.experiment(sweep.experiment()).map(|e| e.name.clone()));
    name.unwrap_or_else(|| call.project())
}

pub(super) async fn create_agent(call: &Call<'_>) -> Result<Value> {
    let (sweep, host) = (call.required(&["sweep"])?, call.text(&["host"]).unwrap_or_default());
    let id = sweeps::join(&call.app.ctx().db, &sweep, &host, call.app.now()).await?;
    Ok(json!({ "createAgent": { "agent": { "id": id } } }))
}

pub(super) async fn heartbeat(call: &Call<'_>) -> Result<Value> {
    let agent = call.required(&["id"])?;
    let states = call.text(&["runState"]).unwrap_or_default();
    let states: Map<String, Value> = serde_json::from_slice(states.as_bytes()).unwrap_or_default();
    let under_way: BTreeSet<String> =
        states.into_iter().filter(|(_, going)| going.as_bool() == Some(true)).map(|(run, _)| run).collect();
    let tracking = &call.app.ctx().tracking;
    let beaten = beaten(call, &agent, &under_way).await?;
    let run = |sweep: &Sweep, name: &str| run_named(tracking, sweep, name);
    let next = sweeps::next(
        &call.app.ctx().db,
        &agent,
        &under_way,
        |sweep, name| run(sweep, name).is_some(),
        |sweep, name| beaten.contains(name) || run(sweep, name).is_some_and(|r| asked_to_stop(&r)),
        call.app.now(),
    );
    let commands = match next.await? {
        Next::Run { run, parameters } => {
            let args: Map<String, Value> =
                parameters.into_iter().map(|(name, value)| (name, json!({ "value": value }))).collect();
            json!([{ "type": "run", "run_id": run, "args": args }])
        }
        Next::Stop { run } => json!([{ "type": "stop", "run_id": run }]),
        Next::Exit => json!([{ "type": "exit" }]),
        Next::Wait => json!([]),
    };
    Ok(json!({ "agentHeartbeat": { "agent": { "id": agent }, "commands": commands.to_string() } }))
}

/// Runs under way that the sweep's rule ends early, each tagged with why. The client's agent ends them: what a person
/// asked for would end the script that the agent lives in.
async fn beaten(call: &Call<'_>, agent: &str, under_way: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    let mut beaten = BTreeSet::new();
    let id = agent.split_once('-').map_or(agent, |(sweep, _)| sweep);
    let found =
        if under_way.is_empty() { None } else { sweeps::find(Source::Pool(call.app.ctx().db.read()), id).await? };
    let Some((sweep, stopping)) = found.and_then(|s| s.space().ok()?.stopping.map(|stopping| (s, stopping))) else {
        return Ok(beaten);
    };
    let tracking = &call.app.ctx().tracking;
    let judged = |run: &Run| stopping.judges(run.metrics.get(&stopping.metric).map_or(0, |m| m.count.into()));
    let mine: Vec<_> = under_way.iter().filter_map(|name| Some((name, run_named(tracking, &sweep, name)?))).collect();
    if !mine.iter().any(|(_, run)| judged(run)) {
        return Ok(beaten);
    }
    let mut all = Vec::new();
    for run in runs_of(tracking, &sweep).into_iter().filter(|run| judged(run)) {
        let values = tracking.history(run.id, &stopping.metric).await?.into_iter().map(|p| p.value).collect::<Vec<_>>();
        all.push((run.id, values));
    }
    let values: Vec<Vec<f64>> = all.iter().map(|(_, values)| values.clone()).collect();
    for (name, run) in mine {
        let own = all.iter().find(|(id, _)| *id == run.id);
        if let Some(why) = own.and_then(|(_, own)| stopping.verdict(own, &values)) {
            let tags = vec![(ENDED_TAG.to_owned(), why)];
            tracking.log(run.id, Batch { tags, ..Batch::default() }).await?;
            beaten.insert(name.clone());
        }
    }
    Ok(beaten)
}

fn run_named(tracking: &Tracking, sweep: &Sweep, name: &str) -> Option<std::sync::Arc<Run>> {
    tracking.read(|s| {
        let project = &s.experiment(sweep.experiment())?.name;
        s.run(run_id(project, name)).cloned()
    })
}

/// A sweep by its name, with its runs; also only its state.
pub(super) async fn get(call: &Call<'_>) -> Result<Value> {
    let id = call.required(&["sweep", "name", "sweepName"])?;
    let found = sweeps::find(Source::Pool(call.app.ctx().db.read()), &id).await?;
    let Some(sweep) = found.filter(|s| project_of(call, s) == call.project()) else {
        return Ok(json!({ "project": { "sweep": null } }));
    };
    let mut shape = shape(call, &sweep);
    let runs: Vec<Value> = runs_of(&call.app.ctx().tracking, &sweep)
        .iter()
        .map(|run| json!({ "node": reads::run_shape(call, run) }))
        .collect();
    shape["runs"] = json!({ "edges": runs });
    shape["agents"] = json!({ "edges": [] });
    Ok(json!({ "project": { "sweep": shape } }))
}

pub(super) async fn list(call: &Call<'_>) -> Result<Value> {
    let all = match experiment(call) {
        Ok(experiment) => sweeps::of(Source::Pool(call.app.ctx().db.read()), experiment).await?,
        Err(fault) if fault.kind == Kind::NotFound => return Ok(json!({ "project": null })),
        Err(fault) => return Err(fault),
    };
    let edges: Vec<Value> = all.iter().map(|s| json!({ "node": shape(call, s), "cursor": s.id })).collect();
    let page = json!({ "__typename": "PageInfo", "endCursor": null, "hasNextPage": false });
    Ok(json!({ "project": { "totalSweeps": all.len(), "sweeps": { "edges": edges, "pageInfo": page } } }))
}

pub(super) async fn set_state(call: &Call<'_>) -> Result<Value> {
    let (id, state) = (call.required(&["id"])?, State::parse(&call.required(&["state"])?)?);
    let change = Change { state: Some(state), ..Change::default() };
    let sweep = sweeps::change(&call.app.ctx().db, &id, change, call.app.now()).await?;
    Ok(json!({ "upsertSweep": { "sweep": shape(call, &sweep), "configValidationWarnings": [] } }))
}

fn runs_of(tracking: &Tracking, sweep: &Sweep) -> Vec<std::sync::Arc<Run>> {
    let is = |run: &&std::sync::Arc<Run>| run.tags.get(SWEEP_TAG).is_some_and(|s| s.as_str() == sweep.id);
    tracking.read(|s| s.runs_of(sweep.experiment()).filter(is).cloned().collect())
}

fn shape(call: &Call<'_>, sweep: &Sweep) -> Value {
    let space = sweep.space().ok();
    json!({
        "__typename": "Sweep", "id": sweep.id, "name": sweep.id, "displayName": sweep.display_name,
        "method": space.as_ref().map(|s| s.method.name()), "state": sweep.state.name(),
        "description": sweep.description, "bestLoss": null, "config": sweep.config, "priorRunsFilters": null,
        "createdAt": sweep.created.to_string(), "updatedAt": sweep.updated.to_string(),
        "heartbeatAt": sweep.updated.to_string(), "earlyStopJobRunning": false, "controller": null, "scheduler": null,
        "runCount": runs_of(&call.app.ctx().tracking, sweep).len(),
        "runCountExpected": space.and_then(|s| s.trials()),
    })
}

/// An agent that asks for a sweep that is gone is told so by the status, which is what its client looks at.
pub(super) fn is_gone(operation: &str, fault: &Fault) -> bool {
    operation == "Heartbeat" && fault.kind == Kind::NotFound
}
