//! What one may decide about services and the versions that answer for them.

use serde::{Deserialize, Serialize};

use super::service::Service;

/// Every change of services and rollouts.
#[allow(clippy::large_enum_variant)] // few exist at a time
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Command {
    /// Writes a service, in place of the one of that name; its arms stay.
    SetService {
        service: Service,
    },
    RemoveService {
        name: String,
    },
    /// The version begins to answer, at the first step's weight.
    StartRollout {
        service: String,
        version: u32,
    },
    /// To the plan's next step.
    AdvanceRollout {
        service: String,
    },
    /// Buckets of 10,000; the plan waits until it is resumed.
    SetWeight {
        service: String,
        weight: u16,
    },
    HoldRollout {
        service: String,
    },
    ResumeRollout {
        service: String,
    },
    /// The candidate answers nobody any more.
    DropRollout {
        service: String,
    },
    /// The candidate becomes the stable version, and prod, if its gates pass.
    FinishRollout {
        service: String,
    },
    /// A version becomes the stable one and prod without a rollout, if its gates pass.
    SwitchService {
        service: String,
        version: u32,
    },
    /// Back to the version before, or to a named one; stage and traffic move together.
    Rollback {
        service: String,
        #[serde(default)]
        to: Option<u32>,
    },
    /// Takes the newest rollback or drop back, within ten minutes of it.
    UndoRollback {
        service: String,
    },
    /// The team's deployment has brought a version: it is the stable one, and prod.
    Deployed {
        service: String,
        version: u32,
    },
    /// The team's deployment of the awaited version did not work.
    DeployFailed {
        service: String,
        version: u32,
        why: String,
    },
    /// The version may not be rolled out.
    ForbidVersion {
        model: String,
        version: u32,
    },
    AllowVersion {
        model: String,
        version: u32,
    },
}

impl Command {
    /// Kebab name, as `audit` and the command line show it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SetService { .. } => "set-service",
            Self::RemoveService { .. } => "remove-service",
            Self::StartRollout { .. } => "start-rollout",
            Self::AdvanceRollout { .. } => "advance-rollout",
            Self::SetWeight { .. } => "set-weight",
            Self::HoldRollout { .. } => "hold-rollout",
            Self::ResumeRollout { .. } => "resume-rollout",
            Self::DropRollout { .. } => "drop-rollout",
            Self::FinishRollout { .. } => "finish-rollout",
            Self::SwitchService { .. } => "switch-service",
            Self::Rollback { .. } => "rollback",
            Self::UndoRollback { .. } => "undo-rollback",
            Self::Deployed { .. } => "deployed",
            Self::DeployFailed { .. } => "deploy-failed",
            Self::ForbidVersion { .. } => "forbid-version",
            Self::AllowVersion { .. } => "allow-version",
        }
    }

    /// One sentence of help.
    pub fn help(&self) -> &'static str {
        match self {
            Self::SetService { .. } => "Writes a service.",
            Self::RemoveService { .. } => "Removes a service; its rollouts stay in the record.",
            Self::StartRollout { .. } => "Lets a version answer a part of a service's callers.",
            Self::AdvanceRollout { .. } => "Takes a rollout to its next step.",
            Self::SetWeight { .. } => "Sets which share of callers the candidate answers.",
            Self::HoldRollout { .. } => "Keeps a rollout at its weight.",
            Self::ResumeRollout { .. } => "Lets a held rollout go on.",
            Self::DropRollout { .. } => "Takes the candidate away from all callers.",
            Self::FinishRollout { .. } => "Makes the candidate the stable version, and prod.",
            Self::SwitchService { .. } => "Makes a version the stable one and prod at once.",
            Self::Rollback { .. } => "Brings the version before back.",
            Self::UndoRollback { .. } => "Takes the newest rollback or drop back, within ten minutes.",
            Self::Deployed { .. } => "Says that the team's deployment has brought a version.",
            Self::DeployFailed { .. } => "Says that the team's deployment of a version did not work.",
            Self::ForbidVersion { .. } => "Forbids a version to be rolled out.",
            Self::AllowVersion { .. } => "Allows a forbidden version again.",
        }
    }

    /// What it is about, for people.
    pub fn target(&self) -> String {
        match self {
            Self::SetService { service } => format!("service {}", service.name),
            Self::RemoveService { name } => format!("service {name}"),
            Self::StartRollout { service, version }
            | Self::SwitchService { service, version }
            | Self::Deployed { service, version }
            | Self::DeployFailed { service, version, .. } => {
                format!("{service} v{version}")
            }
            Self::Rollback { service, to: Some(version) } => format!("{service} v{version}"),
            Self::AdvanceRollout { service }
            | Self::SetWeight { service, .. }
            | Self::HoldRollout { service }
            | Self::ResumeRollout { service }
            | Self::DropRollout { service }
            | Self::FinishRollout { service }
            | Self::UndoRollback { service }
            | Self::Rollback { service, to: None } => service.clone(),
            Self::ForbidVersion { model, version } | Self::AllowVersion { model, version } => {
                format!("{model} v{version}")
            }
        }
    }

    /// Whether it names programs that the agent will run.
    pub fn runs_programs(&self) -> bool {
        matches!(self, Self::SetService { service } if service.runs_programs())
    }

    /// Whether it changes what callers get.
    pub fn touches_traffic(&self) -> bool {
        !matches!(
            self,
            Self::SetService { .. }
                | Self::ForbidVersion { .. }
                | Self::AllowVersion { .. }
                | Self::DeployFailed { .. }
        )
    }
}
