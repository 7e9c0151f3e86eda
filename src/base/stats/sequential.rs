//! Tests that may be looked at after every observation: the chance of ever being wrong stays below alpha however often one
//! looks, because each is an e-value (a likelihood ratio whose mean without an effect is one at most) and stops at 1 / alpha.

use serde::{Deserialize, Serialize};

use super::special::ln_gamma;

/// Odds ratios that a worse candidate may have: 24 points, log-uniform from 1.2 to 20.
const RATIOS: usize = 24;
const RATIO_LEAST: f64 = 1.2;
const RATIO_MOST: f64 = 20.0;

/// Λ of the mixture sequential probability ratio test (Robbins; Johari et al. 2017) on `n` pairs whose differences have
/// mean `d` and variance `v`, with a normal prior of variance `tau2` on the effect.
pub fn msprt(n: f64, d: f64, v: f64, tau2: f64) -> f64 {
    (v / (v + n * tau2)).sqrt() * (n * n * tau2 * d * d / (2.0 * v * (v + n * tau2))).exp()
}

/// The same for two arms of unequal size: `vn` is the variance of the difference of their means.
pub fn msprt_aggregate(d: f64, vn: f64, tau2: f64) -> f64 {
    (vn / (vn + tau2)).sqrt() * (tau2 * d * d / (2.0 * vn * (vn + tau2))).exp()
}

/// Half the width of an asymptotic confidence sequence of a mean (Waudby-Smith et al. 2021): it holds at all `n` at once.
pub fn confidence_sequence(n: f64, sd: f64, alpha: f64, rho2: f64) -> f64 {
    let grown = n * rho2 + 1.0;
    sd * (2.0 * grown / (n * n * rho2) * (grown.sqrt() / alpha).ln()).sqrt()
}

/// ln of the e-value that `k` of `n` errors hit the candidate, which had the share `w` of the traffic: two-sided, with a
/// Beta(a, b) prior on its share of errors.
pub fn ln_split(k: u64, n: u64, w: f64, a: f64, b: f64) -> f64 {
    let (k, rest) = (k as f64, (n - k) as f64);
    let ln_beta = |x: f64, y: f64| ln_gamma(x) + ln_gamma(y) - ln_gamma(x + y);
    ln_beta(a + k, b + rest) - ln_beta(a, b) - k * w.ln() - rest * (1.0 - w).ln()
}

/// The one-sided e-process of errors: a mixture over odds ratios above one, so that only a worse candidate moves it, and
/// the weight may change in between.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorseErrors {
    /// ln of the likelihood ratio by odds ratio.
    ln: Vec<f64>,
}

impl Default for WorseErrors {
    fn default() -> Self {
        Self { ln: vec![0.0; RATIOS] }
    }
}

impl WorseErrors {
    fn ratio(i: usize) -> f64 {
        let step = (RATIO_MOST / RATIO_LEAST).ln() / (RATIOS - 1) as f64;
        RATIO_LEAST * (step * i as f64).exp()
    }

    /// `k` of `n` errors hit the candidate while it had the share `w` of the traffic, 0 < w < 1. Shares at the ends say
    /// nothing, and are left out.
    pub fn add(&mut self, w: f64, n: u64, k: u64) {
        if !(w > 0.0 && w < 1.0) {
            return;
        }
        let (k, rest) = (k.min(n) as f64, n.saturating_sub(k) as f64);
        for (i, ln) in self.ln.iter_mut().enumerate() {
            let ratio = Self::ratio(i);
            let q = w * ratio / (w * ratio + 1.0 - w);
            *ln += k * (q / w).ln() + rest * ((1.0 - q) / (1.0 - w)).ln();
        }
    }

    /// ln e; stop at ln(1 / alpha).
    pub fn ln_e(&self) -> f64 {
        let most = self.ln.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        most + (self.ln.iter().map(|l| (l - most).exp()).sum::<f64>() / RATIOS as f64).ln()
    }
}

/// What Wald's test says of a stream of failures (1) and successes (0).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wald {
    /// The lower rate, after so many.
    H0(usize),
    H1(usize),
    Open,
}

