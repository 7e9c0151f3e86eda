//! Lists of artifacts that `wandb.Api` asks for: what a run made and used, the versions of a collection, and who made one.

use serde_json::{Value, json};

use super::artifact::experiment;
use super::call::Call;
use super::reads::{count, find, run_shape};
use super::shape;
use crate::base::fault::Result;
use crate::capability::tracking::collections::{self, Version};
use crate::db::Source;

/// Versions that one page may have.
const PAGE_MAX: usize = 1000;

/// A page of versions; the cursor is the number of the first one.
fn page(call: &Call<'_>, all: &[Version]) -> Value {
    let first = call.text(&["cursor"]).and_then(|c| c.parse::<usize>().ok()).unwrap_or(0);
    let size = count(call, "perPage").unwrap_or(50).clamp(1, PAGE_MAX);
    let edges: Vec<Value> = all
        .iter()
        .skip(first)
        .take(size)
        .map(|v| json!({ "version": format!("v{}", v.number), "node": shape::artifact(call, v) }))
        .collect();
    let next = first + edges.len();
    let info = json!({ "__typename": "PageInfo", "endCursor": next.to_string(), "hasNextPage": next < all.len() });
    json!({ "totalCount": all.len(), "pageInfo": info, "edges": edges })
}

/// All committed versions of the call's project.
async fn versions(call: &Call<'_>) -> Result<Vec<Version>> {
    let Ok(experiment) = experiment(call) else { return Ok(Vec::new()) };
    collections::of_experiment(Source::Pool(call.app.ctx().db.read()), experiment).await
}

pub(super) async fn made(call: &Call<'_>) -> Result<Value> {
    let Some(run) = find(call) else { return Ok(json!({ "project": { "run": null } })) };
    let mut all = versions(call).await?;
    all.retain(|v| v.run == Some(run.id));
    Ok(json!({ "project": { "run": { "artifacts": page(call, &all) } } }))
}

pub(super) async fn used(call: &Call<'_>) -> Result<Value> {
    let Some(run) = find(call) else { return Ok(json!({ "project": { "run": null } })) };
    let mut all = versions(call).await?;
    all.retain(|v| collections::is_used_by(&run, v));
    Ok(json!({ "project": { "run": { "artifacts": page(call, &all) } } }))
}

/// The versions of one collection, newest first.
pub(super) async fn of_collection(call: &Call<'_>) -> Result<Value> {
    let (kind, collection) = (call.required(&["type"])?, call.required(&["collection", "name"])?);
    let mut all = versions(call).await?;
    all.retain(|v| v.kind == kind && v.collection == collection);
    all.reverse();
    let Some(newest) = all.first() else {
        return Ok(json!({ "project": { "artifactType": { "artifactCollection": null } } }));
    };
    let mut shape = shape::collection(call, newest);
    shape["createdAt"] = all.last().map_or(newest, |v| v).created.to_string().into();
    shape["updatedAt"] = newest.updated.to_string().into();
    shape["tags"] = json!({ "edges": [] });
    shape["artifacts"] = page(call, &all);
    Ok(json!({ "project": { "artifactType": { "name": kind, "artifactCollection": shape } } }))
}

/// The run that made a version.
pub(super) async fn maker(call: &Call<'_>) -> Result<Value> {
    let version = collections::by_id(Source::Pool(call.app.ctx().db.read()), &call.required(&["id"])?).await?;
    let run = version.run.and_then(|id| call.app.ctx().tracking.read(|s| s.run(id).cloned()));
    let run = run.map_or(Value::Null, |run| {
        let mut shape = run_shape(call, &run);
        shape["__typename"] = "Run".into();
        shape["project"] = shape::project(call, &version);
        shape
    });
    Ok(json!({ "artifact": { "createdBy": run } }))
}
