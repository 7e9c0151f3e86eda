//! `model-versions/…`: registration, stages, tags, and where a version's artifacts are.

use std::collections::HashMap;

use axum::extract::{Query as UrlQuery, State};
use axum::http::HeaderMap;
use axum::routing::{delete, get, patch, post};
use axum::{Extension, Router};
use serde::Serialize;

use super::answer::{Answer, done, json, page_offset, page_token};
use super::asked::Asked;
use super::browse::{parameter, place};
use super::experiments::page_size;
use super::files::{below, download, safe_path};
use super::form::{Given, Pair, form, pairs};
use super::log::model_id;
use super::registered::{VersionShape, stage_name};
use super::registry::{decide, stage, view};
use super::runs::run_id;
use crate::agent::App;
use crate::base::id::ModelId;
use crate::base::{Fault, fault::Result};
use crate::capability::Actor;
use crate::capability::registry::{self, Command, ModelVersion, Stage, VersionDoc};
use crate::capability::tracking::filter::{self, Target};
use crate::capability::tracking::search::Query;
use crate::db::Source;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/model-versions/create", post(create))
        .route("/model-versions/get", get(by_number))
        .route("/model-versions/search", get(search))
        .route("/model-versions/update", patch(update))
        .route("/model-versions/transition-stage", post(transition))
        .route("/model-versions/delete", delete(remove))
        .route("/model-versions/get-download-uri", get(download_uri))
        .route("/model-versions/set-tag", post(set_tag))
        .route("/model-versions/delete-tag", delete(delete_tag))
}

form! {
    Create {
        name: Text required, source: Text required, run_id: Text, tags: List<Pair>, run_link: Text, description: Text,
        model_id: Text,
    }
    One { name: Text required, version: Text required }
    Update { name: Text required, version: Text required, description: Text }
    Transition { name: Text required, version: Text required, stage: Text required, archive_existing_versions: Flag }
    Tag { name: Text required, version: Text required, key: Text required, value: Text }
    Search { filter: Text, max_results: Int, order_by: Texts, page_token: Text }
}

/// A version's number, which clients send as text.
pub(super) fn number(model: &str, version: &str) -> Result<u32> {
    let text = version.trim();
    text.parse().map_err(|_| match text.parse::<i128>() {
        Ok(_) => registry::missing_version(model, text),
        Err(_) => Fault::invalid(format!("Parameter 'version' must be an integer, got '{version}'.")),
    })
}

#[derive(Serialize)]
struct OneVersion<'a> {
    model_version: VersionShape<'a>,
}

pub(super) fn one_version(version: &ModelVersion) -> Answer {
    json(&OneVersion { model_version: version.into() })
}

async fn found(app: &App, model: &str, version: &str) -> Result<ModelVersion> {
    let number = number(model, version)?;
    // What is missing is the version, also when it is the model that is not there.
    let view = match view(app, model).await {
        Err(fault) if fault.kind == crate::base::Kind::NotFound => None,
        other => Some(other?),
    };
    let version = view.and_then(|v| v.versions.into_iter().find(|v| v.version == number));
    version.ok_or_else(|| registry::missing_version(model, number))
}

async fn create(State(app): State<App>, Extension(actor): Extension<Actor>, mut asked: Asked) -> Answer {
    let form: Create<'_> = asked.form()?;
    let model: String = form.name.unwrap_or_default().into();
    let doc = VersionDoc {
        description: form.description.unwrap_or_default().into(),
        source: form.source.unwrap_or_default().into(),
        run_id: form.run_id.filter(Given::given).map(Into::into),
        run_link: form.run_link.unwrap_or_default().into(),
        model_id: model_id(form.model_id.as_ref())?,
        user: actor.who.name.clone(),
        tags: pairs("tags", form.tags)?.into_iter().collect(),
        ..VersionDoc::default()
    };
    let register = Command::RegisterVersion { model: model.clone(), create: false, doc, import: None };
    let outcome = decide(&app, &actor, register).await?;
    let version = found(&app, &model, &outcome.version.unwrap_or_default().to_string()).await?;
    if let Some(id) = version.doc.model_id {
        note_on_model(&app, id, &version).await;
    }
    one_version(&version)
}

/// Keeps the list of its registrations in a tag of the logged model, where `MLflow`'s clients look for it.
async fn note_on_model(app: &App, id: ModelId, version: &ModelVersion) {
    const TAG: &str = "mlflow.modelVersions";
    let name = serde_json::Value::from(version.model.as_str());
    let entry = format!("{{\"name\": {name}, \"version\": {}}}", version.version);
    let change = move |model: &mut crate::capability::tracking::LoggedModel| {
        let list = model.tags.get(TAG).and_then(|t| t.trim().strip_prefix('[')?.strip_suffix(']')).unwrap_or_default();
        let list = if list.is_empty() { entry } else { format!("{list}, {entry}") };
        model.tags.insert(TAG.to_owned(), format!("[{list}]"));
        Ok(())
    };
    // The registration holds; a model that was deleted meanwhile needs no note.
    if let Err(fault) = app.ctx().tracking.change_model(id, app.now(), change).await {
        tracing::debug!("registration not noted on {id}: {fault}");
    }
}

