//! How good scores are, exactly: area under the ROC curve by ranks, logarithmic loss, Brier score, accuracy.

use serde::{Deserialize, Serialize};

/// The quality of a set of scored, labelled rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Rows judged.
    pub rows: usize,
    /// Share of rows whose label is true.
    pub rate: f64,
    /// Mean score: equals `rate` when the model is calibrated on the whole.
    pub mean_score: f64,
    /// Area under the ROC curve; none when one of the classes is absent.
    pub auc: Option<f64>,
    /// Mean negative log-likelihood, natural logarithm, scores clipped to [ε, 1 − ε] with ε the machine's.
    pub log_loss: f64,
    /// Mean squared difference of score and label.
    pub brier: f64,
    /// Share of rows on the right side of one half.
    pub accuracy: f64,
}

/// Judges `scores` (probabilities of true) against `labels` of the same length; none for no rows.
pub fn judge(labels: &[bool], scores: &[f64]) -> Option<Quality> {
    let n = labels.len().min(scores.len());
    if n == 0 {
        return None;
    }
    let mean = |value: &dyn Fn(bool, f64) -> f64| {
        labels.iter().zip(scores).map(|(&label, &score)| value(label, score)).sum::<f64>() / n as f64
    };
    Some(Quality {
        rows: n,
        rate: mean(&|label, _| f64::from(u8::from(label))),
        mean_score: mean(&|_, score| score),
        auc: auc(labels, scores),
        log_loss: mean(&log_loss),
        brier: mean(&|label, score| (score - f64::from(u8::from(label))).powi(2)),
        accuracy: mean(&|label, score| f64::from(u8::from((score >= 0.5) == label))),
    })
}

/// The loss of one row, see [`Quality::log_loss`].
pub fn log_loss(label: bool, score: f64) -> f64 {
    let score = score.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
    -(if label { score } else { 1.0 - score }).ln()
}

/// The probability that a random true row scores above a random false one, ties counting half: the Mann-Whitney
/// statistic (R₁ − n₁(n₁+1)/2) / (n₁ n₀), with R₁ the sum of the true rows' mid-ranks. None when a class is absent.
pub fn auc(labels: &[bool], scores: &[f64]) -> Option<f64> {
    let mut pairs: Vec<(f64, bool)> = scores.iter().copied().zip(labels.iter().copied()).collect();
    pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let positives = pairs.iter().filter(|(_, label)| *label).count() as f64;
    let negatives = pairs.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    let mut rank_sum = 0.0;
    let mut below = 0;
    for tied in pairs.chunk_by(|a, b| a.0 == b.0) {
        // Ranks below+1 ..= below+len share their mean.
        let rank = below as f64 + f64::midpoint(tied.len() as f64, 1.0);
        rank_sum += rank * tied.iter().filter(|(_, label)| *label).count() as f64;
        below += tied.len();
    }
    Some((rank_sum - positives * (positives + 1.0) / 2.0) / (positives * negatives))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Deserialize)]
    struct Case {
        name: String,
        y: Vec<u8>,
        p: Vec<f64>,
        roc_auc: f64,
        log_loss: f64,
        brier: f64,
        accuracy: f64,
    }

    /// Expected values by scikit-learn.
    #[test]
    fn agrees_with_scikit_learn() {
        let cases: Vec<Case> =
            serde_json::from_slice(include_str!("../../tests/fixtures/binary_quality.json").as_bytes()).unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            let labels: Vec<bool> = case.y.iter().map(|&y| y == 1).collect();
            let found = judge(&labels, &case.p).unwrap();
            for (name, found, expected) in [
                ("auc", found.auc.unwrap(), case.roc_auc),
                ("log loss", found.log_loss, case.log_loss),
                ("brier", found.brier, case.brier),
                ("accuracy", found.accuracy, case.accuracy),
            ] {
                assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{} {name}: {found} {expected}", case.name);
            }
        }
    }

    proptest! {
        /// The definition, pair by pair.
        #[test]
        fn auc_is_the_share_of_ordered_pairs(rows in proptest::collection::vec((any::<bool>(), 0u8..6), 0..40)) {
            let labels: Vec<bool> = rows.iter().map(|row| row.0).collect();
            let scores: Vec<f64> = rows.iter().map(|row| f64::from(row.1)).collect();
            let (mut pairs, mut won) = (0.0, 0.0);
            for (_, high) in rows.iter().filter(|row| row.0) {
                for (_, low) in rows.iter().filter(|row| !row.0) {
                    pairs += 1.0;
                    won += f64::from(u8::from(high > low) + u8::from(high >= low)) / 2.0;
                }
            }
            match auc(&labels, &scores) {
                None => prop_assert_eq!(pairs, 0.0),
                Some(auc) => prop_assert!((auc - won / pairs).abs() < 1e-12),
            }
        }
    }
}
