//! `opsroom model push`: uploads files of this machine as a run's artifacts and registers them.

use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Method;
use serde_json::json;

use super::change::Change;
use super::print::{self, Page};
use super::{Exit, Session, carry, model_change};
use crate::base::clock::SystemClock;
use crate::base::{Clock, Fault, fault::Result};
use crate::capability::Command;
use crate::capability::registry::{Command as Registry, Stage};
use crate::client::Client;

/// Upload a file or a folder of this machine and register it; or carry a version to another agent.
#[derive(Debug, Args)]
pub struct Push {
    model: String,
    /// The file or folder; with --to, the version: 3, v3 or @alias
    path: PathBuf,
    /// Carry a version that is registered here, with its evidence, to the agent of this context
    #[arg(long, value_name = "CONTEXT")]
    to: Option<String>,
    /// And ask that agent for this stage: its gates decide
    #[arg(long, requires = "to", value_parser = model_change::stage_named)]
    stage: Option<Stage>,
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// KEY=VALUE; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    tag: Vec<String>,
    #[command(flatten)]
    change: Change,
}

pub(super) async fn run(session: &Session, it: Push) -> Result<Exit> {
    if let Some(context) = &it.to {
        let version = it.path.to_string_lossy();
        let to = carry::To { model: &it.model, version: &version, context, stage: it.stage, change: &it.change };
        return carry::run(session, to).await;
    }
    session.check_writable()?;
    let files = files(&it.path)?;
    if it.change.dry_run {
        let told = json!({ "model": it.model, "files": files.len(), "dry_run": true });
        print::answer(session.format, &told, |_| {
            let n = files.len();
            Page::default().line(format!("{n} files would be uploaded and registered as a version of {}", it.model))
        })?;
        return Ok(Exit::Done);
    }
    let client = session.client().await?;
    let run = create_run(client, &it.model).await?;
    for (file, below) in &files {
        upload(client, &run, file, below).await?;
    }
    let body = json!({ "run_id": run.id, "status": "FINISHED", "end_time": SystemClock.now().millis() });
    client.mlflow(Method::POST, "/api/2.0/mlflow/runs/update", &body).await?;
    let source = format!("runs:/{}/model", run.id);
    let doc = model_change::version_doc(session, it.description, &it.tag, source, Some(run.id)).await?;
    it.change
        .run(session, Command::Registry(Registry::RegisterVersion { model: it.model, create: true, import: None, doc }))
        .await
}

pub(super) struct Home {
    pub id: String,
    /// Path of its artifacts in the agent's artifact store.
    pub artifacts: String,
}

/// The files, and how they are called below the version.
fn files(path: &Path) -> Result<Vec<(PathBuf, String)>> {
    let problem = |e: std::io::Error| Fault::invalid(format!("cannot read {}", path.display())).why(e.to_string());
    let about = std::fs::metadata(path).map_err(problem)?;
    let name = |p: &Path| p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if about.is_file() {
        return Ok(vec![(path.to_owned(), name(path))]);
    }
    let mut found = Vec::new();
    let mut folders = vec![(path.to_owned(), String::new())];
    while let Some((folder, below)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(problem)? {
            let entry = entry.map_err(problem)?;
            let below = format!("{below}{}", name(&entry.path()));
            match entry.file_type().map_err(problem)? {
                kind if kind.is_dir() => folders.push((entry.path(), format!("{below}/"))),
                kind if kind.is_file() => found.push((entry.path(), below)),
                // A link may lead anywhere; what it means here is for the caller to say.
                _ => {
                    return Err(Fault::invalid(format!("{} is no file and no folder", entry.path().display()))
                        .next("copy what it points to"));
                }
            }
        }
    }
    if found.is_empty() {
        return Err(Fault::invalid(format!("there is no file in {}", path.display())));
    }
    found.sort();
    Ok(found)
}

pub(super) async fn create_run(client: &Client, model: &str) -> Result<Home> {
    let now = SystemClock.now().millis();
    let tags = json!([{ "key": "mlflow.source.name", "value": "opsroom model push" }]);
    let body = json!({ "experiment_id": "0", "run_name": format!("push {model}"), "start_time": now, "tags": tags });
    let made = client.mlflow(Method::POST, "/api/2.0/mlflow/runs/create", &body).await?;
    let info = &made["run"]["info"];
    let id = info["run_id"].as_str().unwrap_or_default().to_owned();
    let uri = info["artifact_uri"].as_str().unwrap_or_default();
    let artifacts = crate::capability::tracking::artifacts::path_of_uri(uri)
        .ok_or_else(|| Fault::invalid("the artifacts of this agent lie elsewhere").why(uri.to_owned()))?;
    Ok(Home { id, artifacts })
}

async fn upload(client: &Client, run: &Home, file: &Path, below: &str) -> Result<()> {
    let problem = |e: std::io::Error| Fault::invalid(format!("cannot read {}", file.display())).why(e.to_string());
    let opened = tokio::fs::File::open(file).await.map_err(problem)?;
    client.put_artifact(&format!("{}/model/{below}", run.artifacts), file_body(opened)).await
}

/// A file as the body of a request, in pieces: models may be larger than memory.
pub(super) fn file_body(file: tokio::fs::File) -> reqwest::Body {
    reqwest::Body::wrap_stream(crate::client::pieces(file))
}
