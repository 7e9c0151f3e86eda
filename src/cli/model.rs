//! `opsroom model`: looking at the registry. What changes it is in [`super::model_change`].

use std::collections::BTreeMap;

use clap::Subcommand;
use serde::Serialize;

use super::print::{self, Page, Table};
use super::{Exit, Session, model_change as change, push, select, times};
use crate::base::{Timestamp, fault::Result, show};
use crate::capability::gates::OfVersion;
use crate::capability::registry::{ModelVersion, ModelView, Stage};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// All registered models
    List {
        /// As it stood at a moment: 24h, or a date
        #[arg(long, value_parser = times::past, value_name = "TIME")]
        as_of: Option<Timestamp>,
    },
    /// A model with its versions and history, or one version
    Show {
        model: String,
        /// 3, v3 or @alias
        version: Option<String>,
        /// As it stood at a moment: 24h, or a date
        #[arg(long, value_parser = times::past, value_name = "TIME")]
        as_of: Option<Timestamp>,
    },
    /// Make a registered model without versions
    Create(change::Create),
    /// Register a run's artifact as a version, and freeze it
    Register(change::Register),
    /// Upload files of this machine and register them
    Push(push::Push),
    /// Move a version to dev, staging, prod or archived
    Stage(change::SetStage),
    /// Point an alias at a version, or remove it
    Alias(change::SetAlias),
    /// Read or write the description of a model or version
    Card(change::Card),
    /// Set or remove a tag of a model or version
    Tag(change::SetTag),
    /// Give a model another name
    Rename(change::Rename),
    /// Remove a version, or a model with all its versions
    Delete(change::Delete),
    /// Mark a logged model, which is not registered, as deleted
    DeleteLogged(change::DeleteLogged),
}

/// # Errors
/// What the agent refused.
pub async fn run(session: &Session, verb: Verb) -> Result<Exit> {
    match verb {
        Verb::List { as_of } => list(session, as_of).await,
        Verb::Show { model, version, as_of } => show(session, &model, version.as_deref(), as_of).await,
        Verb::Create(it) => change::create(session, it).await,
        Verb::Register(it) => change::register(session, it).await,
        Verb::Push(it) => push::run(session, it).await,
        Verb::Stage(it) => change::stage(session, it).await,
        Verb::Alias(it) => change::alias(session, it).await,
        Verb::Card(it) => change::card(session, it).await,
        Verb::Tag(it) => change::tag(session, it).await,
        Verb::Rename(it) => change::rename(session, it).await,
        Verb::Delete(it) => change::delete(session, it).await,
        Verb::DeleteLogged(it) => change::delete_logged(session, it).await,
    }
}

async fn list(session: &Session, as_of: Option<Timestamp>) -> Result<Exit> {
    let models = session.client().await?.models(as_of).await?;
    print::answer(session.format, &models, |models| {
        if models.is_empty() {
            return Page::default()
                .line("no registered models yet: `opsroom model register NAME --run RUN`, or register from a script");
        }
        let mut table = Table::new(&["MODEL", "VERSIONS>", "PROD", "STAGING", "ALIASES", "UPDATED"]);
        for m in models {
            let aliases: Vec<String> = m.model.aliases.iter().map(|(a, v)| format!("{a}=v{v}")).collect();
            table.row([
                m.model.name.clone(),
                m.versions.len().to_string(),
                in_stage(m, Stage::Prod),
                in_stage(m, Stage::Staging),
                aliases.join(" "),
                show::moment(m.model.updated),
            ]);
        }
        table.into()
    })?;
    Ok(Exit::Done)
}

fn in_stage(model: &ModelView, stage: Stage) -> String {
    let versions: Vec<String> = model.in_stage(stage).map(|v| format!("v{}", v.version)).collect();
    if versions.is_empty() { show::MISSING.to_owned() } else { versions.join(" ") }
}

/// A model or version with how it stands to its gates; a past moment has no gates.
#[derive(Serialize)]
struct Shown<'a, T> {
    #[serde(flatten)]
    what: &'a T,
    #[serde(skip_serializing_if = "Option::is_none")]
    gates: Option<BTreeMap<u32, OfVersion<'a>>>,
}

