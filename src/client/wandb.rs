//! Calls for taking in what W&B's clients left in files.

use reqwest::Method;
use serde_json::{Value, json};

use super::Client;
use crate::base::id::RunId;
use crate::base::{Fault, fault::Result};
use crate::capability::tracking::wandb::{Progress, Upsert};
use crate::capability::wire::WandbRun;

impl Client {
    /// Announces a run, or tells more about it; answers how far its lines are there.
    ///
    /// # Errors
    /// `Invalid` when it is deleted.
    pub async fn import_wandb_run(&self, run: &Upsert) -> Result<WandbRun> {
        self.post("/api/v1/import/wandb", run).await
    }

    /// Sends lines that go on where the run's lines are.
    ///
    /// # Errors
    /// `Conflict` when they are elsewhere by now.
    pub async fn import_wandb_lines(&self, run: RunId, batch: Vec<u8>) -> Result<Progress> {
        self.json(self.request(Method::POST, &format!("/api/v1/import/wandb/{run}/lines")).body(batch)).await
    }

    /// Asks what a client of W&B's would ask, by the name of the operation.
    ///
    /// # Errors
    /// `Invalid` with what the agent says.
    pub async fn wandb(&self, operation: &str, variables: &Value) -> Result<Value> {
        let body = json!({ "query": format!("mutation {operation}"), "variables": variables });
        let mut answer: Value = self.post("/graphql", &body).await?;
        match answer["errors"].get(0).and_then(|e| e["message"].as_str()) {
            Some(said) => Err(Fault::invalid(said.to_owned())),
            None => Ok(answer["data"].take()),
        }
    }

    /// Sends bytes to an address that the agent has given out for them.
    ///
    /// # Errors
    /// `Denied` for another address, `Unavailable`.
    pub async fn wandb_upload(&self, url: &str, body: impl Into<reqwest::Body>) -> Result<()> {
        const PLACE: &str = "/wandb/storage/";
        let at = url.find(PLACE).ok_or_else(|| Fault::bug(format!("{url} is no address of an upload")))?;
        self.send(self.request(Method::PUT, &url[at..]).body(body)).await.map(drop)
    }
}
