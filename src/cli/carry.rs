//! `opsroom model push MODEL VERSION --to CONTEXT`: carries a version and its evidence to another agent. What it may become there
//! is decided by the gates there: labels and predictions go along, and that agent computes the figures from them itself.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::Serialize;
use serde_json::json;

use super::change::Change;
use super::print::{self, Page, Table};
use super::{Exit, Reached, Session, connect};
use crate::base::{Fault, Kind, fault::Result};
use crate::capability::evals::{self, Evidence, Report, Suite};
use crate::capability::registry::{Command as Registry, ModelVersion, Stage, VersionDoc, missing_version};
use crate::capability::{Command, Envelope};
use crate::client::Client;

/// Tags by which a version says where it came from.
const FROM: &str = "opsroom.pushed_from";
const DIGEST: &str = "opsroom.pushed_digest";

/// What was carried.
#[derive(Debug, Serialize)]
struct Carried {
    model: String,
    version: u32,
    to: String,
    /// The version there.
    as_version: u32,
    /// Whether it had been carried before.
    known: bool,
    files: usize,
    digest: String,
    evals: Vec<Told>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<String>,
}

/// What became of one piece of evidence.
#[derive(Debug, Serialize)]
struct Told {
    suite: String,
    result: String,
}

pub(super) struct To<'a> {
    pub model: &'a str,
    pub version: &'a str,
    pub context: &'a str,
    pub stage: Option<Stage>,
    pub change: &'a Change,
}

/// # Errors
/// `NotFound` for version or context; what the other agent's gates refuse.
pub(super) async fn run(session: &Session, to: To<'_>) -> Result<Exit> {
    let here = session.client().await?;
    let number = super::select::version(here, to.model, to.version).await?;
    let view = here.model(to.model, None).await?;
    let version = view.version(number).ok_or_else(|| missing_version(to.model, number))?.clone();
    let reached = other(session, to.context).await?;
    let there = &reached.client;
    let status = there.status().await?;
    if status.pid == here.status().await?.pid && status.store == here.status().await?.store {
        return Err(Fault::invalid(format!("context {} is this agent itself", to.context)).next("name another"));
    }
    let evidence = newest(here.evals(to.model, Some(number)).await?, &evals::subject(&version));
    let files = here.version_files(to.model, number, true).await?;
    if files.is_empty() {
        return Err(Fault::refused(format!("{} v{number} has no files here", to.model))
            .why(format!("its artifact lies elsewhere: {}", version.doc.source))
            .next("register it there by its source"));
    }
    if to.change.dry_run {
        let told = json!({ "model": to.model, "version": number, "to": to.context, "files": files.len(), "evals": evidence.len(), "dry_run": true });
        print::answer(session.format, &told, |_| {
            Page::default().line(format!(
                "{} files and {} eval results of {} v{number} would go to {} (dry run: nothing was changed)",
                files.len(),
                evidence.len(),
                to.model,
                to.context
            ))
        })?;
        return Ok(Exit::Done);
    }
    let known = carried_before(there, to.model, &version).await?;
    let as_version = match known {
        Some(version) => version,
        None => carry_files(here, there, &to, &version, &files).await?,
    };
    let digest = digest_there(there, to.model, as_version).await?;
    check_digest(&version, &digest)?;
    let evals = carry_evals(here, there, &to, as_version, &digest, &evidence).await?;
    let mut carried = Carried {
        model: to.model.to_owned(),
        version: number,
        to: to.context.to_owned(),
        as_version,
        known: known.is_some(),
        files: files.len(),
        digest,
        evals,
        stage: None,
    };
    let refused = match to.stage {
        None => None,
        Some(stage) => match promote(there, &to, as_version, stage).await {
            Ok(()) => {
                carried.stage = Some(stage.name().to_owned());
                None
            }
            Err(fault) => Some(fault),
        },
    };
    print::answer(session.format, &carried, page)?;
    // It is there all the same; what it may not become there is the answer.
    refused.map_or(Ok(Exit::Done), Err)
}

/// The agent of a context, whatever agent was named for this one.
async fn other(session: &Session, context: &str) -> Result<Reached> {
    let mut loaded = session.loaded.clone();
    let client = &mut loaded.config.client;
    client.agent.clear();
    client.token_file.as_mut_os_string().clear();
    context.clone_into(&mut client.context);
    if connect::context(&loaded)?.is_some_and(|c| c.read_only) {
        return Err(Fault::new(Kind::Denied, format!("context {context} may only be looked at")));
    }
    connect::reach(&loaded, "cli", false).await
}

/// The newest result of each suite about what the version stands on.
fn newest(all: Vec<Evidence>, subject: &str) -> Vec<Evidence> {
    let mut by_suite: BTreeMap<String, Evidence> = BTreeMap::new();
    for one in all.into_iter().filter(|e| e.subject == subject) {
        match by_suite.get(&one.suite) {
            Some(known) if known.id > one.id => {}
            _ => drop(by_suite.insert(one.suite.clone(), one)),
        }
    }
    by_suite.into_values().collect()
}

/// A version of the other agent that has this one's bytes and was carried there.
async fn carried_before(there: &Client, model: &str, version: &ModelVersion) -> Result<Option<u32>> {
    let Some(artifact) = &version.doc.artifact else { return Ok(None) };
    let view = match there.model(model, None).await {
        Err(fault) if fault.kind == Kind::NotFound => return Ok(None),
        view => view?,
    };
    let same = |v: &&ModelVersion| v.doc.artifact.as_ref().is_some_and(|a| a.digest == artifact.digest);
    Ok(view.versions.iter().filter(|v| v.doc.tags.contains_key(FROM)).find(same).map(|v| v.version))
}