async fn show(session: &Session, model: &str, version: Option<&str>, as_of: Option<Timestamp>) -> Result<Exit> {
    let client = session.client().await?;
    let view = client.model(model, as_of).await?;
    let standing = if as_of.is_none() { Some(client.gates(Some(model)).await?) } else { None };
    let gates = |versions: &[&ModelVersion]| {
        let standing = standing.as_ref()?;
        Some(versions.iter().map(|v| (v.version, standing.of_version(v))).collect::<BTreeMap<_, _>>())
    };
    let Some(text) = version else {
        let gates = gates(&view.versions.iter().collect::<Vec<_>>());
        print::answer(session.format, &Shown { what: &view, gates }, |s| model_page(s.what, s.gates.as_ref()))?;
        return Ok(Exit::Done);
    };
    let number = select::version(client, model, text).await?;
    let found = view.version(number).ok_or_else(|| crate::capability::registry::missing_version(model, number))?;
    let gates = gates(&[found]);
    print::answer(session.format, &Shown { what: found, gates }, |s| {
        let mut page = version_page(s.what);
        for of in s.gates.iter().flat_map(BTreeMap::values) {
            page = page.line("").line(format!("gates before prod: {}", of.eval));
            for w in &of.waivers {
                page =
                    page.line(format!("{} waived by {} until {}: {}", w.gate, w.by, show::moment(w.until), w.reason));
            }
        }
        page
    })?;
    Ok(Exit::Done)
}

/// `pass`, `fail (1 waived)`, `ungated`.
fn gate_words(of: Option<&OfVersion<'_>>) -> String {
    match of {
        None => show::MISSING.to_owned(),
        Some(of) if of.waivers.is_empty() => of.eval.to_owned(),
        Some(of) => format!("{} ({} waived)", of.eval, of.waivers.len()),
    }
}

fn model_page(view: &ModelView, gates: Option<&BTreeMap<u32, OfVersion<'_>>>) -> Page {
    let model = &view.model;
    let tags: Vec<String> = model.tags.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let mut versions = Table::new(&["VERSION>", "STAGE", "ALIASES", "RUN", "FILES>", "GATES", "CREATED", "BY"]);
    for v in &view.versions {
        versions.row([
            format!("v{}", v.version),
            v.stage.name().to_owned(),
            v.aliases.join(" "),
            v.doc.run_id.as_deref().unwrap_or(show::MISSING).chars().take(12).collect(),
            v.doc.artifact.as_ref().map_or_else(|| show::MISSING.to_owned(), |a| show::count(a.files)),
            gate_words(gates.and_then(|g| g.get(&v.version))),
            show::moment(v.created),
            v.doc.user.clone(),
        ]);
    }
    let mut history = Table::new(&["WHEN", "VERSION>", "WHAT", "VALUE", "BY", "REASON"]);
    for h in &view.history {
        let value = h.value.clone().unwrap_or_else(|| "ended".to_owned());
        history.row([
            show::moment(h.at),
            format!("v{}", h.version),
            h.what.clone(),
            value,
            h.actor.clone(),
            h.reason.clone(),
        ]);
    }
    Page::default()
        .pairs([
            ("model", model.name.clone()),
            ("as of", view.as_of.map(show::moment).unwrap_or_default()),
            ("description", model.description.clone()),
            ("tags", tags.join(" ")),
            ("created", show::moment(model.created)),
            ("generation", model.generation.to_string()),
        ])
        .titled("", versions)
        .titled("", history)
}

fn version_page(v: &ModelVersion) -> Page {
    let mut datasets = Table::new(&["DATASET", "DIGEST", "CONTEXT"]);
    v.doc.datasets.iter().for_each(|d| datasets.row([d.shown(), d.digest.clone(), d.context.clone()]));
    let mut tags = Table::new(&["TAG", "VALUE"]);
    v.doc.tags.iter().for_each(|(key, value)| tags.row([key.clone(), value.clone()]));
    let artifact = v.doc.artifact.as_ref();
    Page::default()
        .pairs([
            ("version", format!("{} v{}", v.model, v.version)),
            ("stage", v.stage.name().to_owned()),
            ("aliases", v.aliases.join(" ")),
            ("description", v.doc.description.clone()),
            ("source", v.doc.source.clone()),
            ("run", v.doc.run_id.clone().unwrap_or_default()),
            (
                "frozen",
                artifact
                    .map(|a| format!("{} files, {}", show::count(a.files), show::bytes(a.bytes)))
                    .unwrap_or_default(),
            ),
            ("digest", artifact.map(|a| a.digest.clone()).unwrap_or_default()),
            ("created", show::moment(v.created)),
            ("by", v.doc.user.clone()),
        ])
        .titled("", datasets)
        .titled("", tags)
}
