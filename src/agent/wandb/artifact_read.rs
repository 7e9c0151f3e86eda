//! Operations that find artifacts and fetch their files.

use serde_json::{Value, json};

use super::artifact::experiment;
use super::call::Call;
use super::link;
use super::manifest::Manifest;
use super::shape;
use super::signed::{self, Use};
use crate::base::fault::Result;
use crate::capability::tracking::collections::{self, Version};
use crate::db::Source;

/// Files that one page may have.
const PAGE_FILES_MAX: usize = 5000;

async fn named(call: &Call<'_>, name: &str) -> Result<Option<Version>> {
    if link::is_registry(&call.project()) {
        return link::named(call, name).await;
    }
    // A project that is not here has none.
    let Ok(experiment) = experiment(call) else { return Ok(None) };
    collections::named(Source::Pool(call.app.ctx().db.read()), experiment, name).await
}

pub(super) async fn by_id(call: &Call<'_>) -> Result<Value> {
    let version = collections::by_id(Source::Pool(call.app.ctx().db.read()), &call.required(&["id"])?).await?;
    Ok(json!({ "artifact": shape::artifact(call, &version) }))
}

pub(super) async fn by_name(call: &Call<'_>) -> Result<Value> {
    let name = call.required(&["name"])?;
    let membership = if link::is_registry(&call.project()) {
        link::by_name(call, &name).await?
    } else {
        named(call, &name).await?.map_or(Value::Null, |v| shape::membership(call, &v))
    };
    Ok(json!({ "project": { "artifactCollectionMembership": membership } }))
}

pub(super) async fn kind(call: &Call<'_>) -> Result<Value> {
    let found = named(call, &call.required(&["name"])?).await?;
    let artifact = found.map_or(Value::Null, |v| json!({ "id": v.id, "artifactType": { "name": v.kind } }));
    Ok(json!({ "project": { "artifact": artifact } }))
}

pub(super) async fn manifest(call: &Call<'_>) -> Result<Value> {
    let version = collections::by_id(Source::Pool(call.app.ctx().db.read()), &call.required(&["id"])?).await?;
    let path = version.beside("wandb_manifest.json");
    let url = signed::address(call.app, &call.base, Use::Get, &path).await?;
    Ok(
        json!({ "artifact": { "currentManifest": { "id": version.id, "file": { "id": version.id, "directUrl": url } } } }),
    )
}

/// Addresses of a version's files, a page at a time; the cursor is the number of the first file.
pub(super) async fn file_urls(call: &Call<'_>) -> Result<Value> {
    let which = format!("{}:{}", call.required(&["collection"])?, call.required(&["alias"])?);
    let Some(version) = named(call, &which).await? else {
        return Ok(json!({ "project": { "artifactCollection": null } }));
    };
    let wanted = call.texts(&["fileNames"]);
    let mut all = Manifest::of(call.app, &version).await?.paths(call.app, &version).await?;
    if let Some(wanted) = wanted.filter(|w| !w.is_empty()) {
        all.retain(|(name, _)| wanted.contains(name));
    }
    let first = call.text(&["cursor"]).and_then(|c| c.parse::<usize>().ok()).unwrap_or(0);
    let size = call.value(&["perPage"]).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let size = size.unwrap_or(50).clamp(1, PAGE_FILES_MAX);
    let mut edges = Vec::new();
    for (name, path) in all.iter().skip(first).take(size) {
        let url = signed::address(call.app, &call.base, Use::Get, path).await?;
        edges.push(json!({ "node": {
            "__typename": "File", "id": path, "name": name, "displayName": name, "url": url, "directUrl": url,
            "sizeBytes": call.app.ctx().artifacts.size(path).await.unwrap_or(0), "storagePath": path, "mimetype": null,
            "updatedAt": null, "digest": null, "md5": null,
        } }));
    }
    let more = first + edges.len() < all.len();
    let page = json!({
        "__typename": "PageInfo", "endCursor": more.then(|| (first + edges.len()).to_string()), "hasNextPage": more,
    });
    Ok(json!({ "project": { "artifactCollection": {
        "__typename": "ArtifactSequence",
        "artifactMembership": { "files": { "pageInfo": page, "edges": edges, "totalCount": all.len() } },
    } } }))
}
