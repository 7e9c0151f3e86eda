//! Metrics of several classes, numbered from 0. Probabilities come a row an example, a column a class.

use super::{binary, ratio};

/// Rows are true classes, columns predicted ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    pub counts: Vec<Vec<u64>>,
}

/// How figures of single classes become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Average {
    Macro,
    /// By the number of true examples.
    Weighted,
    /// Over all decisions together.
    Micro,
}

impl Matrix {
    pub fn of(classes: usize, labels: &[usize], predicted: &[usize]) -> Self {
        let mut counts = vec![vec![0; classes]; classes];
        for (label, predicted) in labels.iter().zip(predicted) {
            if let Some(cell) = counts.get_mut(*label).and_then(|row| row.get_mut(*predicted)) {
                *cell += 1;
            }
        }
        Self { counts }
    }

    fn true_of(&self, class: usize) -> f64 {
        self.counts[class].iter().sum::<u64>() as f64
    }

    fn predicted_of(&self, class: usize) -> f64 {
        self.counts.iter().map(|row| row[class]).sum::<u64>() as f64
    }

    fn right_of(&self, class: usize) -> f64 {
        self.counts[class][class] as f64
    }

    fn classes(&self) -> std::ops::Range<usize> {
        0..self.counts.len()
    }

    fn n(&self) -> f64 {
        self.classes().map(|c| self.true_of(c)).sum()
    }

    fn right(&self) -> f64 {
        self.classes().map(|c| self.right_of(c)).sum()
    }

    pub fn accuracy(&self) -> f64 {
        ratio(self.right(), self.n())
    }

    /// Mean recall over the classes that occur.
    pub fn balanced_accuracy(&self) -> f64 {
        let there: Vec<usize> = self.classes().filter(|c| self.true_of(*c) > 0.0).collect();
        ratio(there.iter().map(|c| self.recall_of(*c)).sum(), there.len() as f64)
    }

    pub fn precision_of(&self, class: usize) -> f64 {
        ratio(self.right_of(class), self.predicted_of(class))
    }

    pub fn recall_of(&self, class: usize) -> f64 {
        ratio(self.right_of(class), self.true_of(class))
    }

    pub fn f1_of(&self, class: usize) -> f64 {
        ratio(2.0 * self.right_of(class), self.predicted_of(class) + self.true_of(class))
    }

    pub fn precision(&self, average: Average) -> f64 {
        self.averaged(average, |c| self.precision_of(c))
    }

    pub fn recall(&self, average: Average) -> f64 {
        self.averaged(average, |c| self.recall_of(c))
    }

    pub fn f1(&self, average: Average) -> f64 {
        self.averaged(average, |c| self.f1_of(c))
    }

    fn averaged(&self, average: Average, of: impl Fn(usize) -> f64) -> f64 {
        match average {
            Average::Micro => self.accuracy(),
            Average::Macro => ratio(self.classes().map(of).sum(), self.counts.len() as f64),
            Average::Weighted => ratio(self.classes().map(|c| self.true_of(c) * of(c)).sum(), self.n()),
        }
    }

    /// Cohen's kappa.
    pub fn kappa(&self) -> f64 {
        let n = self.n();
        let chance = ratio(self.classes().map(|c| self.true_of(c) * self.predicted_of(c)).sum(), n * n);
        ratio(self.accuracy() - chance, 1.0 - chance)
    }

    /// Matthews' correlation for several classes (Gorodkin's R_K).
    pub fn mcc(&self) -> f64 {
        let n = self.n();
        let sum = |f: &dyn Fn(usize) -> f64| self.classes().map(f).sum::<f64>();
        let both = sum(&|c| self.true_of(c) * self.predicted_of(c));
        let predicted = sum(&|c| self.predicted_of(c).powi(2));
        let truth = sum(&|c| self.true_of(c).powi(2));
        ratio(self.right() * n - both, ((n * n - predicted) * (n * n - truth)).sqrt())
    }
}

/// The class of the highest probability; the first of equals.
pub fn argmax(row: &[f64]) -> usize {
    row.iter().enumerate().fold(0, |best, (i, p)| if *p > row[best] { i } else { best })
}

/// One class against all others, averaged over classes. `None` when a class has no example or all of them.
pub fn roc_auc_ovr(labels: &[usize], proba: &[Vec<f64>], average: Average) -> Option<f64> {
    let classes = proba.first()?.len();
    let (mut sum, mut weights) = (0.0, 0.0);
    for class in 0..classes {
        let is: Vec<bool> = labels.iter().map(|l| *l == class).collect();
        let scores: Vec<f64> = proba.iter().map(|row| row[class]).collect();
        let weight = if average == Average::Weighted { is.iter().filter(|i| **i).count() as f64 } else { 1.0 };
        sum += weight * binary::roc_auc(&is, &scores)?;
        weights += weight;
    }
    Some(sum / weights)
}

