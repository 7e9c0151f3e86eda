//! Proportions: intervals of one, tests of two, paired or not.

use super::Interval;
use super::special::{beta_inc, beta_ppf, chi2_sf, ln_choose, normal_ppf, normal_sf, normal_two_sided};

/// Wilson's score interval of x of n.
pub fn wilson(x: u64, n: u64, confidence: f64) -> Interval {
    if n == 0 {
        return Interval::new(0.0, 1.0);
    }
    let z = normal_ppf(f64::midpoint(1.0, confidence));
    let (n, z2) = (n as f64, z * z);
    let p = x as f64 / n;
    let center = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let low = if x == 0 { 0.0 } else { (center - half).max(0.0) };
    let high = if x as f64 == n { 1.0 } else { (center + half).min(1.0) };
    Interval::new(low, high)
}

/// Clopper and Pearson's exact interval.
pub fn clopper_pearson(x: u64, n: u64, confidence: f64) -> Interval {
    let tail = (1.0 - confidence) / 2.0;
    let (x, n) = (x as f64, n as f64);
    let low = if x == 0.0 { 0.0 } else { beta_ppf(tail, x, n - x + 1.0) };
    let high = if x == n { 1.0 } else { beta_ppf(1.0 - tail, x + 1.0, n - x) };
    Interval::new(low, high)
}

/// Jeffreys' interval: the posterior after a prior of Beta(1/2, 1/2).
pub fn jeffreys(x: u64, n: u64, confidence: f64) -> Interval {
    let tail = (1.0 - confidence) / 2.0;
    let (a, b) = (x as f64 + 0.5, (n - x) as f64 + 0.5);
    Interval::new(beta_ppf(tail, a, b), beta_ppf(1.0 - tail, a, b))
}

/// Pooled z of the difference x1/n1 - x2/n2.
pub fn two_proportion_z(x1: u64, n1: u64, x2: u64, n2: u64) -> Option<f64> {
    let (n1, n2) = (n1 as f64, n2 as f64);
    let pooled = (x1 + x2) as f64 / (n1 + n2);
    let se = (pooled * (1.0 - pooled) * (1.0 / n1 + 1.0 / n2)).sqrt();
    (se > 0.0).then(|| (x1 as f64 / n1 - x2 as f64 / n2) / se)
}

/// Newcombe's hybrid interval of x1/n1 - x2/n2, from two score intervals.
pub fn newcombe(x1: u64, n1: u64, x2: u64, n2: u64, confidence: f64) -> Interval {
    let (p1, p2) = (x1 as f64 / n1 as f64, x2 as f64 / n2 as f64);
    let (a, b) = (wilson(x1, n1, confidence), wilson(x2, n2, confidence));
    let difference = p1 - p2;
    Interval::new(
        difference - ((p1 - a.low).powi(2) + (b.high - p2).powi(2)).sqrt(),
        difference + ((a.high - p1).powi(2) + (p2 - b.low).powi(2)).sqrt(),
    )
}

/// Wald's interval; narrow and wrong for few or extreme counts.
pub fn wald(x1: u64, n1: u64, x2: u64, n2: u64, confidence: f64) -> Interval {
    unpooled(x1 as f64, n1 as f64, x2 as f64, n2 as f64, confidence)
}

/// Agresti and Caffo's: Wald's with one success and one failure added to each side.
pub fn agresti_caffo(x1: u64, n1: u64, x2: u64, n2: u64, confidence: f64) -> Interval {
    unpooled(x1 as f64 + 1.0, n1 as f64 + 2.0, x2 as f64 + 1.0, n2 as f64 + 2.0, confidence)
}

fn unpooled(x1: f64, n1: f64, x2: f64, n2: f64, confidence: f64) -> Interval {
    let (p1, p2) = (x1 / n1, x2 / n2);
    let half = normal_ppf(f64::midpoint(1.0, confidence)) * (p1 * (1.0 - p1) / n1 + p2 * (1.0 - p2) / n2).sqrt();
    Interval::new(p1 - p2 - half, p1 - p2 + half)
}

/// Fisher's exact test of a 2 x 2 table, two-sided: all tables as improbable as this one.
pub fn fisher(table: [[u64; 2]; 2]) -> f64 {
    let [[a, b], [c, d]] = table;
    let (row, column, n) = (a + b, a + c, a + b + c + d);
    let ln_p = |k: u64| ln_choose(column, k) + ln_choose(n - column, row - k) - ln_choose(n, row);
    let least = (row + column).saturating_sub(n);
    two_sided(least..=row.min(column), ln_p, a)
}

/// Exact binomial test of x of n against p0: two-sided, and for "more than p0".
pub fn binomial(x: u64, n: u64, p0: f64) -> (f64, f64) {
    let ln_p = |k: u64| ln_choose(n, k) + k as f64 * p0.ln() + (n - k) as f64 * (-p0).ln_1p();
    let greater = if x == 0 { 1.0 } else { beta_inc(x as f64, (n - x) as f64 + 1.0, p0) };
    (two_sided(0..=n, ln_p, x), greater)
}

fn two_sided(all: std::ops::RangeInclusive<u64>, ln_p: impl Fn(u64) -> f64, seen: u64) -> f64 {
    // A little room, so that mirror images count whatever the rounding.
    let limit = ln_p(seen) + 1e-7;
    all.map(ln_p).filter(|p| *p <= limit).map(f64::exp).sum::<f64>().min(1.0)
}

/// McNemar's test on pairs that disagree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct McNemar {
    pub exact_p: f64,
    /// With correction for continuity.
    pub chi2_corrected: f64,
    pub p_corrected: f64,
    pub p: f64,
}

