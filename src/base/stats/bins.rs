//! Two distributions compared by counts in the same bins: what drift is measured with. Nothing is ever binned anew on
//! current data, so that windows compare, add up and can be recomputed.

use super::Interval;
use super::special::{chi2_ppf, chi2_sf};

/// Share that stands for "none" in PSI.
pub const FLOOR: f64 = 1e-4;

/// Inner edges: distinct quantiles of a sorted reference at i/B.
pub fn quantile_edges(sorted: &[f64], bins: usize) -> Vec<f64> {
    let mut edges: Vec<f64> =
        (1..bins).filter_map(|i| super::moments::quantile(sorted, i as f64 / bins as f64)).collect();
    edges.dedup();
    edges
}

/// The bin of a value: how many edges are not above it.
pub fn bin_of(edges: &[f64], value: f64) -> usize {
    edges.partition_point(|edge| *edge <= value)
}

pub fn counts(edges: &[f64], values: &[f64]) -> Vec<u64> {
    let mut counts = vec![0; edges.len() + 1];
    values.iter().for_each(|v| counts[bin_of(edges, *v)] += 1);
    counts
}

/// Population stability index: sum of (q - p) ln(q / p), shares of none replaced by [`FLOOR`].
pub fn psi(reference: &[u64], current: &[u64]) -> f64 {
    let of = |(p, q): (f64, f64)| {
        let (p, q) = (if p == 0.0 { FLOOR } else { p }, if q == 0.0 { FLOOR } else { q });
        (q - p) * (q / p).ln()
    };
    shares(reference, current).map(of).sum()
}

/// The same with half a count added to every bin.
pub fn psi_smoothed(reference: &[u64], current: &[u64]) -> f64 {
    let (n, m) = sums(reference, current);
    let half = 0.5 * reference.len() as f64;
    let of = |(r, c): (&u64, &u64)| {
        let (p, q) = ((*r as f64 + 0.5) / (n + half), (*c as f64 + 0.5) / (m + half));
        (q - p) * (q / p).ln()
    };
    reference.iter().zip(current).map(of).sum()
}

/// Under no drift PSI / (1/n + 1/m) follows the chi-squared law with B - 1 degrees of freedom: what PSI may be by
/// chance alone at this confidence.
pub fn psi_limit(n: u64, m: u64, bins: usize, confidence: f64) -> f64 {
    chi2_ppf(confidence, freedom(bins)) * (1.0 / n as f64 + 1.0 / m as f64)
}

/// How likely a PSI this great is without any drift.
pub fn psi_p(psi: f64, n: u64, m: u64, bins: usize) -> f64 {
    chi2_sf(psi / (1.0 / n as f64 + 1.0 / m as f64), freedom(bins))
}

fn freedom(bins: usize) -> f64 {
    bins.saturating_sub(1) as f64
}

/// Jensen-Shannon divergence in bits, 0 to 1.
pub fn js_divergence(reference: &[u64], current: &[u64]) -> f64 {
    let kl = |a: f64, m: f64| if a > 0.0 { a * (a / m).log2() } else { 0.0 };
    let of = |(p, q): (f64, f64)| {
        let m = f64::midpoint(p, q);
        0.5 * kl(p, m) + 0.5 * kl(q, m)
    };
    shares(reference, current).map(of).sum::<f64>().max(0.0)
}

/// Half the sum of the distances of shares, 0 to 1.
pub fn total_variation(reference: &[u64], current: &[u64]) -> f64 {
    0.5 * shares(reference, current).map(|(p, q)| (p - q).abs()).sum::<f64>()
}

/// The greatest distance of shares.
pub fn l_infinity(reference: &[u64], current: &[u64]) -> f64 {
    shares(reference, current).map(|(p, q)| (p - q).abs()).fold(0.0, f64::max)
}

pub fn hellinger(reference: &[u64], current: &[u64]) -> f64 {
    (1.0 - shares(reference, current).map(|(p, q)| (p * q).sqrt()).sum::<f64>()).max(0.0).sqrt()
}

/// Kolmogorov-Smirnov's distance at the edges. The true one lies between it and it plus the greatest
/// min(p, q) of a bin.
pub fn ks_bracket(reference: &[u64], current: &[u64]) -> Interval {
    let (mut f, mut g, mut apart, mut room) = (0.0, 0.0, 0.0_f64, 0.0_f64);
    for (p, q) in shares(reference, current) {
        f += p;
        g += q;
        apart = apart.max((f - g).abs());
        room = room.max(p.min(q));
    }
    Interval::new(apart, apart + room)
}

/// A test of homogeneity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Homogeneity {
    pub stat: f64,
    pub p: f64,
    pub df: usize,
}

