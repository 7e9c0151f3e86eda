//! Operations that log artifacts: announce, ask for addresses, send, commit; and what may change afterwards.

use serde_json::{Map, Value, json};

use super::call::{Call, folder};
use super::manifest::Manifest;
use super::shape;
use super::signed::{self, Use};
use crate::base::id::ExperimentId;
use crate::base::{Fault, fault::Result};
use crate::capability::tracking::artifacts::path_of_uri;
use crate::capability::tracking::collections::{self, New, Version};
use crate::capability::tracking::wandb::file_path;
use crate::db::Source;

const MANIFEST: &str = "wandb_manifest.json";
/// Files that one request may ask addresses for.
const FILES_MAX: usize = 20_000;

/// The experiment of the call's project.
///
/// # Errors
/// `NotFound`.
pub(super) fn experiment(call: &Call<'_>) -> Result<ExperimentId> {
    let project = call.project();
    let known = call.app.ctx().tracking.read(|s| s.experiment_named(&project).map(|e| e.id));
    known.ok_or_else(|| Fault::not_found(format!("no project {project}")).next("log a run to it first"))
}

pub(super) async fn create(call: &Call<'_>) -> Result<Value> {
    let (tracking, now) = (&call.app.ctx().tracking, call.app.now());
    let experiment = experiment(call)?;
    let run = call.value(&["runName"]).map(|_| call.run(&["runName"])).transpose()?;
    let beneath = if let Some(run) = &run {
        folder(call.app, run)?
    } else {
        let location = tracking.read(|s| s.experiment(experiment).map(|e| e.artifact_location.clone()));
        let place = location.as_deref().and_then(path_of_uri);
        place.ok_or_else(|| Fault::invalid("this project keeps its artifacts elsewhere"))? + "/collections"
    };
    let (kind, collection) =
        (call.required(&["artifactTypeName"])?, call.required(&["artifactCollectionName", "artifactCollectionNames"])?);
    let version = Version {
        experiment,
        digest: call.text(&["digest"]).unwrap_or_default(),
        aliases: Vec::new(),
        wanted: aliases(call),
        tags: tags(call),
        description: call.text(&["description"]),
        metadata: call.text(&["metadata"]),
        client_id: call.text(&["clientID"]).unwrap_or_default(),
        run: run.map(|r| r.id),
        step: call.value(&["historyStep"]).and_then(Value::as_i64),
        created: now,
        updated: now,
        collection: collection.clone(),
        kind: kind.clone(),
        ..Version::default()
    };
    let deduplicate = call.value(&["enableDigestDeduplication"]).and_then(Value::as_bool).unwrap_or(false);
    let place = file_path(&format!("{}/{}", kind.replace('/', "_"), collection.replace('/', "_")))?;
    let new = New { version, beneath, place, deduplicate };
    let made = collections::announce(&call.app.ctx().db, new).await?;
    let pool = call.app.ctx().db.read();
    let latest = collections::versions(Source::Pool(pool), experiment, &collection).await?.pop();
    let latest = latest.map_or(Value::Null, |v| json!({ "id": v.id, "versionIndex": v.number }));
    Ok(json!({ "createArtifact": { "artifact": {
        "id": made.id, "state": shape::state(&made), "artifactSequence": { "id": collection, "latestArtifact": latest },
    } } }))
}

fn aliases(call: &Call<'_>) -> Vec<String> {
    let list = call.value(&["aliases"]).and_then(Value::as_array).cloned().unwrap_or_default();
    list.iter().filter_map(|a| a.as_str().or_else(|| a.get("alias")?.as_str()).map(str::to_owned)).collect()
}

fn tags(call: &Call<'_>) -> Vec<String> {
    let list = call.value(&["tags"]).and_then(Value::as_array).cloned().unwrap_or_default();
    list.iter().filter_map(|t| t.as_str().or_else(|| t.get("tagName")?.as_str()).map(str::to_owned)).collect()
}

async fn version(call: &Call<'_>, names: &[&str]) -> Result<Version> {
    collections::by_id(Source::Pool(call.app.ctx().db.read()), &call.required(names)?).await
}

/// A manifest has the id of its version.
pub(super) async fn create_manifest(call: &Call<'_>, operation: &str) -> Result<Value> {
    let version = version(call, &["artifactID", "artifactManifestID"]).await?;
    let upload = call.value(&["includeUpload"]).and_then(Value::as_bool).unwrap_or(false);
    let mut file = json!({ "id": version.id });
    if upload {
        let path = version.beside(MANIFEST);
        file["uploadUrl"] = signed::address(call.app, &call.base, Use::Put, &path).await?.into();
        file["uploadHeaders"] = json!([]);
    }
    let mut answer = Map::new();
    answer.insert(operation.to_owned(), json!({ "artifactManifest": { "id": version.id, "file": file } }));
    Ok(Value::Object(answer))
}