async fn by_number(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: One<'_> = asked.form()?;
    one_version(&found(&app, &form.name.unwrap_or_default(), &form.version.unwrap_or_default()).await?)
}

#[derive(Serialize)]
struct Page<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_versions: Vec<VersionShape<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

async fn search(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: Search<'_> = asked.form()?;
    let refuse = |e: filter::Invalid| Fault::invalid(e.to_string());
    let query = Query {
        filter: filter::parse(form.filter.as_deref().unwrap_or_default(), Target::ModelVersions).map_err(refuse)?,
        order_by: filter::parse_order_list(&form.order_by.unwrap_or_default(), Target::ModelVersions)
            .map_err(refuse)?,
        offset: page_offset(form.page_token.as_deref())?,
        limit: page_size(form.max_results, 200_000, 200_000)?,
        ..Query::default()
    };
    let page = registry::search_versions(registry::models(Source::Pool(app.ctx().db.read()), None).await?, &query);
    json(&Page {
        model_versions: page.items.iter().map(|v| (&**v).into()).collect(),
        next_page_token: page.next(&query).map(page_token),
    })
}

async fn update(State(app): State<App>, Extension(actor): Extension<Actor>, mut asked: Asked) -> Answer {
    let form: Update<'_> = asked.form()?;
    let model: String = form.name.unwrap_or_default().into();
    let version = found(&app, &model, &form.version.unwrap_or_default()).await?.version;
    if let Some(description) = form.description {
        let description = description.into();
        decide(&app, &actor, Command::DescribeVersion { model: model.clone(), version, description }).await?;
    }
    one_version(&found(&app, &model, &version.to_string()).await?)
}

async fn transition(State(app): State<App>, Extension(actor): Extension<Actor>, mut asked: Asked) -> Answer {
    let form: Transition<'_> = asked.form()?;
    let model: String = form.name.unwrap_or_default().into();
    let stage = stage(&form.stage.unwrap_or_default())?;
    let archive_others = form.archive_existing_versions.unwrap_or_default();
    if archive_others && !matches!(stage, Stage::Staging | Stage::Prod) {
        let name = stage_name(stage);
        let why = format!("because '{name}' is not an Active stage. Valid stages are ['Staging', 'Production']");
        let what = format!("Model version transition cannot archive existing model versions {why}");
        return Err(Fault::invalid(what).into());
    }
    let version = found(&app, &model, &form.version.unwrap_or_default()).await?.version;
    decide(&app, &actor, Command::SetStage { model: model.clone(), version, stage, archive_others }).await?;
    one_version(&found(&app, &model, &version.to_string()).await?)
}

async fn remove(State(app): State<App>, Extension(actor): Extension<Actor>, mut asked: Asked) -> Answer {
    let form: One<'_> = asked.form()?;
    let model: String = form.name.unwrap_or_default().into();
    let version = found(&app, &model, &form.version.unwrap_or_default()).await?.version;
    decide(&app, &actor, Command::DeleteVersion { model, version }).await?;
    Ok(done())
}

#[derive(Serialize)]
struct Location {
    artifact_uri: String,
}

async fn location(app: &App, model: &str, version: &str) -> Result<String> {
    let version = found(app, model, version).await?;
    registry::download_uri(&app.ctx().tracking, app.ctx().db.read(), &version).await
}

async fn download_uri(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: One<'_> = asked.form()?;
    let artifact_uri = location(&app, &form.name.unwrap_or_default(), &form.version.unwrap_or_default()).await?;
    json(&Location { artifact_uri })
}

async fn set_tag(State(app): State<App>, Extension(actor): Extension<Actor>, mut asked: Asked) -> Answer {
    let form: Tag<'_> = asked.form()?;
    let value = Some(form.value.clone().unwrap_or_default().into());
    tag(&app, &actor, form, value).await
}

async fn delete_tag(State(app): State<App>, Extension(actor): Extension<Actor>, mut asked: Asked) -> Answer {
    let form: Tag<'_> = asked.form()?;
    tag(&app, &actor, form, None).await
}

async fn tag(app: &App, actor: &Actor, form: Tag<'_>, value: Option<String>) -> Answer {
    let model: String = form.name.unwrap_or_default().into();
    let version = found(app, &model, &form.version.unwrap_or_default()).await?.version;
    let key = form.key.unwrap_or_default().into();
    decide(app, actor, Command::TagVersion { model, version, key, value }).await?;
    Ok(done())
}

/// `/model-versions/get-artifact`, a browser's download.
pub(super) async fn get_artifact(
    State(app): State<App>,
    UrlQuery(query): UrlQuery<HashMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    let path = safe_path(parameter(&query, "path")?)?;
    let uri = location(&app, parameter(&query, "name")?, parameter(&query, "version")?).await?;
    let root = match uri.strip_prefix("runs:/").map(|rest| rest.split_once('/').unwrap_or((rest, ""))) {
        None => place(&uri)?,
        Some((id, folder)) => {
            let id = run_id(Some(&super::form::Word(id.into())), None)?;
            let run = app.ctx().tracking.read(|s| s.run(id).cloned());
            let run = run.ok_or_else(|| crate::capability::tracking::runs::missing(id))?;
            below(&place(&app.ctx().tracking.artifact_uri(&run))?, folder.trim_matches('/'))
        }
    };
    download(&app, &below(&root, &path), &headers).await
}