/// Pearson's chi-squared of a 2 x B table; bins empty on both sides do not count.
pub fn chi2(reference: &[u64], current: &[u64]) -> Homogeneity {
    contingency(reference, current, |seen, expected| (seen - expected).powi(2) / expected)
}

/// The same by likelihood ratio.
pub fn g_test(reference: &[u64], current: &[u64]) -> Homogeneity {
    contingency(reference, current, |seen, expected| if seen > 0.0 { 2.0 * seen * (seen / expected).ln() } else { 0.0 })
}

fn contingency(reference: &[u64], current: &[u64], cell: impl Fn(f64, f64) -> f64) -> Homogeneity {
    let (n, m) = sums(reference, current);
    let (mut stat, mut bins) = (0.0, 0_usize);
    for (r, c) in reference.iter().zip(current).filter(|(r, c)| **r + **c > 0) {
        let both = (r + c) as f64;
        stat += cell(*r as f64, both * n / (n + m)) + cell(*c as f64, both * m / (n + m));
        bins += 1;
    }
    let df = bins.saturating_sub(1);
    Homogeneity { stat, p: if df == 0 { 1.0 } else { chi2_sf(stat, df as f64) }, df }
}

/// Strength of a chi-squared, whatever the number of rows.
pub fn cramers_v(chi2: f64, n: u64, m: u64) -> f64 {
    (chi2 / (n + m) as f64).sqrt()
}

/// First Wasserstein distance from counts and sums a bin: a lower bound, exact where the two distributions do not
/// cross inside of a bin. In each bin the integral of F over (a, b] is b F(b) - a F(a) - S/n.
pub fn wasserstein(edges: &[f64], reference: (&[u64], &[f64]), current: (&[u64], &[f64])) -> f64 {
    let (n, m) = sums(reference.0, current.0);
    let (mut f, mut g, mut area) = (0.0, 0.0, 0.0);
    for j in 0..=edges.len() {
        let (f_next, g_next) = (f + reference.0[j] as f64 / n, g + current.0[j] as f64 / m);
        // Seen from an edge of its own bin, so that a great offset of all values costs no digits.
        let pivot = edges.get(j.saturating_sub(1)).copied().unwrap_or(0.0);
        let mass =
            (reference.1[j] - reference.0[j] as f64 * pivot) / n - (current.1[j] - current.0[j] as f64 * pivot) / m;
        // F - G vanishes at both ends of the line, so the tails need no further edge.
        let inner = edges.get(j).map_or(0.0, |b| (b - pivot) * (f_next - g_next)) - mass;
        area += inner.abs();
        (f, g) = (f_next, g_next);
    }
    area
}

fn sums(reference: &[u64], current: &[u64]) -> (f64, f64) {
    (reference.iter().sum::<u64>() as f64, current.iter().sum::<u64>() as f64)
}

