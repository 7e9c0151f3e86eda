//! What the story decides: versions, their stages, and the alias that callers load.

use std::collections::BTreeMap;

use super::record;
use super::story::{ALIAS, NAME, Story, Trained};
use crate::base::Fault;
use crate::base::fault::Result;
use crate::capability::registry::{self, Stage, VersionDoc};
use crate::capability::{Command, Envelope, Outcome};

impl Story {
    pub(super) async fn register(&self, trained: &Trained, reason: &str) -> Result<u32> {
        let description = format!("{}, learned from months {}", trained.name, record::months(&trained.settings));
        let tags = BTreeMap::from([("unseen_auc".to_owned(), record::figure(&trained.unseen))]);
        let version = self.register_run(trained.name, &trained.run_id, description, tags, reason).await?;
        self.year.knows(version, trained.model.clone());
        Ok(version)
    }

    pub(super) async fn register_run(
        &self,
        name: &str,
        run_id: &str,
        description: String,
        tags: BTreeMap<String, String>,
        reason: &str,
    ) -> Result<u32> {
        let doc = VersionDoc {
            description,
            source: format!("runs:/{run_id}/model"),
            run_id: Some(run_id.to_owned()),
            user: self.client.status().await?.actor,
            tags,
            ..VersionDoc::default()
        };
        let command = registry::Command::RegisterVersion { model: NAME.to_owned(), create: true, import: None, doc };
        let outcome = self.perform(command, reason).await?;
        let version = outcome.version.ok_or_else(|| Fault::bug("the agent registered no version"))?;
        self.tell_line(&format!("v{version} registered from {name} (audit #{})", outcome.audit));
        self.pause_for_event().await;
        Ok(version)
    }

    pub(super) async fn stage(&self, version: u32, stage: Stage, reason: &str) -> Result<()> {
        let command = registry::Command::SetStage { model: NAME.to_owned(), version, stage, archive_others: false };
        let outcome = self.perform(command, reason).await?;
        self.tell_line(&format!("v{version} to {}: {reason} (audit #{})", stage.name(), outcome.audit));
        self.pause_for_event().await;
        Ok(())
    }

    pub(super) async fn alias(&self, version: u32, reason: &str) -> Result<()> {
        let command =
            registry::Command::SetAlias { model: NAME.to_owned(), alias: ALIAS.to_owned(), version: Some(version) };
        let outcome = self.perform(command, reason).await?;
        self.tell_line(&format!("alias {ALIAS} points at v{version} (audit #{})", outcome.audit));
        Ok(())
    }

    async fn perform(&self, command: registry::Command, reason: &str) -> Result<Outcome> {
        self.decide(Command::Registry(command), reason).await
    }

    pub(super) async fn decide(&self, command: Command, reason: &str) -> Result<Outcome> {
        self.client.perform(&Envelope::new(command, reason)).await
    }
}
