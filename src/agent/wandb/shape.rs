//! Artifacts and collections in the forms that clients read.

use serde_json::{Value, json};

use super::call::{Call, project_shape};
use crate::base::Timestamp;
use crate::capability::tracking::collections::Version;

pub(super) fn state(version: &Version) -> &'static str {
    if version.committed { "COMMITTED" } else { "PENDING" }
}

fn time(at: Timestamp) -> String {
    at.to_string()
}

/// The project that a version belongs to; its name may have changed since.
pub(super) fn project(call: &Call<'_>, version: &Version) -> Value {
    let name = call.app.ctx().tracking.read(|s| s.experiment(version.experiment).map(|e| e.name.clone()));
    project_shape(&call.entity(), &name.unwrap_or_default())
}

pub(super) fn collection(call: &Call<'_>, version: &Version) -> Value {
    json!({
        "__typename": "ArtifactSequence", "id": version.collection, "name": version.collection, "state": "READY",
        "description": null, "project": project(call, version), "type": { "id": version.kind, "name": version.kind },
    })
}

pub(super) fn artifact(call: &Call<'_>, version: &Version) -> Value {
    let collection = collection(call, version);
    let alias = |alias: &String| {
        json!({
            "__typename": "ArtifactAlias", "id": format!("{}:{alias}", version.id), "alias": alias,
            "artifactCollection": collection,
        })
    };
    let tags: Vec<Value> = version.tags.iter().map(|t| json!({ "__typename": "Tag", "id": t, "name": t })).collect();
    json!({
        "__typename": "Artifact", "id": version.id, "artifactSequence": collection, "versionIndex": version.number,
        "artifactType": { "__typename": "ArtifactType", "id": version.kind, "name": version.kind },
        "description": version.description, "metadata": version.metadata.as_deref().unwrap_or("{}"),
        "ttlDurationSeconds": -1, "ttlIsInherited": true, "tags": tags, "historyStep": version.step,
        "state": state(version), "size": version.bytes, "digest": version.digest,
        "commitHash": version.digest, "fileCount": version.files, "createdAt": time(version.created),
        "updatedAt": time(version.updated), "aliases": version.aliases.iter().map(alias).collect::<Vec<_>>(),
        "currentManifest": { "id": version.id },
    })
}

pub(super) fn membership(call: &Call<'_>, version: &Version) -> Value {
    let aliases: Vec<Value> = version
        .aliases
        .iter()
        .map(|a| json!({ "__typename": "ArtifactAlias", "id": format!("{}:{a}", version.id), "alias": a }))
        .collect();
    json!({
        "__typename": "ArtifactCollectionMembership", "id": version.id, "versionIndex": version.number,
        "createdAt": time(version.created), "aliases": aliases, "artifactCollection": collection(call, version),
        "artifact": artifact(call, version),
    })
}
