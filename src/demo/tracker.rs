//! A run as any training script logs it: over MLflow's API of the agent.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::base::clock::{Clock, SystemClock};
use crate::base::fault::Result;
use crate::base::id::RunId;
use crate::base::{Fault, Kind};
use crate::capability::datasets::PINNED_SOURCE;
use crate::capability::tracking::RunStatus;
use crate::client::Client;

/// An experiment that runs are logged into.
#[derive(Debug, Clone)]
pub struct Experiment {
    client: Client,
    /// As MLflow writes it: digits.
    pub id: String,
}

/// A version of a dataset that a run reads.
#[derive(Debug, Clone)]
pub struct Dataset {
    pub name: String,
    pub version: u32,
    pub digest: String,
    /// Where its bytes lay.
    pub uri: String,
    /// `training` or `evaluation`.
    pub context: &'static str,
}

impl Experiment {
    /// The experiment of that name, made when it is new.
    ///
    /// # Errors
    /// As the agent says.
    pub async fn named(client: &Client, name: &str, note: &str) -> Result<Self> {
        let tags = tags(&BTreeMap::from([("mlflow.note.content", note.to_owned())]));
        let body = json!({ "name": name, "tags": tags });
        let created = client.mlflow(Method::POST, "/api/2.0/mlflow/experiments/create", &body).await;
        let id = match created {
            Ok(answer) => text(&answer, "/experiment_id")?,
            Err(fault) => {
                // Refused because it is there already, or for another cause: the look-up tells.
                let known = client.experiments().await?.into_iter().find(|e| e.name == name);
                known.ok_or(fault)?.id.to_string()
            }
        };
        Ok(Self { client: client.clone(), id })
    }

    /// # Errors
    /// As the agent says.
    pub async fn tag(&self, key: &str, value: &str) -> Result<()> {
        let body = json!({ "experiment_id": self.id, "key": key, "value": value });
        let route = "/api/2.0/mlflow/experiments/set-experiment-tag";
        self.client.mlflow(Method::POST, route, &body).await.map(drop)
    }

    /// Starts a run.
    ///
    /// # Errors
    /// As the agent says.
    pub async fn start(&self, name: &str, data: &[Dataset], labels: BTreeMap<&str, String>) -> Result<Run> {
        let mut labels = labels;
        labels.insert("mlflow.source.name", "opsroom demo".to_owned());
        labels.insert("mlflow.source.type", "JOB".to_owned());
        let body = json!({
            "experiment_id": self.id, "run_name": name, "start_time": now_ms(), "tags": tags(&labels),
        });
        let answer = self.client.mlflow(Method::POST, "/api/2.0/mlflow/runs/create", &body).await?;
        let id = text(&answer, "/run/info/run_id")?;
        let uri = text(&answer, "/run/info/artifact_uri")?;
        let run = Run { client: self.client.clone(), id, artifacts: path_of(&uri)? };
        run.inputs(data).await?;
        Ok(run)
    }
}

/// A run that goes on until [`Run::finish`].
#[derive(Debug, Clone)]
pub struct Run {
    client: Client,
    /// 32 hexadecimal digits.
    pub id: String,
    /// Below the agent's artifact root.
    artifacts: String,
}

impl Run {
    /// Pins the run to versions of datasets.
    ///
    /// # Errors
    /// As the agent says.
    pub async fn inputs(&self, data: &[Dataset]) -> Result<()> {
        let one = |data: &Dataset| {
            let source = json!({ "dataset": data.name, "version": data.version, "uri": data.uri }).to_string();
            json!({
                "tags": [{ "key": "mlflow.data.context", "value": data.context }],
                "dataset": {
                    "name": data.name, "digest": data.digest, "source_type": PINNED_SOURCE, "source": source,
                },
            })
        };
        let datasets: Vec<Value> = data.iter().map(one).collect();
        self.post("log-inputs", &json!({ "run_id": self.id, "datasets": datasets })).await
    }

    /// # Errors
    /// As the agent says.
    pub async fn params(&self, params: &[(&'static str, String)]) -> Result<()> {
        let params: Vec<_> = params.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
        self.post("log-batch", &json!({ "run_id": self.id, "params": params })).await
    }

    /// # Errors
    /// As the agent says.
    pub async fn metrics(&self, points: &[(&'static str, f64)], step: usize) -> Result<()> {
        let now = now_ms();
        let point = |(key, value): &(&str, f64)| json!({ "key": key, "value": value, "timestamp": now, "step": step });
        let metrics: Vec<_> = points.iter().map(point).collect();
        self.post("log-batch", &json!({ "run_id": self.id, "metrics": metrics })).await
    }

    /// Uploads a file to `path` below the run's artifacts.
    ///
    /// # Errors
    /// As the agent says.
    pub async fn upload(&self, path: &str, bytes: Vec<u8>) -> Result<()> {
        self.client.put_artifact(&format!("{}/{path}", self.artifacts), bytes).await
    }

    /// # Errors
    /// As the agent says.
    pub async fn finish(&self) -> Result<()> {
        end(&self.client, &self.id, RunStatus::Finished).await
    }

    async fn post(&self, route: &str, body: &Value) -> Result<()> {
        self.client.mlflow(Method::POST, &format!("/api/2.0/mlflow/runs/{route}"), body).await.map(drop)
    }
}

/// Ends a run that nobody continues.
///
/// # Errors
/// As the agent says.
pub async fn kill(client: &Client, id: RunId) -> Result<()> {
    end(client, &id.to_string(), RunStatus::Killed).await
}

async fn end(client: &Client, id: &str, status: RunStatus) -> Result<()> {
    let body = json!({ "run_id": id, "status": status.name(), "end_time": now_ms() });
    client.mlflow(Method::POST, "/api/2.0/mlflow/runs/update", &body).await.map(drop)
}

fn now_ms() -> i64 {
    SystemClock.now().millis()
}

fn tags(tags: &BTreeMap<&str, String>) -> Vec<Value> {
    tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
}

fn text(answer: &Value, pointer: &str) -> Result<String> {
    let found = answer.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    found.ok_or_else(|| Fault::bug("the agent's answer lacks a field").why(pointer.to_owned()))
}

/// The place below the agent's artifact root that a run's URI names.
fn path_of(uri: &str) -> Result<String> {
    let path = uri.strip_prefix("mlflow-artifacts:/").map(|path| path.trim_start_matches('/').to_owned());
    path.ok_or_else(|| {
        Fault::new(Kind::Unsupported, format!("this agent keeps artifacts at {uri}"))
            .why("the demonstration uploads through the agent")
            .next("start the agent of the demonstration without another artifact location")
    })
}
