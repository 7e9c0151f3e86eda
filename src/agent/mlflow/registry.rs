//! `registered-models/…`: names, aliases, tags and the latest versions.

use axum::extract::State;
use axum::routing::{delete, get, patch, post};
use axum::{Extension, Router};
use serde::Serialize;

use super::answer::{Answer, done, json, page_offset, page_token};
use super::asked::{Asked, missing};
use super::experiments::page_size;
use super::form::{Pair, form, pairs};
use super::registered::{ModelShape, VersionShape, latest};
use super::versions::{number, one_version};
use crate::agent::App;
use crate::base::{Fault, fault::Result};
use crate::capability::registry::{self, Command, ModelView, Stage};
use crate::capability::tracking::filter::{self, Target};
use crate::capability::tracking::search::Query;
use crate::capability::{Actor, Envelope, Outcome, perform};
use crate::db::Source;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/registered-models/create", post(create))
        .route("/registered-models/get", get(by_name))
        .route("/registered-models/search", get(search))
        .route("/registered-models/rename", post(rename))
        .route("/registered-models/update", patch(update))
        .route("/registered-models/delete", delete(remove))
        .route("/registered-models/get-latest-versions", get(latest_versions).post(latest_versions))
        .route("/registered-models/set-tag", post(set_tag))
        .route("/registered-models/delete-tag", delete(delete_tag))
        .route("/registered-models/alias", get(by_alias).post(set_alias).delete(delete_alias))
}

form! {
    Create { name: Text required, tags: List<Pair>, description: Text }
    One { name: Text required }
    Rename { name: Text required, new_name: Text required }
    Search { filter: Text, max_results: Int, order_by: Texts, page_token: Text }
    Latest { name: Text required, stages: Texts }
    Tag { name: Text required, key: Text required, value: Text }
    Alias { name: Text required, alias: Text required }
    SetAlias { name: Text required, alias: Text required, version: Text required }
}

/// Performs a command of the registry. `MLflow`'s clients have no way to send a reason.
pub(super) async fn decide(app: &App, actor: &Actor, command: Command) -> Result<Outcome> {
    perform(app.ctx(), actor, Envelope::new(crate::capability::Command::Registry(command), "")).await
}

pub(super) async fn view(app: &App, name: &str) -> Result<ModelView> {
    registry::model(Source::Pool(app.ctx().db.read()), name, None).await
}

#[derive(Serialize)]
struct OneModel<'a> {
    registered_model: ModelShape<'a>,
}

async fn shown(app: &App, name: &str) -> Answer {
    json(&OneModel { registered_model: (&view(app, name).await?).into() })
}

/// A name that is only spaces is none.
fn named(name: Option<super::form::Word<'_>>, parameter: &str) -> Result<String> {
    let name: String = name.unwrap_or_default().into();
    if name.trim().is_empty() { Err(missing(parameter)) } else { Ok(name) }
}

async fn create(State(app): State<App>, Extension(actor): Extension<Actor>, mut asked: Asked) -> Answer {
    let form: Create<'_> = asked.form()?;
    let model = named(form.name, "name")?;
    let description = form.description.unwrap_or_default().into();
    let tags = pairs("tags", form.tags)?;
    decide(&app, &actor, Command::CreateModel { model: model.clone(), description, tags }).await?;
    shown(&app, &model).await
}

async fn by_name(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: One<'_> = asked.form()?;
    shown(&app, &form.name.unwrap_or_default()).await
}

#[derive(Serialize)]
struct Page<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    registered_models: Vec<ModelShape<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

async fn search(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: Search<'_> = asked.form()?;
    let refuse = |e: filter::Invalid| Fault::invalid(e.to_string());
    let query = Query {
        filter: filter::parse(form.filter.as_deref().unwrap_or_default(), Target::RegisteredModels).map_err(refuse)?,
        order_by: filter::parse_order_list(&form.order_by.unwrap_or_default(), Target::RegisteredModels)
            .map_err(refuse)?,
        offset: page_offset(form.page_token.as_deref())?,
        limit: page_size(form.max_results, 100, 1000)?,
        ..Query::default()
    };
    let page = registry::search_models(registry::models(Source::Pool(app.ctx().db.read()), None).await?, &query);
    json(&Page {
        registered_models: page.items.iter().map(|v| (&**v).into()).collect(),
        next_page_token: page.next(&query).map(page_token),
    })
}