pub(super) async fn create_files(call: &Call<'_>) -> Result<Value> {
    let asked = call.value(&["artifactFiles"]).and_then(Value::as_array).cloned().unwrap_or_default();
    if asked.len() > FILES_MAX {
        return Err(Fault::invalid(format!("at most {FILES_MAX} files at once")));
    }
    let mut known: Option<Version> = None;
    let mut edges = Vec::with_capacity(asked.len());
    for file in &asked {
        let text = |field: &str| file.get(field).and_then(Value::as_str).unwrap_or_default();
        let of = match known.take().filter(|v| v.id == text("artifactID")) {
            Some(known) => known,
            None => collections::by_id(Source::Pool(call.app.ctx().db.read()), text("artifactID")).await?,
        };
        if of.committed {
            return Err(Fault::refused(format!("{} is committed", of.shown())).next("log a new version"));
        }
        let path = format!("{}/{}", of.folder, file_path(text("name"))?);
        edges.push(json!({ "node": {
            "id": path, "name": text("name"), "displayName": text("name"), "storagePath": path,
            "uploadUrl": signed::address(call.app, &call.base, Use::Put, &path).await?,
            "uploadHeaders": [], "uploadMultipartUrls": null, "artifact": { "id": of.id },
        } }));
        known = Some(of);
    }
    Ok(json!({ "createArtifactFiles": { "files": { "edges": edges } } }))
}

pub(super) async fn commit(call: &Call<'_>) -> Result<Value> {
    let version = version(call, &["artifactID"]).await?;
    let manifest = Manifest::of(call.app, &version).await?;
    let size = manifest.check(call.app, &version).await?;
    let (db, tracking) = (&call.app.ctx().db, &call.app.ctx().tracking);
    let version = collections::commit(db, tracking, &version.id, size, call.app.now()).await?;
    Ok(json!({ "commitArtifact": { "artifact": { "id": version.id, "digest": version.digest } } }))
}

pub(super) async fn use_it(call: &Call<'_>) -> Result<Value> {
    let (run, version) = (call.run(&["runName"])?, version(call, &["artifactID"]).await?);
    collections::used_by(&call.app.ctx().tracking, run.id, &version).await?;
    Ok(json!({ "useArtifact": { "artifact": shape::artifact(call, &version) } }))
}

/// Description, metadata and tags. A client that changed aliases sends them apart.
pub(super) async fn update(call: &Call<'_>) -> Result<Value> {
    let (description, metadata) = (call.text(&["description"]), call.text(&["metadata"]));
    let (add, remove) = (names(call, "tagsToAdd", "tagName"), names(call, "tagsToDelete", "tagName"));
    let whole = call.value(&["aliases"]).is_some().then(|| aliases(call));
    let id = call.required(&["artifactID"])?;
    let changed = collections::change(&call.app.ctx().db, &id, call.app.now(), |v| {
        v.description = description.or(v.description.take());
        v.metadata = metadata.or(v.metadata.take());
        v.tags.retain(|t| !remove.contains(t) && !add.contains(t));
        v.tags.extend(add);
        if let Some(whole) = whole {
            v.aliases.retain(|a| whole.contains(a));
            v.wanted = whole;
        }
        Ok(())
    });
    let version = changed.await?;
    let artifact = shape::artifact(call, &version);
    Ok(json!({ "result": { "artifact": artifact }, "updateArtifact": { "artifact": artifact } }))
}

fn names(call: &Call<'_>, list: &str, field: &str) -> Vec<String> {
    let list = call.value(&[list]).and_then(Value::as_array).cloned().unwrap_or_default();
    list.iter().filter_map(|t| t.get(field)?.as_str().map(str::to_owned)).collect()
}

pub(super) async fn change_aliases(call: &Call<'_>, add: bool) -> Result<Value> {
    let aliases = aliases(call);
    let id = call.required(&["artifactID"])?;
    collections::change(&call.app.ctx().db, &id, call.app.now(), |v| {
        if add {
            v.wanted = aliases;
        } else {
            v.aliases.retain(|a| !aliases.contains(a));
        }
        Ok(())
    })
    .await?;
    Ok(json!({ "result": { "success": true } }))
}
