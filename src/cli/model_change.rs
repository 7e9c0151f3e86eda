//! `opsroom model …` and `opsroom promote`: what changes the registry. Each verb only constructs a command.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use super::change::Change;
use super::print::{self, Page};
use super::{Exit, Format, Session, select};
use crate::base::{Fault, fault::Result};
use crate::capability::Command;
use crate::capability::registry::{Command as Registry, Stage, VersionDoc};
use crate::capability::{rollout, tracking};
use crate::client::Client;

pub(super) fn stage_named(text: &str) -> Result<Stage, String> {
    Stage::parse(text).ok_or_else(|| "one of dev, staging, prod, archived".to_owned())
}

#[derive(Debug, Args)]
pub struct Create {
    model: String,
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// KEY=VALUE; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    tag: Vec<String>,
    #[command(flatten)]
    change: Change,
}

pub(super) async fn create(session: &Session, it: Create) -> Result<Exit> {
    let tags = it.tag.iter().map(|t| select::pair(t)).collect::<Result<_>>()?;
    it.change
        .run(session, Command::Registry(Registry::CreateModel { model: it.model, description: it.description, tags }))
        .await
}

#[derive(Debug, Args)]
pub struct Register {
    model: String,
    /// The run that logged it
    #[arg(long, required_unless_present = "source")]
    run: Option<String>,
    /// Folder among the run's artifacts; without it the model that the run logged, of MLflow's or of W&B's, else `model`
    #[arg(long, conflicts_with = "source")]
    path: Option<String>,
    /// Another URI: runs:/RUN/PATH, models:/m-ID, or models:/NAME/VERSION
    #[arg(long, value_name = "URI")]
    source: Option<String>,
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// KEY=VALUE; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    tag: Vec<String>,
    #[command(flatten)]
    change: Change,
}

pub(super) async fn register(session: &Session, it: Register) -> Result<Exit> {
    let client = session.client().await?;
    let run = match &it.run {
        Some(text) => Some(select::run(client, text).await?.to_string()),
        // The run is named in the URI itself.
        None => it
            .source
            .as_deref()
            .and_then(|s| s.strip_prefix("runs:/"))
            .and_then(|s| s.split('/').next())
            .map(ToOwned::to_owned),
    };
    let source = match (&it.source, &run) {
        (Some(source), _) => source.clone(),
        (None, Some(run)) => logged_by(client, run, it.path.as_deref()).await?,
        (None, None) => return Err(Fault::invalid("give --run or --source")),
    };
    let doc = version_doc(session, it.description, &it.tag, source, run).await?;
    it.change
        .run(session, Command::Registry(Registry::RegisterVersion { model: it.model, create: true, import: None, doc }))
        .await
}

/// Where the model of a run lies: in the folder that is named, in the one model that it logged, else in the usual folder.
async fn logged_by(client: &Client, run: &str, folder: Option<&str>) -> Result<String> {
    if let Some(folder) = folder {
        return Ok(format!("runs:/{run}/{}", folder.trim_matches('/')));
    }
    let models = client.run(run.parse().map_err(|()| Fault::invalid(format!("no id of a run: {run}")))?).await?.models;
    match models.as_slice() {
        [] => Ok(format!("runs:/{run}/model")),
        [one] => Ok(format!("models:/{one}")),
        several => {
            let ids = several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            Err(Fault::invalid(format!("this run logged {} models", several.len()))
                .why(ids)
                .next("name one: --source models:/m-…"))
        }
    }
}

/// What is known of a version before it is registered.
pub(super) async fn version_doc(
    session: &Session,
    description: String,
    tags: &[String],
    source: String,
    run: Option<String>,
) -> Result<VersionDoc> {
    let tags = tags.iter().map(|t| select::pair(t)).collect::<Result<BTreeMap<_, _>>>()?;
    let user = session.client().await?.status().await?.actor;
    Ok(VersionDoc { description, source, run_id: run, user, tags, ..VersionDoc::default() })
}

