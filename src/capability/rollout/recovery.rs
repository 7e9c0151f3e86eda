//! A way back that was taken, and what the router's own counts prove of it.

use serde::{Deserialize, Serialize};

use super::standing::Rollout;
use crate::base::{Timestamp, show};
use crate::capability::monitoring::{ArmRole, TrafficWindow};

/// A version that was taken away from its callers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    pub at: Timestamp,
    pub from: u32,
    pub to: u32,
    pub by: String,
    pub reason: String,
    /// The rollout that ended with it, as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Box<Rollout>>,
}

/// For how long a way back can be taken back, microseconds.
pub const UNDO_US: i64 = 600_000_000;

/// What became of it. A request that was under way is answered by the version that took it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    #[serde(flatten)]
    pub turn: Turn,
    /// Requests that the version answered in the hour before, and how many of them failed.
    pub answered: u64,
    pub failed: u64,
    /// When it answered its last one.
    pub last: Option<Timestamp>,
    /// Requests that the other version has answered since the minute of the turn.
    pub since: u64,
}

impl Recovery {
    pub fn of(turn: &Turn, windows: &[TrafficWindow]) -> Self {
        let minute = turn.at.0.div_euclid(60_000_000);
        let bad = || windows.iter().filter(|w| w.version == turn.from && w.arm != ArmRole::Shadow);
        let good = windows.iter().filter(|w| w.version == turn.to && w.minute >= minute);
        Self {
            turn: turn.clone(),
            answered: bad().map(|w| w.requests).sum(),
            failed: bad().map(|w| w.errors).sum(),
            last: bad().map(|w| w.last).max(),
            since: good.map(|w| w.requests).sum(),
        }
    }

    /// Milliseconds from the decision to its last answer; negative when that was before.
    pub fn last_after_ms(&self) -> Option<f64> {
        self.last.map(|last| (last.0 - self.turn.at.0) as f64 / 1e3)
    }

    /// Until when it can be taken back.
    pub fn undo_until(&self) -> Timestamp {
        Timestamp(self.turn.at.0 + UNDO_US)
    }

    /// One sentence.
    pub fn words(&self) -> String {
        let (from, to) = (self.turn.from, self.turn.to);
        let last = match self.last_after_ms() {
            None => format!("v{from} had answered nobody"),
            Some(ms) if ms <= 0.0 => format!("v{from} answered nobody after the decision"),
            Some(ms) => format!("v{from} gave its last answer {ms:.0} ms after the decision"),
        };
        let requests = show::many(self.answered, "request", "requests");
        let seen = format!("{requests} of the hour before, {} failed", self.failed);
        format!("{last} ({seen}); v{to} has answered {} since", self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::stats::sketch::Sketch;

    #[test]
    fn counts_prove_when_the_last_answer_was_given() {
        let window = |version, minute, requests, errors, last| TrafficWindow {
            service: "s".into(),
            version,
            arm: if version == 2 { ArmRole::Candidate } else { ArmRole::Stable },
            minute,
            weight: 100,
            requests,
            errors,
            latency: Sketch::default(),
            differing: 0,
            last: Timestamp(last),
        };
        let turn = Turn {
            at: Timestamp(120_000_000),
            from: 2,
            to: 1,
            by: "kim".into(),
            reason: "worse".into(),
            rollout: None,
        };
        let windows = [
            window(2, 1, 10, 3, 119_000_000),
            window(2, 2, 2, 1, 120_012_000),
            window(1, 1, 90, 0, 119_500_000),
            window(1, 2, 40, 0, 150_000_000),
        ];
        let recovery = Recovery::of(&turn, &windows);
        assert_eq!((recovery.answered, recovery.failed, recovery.since), (12, 4, 40));
        let words = "v2 gave its last answer 12 ms after the decision (12 requests of the hour before, 4 failed); \
                     v1 has answered 40 since";
        assert_eq!(recovery.words(), words);
        assert!(Recovery::of(&turn, &windows[2..]).words().starts_with("v2 had answered nobody"));
    }
}
