//! Calls about what a run stood on, and what came of repeating it.

use bytes::Bytes;
use reqwest::Method;

use super::Client;
use crate::base::id::RunId;
use crate::base::{Fault, fault::Result};
use crate::capability::training::Grade;

impl Client {
    /// What came of repeating a run; `None` when it never was. A repetition answers with what it led to.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn grade(&self, id: RunId) -> Result<Option<Grade>> {
        self.get(&format!("/api/v1/runs/{id}/grade"), &[("", ""); 0]).await
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
