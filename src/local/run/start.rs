//! `opsroom run`: a run is made, what the command stands on is captured, the command runs and logs into the same run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Value, json};

use super::launch::{Echo, End, GRACE, Launch, Stop, launch};
use super::{find_program, gather, git};
use crate::base::clock::SystemClock;
use crate::base::id::RunId;
use crate::base::{Clock, Fault, Kind, fault::Result};
use crate::capability::cost::HOST_TAG;
use crate::capability::datasets::{DatasetVersion, PINNED_SOURCE};
use crate::capability::tracking::artifacts::path_of_uri;
use crate::capability::tracking::rules::KILLED_TAG;
use crate::capability::training::capture::{Ended, FORM};
use crate::capability::training::{CAPTURE, CAPTURED_TAG, Capture, PATCH, PinnedData, StandIn};
use crate::client::{Address, Client};

/// A dataset's version, and where the command reads it.
#[derive(Debug, Clone)]
pub struct Data {
    pub version: DatasetVersion,
    pub path: PathBuf,
}

/// What to run.
pub struct Start {
    pub command: Vec<String>,
    /// The program's file when it is not the command's first word.
    pub program: Option<PathBuf>,
    pub folder: PathBuf,
    pub name: Option<String>,
    /// Number of the experiment.
    pub experiment: String,
    pub data: Vec<Data>,
    /// All variables of the command.
    pub environment: BTreeMap<String, String>,
    /// Variables to capture besides the usual ones.
    pub keep: Vec<String>,
    pub tags: Vec<(String, String)>,
    /// Of a repetition: what stands in for the original's places.
    pub stand_ins: Vec<StandIn>,
    pub echo: Echo,
}

/// What came of it.
pub struct Finished {
    pub run: RunId,
    pub ended: Ended,
}

/// Runs a command under capture.
///
/// # Errors
/// `NotFound` for the program, `Unavailable` for the agent before the command starts; then nothing was run.
pub async fn start(client: &Client, what: Start) -> Result<Finished> {
    let word = what.command.first().ok_or_else(|| Fault::invalid("no command was given").next("write it after --"))?;
    let program = what.program.clone().map_or_else(|| find_program(word, &what.folder), Ok)?;
    let (mut capture, patch, locks) = tokio::task::block_in_place(|| gathered(&what, &program));
    let (run, artifacts) = create(client, &what, &capture).await?;
    let put = async |path: &str, bytes: Vec<u8>| client.put_artifact(&format!("{artifacts}/{path}"), bytes).await;
    put(CAPTURE, document(&capture)?).await?;
    if !patch.is_empty() {
        put(PATCH, patch).await?;
    }
    for (name, bytes) in locks {
        put(&format!("opsroom/locks/{name}"), bytes).await?;
    }
    log_inputs(client, run, &what.data).await?;
    let mut environment = what.environment.clone();
    environment.extend(handed_over(client, run, &what).await?);
    let launched = Launch {
        client,
        run,
        artifacts: &artifacts,
        program: &program,
        arguments: &what.command[1..],
        folder: &what.folder,
        environment: &environment,
        echo: what.echo,
    };
    let end = launch(&launched).await;
    let status = match &end {
        Ok(End { stop: Stop::Told | Stop::Killed, .. }) => "KILLED",
        Ok(End { ended: Ended { status: 0, .. }, .. }) => "FINISHED",
        Ok(End { ended: Ended { status: 130 | 137 | 143, .. }, .. }) => "KILLED",
        _ => "FAILED",
    };
    let body = json!({"run_id": run.to_string(), "status": status, "end_time": SystemClock.now().millis()});
    // Hours of training must not be lost to an agent that is just being restarted.
    patiently(async || client.mlflow(Method::POST, "/api/2.0/mlflow/runs/update", &body).await).await?;
    let End { ended, stop } = end?;
    if stop == Stop::Killed {
        let how = format!("SIGKILL: it went on for {} s after SIGTERM", GRACE.as_secs());
        let tags = BTreeMap::from([(KILLED_TAG.to_owned(), Some(how))]);
        patiently(async || client.tag_run(run, &tags).await).await?;
    }
    capture.ended = Some(ended);
    let told = document(&capture)?;
    patiently(async || put(CAPTURE, told.clone()).await).await?;
    Ok(Finished { run, ended })
}

/// Again and again for a minute while the agent does not answer.
async fn patiently<T>(attempt: impl AsyncFn() -> Result<T>) -> Result<T> {
    for seconds in [1, 2, 4, 8, 15, 30] {
        match attempt().await {
            Err(fault) if fault.kind == Kind::Unavailable => {
                tracing::debug!("again in {seconds} s: {fault}");
                tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
            }
            other => return other,
        }
    }
    attempt().await
}

fn document(capture: &Capture) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(capture).map_err(|e| Fault::bug("capture").why(e.to_string()))
}

type Gathered = (Capture, Vec<u8>, Vec<(String, Vec<u8>)>);

