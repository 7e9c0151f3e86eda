//! One typed call a route of the agent's own API.

use std::fmt::Write as _;

use futures::{Stream, StreamExt};
use reqwest::Method;
use serde::Deserialize;

use super::Client;
use super::mirrored::Place;
use crate::base::fault::Result;
use crate::base::id::{ExperimentId, RunId};
use crate::base::{Fault, Kind, Timestamp};
use crate::capability::access::Token;
use crate::capability::audit::{AuditPage, AuditQuery, Record, SignedHead, Verification};
use crate::capability::registry::{ModelView, VersionFile};
use crate::capability::tracking::compare::{Noises, noises};
use crate::capability::tracking::points::Point;
use crate::capability::tracking::view::PAGE_ROWS_MAX;
use crate::capability::tracking::{
    ExperimentView, GroupQuery, LoggedModel, RunGroups, RunPage, RunQuery, RunView, Series,
};
use crate::capability::wire::{ArtifactEntry, BackupRequest, BackupStep, ImportExperiment, ImportRun, Status};
use crate::capability::{Envelope, Hint, Outcome};

/// Hints as they come; ends when the line is cut.
pub type Events = std::pin::Pin<Box<dyn Stream<Item = Result<Hint>> + Send>>;

const NOTHING: [(&str, &str); 0] = [];

impl Client {
    /// # Errors
    /// `Unavailable` when no agent answers.
    pub async fn status(&self) -> Result<Status> {
        self.get("/api/v1/status", &NOTHING).await
    }

    /// Asks the agent to drain and end.
    ///
    /// # Errors
    /// `Denied` without the role, `Unavailable`.
    pub async fn stop(&self) -> Result<()> {
        self.send(self.request(Method::POST, "/api/v1/stop")).await.map(drop)
    }

    /// # Errors
    /// `Unavailable`.
    pub async fn experiments(&self) -> Result<Vec<ExperimentView>> {
        self.get("/api/v1/experiments", &NOTHING).await
    }

    /// # Errors
    /// `Invalid` for a filter that cannot be read.
    pub async fn search_runs(&self, query: &RunQuery) -> Result<RunPage> {
        self.post("/api/v1/runs/search", query).await
    }

    /// # Errors
    /// `Invalid` for a filter that cannot be read.
    pub async fn run_groups(&self, query: &GroupQuery) -> Result<RunGroups> {
        self.post("/api/v1/runs/groups", query).await
    }

    /// # Errors
    /// `NotFound`.
    pub async fn run(&self, id: RunId) -> Result<RunView> {
        self.get(&format!("/api/v1/runs/{id}"), &NOTHING).await
    }