async fn carry_files(
    here: &Client,
    there: &Client,
    to: &To<'_>,
    version: &ModelVersion,
    files: &[crate::capability::registry::VersionFile],
) -> Result<u32> {
    let home = super::push::create_run(there, to.model).await?;
    let number = version.version;
    for file in files {
        let bytes = here.version_bytes(to.model, number, &file.path).await?;
        there
            .put_artifact(&format!("{}/model/{}", home.artifacts, file.path), reqwest::Body::wrap_stream(bytes))
            .await?;
    }
    let body = json!({ "run_id": home.id, "status": "FINISHED" });
    there.mlflow(Method::POST, "/api/2.0/mlflow/runs/update", &body).await?;
    let mut tags = version.doc.tags.clone();
    // What another agent found is for this one to find.
    tags.retain(|key, _| !key.starts_with("opsroom."));
    tags.insert(FROM.to_owned(), format!("{} v{number} at {}", to.model, here.address()));
    tags.extend(version.doc.artifact.as_ref().map(|a| (DIGEST.to_owned(), a.digest.clone())));
    let doc = VersionDoc {
        description: version.doc.description.clone(),
        source: format!("runs:/{}/model", home.id),
        run_id: Some(home.id),
        user: there.status().await?.actor,
        tags,
        datasets: version.doc.datasets.clone(),
        ..VersionDoc::default()
    };
    let command = Registry::RegisterVersion { model: to.model.to_owned(), create: true, import: None, doc };
    let envelope = Envelope {
        idempotency_key: to.change.idempotency_key.clone(),
        ..Envelope::new(Command::Registry(command), to.change.reason.clone())
    };
    let outcome = there.perform(&envelope).await?;
    outcome.version.ok_or_else(|| Fault::bug("the registration gave no version"))
}

async fn digest_there(there: &Client, model: &str, version: u32) -> Result<String> {
    let view = there.model(model, None).await?;
    let found = view.version(version).ok_or_else(|| missing_version(model, version))?;
    Ok(evals::subject(found))
}

fn check_digest(version: &ModelVersion, there: &str) -> Result<()> {
    match &version.doc.artifact {
        Some(own) if own.digest != there => Err(Fault::conflict("what arrived is not what was sent")
            .why(format!("here {}, there {there}", own.digest))
            .next("push it again")),
        _ => Ok(()),
    }
}

async fn carry_evals(
    here: &Client,
    there: &Client,
    to: &To<'_>,
    version: u32,
    subject: &str,
    evidence: &[Evidence],
) -> Result<Vec<Told>> {
    let suites = there.suites().await?;
    let known = there.evals(to.model, Some(version)).await?;
    let mut told = Vec::new();
    for one in evidence {
        let result = match suites.iter().find(|s| s.name == one.suite) {
            None => "there is no such suite there".to_owned(),
            Some(suite) if suite.question() != one.question => "the suite there asks something else".to_owned(),
            Some(_) if known.iter().any(|k| k.suite == one.suite && k.predicted == one.predicted) => {
                "known already".to_owned()
            }
            Some(suite) => carry_eval(here, there, to, (version, subject), one, suite).await?,
        };
        told.push(Told { suite: one.suite.clone(), result });
    }
    Ok(told)
}

async fn carry_eval(
    here: &Client,
    there: &Client,
    to: &To<'_>,
    (version, subject): (u32, &str),
    one: &Evidence,
    suite: &Suite,
) -> Result<String> {
    for digest in [&one.truth, &one.predicted] {
        let kept = there.put_examples(here.examples(digest).await?.to_vec()).await?;
        if kept != *digest {
            return Ok("its examples were changed since: names were erased from them".to_owned());
        }
    }
    let custom = suite.custom.iter().flat_map(|c| &c.metrics);
    let custom = custom.filter_map(|name| Some((name.clone(), one.metrics.get(name).copied().flatten()?)));
    let report = Report {
        suite: one.suite.clone(),
        model: to.model.to_owned(),
        version,
        subject: subject.to_owned(),
        data_digest: one.data_digest.clone(),
        truth: one.truth.clone(),
        predicted: one.predicted.clone(),
        latencies_ms: Vec::new(),
        seconds: one.seconds,
        custom: custom.collect(),
        how: format!("{} (pushed from {})", one.how, here.address()),
    };
    let envelope = Envelope::new(Command::Evals(evals::Command::RecordEval { report }), to.change.reason.clone());
    Ok(there.perform(&envelope).await?.to)
}

async fn promote(there: &Client, to: &To<'_>, version: u32, stage: Stage) -> Result<()> {
    let command = Registry::SetStage { model: to.model.to_owned(), version, stage, archive_others: false };
    there.perform(&Envelope::new(Command::Registry(command), to.change.reason.clone())).await.map(drop)
}

fn page(carried: &Carried) -> Page {
    let mut table = Table::new(&["SUITE", "THERE"]);
    for one in &carried.evals {
        table.row([one.suite.clone(), one.result.clone()]);
    }
    let how = if carried.known { "was there already" } else { "arrived whole" };
    let page = Page::default().line(format!(
        "{} v{} is v{} of {}: {} files, {how} ({})",
        carried.model, carried.version, carried.as_version, carried.to, carried.files, carried.digest
    ));
    let page = if table.is_empty() { page } else { page.table(table) };
    match &carried.stage {
        Some(stage) => page.line(format!("it is in {stage} there")),
        None => page,
    }
}
