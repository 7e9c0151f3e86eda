//! Quality over time: one figure a stretch, from the same counters as the report.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::counters::{Arm, MINUTES_KEPT, Stretch, Tally, Task};
use super::estimate::{Calibrator, estimated};
use super::metrics::measured;
use super::{Metric, Window};
use crate::base::Timestamp;

/// Stretches that a window is cut into, at most about.
const STRETCHES: u64 = 60;
/// Up to so many minutes back single minutes are certainly kept.
const MINUTES_SURE: u64 = MINUTES_KEPT.unsigned_abs();
/// Lengths of a stretch, minutes: they divide an hour or a day.
pub const STEPS: [u64; 14] = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10_080];

/// What a version did in one stretch of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub from: Timestamp,
    pub to: Timestamp,
    pub n: u64,
    pub errors: u64,
    pub labelled: u64,
    /// With labels.
    pub metrics: BTreeMap<String, Metric>,
    /// Without.
    pub estimated: BTreeMap<String, Metric>,
    /// Median, 95 % and 99 %, milliseconds.
    pub latency_ms: Option<(f64, f64, f64)>,
}

/// How long the stretches of a window are, minutes: hours where minutes may no longer be kept.
pub fn step_minutes(window: Window, now: Timestamp) -> u64 {
    let minutes = |us: i64| u64::try_from(us / 60_000_000).unwrap_or(0);
    let least = minutes(window.to.0 - window.from.0).div_ceil(STRETCHES);
    let least = if minutes(now.0 - window.from.0) > MINUTES_SURE + 1 { least.max(60) } else { least };
    STEPS.into_iter().find(|s| *s >= least).unwrap_or(10_080)
}

/// The metric that says most about a version: what its answers and scores allow.
pub fn main_metric(arm: &Arm) -> &'static str {
    match (arm.task, &arm.positive) {
        (Some(Task::Numbers), _) => "mae",
        (Some(Task::Text), _) => "judgement",
        (_, Some(_)) => "auc",
        _ => "accuracy",
    }
}

/// Whether less of it is better.
pub fn lower_is_better(metric: &str) -> bool {
    matches!(metric, "mae" | "rmse" | "bias" | "brier" | "log_loss" | "ece")
}

/// What each stretch came to. The estimate is calibrated by labels from before, or where those are few by those of the window.
pub fn points(arm: &Arm, stretches: &[Stretch], before: &Tally) -> Vec<Point> {
    let own = || {
        let mut sum = Tally::default();
        stretches.iter().filter_map(Stretch::all).for_each(|c| sum.merge(&c.tally));
        Calibrator::of(&sum)
    };
    let calibrator = Calibrator::of(before).or_else(own);
    stretches.iter().map(|s| point(arm, s, calibrator.as_ref())).collect()
}

fn point(arm: &Arm, stretch: &Stretch, calibrator: Option<&Calibrator>) -> Point {
    let none = Tally::default();
    let tally = stretch.all().map_or(&none, |c| &c.tally);
    let at = |q: f64| tally.latency.quantile(q);
    Point {
        from: stretch.from,
        to: stretch.to,
        n: tally.n,
        errors: tally.errors,
        labelled: u64::try_from(tally.labelled).unwrap_or(0),
        metrics: measured(tally, arm.positive.as_deref()),
        estimated: estimated(tally, calibrator, arm.positive.is_some()),
        latency_ms: at(0.5).zip(at(0.95)).zip(at(0.99)).map(|((a, b), c)| (a, b, c)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_divide_hours_and_are_hours_where_minutes_are_gone() {
        let now = Timestamp(10_000 * 3_600_000_000);
        let back = |hours: i64| Window { from: Timestamp(now.0 - hours * 3_600_000_000), to: now };
        assert_eq!([1, 2, 3, 24, 72, 24 * 30].map(|h| step_minutes(back(h), now)), [1, 2, 60, 60, 120, 720]);
        // An hour that ended long ago is one stretch.
        let then = Window { from: Timestamp(now.0 - 50 * 3_600_000_000), to: Timestamp(now.0 - 49 * 3_600_000_000) };
        assert_eq!(step_minutes(then, now), 60);
    }
}
