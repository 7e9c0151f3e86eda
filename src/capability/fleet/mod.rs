//! The fleet: services with what answers them, how good it is, what drifted and what was changed, in one read each. It holds
//! no table of its own: it puts together what the rooms below it know.

mod live;
mod overview;
mod types;

pub use live::{AskedLive, live};
pub use overview::{AskedFleet, fleet};
pub use types::{Arm, Fleet, Live, Role, Row, Watched, Way, Worst};

use super::audit::{self, AuditQuery, Record};
use super::monitoring::counters;
use super::monitoring::incident::{AlertRule, Bound, Change, Incident, Signal};
use super::monitoring::quality::Window;
use super::rollout::Standing;
use crate::base::{Timestamp, fault::Result};
use crate::db::Pool;

/// For a model that answers in batches the window of its newest batch, where nothing came since: its figures are the newest there
/// are, until the next batch.
fn of_batches<'a>(arms: impl Iterator<Item = &'a counters::Arm>, window: Window) -> Window {
    let newest = arms.filter(|arm| arm.batch.is_some()).map(|arm| arm.last).max();
    match newest.filter(|last| *last < window.from) {
        None => window,
        Some(last) => {
            let to = Timestamp((last.0.div_euclid(MINUTE_US) + 1) * MINUTE_US);
            Window { from: Timestamp(to.0 - (window.to.0 - window.from.0)), to }
        }
    }
}

/// The window that is really looked at where one was asked for that ends now.
pub fn looked_at(counters: &counters::Counters, service: &str, window: Window) -> Window {
    let arms = counters.arms(service).unwrap_or_default();
    of_batches(arms.iter().map(|(_, arm)| arm), window)
}

/// Changes that a screen shows.
const CHANGES_MAX: usize = 300;
const MINUTE_US: i64 = 60_000_000;

/// What was changed since, and what was raised, the newest first.
async fn changes(pool: &Pool, since: Timestamp, until: Timestamp) -> Result<Vec<Change>> {
    let until = Some(Timestamp(until.0.saturating_add(1)));
    let query =
        AuditQuery { since: Some(since), until, refused: Some(false), limit: CHANGES_MAX, ..AuditQuery::default() };
    let all = audit::list(pool, &query).await?.records.into_iter().map(change);
    Ok(all.filter(|c| c.matters() || is_alert(c)).collect())
}

/// A decision as a change of something.
pub fn change(record: Record) -> Change {
    let detail = record.detail.unwrap_or_default();
    Change {
        at: record.at,
        who: record.actor,
        what: record.command,
        target: record.target,
        from: detail.from,
        to: detail.to,
        reason: detail.reason,
        audit: record.seq,
    }
}

fn is_alert(change: &Change) -> bool {
    matches!(change.what.as_str(), "raise-alert" | "clear-alert")
}

/// The bound that is watched on a metric of a service, if a rule watches one: the one about all predictions, the gravest first.
fn bound(rules: &[AlertRule], service: &str) -> Option<(String, Bound)> {
    let metric = |r: &AlertRule| match &r.signal {
        Signal::Quality(metric) => Some((0, metric.clone())),
        Signal::Estimated(metric) => Some((1, metric.clone())),
        _ => None,
    };
    let about = |r: &&AlertRule| r.slice.is_none() && (r.service == "*" || r.service == service);
    let mut found: Vec<_> = rules
        .iter()
        .filter(about)
        .filter_map(|r| metric(r).map(|(estimated, m)| ((estimated, r.severity, r.service == "*"), m, r.bound)))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
    found.into_iter().next().map(|(_, metric, bound)| (metric, bound))
}

/// Whether an alert about a metric of a service stands.
fn raised(rules: &[AlertRule], incidents: &[Incident], service: &str, metric: &str) -> bool {
    let about = |rule: &AlertRule| matches!(&rule.signal, Signal::Quality(m) | Signal::Estimated(m) if m == metric);
    let stands = |name: &str| rules.iter().any(|r| r.name == name && r.slice.is_none() && about(r));
    let open = incidents.iter().filter(|i| i.is_open() && i.service == service);
    open.flat_map(|i| &i.alerts).any(|a| a.cleared.is_none() && stands(&a.alert.rule))
}

/// As what a version answers a service.
fn role(standing: Option<&Standing>, version: &str) -> Role {
    let Some(s) = standing else { return Role::Told };
    let is = |n: u32| version.trim_start_matches('v') == n.to_string();
    match &s.candidate {
        Some(on) if is(on.version) && on.shadow => Role::Shadow,
        Some(on) if is(on.version) => Role::Candidate,
        _ if s.stable.is_some_and(is) => Role::Stable,
        _ if s.stable.is_none() && version == super::monitoring::counters::UNVERSIONED => Role::Stable,
        _ => Role::Past,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_alert_about_the_metric_stands_until_it_is_cleared() {
        let rule = json!({"name": "calibration", "service": "*", "signal": "quality:ece", "bound": {"above": 0.15},
            "clear": 0.12, "window": 60, "n_min": 1, "windows": 1, "of": 1, "cooldown": 0, "absent": 0, "severity": 1,
            "action": "page"});
        let alert = json!({"rule": "calibration", "severity": 1, "action": "page", "what": "quality:ece 0.17 > 0.15",
            "value": 0.17, "n": 1500, "from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:01:00Z", "query": "",
            "at": "2026-01-01T00:01:00Z"});
        let incident = json!({"id": 1, "service": "delay", "severity": 1, "opened": "2026-01-01T00:01:00Z",
            "alerts": [alert]});
        let rules: Vec<AlertRule> = vec![serde_json::from_value(rule).unwrap()];
        let mut incidents: Vec<Incident> = vec![serde_json::from_value(incident).unwrap()];
        let stands = |incidents: &[Incident], service, metric| raised(&rules, incidents, service, metric);
        assert!(stands(&incidents, "delay", "ece"));
        assert!(!stands(&incidents, "delay", "auc"), "another metric");
        assert!(!stands(&incidents, "churn", "ece"), "another service");
        incidents[0].alerts[0].cleared = Some(Timestamp(120));
        assert!(!stands(&incidents, "delay", "ece"), "well again");
    }
}
