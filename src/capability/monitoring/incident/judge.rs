//! Whether a rule fires: a pure function of its last windows, so that looking again after a restart says the same.

use std::time::Duration;

use super::{AlertRule, Raised};
use crate::base::Timestamp;

/// A signal in one window.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    pub from: Timestamp,
    pub to: Timestamp,
    /// `None`: there is no value, however many observations.
    pub value: Option<f64>,
    pub n: u64,
}

/// What has to happen now.
#[derive(Debug, Clone, PartialEq)]
pub enum Turn {
    /// Beyond the bound in enough windows; the newest of them is given.
    Raise(Observation),
    /// Nothing was observed for too long; since when.
    Absent(Timestamp),
    Clear,
    Stay,
}

/// Judges a rule on its last windows (oldest first). `open` is its alert that is raised, `cleared` when it last ended,
/// `seen` the moment of the newest observation ever.
pub fn judge(
    rule: &AlertRule,
    windows: &[Observation],
    open: Option<&Raised>,
    cleared: Option<Timestamp>,
    seen: Option<Timestamp>,
    now: Timestamp,
) -> Turn {
    let first = windows.len().saturating_sub(rule.of as usize);
    let told: Vec<(&Observation, f64)> = windows[first..]
        .iter()
        .filter(|o| o.n >= rule.n_min.max(1))
        .filter_map(|o| Some((o, o.value.filter(|v| v.is_finite())?)))
        .collect();
    let gap = Duration::from_secs(rule.absent);
    let absent = seen.filter(|seen| rule.absent > 0 && seen.plus(gap) <= now);
    let bad = || told.iter().filter(|(_, v)| rule.bound.is_broken_by(*v));
    let fires = bad().count() >= rule.windows as usize;
    let newest = || bad().next_back().map(|(o, _)| (*o).clone());
    if let Some(open) = open {
        let about_absence = open.alert.value.is_none();
        let well = told.iter().filter(|(_, v)| rule.bound.is_cleared_by(*v, rule.clear)).count();
        // As many good windows as it took bad ones, and all that speak are good; silence clears nothing.
        let cleared = if about_absence {
            absent.is_none() && seen.is_some()
        } else {
            well >= rule.windows as usize && well == told.len()
        };
        return if cleared { Turn::Clear } else { Turn::Stay };
    }
    let cooling = cleared.is_some_and(|at| now < at.plus(Duration::from_secs(rule.cooldown)));
    if cooling {
        return Turn::Stay;
    }
    match (fires, newest(), absent) {
        (true, Some(newest), _) => Turn::Raise(newest),
        (_, _, Some(since)) => Turn::Absent(since),
        _ => Turn::Stay,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Action, Alert, Bound, Signal};
    use super::*;

    const MINUTE: i64 = 60_000_000;

    fn rule() -> AlertRule {
        AlertRule {
            name: "q".to_owned(),
            service: "s".to_owned(),
            signal: Signal::Quality("auc".to_owned()),
            slice: None,
            bound: Bound::Below(0.6),
            clear: 0.65,
            window: 60,
            n_min: 10,
            windows: 2,
            of: 3,
            cooldown: 600,
            absent: 300,
            severity: 1,
            action: Action::Page,
        }
    }

    fn windows(values: &[(f64, u64)]) -> Vec<Observation> {
        let window = |(i, (value, n)): (i64, &(f64, u64))| Observation {
            from: Timestamp(i * MINUTE),
            to: Timestamp((i + 1) * MINUTE),
            value: Some(*value),
            n: *n,
        };
        (0..).zip(values).map(window).collect()
    }

    fn raised(value: Option<f64>) -> Raised {
        let alert = Alert {
            rule: "q".to_owned(),
            severity: 1,
            action: Action::Page,
            what: String::new(),
            value,
            n: 1,
            from: Timestamp(0),
            to: Timestamp(0),
            query: String::new(),
        };
        Raised { alert, at: Timestamp(0), cleared: None }
    }

    fn turn(values: &[(f64, u64)], open: bool) -> Turn {
        let (windows, raised) = (windows(values), raised(Some(0.5)));
        let seen = windows.last().map(|w| w.to);
        let now = seen.unwrap_or_default();
        judge(&rule(), &windows, open.then_some(&raised), None, seen, now)
    }

    #[test]
    fn enough_windows_raise_and_small_ones_say_nothing() {
        assert!(
            matches!(turn(&[(0.5, 50), (0.7, 50), (0.5, 50)], false), Turn::Raise(o) if o.to == Timestamp(3 * MINUTE))
        );
        assert_eq!(turn(&[(0.7, 50), (0.7, 50), (0.5, 50)], false), Turn::Stay);
        assert_eq!(turn(&[(0.5, 9), (0.7, 50), (0.5, 50)], false), Turn::Stay);
        // The oldest lies outside of the last three.
        assert_eq!(turn(&[(0.5, 50), (0.7, 50), (0.7, 50), (0.5, 50)], false), Turn::Stay);
        assert_eq!(turn(&[(f64::NAN, 50), (f64::NAN, 50)], false), Turn::Stay);
    }

    #[test]
    fn between_bound_and_clear_nothing_moves() {
        assert_eq!(turn(&[(0.62, 50), (0.62, 50), (0.62, 50)], false), Turn::Stay);
        assert_eq!(turn(&[(0.62, 50), (0.62, 50), (0.62, 50)], true), Turn::Stay);
        assert_eq!(turn(&[(0.5, 50), (0.7, 50), (0.7, 50)], true), Turn::Stay);
        assert_eq!(turn(&[(0.7, 50), (0.7, 50), (0.7, 50)], true), Turn::Clear);
        assert_eq!(turn(&[(0.7, 5), (0.7, 5), (0.7, 5)], true), Turn::Stay);
    }

    #[test]
    fn a_cooldown_holds_back() {
        let bad = windows(&[(0.5, 50), (0.5, 50)]);
        let at = |minutes: i64| {
            judge(
                &rule(),
                &bad,
                None,
                Some(Timestamp(0)),
                Some(Timestamp(minutes * MINUTE)),
                Timestamp(minutes * MINUTE),
            )
        };
        assert_eq!(at(9), Turn::Stay);
        assert!(matches!(at(10), Turn::Raise(_)));
    }

    #[test]
    fn absence_is_an_alert_of_its_own() {
        let at = |minutes: i64, open: Option<&Raised>, seen: Option<i64>| {
            judge(&rule(), &[], open, None, seen.map(|s| Timestamp(s * MINUTE)), Timestamp(minutes * MINUTE))
        };
        assert_eq!(at(4, None, Some(0)), Turn::Stay);
        assert_eq!(at(5, None, Some(0)), Turn::Absent(Timestamp(0)));
        // Of what never was nothing is missing.
        assert_eq!(at(5, None, None), Turn::Stay);
        let absent = raised(None);
        assert_eq!(at(6, Some(&absent), Some(0)), Turn::Stay);
        assert_eq!(at(6, Some(&absent), Some(5)), Turn::Clear);
    }
}
