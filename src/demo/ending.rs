//! How the story should have ended, held against what the agent shows.

use super::story::{ALIAS, NAME, Story};
use super::tracker::Experiment;
use crate::base::Fault;
use crate::base::fault::Result;
use crate::capability::registry::Stage;
use crate::capability::tracking::RunStatus;

/// The experiment's tag that says so.
const TOLD: &str = "opsroom.demo.told";

impl Story {
    /// Whether this store has heard the whole story already.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn was_told(&self) -> Result<bool> {
        let ours = self.client.experiments().await?.into_iter().find(|experiment| experiment.name == NAME);
        Ok(ours.is_some_and(|experiment| experiment.tags.contains_key(TOLD)))
    }

    /// Holds what the agent now shows against how the story should end.
    pub(super) async fn check(&self, experiment: &Experiment, runs: usize, first: u32, second: u32) -> Result<()> {
        let finished = self.runs(experiment, "attributes.status = 'FINISHED'").await?;
        if finished.len() < runs || finished.iter().any(|run| run.status != RunStatus::Finished) {
            return Err(unexpected(format!("{} runs finished instead of {runs}", finished.len())));
        }
        let view = self.client.model(NAME, None).await?;
        let prod: Vec<u32> = view.in_stage(Stage::Prod).map(|v| v.version).collect();
        if prod != [second] {
            return Err(unexpected(format!("versions {prod:?} are in production instead of {second}")));
        }
        if view.version(first).map(|v| v.stage) != Some(Stage::Archived) {
            return Err(unexpected(format!("v{first} is not archived")));
        }
        if view.model.aliases.get(ALIAS) != Some(&second) {
            return Err(unexpected(format!("alias {ALIAS} does not point at v{second}")));
        }
        let records = self.check_audit().await?;
        experiment.tag(TOLD, "to the end").await?;
        self.tell_line(&format!(
            "the end: {} runs finished, v{second} in production, v{first} archived, {records} audit records verified",
            finished.len()
        ));
        Ok(())
    }

    /// Answers how many records there are.
    pub(super) async fn check_audit(&self) -> Result<i64> {
        let audit = self.client.verify_audit(&[]).await?;
        if audit.ok {
            Ok(audit.records)
        } else {
            Err(unexpected(format!("the audit trail does not hold: {}", audit.why)))
        }
    }
}

/// The story took a turn that it should not take.
pub(super) fn unexpected(why: impl Into<String>) -> Fault {
    Fault::bug("the demonstration did not end as it should").why(why)
}