/// `b` pairs in which only the first was right, `c` in which only the second was.
pub fn mcnemar(b: u64, c: u64) -> McNemar {
    let n = b + c;
    if n == 0 {
        return McNemar { exact_p: 1.0, chi2_corrected: 0.0, p_corrected: 1.0, p: 1.0 };
    }
    let (apart, least) = (b.abs_diff(c) as f64, b.min(c));
    let tail = beta_inc((n - least) as f64, least as f64 + 1.0, 0.5);
    let chi2_corrected = (apart - 1.0).powi(2) / n as f64;
    McNemar {
        exact_p: (2.0 * tail).min(1.0),
        chi2_corrected,
        p_corrected: chi2_sf(chi2_corrected, 1.0),
        p: chi2_sf(apart * apart / n as f64, 1.0),
    }
}

/// A difference that must not fall below `-margin`.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct NonInferiority {
    pub z: f64,
    /// One-sided.
    pub p: f64,
    /// Lower one-sided bound of the difference.
    pub lower: f64,
    /// Upper one-sided bound of the difference.
    pub upper: f64,
}

/// From a difference (new minus base, higher is better), its standard error and the margin.
pub fn non_inferiority(difference: f64, se: f64, margin: f64, confidence: f64) -> NonInferiority {
    let quantile = normal_ppf(confidence);
    let z = if se > 0.0 { (difference + margin) / se } else { (difference + margin).signum() * f64::INFINITY };
    NonInferiority { z, p: normal_sf(z), lower: difference - quantile * se, upper: difference + quantile * se }
}

/// Rows in all at which the same difference and spread would decide, at this confidence and with power 0.8:
/// ((z_a + z_b) sd / distance to the margin)^2. `None` where the difference lies on the margin itself.
pub fn rows_to_decide(difference: f64, margin: f64, sd: f64, confidence: f64) -> Option<u64> {
    const POWER: f64 = 0.8;
    let distance = (difference + margin).abs();
    if distance <= 0.0 || !distance.is_finite() || !sd.is_finite() {
        return None;
    }
    let rows = ((normal_ppf(confidence) + normal_ppf(POWER)) * sd / distance).powi(2).ceil();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked against the limit
    (rows < 1e15).then_some(rows as u64)
}

/// Two-sided p-value of a difference with a known standard error.
pub fn two_sided_p(z: f64) -> f64 {
    normal_two_sided(z)
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // counts of the table
mod tests {
    use super::*;
    use crate::base::stats::testing::{check, close, number, numbers, oracle};
    use serde_json::Value;

    fn count(value: &Value) -> u64 {
        number(value) as u64
    }

    fn check_interval(name: &str, got: Interval, want: &Value) {
        let want = numbers(want);
        close(name, got.low, want[0], 1e-9);
        close(name, got.high, want[1], 1e-9);
    }

    #[test]
    fn two_proportions() {
        for case in oracle("tests")["two_proportion_z"].as_array().unwrap() {
            let [x1, n1, x2, n2] = ["x1", "n1", "x2", "n2"].map(|k| count(&case[k]));
            let z = two_proportion_z(x1, n1, x2, n2).unwrap();
            close("z", z, number(&case["z_pooled"]), 1e-9);
            check("z", case, &[("p_two", two_sided_p(z)), ("p_less", normal_sf(-z))], 1e-6);
            check_interval("newcombe", newcombe(x1, n1, x2, n2, 0.95), &case["newcombe95"]);
            check_interval("wald", wald(x1, n1, x2, n2, 0.95), &case["wald95"]);
            check_interval("agresti", agresti_caffo(x1, n1, x2, n2, 0.95), &case["agresti_caffo95"]);
        }
    }

    #[test]
    fn one_proportion() {
        for case in oracle("tests")["wilson"].as_array().unwrap() {
            let (x, n) = (count(&case["x"]), count(&case["n"]));
            check_interval("wilson", wilson(x, n, 0.95), &case["wilson95"]);
            check_interval("clopper", clopper_pearson(x, n, 0.95), &case["clopper_pearson95"]);
            check_interval("jeffreys", jeffreys(x, n, 0.95), &case["jeffreys95"]);
        }
        for case in oracle("tests")["exact_binomial"].as_array().unwrap() {
            let (two, greater) = binomial(count(&case["x"]), count(&case["n"]), number(&case["p0"]));
            check("binomial", case, &[("p_two", two), ("p_greater", greater)], 1e-6);
        }
    }

    #[test]
    fn tables_and_pairs() {
        for case in oracle("tests")["fisher"].as_array().unwrap() {
            let table = [0, 1].map(|r| [0, 1].map(|c| count(&case["table"][r][c])));
            close("fisher", fisher(table), number(&case["p"]), 1e-6);
        }
        for case in oracle("tests")["mcnemar"].as_array().unwrap() {
            let it = mcnemar(count(&case["b"]), count(&case["c"]));
            let got =
                [("exact_p", it.exact_p), ("p_cc", it.p_corrected), ("p_nocc", it.p), ("chi2_cc", it.chi2_corrected)];
            check("mcnemar", case, &got, 1e-6);
        }
    }

    #[test]
    fn not_worse_than() {
        for case in oracle("tests")["noninferiority"].as_array().unwrap() {
            let (new, base) = (numbers(&case["new"]), numbers(&case["base"]));
            let se = (new[1].powi(2) / new[2] + base[1].powi(2) / base[2]).sqrt();
            let margin = number(&case["margin"]);
            let it = non_inferiority(new[0] - base[0], se, margin, 0.95);
            check("ni", case, &[("z", it.z), ("lower95", it.lower)], 1e-9);
            check("ni", case, &[("p", it.p)], 1e-6);
            assert_eq!(it.lower > -margin, case["pass_05"].as_bool().unwrap());
        }
    }
}