fn shares<'a>(reference: &'a [u64], current: &'a [u64]) -> impl Iterator<Item = (f64, f64)> + 'a {
    let (n, m) = sums(reference, current);
    reference.iter().zip(current).map(move |(r, c)| (*r as f64 / n.max(1.0), *c as f64 / m.max(1.0)))
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // counts of the table
mod tests {
    use super::*;
    use crate::base::stats::moments::sorted;
    use crate::base::stats::testing::{check, close, number, numbers, oracle, present};
    use serde_json::Value;

    fn whole(value: &Value) -> Vec<u64> {
        numbers(value).iter().map(|n| *n as u64).collect()
    }

    fn check_bins(name: &str, r: &[u64], c: &[u64], want: &Value) {
        let (n, m) = (r.iter().sum::<u64>(), c.iter().sum::<u64>());
        let (chi, g) = (chi2(r, c), g_test(r, c));
        let got = [
            ("psi_floor1e-4", psi(r, c)),
            ("psi_add0.5", psi_smoothed(r, c)),
            ("tvd", total_variation(r, c)),
            ("linf", l_infinity(r, c)),
            ("ks_binned", ks_bracket(r, c).low),
            ("cramers_v", cramers_v(chi.stat, n, m)),
        ];
        let near = |name: &str, got: f64, want: &Value| {
            if want.is_null() {
                return;
            }
            let want = number(want);
            // Differences of nearly equal shares and logarithms end in rounding.
            assert!((got - want).abs() <= 1e-9 * want.abs() + 1e-12, "{name}: {got} is not {want}");
        };
        for (key, got) in got {
            near(&format!("{name} {key}"), got, &want[key]);
        }
        let js = js_divergence(r, c);
        near(name, js, &want["js_div_base2"]);
        for (key, got) in [
            ("js_dist_base2", js.sqrt()),
            ("js_dist_natural", (js * 2.0_f64.ln()).sqrt()),
            ("hellinger", hellinger(r, c)),
        ] {
            assert!((got - number(&want[key])).abs() <= 1e-6, "{name} {key}");
        }
        for (key, it) in [("chi2_contingency", chi), ("g_contingency", g)] {
            let want = &want[key];
            if want.is_null() || want["dof"] == 0 {
                continue;
            }
            near(&format!("{name} {key}"), it.stat, &want["stat"]);
            close(&format!("{name} {key} p"), it.p, number(&want["p"]), 1e-6);
            assert_eq!(it.df as f64, number(&want["dof"]));
        }
        let null = &want["psi_null"];
        if null["crit95"].is_number() && r.len() > 1 {
            let scale = 1.0 / n as f64 + 1.0 / m as f64;
            check(name, null, &[("mean", (r.len() - 1) as f64 * scale)], 1e-9);
            check(name, null, &[("crit95", psi_limit(n, m, r.len(), 0.95))], 1e-9);
            check(name, null, &[("crit99", psi_limit(n, m, r.len(), 0.99))], 1e-9);
            check(name, null, &[("p_of_psi_floor", psi_p(psi(r, c), n, m, r.len()))], 1e-6);
        }
    }

    #[test]
    fn numbers_in_quantile_bins() {
        for case in oracle("drift_numeric")["cases"].as_array().unwrap() {
            let (a, b) = (present(&case["ref"]), present(&case["cur"]));
            for bins in [10, 20, 50] {
                let name = format!("{} {bins}", case["name"]);
                let want = &case["expected"][format!("ref_quantile_bins_{bins}")];
                let edges = quantile_edges(&sorted(&a), bins);
                for (got, want) in edges.iter().zip(numbers(&want["inner_edges"])) {
                    close(&name, *got, want, 1e-9);
                }
                // The table's own edges: a value on an edge falls by the last bit.
                let edges = numbers(&want["inner_edges"]);
                let (r, c) = (counts(&edges, &a), counts(&edges, &b));
                assert_eq!((&r, &c), (&whole(&want["ref_counts"]), &whole(&want["cur_counts"])), "{name}");
                check_bins(&name, &r, &c, want);
                let (ks, bracket) = (number(&case["expected"]["ks"]["stat"]), ks_bracket(&r, &c));
                assert!(bracket.low <= ks + 1e-12 && ks <= bracket.high + 1e-12, "{name}");
                if want["with_missing_bin"].is_object() {
                    let missing = |side: &str| case[side].as_array().unwrap().iter().filter(|v| v.is_null()).count();
                    let (mut r, mut c) = (r, c);
                    r.push(missing("ref") as u64);
                    c.push(missing("cur") as u64);
                    check_bins(&name, &r, &c, &want["with_missing_bin"]);
                }
            }
        }
    }

    #[test]
    fn a_million_rows_by_their_counts() {
        for case in oracle("drift_numeric_1M_aggregates")["cases"].as_array().unwrap() {
            for (key, want) in case["expected"].as_object().unwrap() {
                if key.starts_with("ref_quantile_bins") {
                    check_bins(key, &whole(&want["ref_counts"]), &whole(&want["cur_counts"]), want);
                }
            }
        }
    }

    #[test]
    fn categories() {
        for case in oracle("drift_categorical")["cases"].as_array().unwrap() {
            let (r, c) = (whole(&case["ref_counts"]), whole(&case["cur_counts"]));
            check_bins(case["name"].as_str().unwrap(), &r, &c, &case["expected"]);
        }
    }

    #[test]
    fn wasserstein_from_bins() {
        let numeric = oracle("drift_numeric");
        for case in oracle("w1_from_bins").as_array().unwrap() {
            let (name, bins) = (&case["name"], number(&case["bins"]) as usize);
            let of = numeric["cases"].as_array().unwrap().iter().find(|c| c["name"] == *name).unwrap();
            let edges = numbers(&of["expected"][format!("ref_quantile_bins_{bins}")]["inner_edges"]);
            let (r, c) = (counts(&edges, &present(&of["ref"])), counts(&edges, &present(&of["cur"])));
            let (rs, cs) = (numbers(&case["ref_sums"]), numbers(&case["cur_sums"]));
            let got = wasserstein(&edges, (&r, &rs), (&c, &cs));
            // Sums of values around 1e9 have lost their last digits before they come here.
            let lost: f64 = rs.iter().map(|s| s.abs()).sum::<f64>() / r.iter().sum::<u64>() as f64 * f64::EPSILON;
            let want = number(&case["w1_from_bins"]);
            assert!((got - want).abs() <= 1e-7 * want + lost, "{name}: {got} is not {want}");
            assert!(got <= number(&case["w1_exact"]) * (1.0 + 1e-6) + 1e-9);
        }
    }
}
