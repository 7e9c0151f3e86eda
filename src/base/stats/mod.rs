//! Statistics: pure functions over slices of numbers. Every one is held against a table of values from independent
//! implementations (`tests/oracle`). What cannot be computed (one class only, no rows) is `None`, never zero.

pub mod binary;
pub mod bins;
pub mod bootstrap;
pub mod cbpe;
pub mod curve;
pub mod delong;
pub mod isotonic;
pub mod moments;
pub mod multiclass;
pub mod multiple;
pub mod proportion;
pub mod rank;
pub mod regression;
pub mod sequential;
pub mod sketch;
pub mod special;

#[cfg(test)]
mod testing;

/// An interval of values, both ends inside.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

impl Interval {
    pub fn new(low: f64, high: f64) -> Self {
        Self { low, high }
    }
}

/// `a / b`, and 0 where there is nothing to divide by: the convention of precision, recall and F1.
fn ratio(a: f64, b: f64) -> f64 {
    if b == 0.0 { 0.0 } else { a / b }
}

/// Arithmetic mean; `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