/// Hand and Till's mean over pairs of classes.
pub fn roc_auc_ovo(labels: &[usize], proba: &[Vec<f64>]) -> Option<f64> {
    let classes = proba.first()?.len();
    let one = |a: usize, b: usize| {
        let rows = || labels.iter().zip(proba).filter(|(l, _)| **l == a || **l == b);
        let is: Vec<bool> = rows().map(|(l, _)| *l == a).collect();
        let scores: Vec<f64> = rows().map(|(_, row)| row[a]).collect();
        binary::roc_auc(&is, &scores)
    };
    let (mut sum, mut pairs) = (0.0, 0.0);
    for a in 0..classes {
        for b in a + 1..classes {
            sum += f64::midpoint(one(a, b)?, one(b, a)?);
            pairs += 1.0;
        }
    }
    (pairs > 0.0).then(|| sum / pairs)
}

/// Natural logarithm of the true class's probability, negated and averaged.
pub fn log_loss(labels: &[usize], proba: &[Vec<f64>]) -> Option<f64> {
    let of = |(label, row): (&usize, &Vec<f64>)| -row[*label].clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln();
    (!labels.is_empty()).then(|| labels.iter().zip(proba).map(of).sum::<f64>() / labels.len() as f64)
}

/// Squared distances summed over classes, averaged over examples.
pub fn brier_sum(labels: &[usize], proba: &[Vec<f64>]) -> Option<f64> {
    let of = |(label, row): (&usize, &Vec<f64>)| -> f64 {
        row.iter().enumerate().map(|(c, p)| (p - f64::from(c == *label)).powi(2)).sum()
    };
    (!labels.is_empty()).then(|| labels.iter().zip(proba).map(of).sum::<f64>() / labels.len() as f64)
}

/// Share of examples whose true class is among the `k` most probable ones.
pub fn top_k(labels: &[usize], proba: &[Vec<f64>], k: usize) -> Option<f64> {
    let hit = |(label, row): &(&usize, &Vec<f64>)| row.iter().filter(|p| **p > row[**label]).count() < k;
    (!labels.is_empty()).then(|| labels.iter().zip(proba).filter(hit).count() as f64 / labels.len() as f64)
}

/// Calibration of the most probable class's probability.
pub fn ece_top_label(labels: &[usize], proba: &[Vec<f64>], bins: usize) -> Option<f64> {
    let top: Vec<usize> = proba.iter().map(|row| argmax(row)).collect();
    let scores: Vec<f64> = proba.iter().zip(&top).map(|(row, top)| row[*top]).collect();
    let hit: Vec<bool> = labels.iter().zip(&top).map(|(l, t)| l == t).collect();
    binary::calibration(&hit, &scores, bins).map(|c| c.ece)
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // class numbers
mod tests {
    use super::*;
    use crate::base::stats::testing::{check, close, numbers, oracle};

    #[test]
    fn every_value_of_the_table() {
        for case in oracle("quality")["multiclass"].as_array().unwrap() {
            let labels: Vec<usize> = numbers(&case["y"]).iter().map(|y| *y as usize).collect();
            let proba: Vec<Vec<f64>> = case["proba"].as_array().unwrap().iter().map(numbers).collect();
            let predicted: Vec<usize> = proba.iter().map(|r| argmax(r)).collect();
            let m = Matrix::of(proba[0].len(), &labels, &predicted);
            let (all, expected) = (Average::Macro, &case["expected"]);
            let got = [
                ("accuracy", m.accuracy()),
                ("balanced_accuracy", m.balanced_accuracy()),
                ("precision_macro", m.precision(all)),
                ("precision_micro", m.precision(Average::Micro)),
                ("precision_weighted", m.precision(Average::Weighted)),
                ("recall_macro", m.recall(all)),
                ("recall_micro", m.recall(Average::Micro)),
                ("recall_weighted", m.recall(Average::Weighted)),
                ("f1_macro", m.f1(all)),
                ("f1_micro", m.f1(Average::Micro)),
                ("f1_weighted", m.f1(Average::Weighted)),
                ("roc_auc_ovr_macro", roc_auc_ovr(&labels, &proba, all).unwrap()),
                ("roc_auc_ovr_weighted", roc_auc_ovr(&labels, &proba, Average::Weighted).unwrap()),
                ("roc_auc_ovo_macro", roc_auc_ovo(&labels, &proba).unwrap()),
                ("log_loss", log_loss(&labels, &proba).unwrap()),
                ("brier_multiclass_sum", brier_sum(&labels, &proba).unwrap()),
                ("top2_accuracy", top_k(&labels, &proba, 2).unwrap()),
                ("kappa", m.kappa()),
                ("mcc", m.mcc()),
                ("ece_top_label_width15", ece_top_label(&labels, &proba, 15).unwrap()),
                ("ece_top_label_width10", ece_top_label(&labels, &proba, 10).unwrap()),
            ];
            let name = case["name"].as_str().unwrap();
            assert_eq!(check(name, expected, &got, 1e-9), ["confusion_rows_true", "f1_per_class"]);
            for (class, want) in numbers(&expected["f1_per_class"]).into_iter().enumerate() {
                close("f1 of a class", m.f1_of(class), want, 1e-9);
                let row: Vec<f64> = m.counts[class].iter().map(|n| *n as f64).collect();
                assert_eq!(row, numbers(&expected["confusion_rows_true"][class]));
            }
        }
    }
}