fn gathered(what: &Start, program: &Path) -> Gathered {
    let state = git::look(&what.folder);
    let (source, patch) = state.map_or((None, Vec::new()), |s| (Some(s.source), s.patch));
    let root = source.as_ref().map(|s| PathBuf::from(&s.root));
    let locks = gather::locks(&what.folder, root.as_deref());
    let (interpreter, packages) = gather::interpreter(program, &what.folder, &what.environment);
    let pinned = |d: &Data| PinnedData {
        dataset: d.version.dataset.clone(),
        version: d.version.version,
        digest: d.version.doc.digest.clone(),
        path: d.path.display().to_string(),
        one_file: d.version.doc.one_file,
    };
    let capture = Capture {
        capture: FORM,
        program: gather::program(&what.command, program, &what.folder),
        source,
        environment: gather::environment(&what.environment, &what.keep),
        interpreter,
        packages,
        locks: locks.iter().map(|(l, _)| l.clone()).collect(),
        datasets: what.data.iter().map(pinned).collect(),
        hardware: gather::hardware(),
        stand_ins: what.stand_ins.clone(),
        ended: None,
    };
    (capture, patch, locks.into_iter().map(|(l, bytes)| (l.path, bytes)).collect())
}

/// Makes the run; answers its id and its folder in the artifact store.
async fn create(client: &Client, what: &Start, capture: &Capture) -> Result<(RunId, String)> {
    let tag = |key: &str, value: &str| json!({"key": key, "value": value});
    let mut tags = vec![
        tag("mlflow.source.name", &capture.program.command.join(" ")),
        tag("mlflow.source.type", "LOCAL"),
        tag("mlflow.user", &client.status().await?.actor),
        tag(CAPTURED_TAG, "true"),
        tag(HOST_TAG, &capture.hardware.host),
    ];
    if let Some(source) = &capture.source {
        tags.push(tag("mlflow.source.git.commit", &source.commit));
        tags.push(tag("mlflow.source.git.branch", &source.branch));
        tags.push(tag("mlflow.source.git.dirty", if source.patch.is_some() { "true" } else { "false" }));
    }
    tags.extend(what.tags.iter().map(|(k, v)| tag(k, v)));
    let mut body = json!({"experiment_id": what.experiment, "start_time": SystemClock.now().millis(), "tags": tags});
    if let Some(name) = &what.name {
        body["run_name"] = Value::from(name.as_str());
    }
    let made = client.mlflow(Method::POST, "/api/2.0/mlflow/runs/create", &body).await?;
    let info = &made["run"]["info"];
    let unreadable = || Fault::bug("the agent's answer names no run");
    let run: RunId = info["run_id"].as_str().and_then(|id| id.parse().ok()).ok_or_else(unreadable)?;
    let uri = info["artifact_uri"].as_str().unwrap_or_default();
    let artifacts = path_of_uri(uri).ok_or_else(|| {
        Fault::invalid("the artifacts of this experiment lie elsewhere")
            .why(uri.to_owned())
            .next("choose an experiment whose artifacts the agent keeps")
    })?;
    Ok((run, artifacts))
}

async fn log_inputs(client: &Client, run: RunId, data: &[Data]) -> Result<()> {
    if data.is_empty() {
        return Ok(());
    }
    let input = |d: &Data| {
        let digest: String = d.version.doc.hex().chars().take(32).collect();
        let source =
            json!({"dataset": d.version.dataset, "version": d.version.version, "uri": d.path.display().to_string()});
        json!({
            "dataset": {"name": d.version.dataset, "digest": digest, "source_type": PINNED_SOURCE, "source": source.to_string()},
            "tags": [{"key": "mlflow.data.context", "value": "training"}],
        })
    };
    let body = json!({"run_id": run.to_string(), "datasets": data.iter().map(input).collect::<Vec<_>>()});
    client.mlflow(Method::POST, "/api/2.0/mlflow/runs/log-inputs", &body).await.map(drop)
}

/// What an MLflow script inside needs to log into the same run, and where the data lies.
async fn handed_over(client: &Client, run: RunId, what: &Start) -> Result<Vec<(String, String)>> {
    let address = match client.address() {
        Address::Http(url) => url.clone(),
        _ => client.status().await?.address,
    };
    let mut handed = vec![
        ("MLFLOW_RUN_ID".to_owned(), run.to_string()),
        ("MLFLOW_TRACKING_URI".to_owned(), address),
        ("MLFLOW_EXPERIMENT_ID".to_owned(), what.experiment.clone()),
        ("OPSROOM_RUN_ID".to_owned(), run.to_string()),
    ];
    if let Some(token) = what.environment.get("OPSROOM_TOKEN") {
        handed.push(("MLFLOW_TRACKING_TOKEN".to_owned(), token.clone()));
    }
    for d in &what.data {
        handed.push((data_variable(&d.version.dataset), d.path.display().to_string()));
    }
    Ok(handed)
}

/// `OPSROOM_DATA_FLIGHTS_2013` for `flights-2013`.
pub fn data_variable(dataset: &str) -> String {
    let word: String =
        dataset.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    format!("OPSROOM_DATA_{word}")
}
