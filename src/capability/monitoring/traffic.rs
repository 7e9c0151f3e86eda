//! Traffic of one version in one minute: counts that add up exactly, over minutes, routers and restarts.

use serde::{Deserialize, Serialize};

use crate::base::Timestamp;
use crate::base::stats::sketch::Sketch;

/// As what a version answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArmRole {
    Stable,
    Candidate,
    /// It answers too, and nobody sees it.
    Shadow,
}

/// What one version did within one minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficWindow {
    pub service: String,
    pub version: u32,
    pub arm: ArmRole,
    /// Minutes since 1970 UTC, by when the request came.
    pub minute: i64,
    /// The candidate's weight of 10,000 while these came: the judge's traffic share. A window is cut where it changes.
    pub weight: u16,
    pub requests: u64,
    /// Answers of 500 and above, and no answer at all; a caller who left is none.
    pub errors: u64,
    /// From the last byte of the request to the first of the answer, milliseconds.
    pub latency: Sketch,
    /// Of a shadow: answers that differ from the one that was given.
    #[serde(default)]
    pub differing: u64,
    /// When the last of these was answered.
    pub last: Timestamp,
}

impl TrafficWindow {
    /// Whether `other` counts the same thing.
    pub fn same_window(&self, other: &Self) -> bool {
        (&self.service, self.version, self.arm, self.minute, self.weight)
            == (&other.service, other.version, other.arm, other.minute, other.weight)
    }

    /// Adds the counts of another part of the same window.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.latency.merge(&other.latency);
        self.differing += other.differing;
        self.last = self.last.max(other.last);
    }
}
