//! Artifacts that scripts link to a registry: versions of registered models here, and found again under the registry's name.

use serde_json::{Value, json};

use super::call::{Call, project_shape};
use super::shape;
use crate::base::{Fault, Kind, fault::Result};
use crate::capability::registry::{self, Command, ModelVersion, ModelView, Stage, VersionDoc};
use crate::capability::tracking::collections::{self, LATEST, MODEL, Version};
use crate::capability::{Envelope, Outcome, perform};
use crate::db::Source;

/// Of a registered version: the artifact that it was linked from, for people and by its id.
const NAME_TAG: &str = "wandb.artifact";
const ID_TAG: &str = "wandb.artifact_id";

/// Whether a project is none of runs but a registry, of the older kind or the newer ones.
pub(super) fn is_registry(project: &str) -> bool {
    project == "model-registry" || project.starts_with("wandb-registry-")
}

/// The organisation of an entity is the entity: there is one registry.
pub(super) fn organization(call: &Call<'_>) -> Value {
    let entity = call.entity();
    let organization = json!({
        "name": entity, "orgEntity": { "name": entity }, "coreWeaveOrganizationId": null,
    });
    json!({ "entity": { "organization": organization, "user": null } })
}

/// Registers a version for the artifact, once, and gives it its aliases.
pub(super) async fn link(call: &Call<'_>) -> Result<Value> {
    let (model, project) = (call.required(&["artifactPortfolioName"])?, call.project());
    if !is_registry(&project) {
        return Err(Fault::invalid(format!("{project} is no registry"))
            .why("an artifact is linked to a registered model")
            .next(format!("link it to wandb-registry-model/{model}")));
    }
    let version = artifact(call).await?;
    let number = match registered(call, &model, &version).await? {
        Some(known) => known,
        None => register(call, &model, &version).await?,
    };
    let aliases = call.value(&["aliases"]).and_then(Value::as_array).cloned().unwrap_or_default();
    let aliases = aliases.iter().filter_map(|a| a.as_str().or_else(|| a.get("alias")?.as_str()));
    // The newest version is the newest here without a word.
    for alias in aliases.filter(|alias| *alias != LATEST) {
        let command = Command::SetAlias { model: model.clone(), alias: alias.to_owned(), version: Some(number) };
        decide(call, command).await?;
    }
    let view = view(call, &model).await?.ok_or_else(|| registry::missing(&model))?;
    let member = view.version(number).map(|v| membership(call, &view, v, &version));
    let answer = json!({ "versionIndex": number, "artifactMembership": member });
    Ok(json!({ "result": answer, "linkArtifact": answer }))
}

async fn artifact(call: &Call<'_>) -> Result<Version> {
    let id = call.required(&["artifactID", "artifactId"])?;
    collections::by_id(Source::Pool(call.app.ctx().db.read()), &id).await
}

async fn view(call: &Call<'_>, model: &str) -> Result<Option<ModelView>> {
    match registry::model(Source::Pool(call.app.ctx().db.read()), model, None).await {
        Err(fault) if fault.kind == Kind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// The version that stands for an artifact already.
async fn registered(call: &Call<'_>, model: &str, version: &Version) -> Result<Option<u32>> {
    let is = |v: &&ModelVersion| v.doc.tags.get(ID_TAG) == Some(&version.id);
    Ok(view(call, model).await?.and_then(|view| view.versions.iter().find(is).map(|v| v.version)))
}

async fn register(call: &Call<'_>, model: &str, version: &Version) -> Result<u32> {
    if !version.committed {
        return Err(
            Fault::refused(format!("{} is not committed", version.shown())).next("wait for it: artifact.wait()")
        );
    }
    // A model's logged model has its id.
    let source = match version.kind.as_str() {
        MODEL => format!("models:/m-{}", version.id),
        _ => format!("mlflow-artifacts:/{}", version.folder),
    };
    let doc = VersionDoc {
        description: version.description.clone().unwrap_or_default(),
        source,
        run_id: version.run.map(|run| run.to_string()),
        user: call.actor.who.name.clone(),
        tags: [(NAME_TAG.to_owned(), version.shown()), (ID_TAG.to_owned(), version.id.clone())].into(),
        ..VersionDoc::default()
    };
    let command = Command::RegisterVersion { model: model.to_owned(), create: true, import: None, doc };
    let outcome = decide(call, command).await?;
    outcome.version.ok_or_else(|| Fault::bug("a registration without a version"))
}

async fn decide(call: &Call<'_>, command: Command) -> Result<Outcome> {
    let reason = format!("linked in a script of {}", call.actor.who.name);
    perform(call.app.ctx(), call.actor, Envelope::new(crate::capability::Command::Registry(command), &reason)).await
}

/// The artifact behind `net:v3`, `net:champion`, `net:prod` or `net`, and the version that stands for it.
async fn resolved(call: &Call<'_>, name: &str) -> Result<Option<(ModelView, ModelVersion, Version)>> {
    let (model, which) = name.split_once(':').unwrap_or((name, LATEST));
    let Some(view) = view(call, model).await? else { return Ok(None) };
    let number = which.strip_prefix('v').and_then(|n| n.parse::<u32>().ok());
    let alias = view.model.aliases.get(which).copied();
    let staged = || Stage::parse(which).and_then(|stage| view.in_stage(stage).next());
    let found = match alias.or(number) {
        Some(number) => view.version(number),
        None if which == LATEST => view.versions.iter().max_by_key(|v| v.version),
        None => staged(),
    };
    let Some(version) = found.cloned() else { return Ok(None) };
    let Some(id) = version.doc.tags.get(ID_TAG) else { return Ok(None) };
    let artifact = collections::by_id(Source::Pool(call.app.ctx().db.read()), id).await?;
    Ok(Some((view, version, artifact)))
}

/// The artifact that a name in a registry means.
pub(super) async fn named(call: &Call<'_>, name: &str) -> Result<Option<Version>> {
    Ok(resolved(call, name).await?.map(|(_, _, artifact)| artifact))
}

pub(super) async fn by_name(call: &Call<'_>, name: &str) -> Result<Value> {
    let found = resolved(call, name).await?;
    Ok(found.map_or(Value::Null, |(view, version, artifact)| membership(call, &view, &version, &artifact)))
}

/// An artifact as a member of a registry's collection.
fn membership(call: &Call<'_>, view: &ModelView, version: &ModelVersion, artifact: &Version) -> Value {
    let collection = json!({
        "__typename": "ArtifactPortfolio", "id": view.model.name, "name": view.model.name, "state": "READY",
        "description": view.model.description, "project": project_shape(&call.entity(), &call.project()),
        "type": { "id": artifact.kind, "name": artifact.kind },
    });
    let alias = |name: &String| {
        json!({
            "__typename": "ArtifactAlias", "id": format!("{}:{name}", artifact.id), "alias": name,
            "artifactCollection": collection,
        })
    };
    let aliases: Vec<Value> = version.aliases.iter().map(alias).collect();
    let mut member = shape::membership(call, artifact);
    member["id"] = format!("{}:{}", view.model.name, version.version).into();
    member["versionIndex"] = version.version.into();
    member["aliases"] = aliases.into();
    member["createdAt"] = version.created.to_string().into();
    member["artifactCollection"] = collection;
    member
}
