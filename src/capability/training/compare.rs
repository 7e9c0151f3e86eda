//! Holding a repetition against its original: files by digest, metrics value by value.

use serde::{Deserialize, Serialize};

use super::{Cause, Normalised};
use crate::base::number;

/// What came of a repetition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every file and every value of every metric is the same.
    BitExact,
    Differs,
    /// It could not be repeated; the causes say why.
    CannotRepeat,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Self::BitExact => "bit-exact",
            Self::Differs => "differs",
            Self::CannotRepeat => "cannot-repeat",
        }
    }
}

/// The whole answer of a repetition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    pub run: String,
    /// `None` when nothing was run.
    pub rerun: Option<String>,
    pub verdict: Verdict,
    /// What was made alike before it was compared.
    pub normalised: Vec<Normalised>,
    pub first_difference: Option<Difference>,
    /// Everything that differs, the first one too.
    #[serde(default)]
    pub differences: Vec<Difference>,
    /// Further ones that are only counted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
    /// The likeliest first.
    pub causes: Vec<Cause>,
    /// Metrics and files that were compared.
    pub compared: (u64, u64),
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Comparison {
    /// Of a run that could not be repeated.
    pub fn cannot(run: &str, rerun: Option<String>, causes: Vec<Cause>) -> Self {
        Self {
            run: run.to_owned(),
            rerun,
            verdict: Verdict::CannotRepeat,
            normalised: Vec::new(),
            first_difference: None,
            differences: Vec::new(),
            more: 0,
            causes,
            compared: (0, 0),
        }
    }
}

/// Something that is not the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Difference {
    Metric {
        key: String,
        /// The first step at which it differs.
        step: i64,
        #[serde(with = "number::option")]
        then: Option<f64>,
        #[serde(with = "number::option")]
        now: Option<f64>,
    },
    Param {
        key: String,
        then: Option<String>,
        now: Option<String>,
    },
    Artifact {
        path: String,
        why: String,
    },
}

impl Difference {
    /// In one line.
    pub fn told(&self) -> String {
        let value = |v: &Option<f64>| v.map_or_else(|| "nothing".to_owned(), |v| format!("{v:?}"));
        let text = |v: &Option<String>| v.clone().unwrap_or_else(|| "nothing".to_owned());
        match self {
            Self::Metric { key, step, then, now } => {
                format!("metric {key} at step {step}: {} then, {} now", value(then), value(now))
            }
            Self::Param { key, then, now } => format!("param {key}: {} then, {} now", text(then), text(now)),
            Self::Artifact { path, why } => format!("{path}: {why}"),
        }
    }
}

/// A value of a metric: step, milliseconds since 1970, value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub step: i64,
    pub timestamp: i64,
    pub value: f64,
}

/// The first value that is not the same bit for bit; times are not compared. Answers when the original logged it, too.
pub fn first_in_metrics(key: &str, then: &[Point], now: &[Point]) -> Option<(i64, Difference)> {
    let longer = then.len().max(now.len());
    (0..longer).find_map(|i| {
        let (a, b) = (then.get(i), now.get(i));
        let same = |a: &Point, b: &Point| {
            // Any NaN is as good as another: which bits it has is the CPU's choice.
            a.step == b.step && (a.value.to_bits() == b.value.to_bits() || (a.value.is_nan() && b.value.is_nan()))
        };
        if a.zip(b).is_some_and(|(a, b)| same(a, b)) {
            return None;
        }
        let step = a.or(b).map_or(0, |p| p.step);
        let at = a.map_or(i64::MAX, |p| p.timestamp);
        let difference =
            Difference::Metric { key: key.to_owned(), step, then: a.map(|p| p.value), now: b.map(|p| p.value) };
        Some((at, difference))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[f64]) -> Vec<Point> {
        (0..).zip(values).map(|(i, v)| Point { step: i, timestamp: 100 + i, value: *v }).collect()
    }

    #[test]
    fn the_first_differing_value_is_found() {
        let a = points(&[1.0, 0.5, f64::NAN]);
        assert_eq!(first_in_metrics("m", &a, &points(&[1.0, 0.5, f64::NAN])), None);
        let (at, found) = first_in_metrics("m", &a, &points(&[1.0, 0.5_f64.next_up(), 3.0])).unwrap();
        assert!(at == 101 && matches!(found, Difference::Metric { step: 1, .. }), "{found:?}");
        let (_, found) = first_in_metrics("m", &a, &points(&[1.0])).unwrap();
        assert_eq!(found.told(), "metric m at step 1: 0.5 then, nothing now");
        assert!(first_in_metrics("m", &points(&[0.0]), &points(&[-0.0])).is_some(), "bits, not values");
    }
}