/// Wald's sequential probability ratio test of a failure rate `p1` against `p0`. Answers with the log likelihood ratio at
/// its end.
pub fn wald(xs: &[bool], p0: f64, p1: f64, alpha: f64, beta: f64) -> (Wald, f64) {
    let (upper, lower) = (((1.0 - beta) / alpha).ln(), (beta / (1.0 - alpha)).ln());
    let (hit, miss) = ((p1 / p0).ln(), ((1.0 - p1) / (1.0 - p0)).ln());
    let mut llr = 0.0;
    for (i, x) in xs.iter().enumerate() {
        llr += if *x { hit } else { miss };
        if llr >= upper {
            return (Wald::H1(i + 1), llr);
        }
        if llr <= lower {
            return (Wald::H0(i + 1), llr);
        }
    }
    (Wald::Open, llr)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{close, number, numbers, oracle};
    use super::*;

    #[test]
    fn agrees_with_the_tables() {
        let table = oracle("sequential");
        for case in table["msprt_normal"].as_array().unwrap() {
            let (a, b, tau2) = (numbers(&case["a"]), numbers(&case["b"]), number(&case["tau2"]));
            let at = |n: usize| {
                let variance = |x: &[f64]| {
                    let mean = x.iter().sum::<f64>() / n as f64;
                    (mean, x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n as f64 - 1.0))
                };
                let ((ma, va), (mb, vb)) = (variance(&a[..n]), variance(&b[..n]));
                (mb - ma, va + vb, msprt(n as f64, mb - ma, va + vb, tau2))
            };
            for wanted in case["at"].as_array().unwrap() {
                let n = usize::try_from(wanted["n"].as_u64().unwrap()).unwrap();
                let (d, v, lambda) = at(n);
                close("difference", d, number(&wanted["diff"]), 1e-9);
                close("variance", v, number(&wanted["V"]), 1e-9);
                close("Λ", lambda, number(&wanted["Lambda"]), 1e-9);
                let p = (2..=n).map(|n| 1.0 / at(n).2).fold(1.0, f64::min);
                close("p", p, number(&wanted["p_always_valid"]), 1e-9);
            }
        }
        for case in table["msprt_aggregate"].as_array().unwrap() {
            let get = |key: &str| number(&case[key]);
            let vn = get("var_a") / get("n_a") + get("var_b") / get("n_b");
            close("Vn", vn, get("Vn"), 1e-9);
            close("Λ", msprt_aggregate(get("mean_b") - get("mean_a"), vn, get("tau2")), get("Lambda"), 1e-9);
        }
        for case in table["asymptotic_cs"].as_array().unwrap() {
            let get = |key: &str| number(&case[key]);
            let half = confidence_sequence(get("n"), get("sd"), get("alpha"), get("rho2"));
            close("half width", half, get("half_width"), 1e-9);
        }
        for case in table["errors_split_eprocess"].as_array().unwrap() {
            let whole = |key: &str| case[key].as_u64().unwrap();
            let (w, a, b) = (number(&case["canary_traffic_share"]), number(&case["a"]), number(&case["b"]));
            let ln = ln_split(whole("canary_errors"), whole("total_errors"), w, a, b);
            close("ln e", ln, number(&case["ln_e"]), 1e-8);
            close("p", (-ln).exp().min(1.0), number(&case["p_always_valid"]), 1e-8);
        }
        for case in table["errors_split_onesided_mixture"]["cases"].as_array().unwrap() {
            let mut e = WorseErrors::default();
            for stage in case["stages"].as_array().unwrap() {
                e.add(number(&stage["w"]), stage["n"].as_u64().unwrap(), stage["k"].as_u64().unwrap());
            }
            close("ln e", e.ln_e(), number(&case["ln_e"]), 1e-9);
        }
        for case in table["wald_sprt_bernoulli"].as_array().unwrap() {
            let get = |key: &str| number(&case[key]);
            let xs: Vec<bool> = numbers(&case["x"]).into_iter().map(|x| x == 1.0).collect();
            let (decision, llr) = wald(&xs, get("p0"), get("p1"), get("alpha"), get("beta"));
            let at = usize::try_from(case["expected"]["at"].as_u64().unwrap()).unwrap();
            let wanted = if case["expected"]["decision"] == "H1" { Wald::H1(at) } else { Wald::H0(at) };
            assert_eq!(decision, wanted);
            close("llr", llr, number(&case["expected"]["llr"]), 1e-9);
        }
    }
}
