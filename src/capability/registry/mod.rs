//! The model registry: models, versions, stages, aliases, and the lineage run → version → dataset.
//!
//! Invariants: at most one version of a model is prod; a version number is never given twice; what a version stands
//! on is digested and frozen; every stage and alias can be read at any past moment.

mod apply;
pub mod command;
mod files;
mod read;
mod rules;
mod search;
mod source;
mod store;
pub mod types;

use serde::{Deserialize, Serialize};

pub use apply::{Applied, Decider, apply, mark};
pub use command::Command;
pub use files::{DIGEST_BYTES_MAX, file_path, files};
pub use read::{missing, missing_version, model, models};
pub use search::{PROMPT_TAG, search_models, search_versions};
pub use source::{Prepared, check_source, download_uri, prepare};
pub use store::STATEMENTS;
pub use types::{
    DatasetRef, FrozenArtifact, HistoryEntry, ModelVersion, ModelView, RegisteredModel, Stage, VersionDoc, VersionFile,
};

/// The registry's settings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Refuses a stage change that comes without a reason, also from clients that can send none.
    pub reason_required: bool,
}

/// Where the JSON copy of a version's metadata lies in the artifact store; `None` when its artifact is elsewhere.
pub fn metadata_path(version: &ModelVersion) -> Option<String> {
    let artifact = version.doc.artifact.as_ref()?;
    let safe: String =
        version.model.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    Some(format!("{}.opsroom/{safe}.v{}.json", artifact.path, version.version))
}

/// Whether a command changes what is in production.
pub fn touches_production(command: &Command, now: &ModelView) -> bool {
    let prod = |version: u32| now.version(version).is_some_and(|v| v.stage == Stage::Prod);
    match command {
        Command::SetStage { stage: Stage::Prod, .. } => true,
        Command::SetStage { version, .. } | Command::DeleteVersion { version, .. } => prod(*version),
        Command::DeleteModel { .. } => now.in_stage(Stage::Prod).next().is_some(),
        _ => false,
    }
}