async fn rename(State(app): State<App>, Extension(actor): Extension<Actor>, mut asked: Asked) -> Answer {
    let form: Rename<'_> = asked.form()?;
    let (model, to) = (named(form.name, "name")?, named(form.new_name, "new_name")?);
    decide(&app, &actor, Command::RenameModel { model, to: to.clone() }).await?;
    shown(&app, &to).await
}

async fn update(State(app): State<App>, Extension(actor): Extension<Actor>, mut asked: Asked) -> Answer {
    let form: Create<'_> = asked.form()?;
    let model = named(form.name, "name")?;
    let description = form.description.unwrap_or_default().into();
    decide(&app, &actor, Command::DescribeModel { model: model.clone(), description }).await?;
    shown(&app, &model).await
}

async fn remove(State(app): State<App>, Extension(actor): Extension<Actor>, mut asked: Asked) -> Answer {
    let form: One<'_> = asked.form()?;
    decide(&app, &actor, Command::DeleteModel { model: named(form.name, "name")? }).await?;
    Ok(done())
}

/// A stage by `MLflow`'s name or by ours.
pub(super) fn stage(name: &str) -> Result<Stage> {
    Stage::parse(name).ok_or_else(|| {
        let names = "None, Staging, Production, Archived";
        Fault::invalid(format!("Invalid Model Version stage: {name}. Value must be one of {names}."))
    })
}

#[derive(Serialize)]
struct Versions<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_versions: Vec<VersionShape<'a>>,
}

async fn latest_versions(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: Latest<'_> = asked.form()?;
    let stages = form.stages.unwrap_or_default().iter().map(|s| stage(s)).collect::<Result<Vec<_>>>()?;
    let view = view(&app, &form.name.unwrap_or_default()).await?;
    let wanted = latest(&view).filter(|v| stages.is_empty() || stages.contains(&v.stage));
    json(&Versions { model_versions: wanted.map(Into::into).collect() })
}

async fn set_tag(State(app): State<App>, Extension(actor): Extension<Actor>, mut asked: Asked) -> Answer {
    let form: Tag<'_> = asked.form()?;
    let (model, key) = (named(form.name, "name")?, form.key.unwrap_or_default().into());
    decide(&app, &actor, Command::TagModel { model, key, value: Some(form.value.unwrap_or_default().into()) }).await?;
    Ok(done())
}

async fn delete_tag(State(app): State<App>, Extension(actor): Extension<Actor>, mut asked: Asked) -> Answer {
    let form: Tag<'_> = asked.form()?;
    let (model, key) = (named(form.name, "name")?, form.key.unwrap_or_default().into());
    decide(&app, &actor, Command::TagModel { model, key, value: None }).await?;
    Ok(done())
}

async fn by_alias(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: Alias<'_> = asked.form()?;
    let alias = form.alias.unwrap_or_default();
    let view = view(&app, &form.name.unwrap_or_default()).await?;
    if alias.eq_ignore_ascii_case("latest") {
        let missing = || Fault::not_found(format!("Latest version not found for model {}.", view.model.name));
        return one_version(view.versions.first().ok_or_else(missing)?);
    }
    let pointed = view.model.aliases.get(&*alias).and_then(|v| view.version(*v));
    // Clients tell this refusal from a missing model by its code.
    one_version(pointed.ok_or_else(|| Fault::invalid(format!("Registered model alias {} not found.", &*alias)))?)
}

async fn set_alias(State(app): State<App>, Extension(actor): Extension<Actor>, mut asked: Asked) -> Answer {
    let form: SetAlias<'_> = asked.form()?;
    let (model, alias) = (named(form.name, "name")?, form.alias.unwrap_or_default().into());
    let version = number(&model, &form.version.unwrap_or_default())?;
    decide(&app, &actor, Command::SetAlias { model, alias, version: Some(version) }).await?;
    Ok(done())
}

async fn delete_alias(State(app): State<App>, Extension(actor): Extension<Actor>, mut asked: Asked) -> Answer {
    let form: Alias<'_> = asked.form()?;
    let (model, alias) = (named(form.name, "name")?, form.alias.unwrap_or_default().into());
    decide(&app, &actor, Command::SetAlias { model, alias, version: None }).await?;
    Ok(done())
}
