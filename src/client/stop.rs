//! Asking a run's script to stop: what the command line and the room do alike.

use std::collections::BTreeMap;

use reqwest::Method;

use super::Client;
use crate::base::Timestamp;
use crate::base::fault::Result;
use crate::base::id::RunId;
use crate::capability::tracking::rules::{REASON_TAG, STOP_TAG};

impl Client {
    /// Marks a run as killed and asks its script to stop. `MLflow` has no way to stop a script: the status becomes KILLED
    /// and the tag [`STOP_TAG`] holds the moment; a script that looks at the tag can end by itself. Tags are logged and not
    /// decided, so the reason stays as a tag too.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn stop_run(&self, id: RunId, reason: &str, now: Timestamp) -> Result<BTreeMap<String, Option<String>>> {
        let body = serde_json::json!({ "run_id": id.to_string(), "status": "KILLED", "end_time": now.millis() });
        self.mlflow(Method::POST, "/api/2.0/mlflow/runs/update", &body).await?;
        let tags = stop_tags(reason, now);
        self.tag_run(id, &tags).await?;
        Ok(tags)
    }
}

/// What a stopped run is tagged with.
pub fn stop_tags(reason: &str, now: Timestamp) -> BTreeMap<String, Option<String>> {
    let reason = Some(reason.trim()).filter(|r| !r.is_empty()).map(|r| (REASON_TAG.to_owned(), Some(r.to_owned())));
    std::iter::once((STOP_TAG.to_owned(), Some(now.to_string()))).chain(reason).collect()
}