/// Move a version to another stage. A version that goes to prod archives the one that was.
#[derive(Debug, Args)]
pub struct Promote {
    model: String,
    /// 3, v3 or @alias
    version: String,
    /// dev, staging, prod or archived
    #[arg(long, value_name = "STAGE", value_parser = stage_named)]
    to: Stage,
    /// Without a rollout, for a model that is served: all traffic moves at once
    #[arg(long)]
    all_at_once: bool,
    #[command(flatten)]
    change: Change,
}

pub(super) async fn promote(session: &Session, it: Promote) -> Result<Exit> {
    if it.to == Stage::Prod
        && let Some(command) = by_its_service(session, &it).await?
    {
        return it.change.run(session, Command::Rollouts(command)).await;
    }
    let it = SetStage { model: it.model, version: it.version, stage: it.to, archive_others: false, change: it.change };
    stage(session, it).await
}

/// Where a service answers with another version, prod is the end of its rollout, or a switch that is asked for as such.
async fn by_its_service(session: &Session, it: &Promote) -> Result<Option<rollout::Command>> {
    let client = session.client().await?;
    let version = select::version(client, &it.model, &it.version).await?;
    let services = client.services().await?;
    let served = services.iter().find(|s| s.service.model == it.model && s.stable.is_some_and(|v| v != version));
    let Some(served) = served else { return Ok(None) };
    let service = served.service.name.clone();
    let is_on_its_way = served.candidate.as_ref().is_some_and(|r| r.version == version);
    Ok(match (is_on_its_way, it.all_at_once) {
        (true, _) => Some(rollout::Command::FinishRollout { service }),
        (false, true) => Some(rollout::Command::SwitchService { service, version }),
        // The agent says which ways there are.
        (false, false) => None,
    })
}

#[derive(Debug, Args)]
pub struct SetStage {
    model: String,
    /// 3, v3 or @alias
    version: String,
    /// dev, staging, prod or archived
    #[arg(value_parser = stage_named)]
    stage: Stage,
    /// Archive all others in staging too
    #[arg(long)]
    archive_others: bool,
    #[command(flatten)]
    change: Change,
}

pub(super) async fn stage(session: &Session, it: SetStage) -> Result<Exit> {
    let version = select::version(session.client().await?, &it.model, &it.version).await?;
    let command = Registry::SetStage { model: it.model, version, stage: it.stage, archive_others: it.archive_others };
    it.change.run(session, Command::Registry(command)).await
}

#[derive(Debug, Args)]
pub struct SetAlias {
    model: String,
    alias: String,
    /// 3 or v3
    #[arg(required_unless_present = "remove")]
    version: Option<String>,
    #[arg(long, conflicts_with = "version")]
    remove: bool,
    #[command(flatten)]
    change: Change,
}

pub(super) async fn alias(session: &Session, it: SetAlias) -> Result<Exit> {
    let version = match &it.version {
        Some(text) => Some(select::version(session.client().await?, &it.model, text).await?),
        None => None,
    };
    it.change.run(session, Command::Registry(Registry::SetAlias { model: it.model, alias: it.alias, version })).await
}

/// Read the description of a model or version, or with --set or --file write it.
#[derive(Debug, Args)]
pub struct Card {
    model: String,
    /// 3, v3 or @alias; without one the model's
    version: Option<String>,
    /// The new text
    #[arg(long, value_name = "TEXT")]
    set: Option<String>,
    /// The new text from a file, such as a model card in Markdown
    #[arg(long, value_name = "FILE", conflicts_with = "set")]
    file: Option<PathBuf>,
    #[command(flatten)]
    change: Change,
}