    /// What luck does to each metric, from the repeats among these runs and the newest ones of their experiments.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn noises(&self, of: &[RunView]) -> Result<Noises> {
        let mut experiments: Vec<ExperimentId> = of.iter().map(|r| r.experiment).collect();
        experiments.sort_unstable();
        experiments.dedup();
        let query = RunQuery { experiments, limit: PAGE_ROWS_MAX, ..RunQuery::default() };
        let newest = self.search_runs(&query).await?.runs;
        let further = newest.iter().filter(|r| of.iter().all(|o| o.id != r.id));
        let pool: Vec<(String, &RunView)> = of.iter().chain(further).map(|r| (r.id.to_string(), r)).collect();
        Ok(noises(pool.iter().map(|(id, run)| run.subject(id))))
    }

    /// A metric's course for a chart of so many columns.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn history(&self, id: RunId, key: &str, columns: usize) -> Result<Series> {
        let query = [("key", key.to_owned()), ("columns", columns.to_string())];
        self.get(&format!("/api/v1/runs/{id}/history"), &query).await
    }

    /// Sets tags; `None` removes one.
    ///
    /// # Errors
    /// `NotFound`, `Invalid`.
    pub async fn tag_run(&self, id: RunId, tags: &std::collections::BTreeMap<String, Option<String>>) -> Result<()> {
        self.post(&format!("/api/v1/runs/{id}/tags"), tags).await
    }

    /// # Errors
    /// `NotFound`, also when the artifacts lie where nobody can look from here.
    pub async fn artifacts(&self, id: RunId, path: &str) -> Result<Vec<ArtifactEntry>> {
        let here = self.get(&format!("/api/v1/runs/{id}/artifacts"), &[("path", path)]).await;
        match self.elsewhere(id, &here).await {
            Some(place) => place.list(path).await,
            None => here,
        }
    }

    /// Where a mirrored run's artifacts are, when the agent has answered that they are not kept there.
    async fn elsewhere<T>(&self, id: RunId, here: &Result<T>) -> Option<Place> {
        let Err(Fault { kind: Kind::NotFound, .. }) = here else { return None };
        Place::of(&self.run(id).await.ok()?.artifact_uri)
    }

    /// The bytes of an artifact as they come; with `first_bytes`, only so many.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn artifact(
        &self,
        id: RunId,
        path: &str,
        first_bytes: Option<u64>,
    ) -> Result<impl Stream<Item = Result<bytes::Bytes>> + use<>> {
        let mut query = vec![("path", path.to_owned())];
        query.extend(first_bytes.map(|n| ("first_bytes", n.to_string())));
        let here = self.send(self.request(Method::GET, &format!("/api/v1/runs/{id}/artifact")).query(&query)).await;
        let response = match self.elsewhere(id, &here).await {
            Some(place) => place.get(path).await?,
            None => here?,
        };
        let parts = response
            .bytes_stream()
            .map(|part| part.map_err(|e| Fault::unavailable("the download broke off").why(e.to_string())));
        Ok(first_of(parts, first_bytes))
    }

    /// Every registered model, now or as it stood at a moment.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn models(&self, as_of: Option<Timestamp>) -> Result<Vec<ModelView>> {
        self.get("/api/v1/models", &as_of_query(as_of)).await
    }

    /// One registered model with its history.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn model(&self, name: &str, as_of: Option<Timestamp>) -> Result<ModelView> {
        self.get(&format!("/api/v1/models/{}", encode(name)), &as_of_query(as_of)).await
    }

    /// The files of a registered version; with `digests` each with its BLAKE3.
    ///
    /// # Errors
    /// `NotFound`, also when its artifact lies elsewhere.
    pub async fn version_files(&self, model: &str, version: u32, digests: bool) -> Result<Vec<VersionFile>> {
        let path = format!("/api/v1/models/{}/versions/{version}/files", encode(model));
        self.get(&path, &[("digests", digests)]).await
    }

    /// The first bytes of a version's file.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn version_file(&self, model: &str, version: u32, path: &str, first_bytes: u64) -> Result<bytes::Bytes> {
        let route = format!("/api/v1/models/{}/versions/{version}/file", encode(model));
        let query = [("path", path.to_owned()), ("first_bytes", first_bytes.to_string())];
        let response = self.send(self.request(Method::GET, &route).query(&query)).await?;
        response.bytes().await.map_err(|e| Fault::unavailable("the download broke off").why(e.to_string()))
    }

    /// All bytes of a version's file as they come.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn version_bytes(
        &self,
        model: &str,
        version: u32,
        path: &str,
    ) -> Result<impl Stream<Item = Result<bytes::Bytes>> + use<>> {
        let route = format!("/api/v1/models/{}/versions/{version}/file", encode(model));
        let bytes = self.send(self.request(Method::GET, &route).query(&[("path", path)])).await?.bytes_stream();
        Ok(bytes.map(|part| part.map_err(|e| Fault::unavailable("the download broke off").why(e.to_string()))))
    }

    /// # Errors
    /// `Unavailable`.
    pub async fn audit(&self, query: &AuditQuery) -> Result<AuditPage> {
        self.get("/api/v1/audit", query).await
    }

    /// # Errors
    /// `NotFound`.
    pub async fn audit_record(&self, seq: i64) -> Result<Record> {
        self.get(&format!("/api/v1/audit/{seq}"), &NOTHING).await
    }

    /// Checks the chain against the agent's signed heads, and against `further` ones.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn verify_audit(&self, further: &[SignedHead]) -> Result<Verification> {
        self.post("/api/v1/audit/verify", &further).await
    }

    /// # Errors
    /// `Denied` without the role.
    pub async fn tokens(&self) -> Result<Vec<Token>> {
        self.get("/api/v1/tokens", &NOTHING).await
    }

    /// Performs a command.
    ///
    /// # Errors
    /// What the room refused.
    pub async fn perform(&self, envelope: &Envelope) -> Result<Outcome> {
        self.post("/api/v1/commands", envelope).await
    }

    /// # Errors
    /// `Invalid`.
    pub async fn import_experiment(&self, experiment: &ImportExperiment) -> Result<ExperimentId> {
        self.post("/api/v1/import/experiment", experiment).await
    }

    /// Answers whether it was new.
    ///
    /// # Errors
    /// `Invalid`.
    pub async fn import_run(&self, run: &ImportRun) -> Result<bool> {
        self.post("/api/v1/import/run", run).await
    }

    /// Answers whether it was new.
    ///
    /// # Errors
    /// `Invalid`.
    pub async fn import_model(&self, model: &LoggedModel) -> Result<bool> {
        self.post("/api/v1/import/model", model).await
    }

    /// `MLflow`'s API of the same agent, for what a training script would send.
    ///
    /// # Errors
    /// As the route says.
    pub async fn mlflow(&self, method: Method, path: &str, body: &serde_json::Value) -> Result<serde_json::Value> {
        let request = self.request(method, path);
        self.json(if body.is_null() { request } else { request.json(body) }).await
    }

    /// All points of a metric, none left out.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn points(&self, run: RunId, key: &str) -> Result<Vec<Point>> {
        #[derive(Deserialize)]
        struct History {
            #[serde(default)]
            metrics: Vec<Metric>,
        }
        #[derive(Deserialize)]
        struct Metric {
            step: i64,
            timestamp: i64,
            #[serde(with = "crate::base::number")]
            value: f64,
        }
        let query = [("run_id", run.to_string()), ("metric_key", key.to_owned())];
        let history: History = self.get("/api/2.0/mlflow/metrics/get-history", &query).await?;
        let point = |Metric { step, timestamp, value }: Metric| Point { step, timestamp, value };
        Ok(history.metrics.into_iter().map(point).collect())
    }

    /// A logged model, as MLflow's API shows it.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn logged_model(&self, id: &str) -> Result<serde_json::Value> {
        let path = format!("/api/2.0/mlflow/logged-models/{}", encode(id));
        self.mlflow(Method::GET, &path, &serde_json::Value::Null).await
    }

    /// Writes an artifact through the agent.
    ///
    /// # Errors
    /// `Invalid` for the path, `Refused` when frozen.
    pub async fn put_artifact(&self, path: &str, body: impl Into<reqwest::Body>) -> Result<()> {
        let path = path.split('/').map(encode).collect::<Vec<_>>().join("/");
        let request = self.request(Method::PUT, &format!("/api/2.0/mlflow-artifacts/artifacts/{path}"));
        self.send(request.body(body)).await.map(drop)
    }

    /// Backs store and artifacts up into a folder on the agent's host, an absolute path. `told` hears each step.
    ///
    /// # Errors
    /// `Denied` without the role, `Exists` when the folder is not empty, `Unavailable` when it cannot be written or
    /// the line breaks.
    pub async fn backup(&self, to: &str, mut told: impl FnMut(&BackupStep)) -> Result<BackupStep> {
        let request = self.request(Method::POST, "/api/v1/backup").json(&BackupRequest { to: to.to_owned() });
        let broke = |why: String| {
            Fault::unavailable("the line to the agent broke")
                .why(why)
                .next("the backup goes on; see whether it has a manifest")
        };
        let mut body = self.send(request).await?.bytes_stream();
        let mut buffer = Vec::new();
        while let Some(bytes) = body.next().await {
            buffer.extend_from_slice(&bytes.map_err(|e| broke(e.to_string()))?);
            while let Some(end) = buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                let step =
                    serde_json::from_slice(&line).map_err(|e| Fault::bug("a step of the backup").why(e.to_string()))?;
                match step {
                    BackupStep::Failed { fault } => return Err(fault),
                    BackupStep::Done { .. } => return Ok(step),
                    _ => told(&step),
                }
            }
        }
        Err(broke("no last word".to_owned()))
    }

    /// Listens to hints.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn events(&self) -> Result<Events> {
        let response = self.send(self.request(Method::GET, "/api/v1/events")).await?;
        let lines = Lines { body: response.bytes_stream().boxed(), buffer: Vec::new() };
        Ok(Box::pin(futures::stream::unfold(lines, next_hint)))
    }
}

