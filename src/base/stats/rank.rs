//! Ranks, and Mann and Whitney's test on them.

use super::special::normal_two_sided;

/// Ranks from 1; equals share the mean of theirs.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    while from < order.len() {
        let mut to = from + 1;
        while to < order.len() && values[order[to]] == values[order[from]] {
            to += 1;
        }
        let shared = (from + 1 + to) as f64 / 2.0;
        order[from..to].iter().for_each(|i| ranks[*i] = shared);
        from = to;
    }
    ranks
}

/// Whether one sample tends to be greater.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MannWhitney {
    /// Pairs in which the first is greater, equals counting half.
    pub u: f64,
    /// The same as a share of all pairs.
    pub share: f64,
    /// Two-sided, normal approximation with ties taken into account; with and without correction for continuity.
    pub p_corrected: f64,
    pub p: f64,
}

/// `None` when a side is empty.
pub fn mann_whitney(a: &[f64], b: &[f64]) -> Option<MannWhitney> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let all: Vec<f64> = a.iter().chain(b).copied().collect();
    let ranks = ranks(&all);
    let (n, m) = (a.len() as f64, b.len() as f64);
    let u = ranks[..a.len()].iter().sum::<f64>() - n * (n + 1.0) / 2.0;
    let total = n + m;
    let variance = n * m / 12.0 * (total + 1.0 - ties(&all) / (total * (total - 1.0)));
    let away = (u - n * m / 2.0).abs();
    let p = |away: f64| if variance > 0.0 { normal_two_sided(away / variance.sqrt()) } else { 1.0 };
    // With nothing left after the correction there is nothing to see: scipy says 1 by the same arithmetic.
    Some(MannWhitney { u, share: u / (n * m), p_corrected: p((away - 0.5).max(0.0)), p: p(away) })
}

/// Sum of t^3 - t over groups of equals.
fn ties(values: &[f64]) -> f64 {
    let sorted = super::moments::sorted(values);
    sorted.chunk_by(|a, b| a == b).map(|group| (group.len() as f64).powi(3) - group.len() as f64).sum()
}

/// Exact two-sided p-value for small samples without ties: counts all orders.
pub fn mann_whitney_exact(a: &[f64], b: &[f64]) -> Option<f64> {
    let u = mann_whitney(a, b)?.u;
    let (n, m) = (a.len(), b.len());
    // ways[i][s]: choices of i of the first k ranks whose U is s.
    let mut ways = vec![vec![0.0; n * m + 1]; n + 1];
    ways[0][0] = 1.0;
    for rank in 1..=n + m {
        for i in (1..=n.min(rank)).rev() {
            // Taking this rank as the i-th smallest of the first sample, rank - i of the second lie below it.
            let below = rank - i;
            if below > m {
                continue;
            }
            for s in (below..=n * m).rev() {
                let before = ways[i - 1][s - below];
                ways[i][s] += before;
            }
        }
    }
    let total: f64 = ways[n].iter().sum();
    let tail: f64 =
        ways[n].iter().enumerate().filter(|(s, _)| *s as f64 >= u.max((n * m) as f64 - u)).map(|w| w.1).sum();
    Some((2.0 * tail / total).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::stats::testing::{check, number, numbers, oracle};

    #[test]
    fn small_samples_are_exact_and_ties_are_taken_into_account() {
        let tables = oracle("tests");
        for case in tables["mannwhitney_small"].as_array().unwrap() {
            let (x, y) = (numbers(&case["x"]), numbers(&case["y"]));
            let got = [("U1", mann_whitney(&x, &y).unwrap().u), ("p_exact", mann_whitney_exact(&x, &y).unwrap())];
            check("small", case, &got, 1e-6);
        }
        for case in tables["mannwhitney_ties"].as_array().unwrap() {
            let u = mann_whitney(&numbers(&case["x"]), &numbers(&case["y"])).unwrap();
            assert_eq!(u.u, number(&case["U1"]));
            check("ties", case, &[("p_asymp_cc", u.p_corrected)], 1e-6);
        }
    }
}
