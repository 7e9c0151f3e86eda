//! Calls about evals and gates.

use futures::{Stream, StreamExt};
use reqwest::Method;
use serde::Deserialize;

use super::Client;
use super::calls::encode;
use crate::base::{Fault, fault::Result};
use crate::capability::evals::{Evidence, Suite};
use crate::capability::gates::{Decision, Standing};
use crate::capability::registry::Stage;
use crate::capability::wire::{Judged, Uploaded};

const NOTHING: [(&str, &str); 0] = [];

#[derive(Deserialize)]
struct Listing {
    #[serde(default)]
    files: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    path: String,
    is_dir: bool,
}

impl Client {
    /// # Errors
    /// `Unavailable`.
    pub async fn suites(&self) -> Result<Vec<Suite>> {
        self.get("/api/v1/evals/suites", &NOTHING).await
    }

    /// Results of a model's versions, newest first.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn evals(&self, model: &str, version: Option<u32>) -> Result<Vec<Evidence>> {
        let mut query = vec![("model", model.to_owned())];
        query.extend(version.map(|v| ("version", v.to_string())));
        self.get("/api/v1/evals", &query).await
    }

    /// # Errors
    /// `NotFound`.
    pub async fn eval(&self, id: i64) -> Result<Evidence> {
        self.get(&format!("/api/v1/evals/{id}"), &NOTHING).await
    }

    /// Keeps packed examples; answers their digest.
    ///
    /// # Errors
    /// `Invalid` when they cannot be read, `Denied` without the role.
    pub async fn put_examples(&self, bytes: Vec<u8>) -> Result<String> {
        let request = self.request(Method::POST, "/api/v1/evals/examples").body(bytes);
        Ok(self.json::<Uploaded>(request).await?.digest)
    }

    /// Gates, waivers, approvals and decisions of a model, or of all.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn gates(&self, model: Option<&str>) -> Result<Standing> {
        let query: Vec<_> = model.map(|m| ("model", m)).into_iter().collect();
        self.get("/api/v1/gates", &query).await
    }

    /// Judges a version without keeping the decision.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn check_gates(&self, model: &str, version: u32, stage: Stage) -> Result<Decision> {
        let query = [("model", model), ("version", &version.to_string()), ("stage", stage.name())];
        self.get("/api/v1/gates/check", &query).await
    }

    /// A decision that was kept, and what judging it anew says.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn decision(&self, id: i64) -> Result<Judged> {
        self.get(&format!("/api/v1/gates/decisions/{id}"), &NOTHING).await
    }

    /// Packed labels or predictions by their digest.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn examples(&self, digest: &str) -> Result<bytes::Bytes> {
        let response =
            self.send(self.request(Method::GET, &format!("/api/v1/evals/examples/{}", encode(digest)))).await?;
        response.bytes().await.map_err(|e| Fault::unavailable("the download broke off").why(e.to_string()))
    }

    /// Every file beneath a folder of the artifact store: its whole path, and how it is called below the folder.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn artifact_tree(&self, folder: &str) -> Result<Vec<(String, String)>> {
        let mut found = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(below) = folders.pop() {
            let path = if below.is_empty() { folder.to_owned() } else { format!("{folder}/{below}") };
            let listing: Listing = self.get("/api/2.0/mlflow-artifacts/artifacts", &[("path", path.as_str())]).await?;
            for entry in listing.files {
                let name = if below.is_empty() { entry.path } else { format!("{below}/{}", entry.path) };
                if entry.is_dir { folders.push(name) } else { found.push((format!("{folder}/{name}"), name)) }
            }
        }
        Ok(found)
    }

    /// The bytes of a file of the artifact store as they come.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn artifact_at(&self, path: &str) -> Result<impl Stream<Item = Result<bytes::Bytes>> + use<>> {
        let path = path.split('/').map(encode).collect::<Vec<_>>().join("/");
        let request = self.request(Method::GET, &format!("/api/2.0/mlflow-artifacts/artifacts/{path}"));
        let bytes = self.send(request).await?.bytes_stream();
        Ok(bytes.map(|part| part.map_err(|e| Fault::unavailable("the download broke off").why(e.to_string()))))
    }
}