pub(super) async fn card(session: &Session, it: Card) -> Result<Exit> {
    let client = session.client().await?;
    let version = match &it.version {
        Some(text) => Some(select::version(client, &it.model, text).await?),
        None => None,
    };
    let text = match (&it.set, &it.file) {
        (Some(text), _) => Some(text.clone()),
        (None, Some(file)) => Some(
            std::fs::read_to_string(file)
                .map_err(|e| Fault::invalid(format!("cannot read {}", file.display())).why(e.to_string()))?,
        ),
        (None, None) => None,
    };
    let Some(description) = text else {
        let view = client.model(&it.model, None).await?;
        let text = match version {
            None => view.model.description,
            Some(n) => {
                let found =
                    view.version(n).ok_or_else(|| crate::capability::registry::missing_version(&it.model, n))?;
                found.doc.description.clone()
            }
        };
        match session.format {
            Format::Json => {
                let card = serde_json::json!({ "model": it.model, "version": version, "description": text });
                print::answer(session.format, &card, |_| Page::default())?;
            }
            _ => print::out(format!("{text}\n").as_bytes())?,
        }
        return Ok(Exit::Done);
    };
    let command = match version {
        None => Registry::DescribeModel { model: it.model, description },
        Some(version) => Registry::DescribeVersion { model: it.model, version, description },
    };
    it.change.run(session, Command::Registry(command)).await
}

#[derive(Debug, Args)]
pub struct SetTag {
    model: String,
    /// KEY=VALUE
    #[arg(required_unless_present = "remove")]
    tag: Option<String>,
    /// 3, v3 or @alias; without one the model's
    #[arg(long, value_name = "VERSION")]
    of: Option<String>,
    /// Remove this tag
    #[arg(long, value_name = "KEY", conflicts_with = "tag")]
    remove: Option<String>,
    #[command(flatten)]
    change: Change,
}

pub(super) async fn tag(session: &Session, it: SetTag) -> Result<Exit> {
    let (key, value) = match (&it.tag, &it.remove) {
        (Some(text), _) => select::pair(text).map(|(k, v)| (k, Some(v)))?,
        (None, Some(key)) => (key.clone(), None),
        (None, None) => return Err(Fault::invalid("give KEY=VALUE or --remove KEY")),
    };
    let command = match &it.of {
        None => Registry::TagModel { model: it.model, key, value },
        Some(text) => {
            let version = select::version(session.client().await?, &it.model, text).await?;
            Registry::TagVersion { model: it.model, version, key, value }
        }
    };
    it.change.run(session, Command::Registry(command)).await
}

#[derive(Debug, Args)]
pub struct Rename {
    model: String,
    to: String,
    #[command(flatten)]
    change: Change,
}

pub(super) async fn rename(session: &Session, it: Rename) -> Result<Exit> {
    it.change.run(session, Command::Registry(Registry::RenameModel { model: it.model, to: it.to })).await
}

#[derive(Debug, Args)]
pub struct Delete {
    model: String,
    /// 3 or v3
    #[arg(required_unless_present = "all")]
    version: Option<String>,
    /// The model itself with all its versions
    #[arg(long, conflicts_with = "version")]
    all: bool,
    #[command(flatten)]
    change: Change,
}

pub(super) async fn delete(session: &Session, it: Delete) -> Result<Exit> {
    let command = match &it.version {
        Some(text) => {
            let version = select::version(session.client().await?, &it.model, text).await?;
            Registry::DeleteVersion { model: it.model, version }
        }
        None => Registry::DeleteModel { model: it.model },
    };
    it.change.run(session, Command::Registry(command)).await
}

#[derive(Debug, Args)]
pub struct DeleteLogged {
    /// m- and 32 hexadecimal digits
    id: String,
    #[command(flatten)]
    change: Change,
}

pub(super) async fn delete_logged(session: &Session, it: DeleteLogged) -> Result<Exit> {
    let id = it
        .id
        .parse()
        .map_err(|()| Fault::invalid(format!("not a logged model's id: {}", it.id)).next("it looks like m-0123…"))?;
    it.change.run(session, Command::Tracking(tracking::Command::DeleteLoggedModel { id })).await
}
