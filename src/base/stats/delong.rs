//! Two areas under the ROC curve on the same examples (DeLong, DeLong and Clarke-Pearson 1988), by ranks
//! (Sun and Xu 2014), so that it takes n log n.

use super::rank::ranks;
use super::special::normal_two_sided;

/// Two areas and how sure they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DeLong {
    pub auc_a: f64,
    pub auc_b: f64,
    pub var_a: f64,
    pub var_b: f64,
    pub cov: f64,
    pub z: f64,
    /// Two-sided.
    pub p: f64,
}

impl DeLong {
    /// Standard error of the difference of the two areas.
    pub fn se(&self) -> f64 {
        (self.var_a + self.var_b - 2.0 * self.cov).max(0.0).sqrt()
    }
}

/// `None` with fewer than two examples of a class.
pub fn delong(labels: &[bool], a: &[f64], b: &[f64]) -> Option<DeLong> {
    let (one, two) = (placements(labels, a)?, placements(labels, b)?);
    let part = |x: &[f64], mx: f64, y: &[f64], my: f64| {
        let n = x.len() as f64;
        x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum::<f64>() / (n - 1.0) / n
    };
    let together = |p: &Placements, q: &Placements| {
        part(&p.positive, p.auc, &q.positive, q.auc) + part(&p.negative, p.auc, &q.negative, q.auc)
    };
    let (var_a, var_b, cov) = (together(&one, &one), together(&two, &two), together(&one, &two));
    let se = (var_a + var_b - 2.0 * cov).max(0.0).sqrt();
    let difference = one.auc - two.auc;
    let z = if se > 0.0 { difference / se } else { 0.0 };
    let p = if se > 0.0 || difference == 0.0 { normal_two_sided(z) } else { 0.0 };
    Some(DeLong { auc_a: one.auc, auc_b: two.auc, var_a, var_b, cov, z, p })
}

/// For each example, the share of the other class on its right side.
struct Placements {
    auc: f64,
    positive: Vec<f64>,
    negative: Vec<f64>,
}

fn placements(labels: &[bool], scores: &[f64]) -> Option<Placements> {
    let of = |class: bool| labels.iter().zip(scores).filter(move |(l, _)| **l == class).map(|(_, s)| *s);
    let (positive, negative): (Vec<f64>, Vec<f64>) = (of(true).collect(), of(false).collect());
    let (m, n) = (positive.len(), negative.len());
    if m < 2 || n < 2 {
        return None;
    }
    let all: Vec<f64> = positive.iter().chain(&negative).copied().collect();
    let (together, of_positive, of_negative) = (ranks(&all), ranks(&positive), ranks(&negative));
    let positive: Vec<f64> = (0..m).map(|i| (together[i] - of_positive[i]) / n as f64).collect();
    let negative: Vec<f64> = (0..n).map(|j| 1.0 - (together[m + j] - of_negative[j]) / m as f64).collect();
    Some(Placements { auc: positive.iter().sum::<f64>() / m as f64, positive, negative })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::stats::testing::{check, numbers, oracle};

    #[test]
    fn every_value_of_the_table() {
        for case in oracle("tests")["delong"].as_array().unwrap() {
            let labels: Vec<bool> = numbers(&case["y"]).iter().map(|y| *y == 1.0).collect();
            let d = delong(&labels, &numbers(&case["a"]), &numbers(&case["b"])).unwrap();
            let got = [
                ("auc_a", d.auc_a),
                ("auc_b", d.auc_b),
                ("var_a", d.var_a),
                ("var_b", d.var_b),
                ("cov", d.cov),
                ("z", d.z),
            ];
            check("delong", &case["expected"], &got, 1e-9);
            check("delong", &case["expected"], &[("p", d.p)], 1e-6);
        }
        assert_eq!(delong(&[true, false], &[0.1, 0.2], &[0.1, 0.2]), None);
        let same = delong(&[true, true, false, false], &[0.4, 0.2, 0.3, 0.1], &[0.4, 0.2, 0.3, 0.1]).unwrap();
        assert_eq!((same.se(), same.p), (0.0, 1.0));
    }
}
