//! Calls about what a run stood on, and what came of repeating it.

use std::collections::BTreeMap;

use bytes::Bytes;
use reqwest::Method;

use super::Client;
use crate::base::id::RunId;
use crate::base::{Fault, Kind, fault::Result};
use crate::capability::tracking::RunView;
use crate::capability::tracking::compare::Surroundings;
use crate::capability::training::{CAPTURE, CAPTURED_TAG, Capture, Grade};

impl Client {
    /// What came of repeating a run; `None` when it never was. A repetition answers with what it led to.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn grade(&self, id: RunId) -> Result<Option<Grade>> {
        self.get(&format!("/api/v1/runs/{id}/grade"), &[("", ""); 0]).await
    }

    /// What each captured run among these stood on, by its id.
    ///
    /// # Errors
    /// `Unavailable`; `Invalid` for a capture of a newer form.
    pub async fn surroundings(&self, runs: &[RunView]) -> Result<BTreeMap<String, Surroundings>> {
        let mut all = BTreeMap::new();
        for run in runs.iter().filter(|r| r.tags.contains_key(CAPTURED_TAG)) {
            let bytes = match self.artifact_bytes(run.id, CAPTURE).await {
                Err(fault) if fault.kind == Kind::NotFound => continue,
                other => other?,
            };
            let capture: Capture = serde_json::from_slice(&bytes).map_err(|e| {
                Fault::invalid(format!("the capture of {} cannot be read", run.name)).why(e.to_string())
            })?;
            all.insert(run.id.to_string(), capture.surroundings());
        }
        Ok(all)
    }

    /// All bytes of an artifact.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn artifact_bytes(&self, id: RunId, path: &str) -> Result<Bytes> {
        let request = self.request(Method::GET, &format!("/api/v1/runs/{id}/artifact")).query(&[("path", path)]);
        let broke = |e: reqwest::Error| Fault::unavailable("the download broke off").why(e.to_string());
        self.send(request).await?.bytes().await.map_err(broke)
    }
}
