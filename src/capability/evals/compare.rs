//! How sure a metric is, and two versions compared on the same examples. Differences are turned so that more is better.

use serde::{Deserialize, Serialize};

use super::metric::{self, Better, Metric};
use super::rows::{Sample, Task};
use crate::base::stats::{bootstrap, delong, mean, proportion};

/// The seed of every bootstrap: the same evidence gives the same verdict again.
pub const SEED: u64 = 20_260_101;

/// A metric with its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub value: f64,
    pub se: f64,
    pub n: usize,
}

/// How a difference was tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    #[serde(rename = "mcnemar")]
    McNemar,
    #[serde(rename = "delong")]
    DeLong,
    /// Of each example's part in a mean.
    PairedMean,
    Bootstrap,
}

impl Method {
    pub fn name(self) -> &'static str {
        match self {
            Self::McNemar => "McNemar",
            Self::DeLong => "DeLong",
            Self::PairedMean => "paired means",
            Self::Bootstrap => "paired bootstrap",
        }
    }
}

/// New minus base, turned so that more is better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    pub difference: f64,
    pub se: f64,
    pub n: usize,
    /// Two-sided, of no difference at all.
    pub p: f64,
    pub method: Method,
}

/// +1 when higher is better, -1 when lower is.
pub fn sign(metric: &Metric) -> f64 {
    if metric.better == Better::Higher { 1.0 } else { -1.0 }
}

/// `None` where the metric has no value on these examples.
pub fn estimate(metric: &Metric, s: &Sample) -> Option<Estimate> {
    let value = metric::value(metric, s)?;
    let n = s.len();
    let se = if let Some(parts) = metric::parts(metric, s) {
        if metric.name == "accuracy" { proportion_se(value, n) } else { deviation(&parts)? / (n as f64).sqrt() }
    } else if metric.name == "auc" && s.task == Task::Binary {
        delong::delong(&s.positives(), &s.scores, &s.scores)?.var_a.sqrt()
    } else {
        bootstrap::paired(n, bootstrap::rounds(n), SEED, |rows| metric::value(metric, &s.take(rows)))?.se
    };
    Some(Estimate { value, se, n })
}

/// Never zero: all right in twenty is no proof of all right always (a success and a failure are added).
fn proportion_se(p: f64, n: usize) -> f64 {
    let n = n as f64;
    let p = (p * n + 2.0) / (n + 4.0);
    (p * (1.0 - p) / (n + 4.0)).sqrt()
}

/// `None` where the metric has no value for one of them. Both must be about the same examples in the same order.
pub fn difference(metric: &Metric, new: &Sample, base: &Sample) -> Option<Difference> {
    let (a, b) = (metric::value(metric, new)?, metric::value(metric, base)?);
    let (n, sign) = (new.len(), sign(metric));
    let difference = match metric.better {
        Better::Zero => b.abs() - a.abs(),
        _ => sign * (a - b),
    };
    let done = |se: f64, p: f64, method| Some(Difference { difference, se, n, p, method });
    let by_z = |se: f64| {
        if se > 0.0 { proportion::two_sided_p(difference / se) } else { f64::from(difference == 0.0) }
    };
    if metric.name == "accuracy" {
        let right = |s: &Sample, i: usize| s.values[i] == s.labels[i];
        let (mut gained, mut lost) = (0, 0);
        for i in 0..n {
            match (right(new, i), right(base, i)) {
                (true, false) => gained += 1,
                (false, true) => lost += 1,
                _ => {}
            }
        }
        let apart = (gained + lost) as f64 / n as f64;
        let se = ((apart - difference * difference).max(0.0) / n as f64).sqrt();
        return done(se, proportion::mcnemar(gained, lost).exact_p, Method::McNemar);
    }
    if metric.name == "auc" && new.task == Task::Binary {
        let d = delong::delong(&new.positives(), &new.scores, &base.scores)?;
        return done(d.se(), d.p, Method::DeLong);
    }
    if let (Some(a), Some(b)) = (metric::parts(metric, new), metric::parts(metric, base)) {
        let apart: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
        let se = deviation(&apart)? / (n as f64).sqrt();
        return done(se, by_z(se), Method::PairedMean);
    }
    let resampled = bootstrap::paired(n, bootstrap::rounds(n), SEED, |rows| {
        let (a, b) = (metric::value(metric, &new.take(rows))?, metric::value(metric, &base.take(rows))?);
        Some(if metric.better == Better::Zero { b.abs() - a.abs() } else { sign * (a - b) })
    })?;
    done(resampled.se, by_z(resampled.se), Method::Bootstrap)
}

