//! What was decided here about mirrored models, told to their server: stage, alias, and a tag with what the gates said.
//! Nothing else is ever written there, and nothing that came from there.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::Server;
use crate::base::{Fault, Kind, fault::Result};
use crate::capability::registry::{ModelView, Stage};
use crate::client::Client;
use crate::local::found::{Registered, Version};

/// The tag of a version there that holds the last verdict of the gates here.
pub const GATE_TAG: &str = "opsroom.gate";
/// How the reason of everything begins that an import brought.
const IMPORTED: &str = "imported from ";

fn stage_there(stage: Stage) -> &'static str {
    match stage {
        Stage::Dev => "None",
        Stage::Staging => "Staging",
        Stage::Prod => "Production",
        Stage::Archived => "Archived",
    }
}

impl Server {
    /// Tells the server; answers how much there was to tell.
    ///
    /// # Errors
    /// `Unavailable`, `Denied`.
    pub async fn write_back(&self, agent: &Client) -> Result<u64> {
        let mut told = 0;
        for model in self.registered().await? {
            let view = match agent.model(&model.name, None).await {
                Ok(view) => view,
                Err(Fault { kind: Kind::NotFound, .. }) => continue,
                Err(fault) => return Err(fault),
            };
            // Another model of that name is none of this server's.
            let same = |v: &&Version| view.version(v.number).is_some_and(|here| here.doc.run_id == v.run_id);
            let shared: Vec<&Version> = model.versions.iter().filter(same).collect();
            told += self.stages(&model, &view, &shared).await?;
            told += self.aliases(&model, &view, &shared).await?;
            told += self.gates(agent, &model, &shared).await?;
        }
        Ok(told)
    }

    async fn stages(&self, model: &Registered, view: &ModelView, shared: &[&Version]) -> Result<u64> {
        let mut told = 0;
        for there in shared {
            let Some(here) = view.version(there.number) else { continue };
            if here.stage == there.stage || !decided(view, there.number, "stage") {
                continue;
            }
            let body = json!({
                "name": model.name, "version": there.number.to_string(), "stage": stage_there(here.stage),
                "archive_existing_versions": false,
            });
            self.rest.post::<Value>("model-versions/transition-stage", &body).await?;
            told += 1;
        }
        Ok(told)
    }

    async fn aliases(&self, model: &Registered, view: &ModelView, shared: &[&Version]) -> Result<u64> {
        let mut told = 0;
        for (alias, version) in &view.model.aliases {
            let is_shared = shared.iter().any(|v| v.number == *version);
            let differs = model.aliases.get(alias) != Some(version);
            if !is_shared || !differs || !decided(view, *version, &format!("alias:{alias}")) {
                continue;
            }
            let body = json!({ "name": model.name, "alias": alias, "version": version.to_string() });
            self.rest.post::<Value>("registered-models/alias", &body).await?;
            told += 1;
        }
        Ok(told)
    }

    async fn gates(&self, agent: &Client, model: &Registered, shared: &[&Version]) -> Result<u64> {
        let mut told = 0;
        let mut seen = HashSet::new();
        // Newest first.
        for decision in agent.gates(Some(&model.name)).await?.decisions {
            let Some(there) = shared.iter().find(|v| v.number == decision.version) else { continue };
            if decision.ungated || !seen.insert(decision.version) {
                continue;
            }
            let value = format!("{} for {}", decision.verdict.name(), decision.stage.name());
            if there.tags.get(GATE_TAG) == Some(&value) {
                continue;
            }
            let body = json!({
                "name": model.name, "version": decision.version.to_string(), "key": GATE_TAG, "value": value,
            });
            self.rest.post::<Value>("model-versions/set-tag", &body).await?;
            told += 1;
        }
        Ok(told)
    }
}

/// Whether the last word on something was spoken here, and not brought by an import.
fn decided(view: &ModelView, version: u32, what: &str) -> bool {
    let entries = view.history.iter().filter(|h| h.version == version && h.what == what);
    entries.max_by_key(|h| h.seq).is_some_and(|h| !h.reason.starts_with(IMPORTED))
}
