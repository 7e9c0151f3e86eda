//! Metrics of two classes: from a confusion matrix at a threshold, and from scores (probabilities of the positive
//! class). Definitions are scikit-learn's.

use super::{curve, ratio};

/// Predictions against labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Confusion {
    pub tp: u64,
    pub fp: u64,
    pub fn_: u64,
    pub tn: u64,
}

impl Confusion {
    pub fn of(labels: &[bool], predicted: impl IntoIterator<Item = bool>) -> Self {
        let mut it = Self::default();
        for (label, predicted) in labels.iter().zip(predicted) {
            match (label, predicted) {
                (true, true) => it.tp += 1,
                (false, true) => it.fp += 1,
                (true, false) => it.fn_ += 1,
                (false, false) => it.tn += 1,
            }
        }
        it
    }

    /// Predicts the positive class where the score reaches the threshold.
    pub fn at(labels: &[bool], scores: &[f64], threshold: f64) -> Self {
        Self::of(labels, scores.iter().map(|s| *s >= threshold))
    }

    fn all(self) -> [f64; 4] {
        [self.tp as f64, self.fp as f64, self.fn_ as f64, self.tn as f64]
    }

    pub fn n(self) -> u64 {
        self.tp + self.fp + self.fn_ + self.tn
    }

    pub fn accuracy(self) -> f64 {
        ratio((self.tp + self.tn) as f64, self.n() as f64)
    }

    pub fn precision(self) -> f64 {
        let [tp, fp, ..] = self.all();
        ratio(tp, tp + fp)
    }

    pub fn recall(self) -> f64 {
        let [tp, _, fn_, _] = self.all();
        ratio(tp, tp + fn_)
    }

    pub fn specificity(self) -> f64 {
        let [_, fp, _, tn] = self.all();
        ratio(tn, tn + fp)
    }

    pub fn balanced_accuracy(self) -> f64 {
        f64::midpoint(self.recall(), self.specificity())
    }

    /// Harmonic mean of precision and recall.
    pub fn f1(self) -> f64 {
        let [tp, fp, fn_, _] = self.all();
        ratio(2.0 * tp, 2.0 * tp + fp + fn_)
    }

    /// The same with the classes' parts exchanged.
    #[must_use]
    pub fn turned(self) -> Self {
        Self { tp: self.tn, fp: self.fn_, fn_: self.fp, tn: self.tp }
    }

    pub fn f1_macro(self) -> f64 {
        f64::midpoint(self.f1(), self.turned().f1())
    }

    pub fn f1_weighted(self) -> f64 {
        let (positive, negative) = ((self.tp + self.fn_) as f64, (self.tn + self.fp) as f64);
        ratio(positive * self.f1() + negative * self.turned().f1(), positive + negative)
    }

    /// Matthews' correlation.
    pub fn mcc(self) -> f64 {
        let [tp, fp, fn_, tn] = self.all();
        ratio(tp * tn - fp * fn_, ((tp + fp) * (tp + fn_) * (tn + fp) * (tn + fn_)).sqrt())
    }

    /// Cohen's kappa.
    pub fn kappa(self) -> f64 {
        let [tp, fp, fn_, tn] = self.all();
        let n = self.n() as f64;
        let chance = ratio((tp + fp) * (tp + fn_) + (tn + fp) * (tn + fn_), n * n);
        ratio(self.accuracy() - chance, 1.0 - chance)
    }
}

/// Area under the ROC curve; ties count half. `None` unless both classes are there.
pub fn roc_auc(labels: &[bool], scores: &[f64]) -> Option<f64> {
    let steps = curve::steps(labels, scores);
    let end = steps.last()?;
    let (positive, negative) = (end.tp as f64, end.fp as f64);
    if positive == 0.0 || negative == 0.0 {
        return None;
    }
    let (mut area, mut before) = (0.0, curve::Step::default());
    for step in &steps {
        area += (step.fp - before.fp) as f64 * f64::midpoint(step.tp as f64, before.tp as f64);
        before = *step;
    }
    Some(area / (positive * negative))
}

/// Area under precision over recall as a sum of steps (average precision). `None` without a positive.
pub fn average_precision(labels: &[bool], scores: &[f64]) -> Option<f64> {
    let steps = curve::steps(labels, scores);
    let positive = steps.last()?.tp as f64;
    let (mut area, mut before) = (0.0, 0);
    for step in &steps {
        area += (step.tp - before) as f64 * (step.tp as f64 / (step.tp + step.fp) as f64);
        before = step.tp;
    }
    (positive > 0.0).then(|| area / positive)
}

/// The same by trapezoids, which is optimistic; for comparison with tools that use it.
pub fn pr_auc_trapezoid(labels: &[bool], scores: &[f64]) -> Option<f64> {
    let steps = curve::steps(labels, scores);
    let positive = steps.last()?.tp as f64;
    let (mut area, mut before) = (0.0, (0.0, 1.0));
    for step in &steps {
        let point = (step.tp as f64, step.tp as f64 / (step.tp + step.fp) as f64);
        area += (point.0 - before.0) * f64::midpoint(point.1, before.1);
        before = point;
    }
    (positive > 0.0).then(|| area / positive)
}

/// Greatest distance between the two classes' distributions of scores.
pub fn ks_separation(labels: &[bool], scores: &[f64]) -> Option<f64> {
    let steps = curve::steps(labels, scores);
    let end = *steps.last()?;
    (end.tp > 0 && end.fp > 0).then(|| {
        let apart = |s: &curve::Step| (s.tp as f64 / end.tp as f64 - s.fp as f64 / end.fp as f64).abs();
        steps.iter().map(apart).fold(0.0, f64::max)
    })
}

