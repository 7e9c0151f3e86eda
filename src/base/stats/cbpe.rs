//! Confidence-based performance estimation: how good a classifier is likely to be where no labels are, from calibrated
//! probabilities alone. It takes for granted that labels still depend on scores as they did: it is blind to a change of that.

/// Predictions that share a score: one row, or a bin of a histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// As the model gave it: what ranks.
    pub score: f64,
    /// Probability that the label is positive.
    pub calibrated: f64,
    pub n: f64,
    /// Those of `n` that the model called positive.
    pub called: f64,
}

/// What is to be expected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub tp: f64,
    pub fp: f64,
    pub fn_: f64,
    pub tn: f64,
    /// `None` unless both classes are to be expected.
    pub roc_auc: Option<f64>,
    /// Standard deviation of the accuracy by chance.
    pub sd_accuracy: f64,
}

/// `None` of nothing.
pub fn estimate(groups: &[Group]) -> Option<Estimate> {
    let n: f64 = groups.iter().map(|g| g.n).sum();
    if n <= 0.0 {
        return None;
    }
    let sum = |f: &dyn Fn(&Group) -> f64| groups.iter().map(f).sum::<f64>();
    let spread = sum(&|g| g.n * g.calibrated * (1.0 - g.calibrated));
    Some(Estimate {
        tp: sum(&|g| g.called * g.calibrated),
        fp: sum(&|g| g.called * (1.0 - g.calibrated)),
        fn_: sum(&|g| (g.n - g.called) * g.calibrated),
        tn: sum(&|g| (g.n - g.called) * (1.0 - g.calibrated)),
        roc_auc: roc_auc(groups),
        sd_accuracy: spread.sqrt() / n,
    })
}

impl Estimate {
    pub fn accuracy(&self) -> f64 {
        (self.tp + self.tn) / (self.tp + self.fp + self.fn_ + self.tn)
    }

    pub fn precision(&self) -> f64 {
        super::ratio(self.tp, self.tp + self.fp)
    }

    pub fn recall(&self) -> f64 {
        super::ratio(self.tp, self.tp + self.fn_)
    }

    pub fn specificity(&self) -> f64 {
        super::ratio(self.tn, self.tn + self.fp)
    }

    pub fn f1(&self) -> f64 {
        super::ratio(2.0 * self.tp, 2.0 * self.tp + self.fp + self.fn_)
    }
}

/// Area under the expected curve, falling by the raw score; equal scores are one step.
fn roc_auc(groups: &[Group]) -> Option<f64> {
    let mut order: Vec<&Group> = groups.iter().collect();
    order.sort_by(|a, b| b.score.total_cmp(&a.score));
    let (mut area, mut positive, mut negative) = (0.0, 0.0, 0.0);
    for same in order.chunk_by(|a, b| a.score == b.score) {
        let (yes, no) =
            same.iter().fold((0.0, 0.0), |(yes, no), g| (yes + g.n * g.calibrated, no + g.n * (1.0 - g.calibrated)));
        area += no * (positive + yes / 2.0);
        positive += yes;
        negative += no;
    }
    (positive > 0.0 && negative > 0.0).then(|| area / (positive * negative))
}

#[cfg(test)]
mod tests {
    use super::super::isotonic::Isotonic;
    use super::super::testing::{check, close, numbers, oracle};
    use super::*;

    #[test]
    fn every_value_of_the_table() {
        let table = oracle("cbpe");
        let (y, x) = (numbers(&table["reference"]["y"]), numbers(&table["reference"]["score"]));
        let points: Vec<_> = x.iter().zip(&y).map(|(x, y)| (*x, *y, 1.0)).collect();
        let fit = Isotonic::fit(&points).unwrap();
        for (got, want) in [(&fit.x, "x"), (&fit.y, "y")] {
            let want = numbers(&table["isotonic_knots"][want]);
            assert_eq!(got.len(), want.len());
            got.iter().zip(want).for_each(|(g, w)| close("knot", *g, w, 1e-9));
        }
        let scores = numbers(&table["analysis"]["score"]);
        let called = numbers(&table["analysis"]["pred"]);
        for (s, want) in scores.iter().zip(numbers(&table["calibrated"])) {
            close("calibrated", fit.at(*s), want, 1e-9);
        }
        let calibrated = |s: f64| fit.at(s);
        let raw = |s: f64| s;
        let ways: [(&str, &dyn Fn(f64) -> f64); 2] =
            [("expected_cbpe", &calibrated), ("cbpe_without_calibration", &raw)];
        for (name, of) in ways {
            let group = |(s, p): (&f64, &f64)| Group { score: *s, calibrated: of(*s), n: 1.0, called: *p };
            let groups: Vec<Group> = scores.iter().zip(&called).map(group).collect();
            let e = estimate(&groups).unwrap();
            let got = [
                ("tp", e.tp),
                ("fp", e.fp),
                ("fn", e.fn_),
                ("tn", e.tn),
                ("accuracy", e.accuracy()),
                ("precision", e.precision()),
                ("recall", e.recall()),
                ("specificity", e.specificity()),
                ("f1", e.f1()),
                ("sd_accuracy", e.sd_accuracy),
                ("roc_auc", e.roc_auc.unwrap()),
            ];
            assert!(check(name, &table[name], &got, 1e-9).is_empty());
        }
    }

    #[test]
    fn nothing_gives_no_estimate() {
        assert_eq!(estimate(&[]), None);
        assert_eq!(Isotonic::fit(&[]), None);
    }
}
