//! What surrounds a command on its way: who asks and why, and what came of it.

use serde::{Deserialize, Serialize};

use super::Command;
use super::access::Role;
use super::audit::Who;

/// A command with what surrounds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    pub command: Command,
    #[serde(default)]
    pub reason: String,
    /// Refused when the thing has moved past this generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// The same key never acts twice: the first answer is given again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Checks everything and changes nothing.
    #[serde(default)]
    pub dry_run: bool,
}

impl Envelope {
    pub fn new(command: Command, reason: impl Into<String>) -> Self {
        Self { command, reason: reason.into(), generation: None, idempotency_key: None, dry_run: false }
    }
}

/// Who asks, how they came, and what they may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    pub who: Who,
    pub role: Role,
    /// Whether this client has a way to send a reason. `MLflow`'s has none.
    pub can_give_reason: bool,
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Number of the audit record; 0 for a dry run.
    pub audit: i64,
    pub command: String,
    pub target: String,
    pub from: String,
    pub to: String,
    #[serde(default)]
    pub dry_run: bool,
    /// This key had acted before; nothing was done now.
    #[serde(default)]
    pub replayed: bool,
    /// Generation after the command, for the next compare-and-set.
    #[serde(default)]
    pub generation: i64,
    /// The version that a registration made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// The gate decision that was made, and the digest of all that it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_digest: Option<String>,
}
