//! Calls for taking in what W&B's clients left in files.

use reqwest::Method;

use super::Client;
use crate::base::fault::Result;
use crate::base::id::RunId;
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
}
