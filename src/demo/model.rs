//! The model itself: what it predicts, how it is written down, and how it scores and is judged.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::features::{Categorical, Encoder, Numeric};
use super::flights::Flights;
use super::quality::{self, Quality};

/// A flight is late when it arrives more than this many minutes after its schedule: the usual definition of the
/// field, after the US Department of Transportation's on-time arrival (within 15 minutes).
pub const LATE_MINUTES: i16 = 15;
/// A trained model, as it is written to `model.json`: enough to score a flight by hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// What the score is the probability of.
    pub positive: String,
    pub bias: f64,
    pub numeric: Vec<NumericTerm>,
    pub categorical: Vec<CategoricalTerm>,
}

/// Adds `weight` × (value − `mean`) / `scale`, or `weight_missing` where there is no value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NumericTerm {
    pub column: Numeric,
    pub mean: f64,
    pub scale: f64,
    pub weight: f64,
    pub weight_missing: f64,
}

/// Adds the weight of the value, or nothing for one not seen in training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CategoricalTerm {
    pub column: Categorical,
    pub weights: BTreeMap<String, f64>,
}

impl Model {
    pub(super) fn new(encoder: &Encoder, weights: &[f64]) -> Self {
        let columns = encoder.numeric.len();
        let numeric = encoder.numeric.iter().enumerate().map(|(position, scaled)| NumericTerm {
            column: scaled.column,
            mean: scaled.mean,
            scale: scaled.scale,
            weight: weights[1 + position],
            weight_missing: weights[1 + columns + position],
        });
        let categorical = encoder.categorical.iter().map(|levels| CategoricalTerm {
            column: levels.column,
            weights: levels.weight_of.iter().map(|(value, &position)| (value.clone(), weights[position])).collect(),
        });
        Self {
            positive: format!("arrival more than {LATE_MINUTES} minutes late"),
            bias: weights[0],
            numeric: numeric.collect(),
            categorical: categorical.collect(),
        }
    }

    /// The probability that the flight in `row` is late.
    pub fn score(&self, flights: &Flights, row: usize) -> f64 {
        self.score_of(|column| column.value(flights, row), |column| column.value(flights, row))
    }

    /// The same for a flight of which these are the values; `None` was not recorded.
    pub fn score_of<'a>(
        &self,
        number: impl Fn(Numeric) -> Option<f64>,
        category: impl Fn(Categorical) -> &'a str,
    ) -> f64 {
        let numeric = self.numeric.iter().map(|term| match number(term.column) {
            Some(value) => term.weight * (value - term.mean) / term.scale,
            None => term.weight_missing,
        });
        let categorical = self.categorical.iter().filter_map(|term| term.weights.get(category(term.column)));
        sigmoid(self.bias + numeric.sum::<f64>() + categorical.sum::<f64>())
    }

    /// Judges the model on the flights of `months` whose arrival is known; none when there are none.
    pub fn judge(&self, flights: &Flights, months: RangeInclusive<u8>) -> Option<Quality> {
        let (rows, labels): (Vec<_>, Vec<_>) = labelled(flights, months).into_iter().unzip();
        let scores: Vec<f64> = rows.into_iter().map(|row| self.score(flights, row)).collect();
        quality::judge(&labels, &scores)
    }
}

/// The flights of `months` whose arrival is known, with whether they were late.
pub(super) fn labelled(flights: &Flights, months: RangeInclusive<u8>) -> Vec<(usize, bool)> {
    let late = |row| flights.arrival_delay(row).map(|minutes| (row, minutes > LATE_MINUTES));
    flights.rows_in(months).filter_map(late).collect()
}

/// The probability of these log-odds.
pub(super) fn sigmoid(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}