/// No more than the first bytes, also of a sender that gives all.
fn first_of<S: Stream<Item = Result<bytes::Bytes>>>(
    parts: S,
    first_bytes: Option<u64>,
) -> impl Stream<Item = Result<bytes::Bytes>> + use<S> {
    let most = first_bytes.filter(|n| *n > 0).map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    parts.scan(most, |left, part| {
        let part = part.map(|mut bytes| {
            bytes.truncate(*left);
            *left -= bytes.len();
            bytes
        });
        std::future::ready(if matches!(&part, Ok(b) if b.is_empty()) { None } else { Some(part) })
    })
}

fn as_of_query(as_of: Option<Timestamp>) -> Vec<(&'static str, String)> {
    as_of.map(|t| ("as_of", t.to_string())).into_iter().collect()
}

/// Percent-encodes one part of a path.
pub(super) fn encode(part: &str) -> String {
    let mut text = String::with_capacity(part.len());
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            text.push(byte as char);
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

struct Lines {
    body: futures::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    buffer: Vec<u8>,
}

/// Events hold one `data:` line each; comments keep the line alive.
async fn next_hint(mut lines: Lines) -> Option<(Result<Hint>, Lines)> {
    loop {
        if let Some(end) = lines.buffer.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = lines.buffer.drain(..=end).collect();
            let text = String::from_utf8_lossy(&line);
            if let Some(hint) =
                text.trim().strip_prefix("data:").and_then(|d| serde_json::from_slice(d.trim().as_bytes()).ok())
            {
                return Some((Ok(hint), lines));
            }
            continue;
        }
        match lines.body.next().await? {
            Ok(bytes) => lines.buffer.extend_from_slice(&bytes),
            Err(e) => {
                let fault = Fault::unavailable("the line to the agent broke").why(e.to_string());
                lines.body = futures::stream::empty().boxed();
                return Some((Err(fault), lines));
            }
        }
    }
}
