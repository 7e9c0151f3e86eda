//! What one may decide about experiments, runs and logged models: deleting and restoring.

use serde::{Deserialize, Serialize};

use super::state::Staged;
use super::types::Lifecycle;
use super::writer::Tracking;
use super::{experiments, models, runs};
use crate::base::id::{ExperimentId, ModelId, RunId};
use crate::base::{Timestamp, fault::Result};
use crate::db::Tx;

/// Deletes are soft and can be taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Command {
    DeleteExperiment { id: ExperimentId },
    RestoreExperiment { id: ExperimentId },
    DeleteRun { id: RunId },
    RestoreRun { id: RunId },
    DeleteLoggedModel { id: ModelId },
}

impl Command {
    /// Kebab name, as `audit` and the command line show it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::DeleteExperiment { .. } => "delete-experiment",
            Self::RestoreExperiment { .. } => "restore-experiment",
            Self::DeleteRun { .. } => "delete-run",
            Self::RestoreRun { .. } => "restore-run",
            Self::DeleteLoggedModel { .. } => "delete-logged-model",
        }
    }

    /// One sentence of help.
    pub fn help(&self) -> &'static str {
        match self {
            Self::DeleteExperiment { .. } => "Marks an experiment and its runs as deleted.",
            Self::RestoreExperiment { .. } => "Takes an experiment and its runs back.",
            Self::DeleteRun { .. } => "Marks a run as deleted.",
            Self::RestoreRun { .. } => "Takes a deleted run back.",
            Self::DeleteLoggedModel { .. } => "Marks a logged model as deleted.",
        }
    }

    /// What it is about, for people.
    pub fn target(&self) -> String {
        match self {
            Self::DeleteExperiment { id } | Self::RestoreExperiment { id } => format!("experiment {id}"),
            Self::DeleteRun { id } | Self::RestoreRun { id } => format!("run {id}"),
            Self::DeleteLoggedModel { id } => format!("logged model {id}"),
        }
    }

    /// From and to, for the audit record.
    pub fn change(&self) -> (&'static str, &'static str) {
        match self {
            Self::DeleteExperiment { .. } | Self::DeleteRun { .. } | Self::DeleteLoggedModel { .. } => {
                ("active", "deleted")
            }
            Self::RestoreExperiment { .. } | Self::RestoreRun { .. } => ("deleted", "active"),
        }
    }
}

/// Applies a command within its transaction; what it staged is published after the commit.
///
/// # Errors
/// `NotFound`, `Invalid`.
pub async fn apply(tracking: &Tracking, tx: &mut Tx, command: &Command, now: Timestamp) -> Result<Staged> {
    let command = command.clone();
    tracking
        .stage(tx, move |staged| match command {
            Command::DeleteExperiment { id } => experiments::set_lifecycle(staged, id, Lifecycle::Deleted, now),
            Command::RestoreExperiment { id } => experiments::set_lifecycle(staged, id, Lifecycle::Active, now),
            Command::DeleteRun { id } => runs::set_lifecycle(staged, id, Lifecycle::Deleted),
            Command::RestoreRun { id } => runs::set_lifecycle(staged, id, Lifecycle::Active),
            Command::DeleteLoggedModel { id } => models::set_lifecycle(staged, id, Lifecycle::Deleted, now),
        })
        .await
}
