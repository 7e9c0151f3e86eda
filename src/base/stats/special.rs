//! Special functions and tails of distributions, accurate far into the tails (relative, not absolute, error).
//!
//! Incomplete gamma and beta: series and continued fractions by Lentz' method (Abramowitz & Stegun 6.5.29, 6.5.31,
//! 26.5.8). Quantiles: bisection on those, so that a tail and its quantile agree.

use std::f64::consts::{PI, SQRT_2};

const TINY: f64 = 1e-300;
const ENOUGH: f64 = 1e-16;
const ROUNDS_MAX: usize = 100_000;

/// Natural logarithm of the gamma function, for x > 0 (Lanczos, g = 7, nine terms).
pub fn ln_gamma(x: f64) -> f64 {
    #[allow(clippy::excessive_precision, clippy::unreadable_literal)] // as published
    const C: [f64; 9] = [
        0.99999999999980993227684700473478,
        676.520368121885098567009190444019,
        -1259.13921672240287047156078755283,
        771.3234287776530788486528258894,
        -176.61502916214059906584551354,
        12.507343278686904814458936853,
        -0.13857109526572011689554707,
        9.984369578019570859563e-6,
        1.50563273514931155834e-7,
    ];
    if x < 0.5 {
        return (PI / (PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let t = x + 7.5;
    let sum = C.iter().enumerate().skip(1).fold(C[0], |sum, (i, c)| sum + c / (x + i as f64));
    0.5 * (2.0 * PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// Logarithm of the number of ways to choose k of n.
pub fn ln_choose(n: u64, k: u64) -> f64 {
    ln_gamma(n as f64 + 1.0) - ln_gamma(k as f64 + 1.0) - ln_gamma((n - k) as f64 + 1.0)
}

/// Regularised upper incomplete gamma function Q(a, x).
pub fn gamma_q(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    if x < a + 1.0 {
        return 1.0 - gamma_p_series(a, x);
    }
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / b;
    let mut h = d;
    for i in 1..ROUNDS_MAX {
        let i = i as f64;
        let an = -i * (i - a);
        b += 2.0;
        d = 1.0 / away_from_zero(an * d + b);
        c = away_from_zero(b + an / c);
        let step = d * c;
        h *= step;
        if (step - 1.0).abs() < ENOUGH {
            break;
        }
    }
    (a * x.ln() - x - ln_gamma(a)).exp() * h
}

fn gamma_p_series(a: f64, x: f64) -> f64 {
    let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
    for _ in 0..ROUNDS_MAX {
        n += 1.0;
        term *= x / n;
        sum += term;
        if term < sum * ENOUGH {
            break;
        }
    }
    sum * (a * x.ln() - x - ln_gamma(a)).exp()
}

fn away_from_zero(x: f64) -> f64 {
    if x.abs() < TINY { TINY } else { x }
}

/// Regularised incomplete beta function I_x(a, b).
pub fn beta_inc(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(a, b, x) / a
    } else {
        1.0 - front * beta_fraction(b, a, 1.0 - x) / b
    }
}

fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut h = d;
    for m in 1..ROUNDS_MAX {
        let m = m as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away_from_zero(1.0 + even * d);
        c = away_from_zero(1.0 + even / c);
        h *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away_from_zero(1.0 + odd * d);
        c = away_from_zero(1.0 + odd / c);
        let step = d * c;
        h *= step;
        if (step - 1.0).abs() < ENOUGH {
            break;
        }
    }
    h
}

/// P(Z > z) of the standard normal distribution.
pub fn normal_sf(z: f64) -> f64 {
    let half = 0.5 * gamma_q(0.5, z * z / 2.0);
    if z >= 0.0 { half } else { 1.0 - half }
}

/// Two-sided p-value of a standard normal score.
pub fn normal_two_sided(z: f64) -> f64 {
    (2.0 * normal_sf(z.abs())).min(1.0)
}

/// The z with P(Z <= z) = p, for 0 < p < 1.
pub fn normal_ppf(p: f64) -> f64 {
    if p < 0.5 {
        return -normal_isf(p);
    }
    normal_isf(1.0 - p)
}

/// The z >= 0 with P(Z > z) = q, for 0 < q <= 0.5.
fn normal_isf(q: f64) -> f64 {
    if q >= 0.5 {
        return 0.0;
    }
    // Hastings' start (A&S 26.2.23), then Newton's steps on the accurate tail.
    let t = (-2.0 * q.ln()).sqrt();
    let mut z = t
        - (2.515_517 + 0.802_853 * t + 0.010_328 * t * t)
            / (1.0 + 1.432_788 * t + 0.189_269 * t * t + 0.001_308 * t * t * t);
    for _ in 0..4 {
        let density = (-z * z / 2.0).exp() / (PI.sqrt() * SQRT_2);
        if density == 0.0 {
            break;
        }
        z += (normal_sf(z) - q) / density;
    }
    z
}

/// P(T > t) of Student's t with `df` degrees of freedom.
pub fn t_sf(t: f64, df: f64) -> f64 {
    let tail = 0.5 * beta_inc(df / 2.0, 0.5, df / (df + t * t));
    if t >= 0.0 { tail } else { 1.0 - tail }
}

/// The t with P(T <= t) = p.
pub fn t_ppf(p: f64, df: f64) -> f64 {
    if p < 0.5 {
        return -t_ppf(1.0 - p, df);
    }
    increasing(p, 0.0, 1.0, |t| 1.0 - t_sf(t, df))
}

/// P(X > x) of the chi-squared distribution.
pub fn chi2_sf(x: f64, df: f64) -> f64 {
    gamma_q(df / 2.0, x / 2.0)
}

/// The x with P(X <= x) = p of the chi-squared distribution.
pub fn chi2_ppf(p: f64, df: f64) -> f64 {
    increasing(p, 0.0, df.max(1.0), |x| 1.0 - chi2_sf(x, df))
}

/// The x with I_x(a, b) = p.
pub fn beta_ppf(p: f64, a: f64, b: f64) -> f64 {
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    for _ in 0..1100 {
        // Near 0 by halves of the exponent, so that tiny quantiles are exact as well.
        let middle = if low > 0.0 && high / low > 4.0 { (low * high).sqrt() } else { 0.5 * (low + high) };
        if middle <= low || middle >= high {
            break;
        }
        if beta_inc(a, b, middle) < p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// Where an increasing function reaches `p`; `high` is a first guess of an upper end.
fn increasing(p: f64, mut low: f64, mut high: f64, f: impl Fn(f64) -> f64) -> f64 {
    while f(high) < p && high < 1e300 {
        low = high;
        high *= 2.0;
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if f(middle) < p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// P(K > x) of Kolmogorov's limit distribution.
pub fn kolmogorov_sf(x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    if x < 1.0 {
        // The theta function's other form converges at once for small x.
        let sum: f64 = (1..=20)
            .map(|k| {
                let odd = f64::from(2 * k - 1);
                (-odd * odd * PI * PI / (8.0 * x * x)).exp()
            })
            .sum();
        return 1.0 - (2.0 * PI).sqrt() / x * sum;
    }
    let sum: f64 = (1..=100)
        .map(|k| {
            let sign = if k % 2 == 1 { 1.0 } else { -1.0 };
            let k = f64::from(k);
            sign * (-2.0 * k * k * x * x).exp()
        })
        .sum();
    (2.0 * sum).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::stats::testing::{close, numbers, oracle};

    #[test]
    fn tails_and_quantiles_are_those_of_the_table() {
        let tails = &oracle("tests")["distribution_tails"];
        for (name, rel, f) in [
            ("normal_sf", 1e-9, (|a| normal_sf(a[0])) as fn(&[f64]) -> f64),
            ("normal_ppf", 1e-9, |a| normal_ppf(a[0])),
            ("t_sf", 1e-6, |a| t_sf(a[0], a[1])),
            ("chi2_sf", 1e-6, |a| chi2_sf(a[0], a[1])),
            ("kolmogorov_sf", 1e-6, |a| kolmogorov_sf(a[0])),
            ("beta_ppf", 1e-9, |a| beta_ppf(a[0], a[1], a[2])),
        ] {
            for row in tails[name].as_array().unwrap() {
                let row = numbers(row);
                let (want, arguments) = row.split_last().unwrap();
                close(&format!("{name}{arguments:?}"), f(arguments), *want, rel);
            }
        }
    }

    #[test]
    fn quantiles_undo_tails() {
        for p in [0.6, 0.9, 0.975, 0.999] {
            close("t", 1.0 - t_sf(t_ppf(p, 7.0), 7.0), p, 1e-12);
            close("chi2", 1.0 - chi2_sf(chi2_ppf(p, 9.0), 9.0), p, 1e-12);
        }
        close("t low", t_ppf(0.025, 7.0), -t_ppf(0.975, 7.0), 1e-9);
    }
}
