//! What may have caused it: changes ranked by how near in time they are, and how much they have to do with the service.

use serde::{Deserialize, Serialize};

use crate::base::Timestamp;

/// Something that was changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub at: Timestamp,
    pub who: String,
    /// The command's name.
    pub what: String,
    pub target: String,
    pub from: String,
    pub to: String,
    pub reason: String,
    /// Its audit record.
    pub audit: i64,
}

/// A change with its score and the score's parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suspect {
    pub change: Change,
    /// `nearness × scope`, in 0..=1.
    pub score: f64,
    /// Halves every half hour before the breach.
    pub nearness: f64,
    /// 1: this service; 0.8: its model; 0.4: something all share; 0.1: another's.
    pub scope: f64,
    /// Seconds from the change to the breach.
    pub before: f64,
}

/// Seconds in which the nearness halves.
const HALF: f64 = 1800.0;
/// Commands that change nothing that answers predictions.
const HARMLESS: &[&str] = &[
    "raise-alert",
    "clear-alert",
    "ack-incident",
    "assign-incident",
    "silence-incident",
    "note-incident",
    "watch-incident",
    "close-incident",
    "check-gates",
    "record-eval",
    "approve",
    "withdraw-approval",
    "create-token",
    "revoke-token",
];

/// Changes before a breach, the likeliest first. What came after it caused nothing.
pub fn suspects(changes: Vec<Change>, service: &str, model: Option<&str>, breach: Timestamp) -> Vec<Suspect> {
    let score = |change: Change| {
        let before = breach.seconds_since(change.at);
        if before < 0.0 || !change.matters() {
            return None;
        }
        let nearness = 0.5_f64.powf(before / HALF);
        let scope = scope(&change, service, model);
        Some(Suspect { score: nearness * scope, nearness, scope, before, change })
    };
    let mut ranked: Vec<Suspect> = changes.into_iter().filter_map(score).collect();
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then(b.change.audit.cmp(&a.change.audit)));
    ranked
}

impl Change {
    /// Whether it changed something that answers predictions.
    pub fn matters(&self) -> bool {
        !HARMLESS.contains(&self.what.as_str())
    }

    /// Whether it was about this service or its model.
    pub fn concerns(&self, service: &str, model: Option<&str>) -> bool {
        scope(self, service, model) >= 0.8
    }
}

fn scope(change: &Change, service: &str, model: Option<&str>) -> f64 {
    let words: Vec<&str> = change.target.split_whitespace().collect();
    if words.first() == Some(&"service") {
        return if words.get(1) == Some(&service) { 1.0 } else { 0.1 };
    }
    if words.first().is_some_and(|w| Some(*w) == model) {
        return 0.8;
    }
    // Data, suites, rules: nobody's own.
    let shared = ["dataset", "suite", "alert", "rates"];
    if words.first().is_some_and(|w| shared.contains(w)) { 0.4 } else { 0.1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(minute: i64, what: &str, target: &str, audit: i64) -> Change {
        let (who, from, to, reason) = (String::new(), String::new(), String::new(), String::new());
        Change {
            at: Timestamp(minute * 60_000_000),
            who,
            what: what.to_owned(),
            target: target.to_owned(),
            from,
            to,
            reason,
            audit,
        }
    }

    #[test]
    fn near_and_own_comes_first() {
        let changes = vec![
            change(10, "set-stage", "fraud v43", 1),
            change(40, "set-weight", "service scorer", 2),
            change(50, "set-weight", "service other", 3),
            change(58, "ack-incident", "incident 7", 4),
            change(61, "rollback", "service scorer", 5),
        ];
        let ranked = suspects(changes, "scorer", Some("fraud"), Timestamp(60 * 60_000_000));
        let order: Vec<i64> = ranked.iter().map(|s| s.change.audit).collect();
        assert_eq!(order, [2, 1, 3]);
        assert!((ranked[0].score - 0.5_f64.powf(20.0 / 30.0)).abs() < 1e-12);
        assert!(ranked.iter().all(|s| (s.score - s.nearness * s.scope).abs() < 1e-12));
    }
}
