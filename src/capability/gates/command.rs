//! What one may decide about gates.

use serde::{Deserialize, Serialize};

use super::Gate;
use super::policy::Policy;
use crate::base::Timestamp;
use crate::capability::registry::Stage;

/// Every change of gates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Command {
    /// These and no others stand before this stage from now on.
    SetGates {
        model: String,
        stage: Stage,
        gates: Vec<Gate>,
    },
    /// Judges a version and keeps the decision; it moves nothing.
    CheckGates {
        model: String,
        version: u32,
        stage: Stage,
    },
    /// Lets one gate pass for a while.
    WaiveGate {
        model: String,
        version: u32,
        gate: String,
        until: Timestamp,
    },
    EndWaiver {
        model: String,
        version: u32,
        gate: String,
    },
    Approve {
        model: String,
        version: u32,
        stage: Stage,
    },
    WithdrawApproval {
        model: String,
        version: u32,
        stage: Stage,
    },
    /// What the agent does by itself when a version is registered.
    SetPolicy {
        policy: Policy,
    },
    RemovePolicy {
        model: String,
    },
}

impl Command {
    /// Kebab name, as `audit` and the command line show it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SetGates { .. } => "set-gates",
            Self::CheckGates { .. } => "check-gates",
            Self::WaiveGate { .. } => "waive-gate",
            Self::EndWaiver { .. } => "end-waiver",
            Self::Approve { .. } => "approve",
            Self::WithdrawApproval { .. } => "withdraw-approval",
            Self::SetPolicy { .. } => "set-policy",
            Self::RemovePolicy { .. } => "remove-policy",
        }
    }

    /// One sentence of help.
    pub fn help(&self) -> &'static str {
        match self {
            Self::SetGates { .. } => "Sets the gates before a stage of a model.",
            Self::CheckGates { .. } => "Judges a version by the gates before a stage, and keeps the decision.",
            Self::WaiveGate { .. } => "Lets a gate pass for a version, for a while.",
            Self::EndWaiver { .. } => "Ends a waiver before its time.",
            Self::Approve { .. } => "Gives one's word for a version.",
            Self::WithdrawApproval { .. } => "Takes one's word for a version back.",
            Self::SetPolicy { .. } => "Sets what the agent does when a version of a model is registered.",
            Self::RemovePolicy { .. } => "Leaves versions that are registered alone again.",
        }
    }

    pub fn model(&self) -> &str {
        match self {
            Self::SetGates { model, .. }
            | Self::CheckGates { model, .. }
            | Self::WaiveGate { model, .. }
            | Self::EndWaiver { model, .. }
            | Self::Approve { model, .. }
            | Self::WithdrawApproval { model, .. }
            | Self::RemovePolicy { model } => model,
            Self::SetPolicy { policy } => &policy.model,
        }
    }

    /// What it is about, for people.
    pub fn target(&self) -> String {
        match self {
            Self::SetGates { model, stage, .. } => format!("{model} {}", stage.name()),
            Self::SetPolicy { policy: Policy { model, .. } } | Self::RemovePolicy { model } => {
                format!("policy of {model}")
            }
            Self::CheckGates { model, version, .. }
            | Self::WaiveGate { model, version, .. }
            | Self::EndWaiver { model, version, .. }
            | Self::Approve { model, version, .. }
            | Self::WithdrawApproval { model, version, .. } => format!("{model} v{version}"),
        }
    }
}