fn deviation(values: &[f64]) -> Option<f64> {
    let center = mean(values)?;
    let n = values.len() as f64;
    (n > 1.0).then(|| (values.iter().map(|v| (v - center).powi(2)).sum::<f64>() / (n - 1.0)).sqrt())
}

/// Examples that the base had right and the new one has wrong, and the other way round.
pub fn flips(new: &Sample, base: &Sample) -> (u64, u64) {
    let right = |s: &Sample, i: usize| s.values[i] == s.labels[i];
    let count = |good: &Sample, bad: &Sample| {
        (0..good.len().min(bad.len())).filter(|i| right(good, *i) && !right(bad, *i)).count() as u64
    };
    (count(base, new), count(new, base))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two(seed: u64, skill: f64) -> Sample {
        let mut random = bootstrap::Random::seeded(9);
        let mut own = bootstrap::Random::seeded(seed);
        let unit = |r: &mut bootstrap::Random| (r.draw() >> 11) as f64 / (1u64 << 53) as f64;
        let labels: Vec<f64> = (0..2000).map(|_| f64::from(unit(&mut random) < 0.4)).collect();
        let scores: Vec<f64> =
            labels.iter().map(|l| (skill * l + (1.0 - skill) * unit(&mut own)).clamp(0.01, 0.99)).collect();
        let values = scores.iter().map(|s| f64::from(*s >= 0.5)).collect();
        Sample { task: Task::Binary, classes: 2, labels, values, scores }
    }

    #[test]
    fn each_metric_is_tested_by_the_method_that_suits_it_and_they_agree() {
        let (good, poor) = (two(1, 0.30), two(2, 0.25));
        for (name, method) in [
            ("accuracy", Method::McNemar),
            ("auc", Method::DeLong),
            ("log_loss", Method::PairedMean),
            ("f1", Method::Bootstrap),
        ] {
            let metric = metric::find(name).unwrap();
            let d = difference(metric, &good, &poor).unwrap();
            assert_eq!(d.method, method, "{name}");
            assert!(d.difference > 0.0 && d.se > 0.0, "{name}: {d:?}");
            let back = difference(metric, &poor, &good).unwrap();
            assert!((back.difference + d.difference).abs() < 1e-12, "{name}");
            let same = difference(metric, &good, &good).unwrap();
            assert_eq!((same.difference, same.se), (0.0, 0.0), "{name}");
        }
        // The bootstrap of a mean is near the formula.
        let parts = difference(metric::find("brier").unwrap(), &good, &poor).unwrap();
        let drawn = bootstrap::paired(2000, 1000, SEED, |rows| {
            let brier = metric::find("brier").unwrap();
            Some(metric::value(brier, &poor.take(rows))? - metric::value(brier, &good.take(rows))?)
        });
        assert!((drawn.unwrap().se / parts.se - 1.0).abs() < 0.1);
    }

    #[test]
    fn flips_are_counted_by_direction() {
        let (good, poor) = (two(1, 0.30), two(2, 0.25));
        let (negative, positive) = flips(&good, &poor);
        let accuracy = difference(metric::find("accuracy").unwrap(), &good, &poor).unwrap();
        assert!(((positive as f64 - negative as f64) / 2000.0 - accuracy.difference).abs() < 1e-12);
    }
}