/// Natural logarithm, with probabilities kept a machine epsilon away from 0 and 1.
pub fn log_loss_of(label: bool, score: f64) -> f64 {
    let p = score.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
    -if label { p.ln() } else { (1.0 - p).ln() }
}

/// Mean of [`log_loss_of`].
pub fn log_loss(labels: &[bool], scores: &[f64]) -> Option<f64> {
    mean_of(labels, scores, log_loss_of)
}

/// Mean squared distance between probability and outcome.
pub fn brier(labels: &[bool], scores: &[f64]) -> Option<f64> {
    mean_of(labels, scores, |label, p| (p - f64::from(label)).powi(2))
}

fn mean_of(labels: &[bool], scores: &[f64], f: impl Fn(bool, f64) -> f64) -> Option<f64> {
    let n = labels.len();
    (n > 0).then(|| labels.iter().zip(scores).map(|(l, s)| f(*l, *s)).sum::<f64>() / n as f64)
}

/// How far probabilities are from what came true.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    /// Expected calibration error: the gap per bin, weighted by the bin's share.
    pub ece: f64,
    /// The greatest gap of a bin.
    pub mce: f64,
}

/// Calibration in `bins` bins of equal width: (k/B, (k+1)/B], 0 in the first.
pub fn calibration(labels: &[bool], scores: &[f64], bins: usize) -> Option<Calibration> {
    let mut sums = vec![(0.0, 0.0, 0.0); bins];
    for (label, p) in labels.iter().zip(scores) {
        let edges = (1..bins).map(|k| k as f64 / bins as f64);
        let slot = &mut sums[edges.take_while(|edge| edge < p).count()];
        *slot = (slot.0 + 1.0, slot.1 + p, slot.2 + f64::from(*label));
    }
    gaps(&sums)
}

/// Expected calibration error in `bins` bins of equal mass; the last takes the rest.
pub fn ece_mass(labels: &[bool], scores: &[f64], bins: usize) -> Option<f64> {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let size = (labels.len() / bins).max(1);
    let mut sums = vec![(0.0, 0.0, 0.0); bins];
    for (place, i) in order.into_iter().enumerate() {
        let slot = &mut sums[(place / size).min(bins - 1)];
        *slot = (slot.0 + 1.0, slot.1 + scores[i], slot.2 + f64::from(labels[i]));
    }
    gaps(&sums).map(|c| c.ece)
}

/// From (n, sum of probabilities, sum of outcomes) per bin.
fn gaps(sums: &[(f64, f64, f64)]) -> Option<Calibration> {
    let total: f64 = sums.iter().map(|s| s.0).sum();
    let gaps = || sums.iter().filter(|s| s.0 > 0.0).map(|(n, p, y)| (n / total, (p / n - y / n).abs()));
    (total > 0.0).then(|| Calibration {
        ece: gaps().map(|(share, gap)| share * gap).sum(),
        mce: gaps().map(|(_, gap)| gap).fold(0.0, f64::max),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::stats::testing::{check, number, numbers, oracle};

    #[test]
    fn every_value_of_the_table() {
        for case in oracle("quality")["binary"].as_array().unwrap() {
            let labels: Vec<bool> = numbers(&case["y"]).iter().map(|y| *y == 1.0).collect();
            let p = numbers(&case["p"]);
            for expected in [&case["expected"], &case["expected_thr03"]] {
                let c = Confusion::at(&labels, &p, number(&expected["threshold"]));
                let width10 = calibration(&labels, &p, 10).unwrap();
                let got = [
                    ("tp", c.tp as f64),
                    ("fp", c.fp as f64),
                    ("fn", c.fn_ as f64),
                    ("tn", c.tn as f64),
                    ("accuracy", c.accuracy()),
                    ("balanced_accuracy", c.balanced_accuracy()),
                    ("precision", c.precision()),
                    ("recall", c.recall()),
                    ("f1", c.f1()),
                    ("specificity", c.specificity()),
                    ("f1_macro", c.f1_macro()),
                    ("f1_micro", c.accuracy()),
                    ("f1_weighted", c.f1_weighted()),
                    ("mcc", c.mcc()),
                    ("kappa", c.kappa()),
                    ("roc_auc", roc_auc(&labels, &p).unwrap()),
                    ("pr_auc_average_precision", average_precision(&labels, &p).unwrap()),
                    ("pr_auc_trapezoid", pr_auc_trapezoid(&labels, &p).unwrap()),
                    ("log_loss", log_loss(&labels, &p).unwrap()),
                    ("brier", brier(&labels, &p).unwrap()),
                    ("ece_width10", width10.ece),
                    ("ece_width15", calibration(&labels, &p, 15).unwrap().ece),
                    ("mce_width10", width10.mce),
                    ("ece_mass10", ece_mass(&labels, &p, 10).unwrap()),
                    ("ks_separation", ks_separation(&labels, &p).unwrap()),
                ];
                let name = case["name"].as_str().unwrap();
                assert_eq!(check(name, expected, &got, 1e-9), ["threshold"]);
            }
        }
    }

    #[test]
    fn one_class_has_no_curve() {
        assert_eq!(roc_auc(&[true, true], &[0.1, 0.2]), None);
        assert_eq!(average_precision(&[false], &[0.1]), None);
        assert_eq!(log_loss(&[], &[]), None);
    }
}
