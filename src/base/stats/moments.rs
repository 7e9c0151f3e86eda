//! Moments, quantiles, correlation, and the distance between two samples.

use super::Interval;
use super::special::{t_ppf, t_sf};

/// What is known of a sample of numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    pub n: usize,
    pub mean: f64,
    /// Divided by n, and by n - 1.
    pub var0: f64,
    pub var1: f64,
    pub min: f64,
    pub max: f64,
    pub skew: f64,
    /// Over that of a normal distribution.
    pub kurtosis: f64,
}

/// `None` for no values.
pub fn moments(values: &[f64]) -> Option<Moments> {
    let n = values.len() as f64;
    let first = super::mean(values)?;
    // A second pass takes the rounding of the first out.
    let mean = first + values.iter().map(|v| v - first).sum::<f64>() / n;
    let power = |k: i32| values.iter().map(|v| (v - mean).powi(k)).sum::<f64>() / n;
    let var0 = power(2);
    Some(Moments {
        n: values.len(),
        mean,
        var0,
        var1: var0 * n / (n - 1.0),
        min: values.iter().copied().fold(f64::INFINITY, f64::min),
        max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        skew: power(3) / var0.powf(1.5),
        kurtosis: power(4) / (var0 * var0) - 3.0,
    })
}

pub fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

/// Linear interpolation between order statistics at (n - 1) q, numpy's default.
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let h = last as f64 * q.clamp(0.0, 1.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within 0..=last
    let below = h.floor() as usize;
    let above = (below + 1).min(last);
    Some(sorted[below] + (h - below as f64) * (sorted[above] - sorted[below]))
}

/// `None` where one of them has no spread.
pub fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let (ma, mb) = (super::mean(a)?, super::mean(b)?);
    let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(x, y)| f(x - ma, y - mb)).sum::<f64>();
    let (both, aa, bb) = (sum(&|x, y| x * y), sum(&|x, _| x * x), sum(&|_, y| y * y));
    (aa > 0.0 && bb > 0.0).then(|| both / (aa * bb).sqrt())
}

/// Kolmogorov-Smirnov: the greatest distance between two empirical distributions.
pub fn ks(a: &[f64], b: &[f64]) -> f64 {
    let mut greatest: f64 = 0.0;
    walk(a, b, |f, g, _| greatest = greatest.max((f - g).abs()));
    greatest
}

/// First Wasserstein distance: the area between two empirical distributions, in the values' unit.
pub fn wasserstein(a: &[f64], b: &[f64]) -> f64 {
    let mut area = 0.0;
    walk(a, b, |f, g, width| area += (f - g).abs() * width);
    area
}

/// Calls with both distribution functions after each distinct value, and the distance to the next.
fn walk(a: &[f64], b: &[f64], mut step: impl FnMut(f64, f64, f64)) {
    let (a, b) = (sorted(a), sorted(b));
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        let next = |i: usize, j: usize| match (a.get(i), b.get(j)) {
            (Some(x), Some(y)) => Some(x.min(*y)),
            (x, y) => x.or(y).copied(),
        };
        let Some(at) = next(i, j) else { return };
        while a.get(i).is_some_and(|x| *x <= at) {
            i += 1;
        }
        while b.get(j).is_some_and(|y| *y <= at) {
            j += 1;
        }
        let width = next(i, j).map_or(0.0, |n| n - at);
        step(i as f64 / a.len() as f64, j as f64 / b.len() as f64, width);
    }
}

/// Two means compared without assuming equal spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Welch {
    pub t: f64,
    pub df: f64,
    pub p: f64,
    /// 95 % interval of the first mean minus the second.
    pub interval: Interval,
}

/// Welch's t test. `None` with fewer than two values a side or without any spread.
pub fn welch(a: &[f64], b: &[f64]) -> Option<Welch> {
    let (ma, mb) = (moments(a)?, moments(b)?);
    let (va, vb) = (ma.var1 / a.len() as f64, mb.var1 / b.len() as f64);
    let (variance, difference) = (va + vb, ma.mean - mb.mean);
    if a.len() < 2 || b.len() < 2 || variance <= 0.0 {
        return None;
    }
    let df = variance * variance / (va * va / (a.len() as f64 - 1.0) + vb * vb / (b.len() as f64 - 1.0));
    let t = difference / variance.sqrt();
    let half = t_ppf(0.975, df) * variance.sqrt();
    Some(Welch { t, df, p: 2.0 * t_sf(t.abs(), df), interval: Interval::new(difference - half, difference + half) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::stats::rank::mann_whitney;
    use crate::base::stats::testing::{check, close, number, numbers, oracle, present};

    fn check_moments(name: &str, values: &[f64], expected: &serde_json::Value) {
        let m = moments(values).unwrap();
        let got =
            [("n", m.n as f64), ("mean", m.mean), ("var0", m.var0), ("var1", m.var1), ("min", m.min), ("max", m.max)];
        check(name, expected, &got, 1e-9);
        // Third and fourth powers around a mean of 1e9 lose digits in any order of summing.
        let rel = if m.mean.abs() > 1e6 { 1e-3 } else { 1e-9 };
        check(name, expected, &[("skew", m.skew), ("kurt_excess", m.kurtosis)], rel);
        let sorted = sorted(values);
        for (q, want) in expected["q"].as_object().unwrap() {
            close(&format!("{name} q{q}"), quantile(&sorted, q.parse().unwrap()).unwrap(), number(want), 1e-9);
        }
    }

    #[test]
    fn every_value_of_the_table() {
        for case in oracle("drift_numeric")["cases"].as_array().unwrap() {
            let name = case["name"].as_str().unwrap();
            let (a, b, expected) = (present(&case["ref"]), present(&case["cur"]), &case["expected"]);
            check_moments(name, &a, &expected["moments_ref"]);
            check_moments(name, &b, &expected["moments_cur"]);
            close(name, ks(&a, &b), number(&expected["ks"]["stat"]), 1e-9);
            let (raw, sd) = (wasserstein(&a, &b), moments(&a).unwrap().var0.sqrt());
            close(name, raw, number(&expected["wasserstein"]["raw"]), 1e-7);
            close(name, raw / sd.max(0.001), number(&expected["wasserstein"]["normed"]), 1e-7);
            let (w, want) = (welch(&a, &b).unwrap(), &expected["welch_t"]);
            check(name, want, &[("stat", w.t), ("df", w.df)], 1e-7);
            close(name, w.p, number(&want["p"]), 1e-6);
            let ci = numbers(&want["ci95"]);
            close(name, w.interval.low, ci[0], 1e-6);
            close(name, w.interval.high, ci[1], 1e-6);
            let (u, want) = (mann_whitney(&a, &b).unwrap(), &expected["mannwhitney"]);
            check(name, want, &[("U1", u.u), ("auc", u.share)], 1e-9);
            check(name, want, &[("p_asymp_cc", u.p_corrected), ("p_asymp_nocc", u.p)], 1e-6);
        }
    }
}
