//! Many tests at once: p-values adjusted so that the promise holds for all of them together.

/// How.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Adjustment {
    None,
    /// No false alarm at all; crude.
    Bonferroni,
    /// The same promise, and never weaker.
    Holm,
    /// Share of false alarms among the alarms, for independent or positively dependent tests.
    #[serde(rename = "bh")]
    BenjaminiHochberg,
    /// The same for any dependence.
    #[serde(rename = "by")]
    BenjaminiYekutieli,
}

/// Adjusted p-values, in the given order; below the wanted error they reject.
pub fn adjusted(p: &[f64], how: Adjustment) -> Vec<f64> {
    let n = p.len() as f64;
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut out = vec![0.0; p.len()];
    let harmonic: f64 = (1..=p.len()).map(|k| 1.0 / k as f64).sum();
    match how {
        Adjustment::None => out.copy_from_slice(p),
        Adjustment::Bonferroni => out = p.iter().map(|p| (p * n).min(1.0)).collect(),
        Adjustment::Holm => {
            let mut greatest: f64 = 0.0;
            for (rank, i) in order.into_iter().enumerate() {
                greatest = greatest.max((n - rank as f64) * p[i]);
                out[i] = greatest.min(1.0);
            }
        }
        Adjustment::BenjaminiHochberg | Adjustment::BenjaminiYekutieli => {
            let factor = if how == Adjustment::BenjaminiYekutieli { harmonic } else { 1.0 };
            let mut least: f64 = 1.0;
            for (rank, i) in order.into_iter().enumerate().rev() {
                least = least.min(p[i] * n * factor / (rank as f64 + 1.0));
                out[i] = least;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::stats::testing::{close, numbers, oracle};

    #[test]
    fn every_value_of_the_table() {
        for case in oracle("tests")["multipletests"].as_array().unwrap() {
            let p = numbers(&case["p"]);
            for (name, how) in [
                ("bonferroni", Adjustment::Bonferroni),
                ("holm", Adjustment::Holm),
                ("bh", Adjustment::BenjaminiHochberg),
                ("by", Adjustment::BenjaminiYekutieli),
            ] {
                let got = adjusted(&p, how);
                for (got, want) in got.iter().zip(numbers(&case[name]["adjusted"])) {
                    close(name, *got, want, 1e-9);
                }
                let reject: Vec<bool> = got.iter().map(|p| *p <= 0.05).collect();
                let want: Vec<bool> =
                    case[name]["reject"].as_array().unwrap().iter().map(|b| b.as_bool().unwrap()).collect();
                // 0.05 itself is a matter of rounding.
                assert_eq!(reject.len(), want.len());
                for ((r, w), p) in reject.iter().zip(&want).zip(&got) {
                    assert!(r == w || (p - 0.05).abs() < 1e-9, "{name} {p}");
                }
            }
        }
    }
}
