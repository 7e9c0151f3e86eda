//! Quality without labels: scores calibrated by earlier labels tell how many answers are likely to be right.

use std::collections::BTreeMap;

use super::super::counters::{ScoreBin, Tally, UNIT};
use super::Metric;
use crate::base::stats::cbpe::{Estimate, Group, estimate};
use crate::base::stats::isotonic::Isotonic;

/// Labels that a calibration needs.
pub const LABELS_MIN: i64 = 200;
/// The estimate's interval: so many standard errors.
const ERRORS: f64 = 1.959_963_984_540_054;

/// From a score to the probability that its answer is positive.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibrator {
    fit: Isotonic,
    pub labels: u64,
}

impl Calibrator {
    /// `None` with too few labels.
    pub fn of(tally: &Tally) -> Option<Self> {
        let labels: i64 = tally.scores.values().map(|b| b.labelled).sum();
        let point = |b: &ScoreBin| {
            let n = b.labelled as f64;
            (b.labelled_sum as f64 / UNIT / n, b.positive as f64 / n, n)
        };
        let points: Vec<_> = tally.scores.values().filter(|b| b.labelled > 0).map(point).collect();
        let fit = Isotonic::fit(&points).filter(|_| labels >= LABELS_MIN)?;
        Some(Self { fit, labels: u64::try_from(labels).unwrap_or(0) })
    }
}

/// Expected counts in a window.
pub fn expected(tally: &Tally, calibrator: Option<&Calibrator>) -> Option<Estimate> {
    let group = |b: &ScoreBin| {
        let score = b.sum as f64 / UNIT / b.n as f64;
        let calibrated = calibrator.map_or(score, |c| c.fit.at(score).clamp(0.0, 1.0));
        Group { score, calibrated, n: b.n as f64, called: b.called as f64 }
    };
    let groups: Vec<Group> = tally.scores.values().filter(|b| b.n > 0).map(group).collect();
    estimate(&groups)
}

/// Estimated metrics of a window; `ranked`: scores are of one positive class.
pub fn estimated(tally: &Tally, calibrator: Option<&Calibrator>, ranked: bool) -> BTreeMap<String, Metric> {
    let Some(e) = expected(tally, calibrator) else { return BTreeMap::new() };
    let n = tally.scores.values().map(|b| u64::try_from(b.n).unwrap_or(0)).sum();
    let half = ERRORS * e.sd_accuracy;
    let accuracy = e.accuracy();
    let plain = |value: f64| Metric { value, low: None, high: None, n };
    let (low, high) = (Some((accuracy - half).max(0.0)), Some((accuracy + half).min(1.0)));
    let mut found = BTreeMap::from([("accuracy".to_owned(), Metric { value: accuracy, low, high, n })]);
    if ranked {
        let more = [("precision", e.precision()), ("recall", e.recall()), ("f1", e.f1())];
        found.extend(more.map(|(name, value)| (name.to_owned(), plain(value))));
        found.extend(e.roc_auc.map(|auc| ("auc".to_owned(), plain(auc))));
    }
    found
}
