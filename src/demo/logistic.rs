//! Logistic regression by mini-batch Adam: will this flight arrive more than fifteen minutes late?
//!
//! The training is an iterator of its own progress, so whoever drives it decides how fast the curve moves.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::features::{Categorical, Encoded, Encoder, Numeric};
use super::flights::Flights;
use super::model::{Model, labelled, sigmoid};
use super::quality::{self, Quality};
use super::random::{self, SplitMix64};

/// One labelled row in this many is held out of the training to judge it.
const HELD_OUT_ONE_IN: u64 = 5;

/// Everything that decides what a training yields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Months of 2013 that are learned from, first and last included.
    pub months: RangeInclusive<u8>,
    pub numeric: Vec<Numeric>,
    pub categorical: Vec<Categorical>,
    pub learning_rate: f64,
    /// The loss carries `l2` / 2 times the sum of the squared weights (not the bias).
    pub l2: f64,
    pub epochs: usize,
    pub batch_rows: usize,
    /// Steps between two reports.
    pub report_steps: usize,
    /// Decides the order of the rows in each epoch, and nothing else.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            months: 1..=2,
            numeric: Numeric::ALL.to_vec(),
            categorical: Categorical::ALL.to_vec(),
            learning_rate: 0.003,
            l2: 1e-4,
            epochs: 8,
            batch_rows: 256,
            report_steps: 25,
            seed: 1,
        }
    }
}

/// Where a training stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Mini-batches done.
    pub step: usize,
    pub steps: usize,
    /// Passes over the training rows, with the fraction.
    pub epoch: f64,
    /// Mean loss on the mini-batches since the last report, before each was learned from.
    pub train_loss: f64,
    /// On the rows held out.
    pub held_out: Quality,
}

/// Why a training cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    #[error("no flight with a known arrival in these months: choose months between 1 and 12")]
    NoRows,
    #[error("batch_rows, report_steps and epochs must be at least 1, and learning_rate positive")]
    Settings,
}

/// A training under way; each `next` learns until the next report is due.
pub struct Training {
    settings: Settings,
    encoder: Encoder,
    rows: Encoded,
    labels: Vec<bool>,
    held_out: Encoded,
    held_out_labels: Vec<bool>,
    order: Vec<usize>,
    position: usize,
    random: SplitMix64,
    optimiser: Adam,
    step: usize,
}

impl Training {
    /// Fits the encoding to the training rows and sets every weight to zero.
    ///
    /// # Errors
    /// When the settings cannot be followed, or their months hold no flight with a known arrival.
    pub fn new(flights: &Flights, settings: Settings) -> Result<Self, TrainingError> {
        let positive = settings.learning_rate > 0.0;
        if settings.batch_rows == 0 || settings.report_steps == 0 || settings.epochs == 0 || !positive {
            return Err(TrainingError::Settings);
        }
        let labelled = labelled(flights, settings.months.clone());
        // By a hash of the row, not by the seed: every run is judged on the same flights.
        let (held, learned): (Vec<_>, Vec<_>) =
            labelled.into_iter().partition(|(row, _)| random::mix(*row as u64).is_multiple_of(HELD_OUT_ONE_IN));
        let (learned_rows, labels): (Vec<_>, Vec<_>) = learned.into_iter().unzip();
        let (held_rows, held_out_labels): (Vec<_>, Vec<_>) = held.into_iter().unzip();
        if labels.is_empty() || held_out_labels.is_empty() {
            return Err(TrainingError::NoRows);
        }
        let encoder = Encoder::fit(flights, &learned_rows, &settings.numeric, &settings.categorical);
        Ok(Self {
            rows: encoder.encode(flights, &learned_rows),
            held_out: encoder.encode(flights, &held_rows),
            order: (0..labels.len()).collect(),
            position: labels.len(),
            random: SplitMix64::new(settings.seed),
            optimiser: Adam::new(encoder.weights, settings.learning_rate),
            step: 0,
            labels,
            held_out_labels,
            encoder,
            settings,
        })
    }

    /// Flights that are learned from.
    pub fn training_rows(&self) -> usize {
        self.labels.len()
    }

    /// Flights held out to judge the training.
    pub fn held_out_rows(&self) -> usize {
        self.held_out_labels.len()
    }

    /// Mini-batches in the whole training.
    pub fn steps(&self) -> usize {
        self.labels.len().div_ceil(self.settings.batch_rows) * self.settings.epochs
    }

    /// The model as learned so far.
    pub fn model(&self) -> Model {
        Model::new(&self.encoder, &self.optimiser.weights)
    }

    /// Learns from the next mini-batch and returns the sum of its losses and its rows.
    fn learn_batch(&mut self) -> (f64, usize) {
        if self.position == self.order.len() {
            self.random.shuffle(&mut self.order);
            self.position = 0;
        }
        let end = (self.position + self.settings.batch_rows).min(self.order.len());
        let batch = &self.order[self.position..end];
        let weights = &self.optimiser.weights;
        let mut gradient = vec![0.0; weights.len()];
        let mut loss = 0.0;
        for &row in batch {
            let score = sigmoid(self.rows.log_odds(row, weights));
            loss += quality::log_loss(self.labels[row], score);
            let error = (score - f64::from(u8::from(self.labels[row]))) / batch.len() as f64;
            let (dense, active) = self.rows.row(row);
            gradient[0] += error;
            for (slope, value) in gradient[1..].iter_mut().zip(dense) {
                *slope += error * value;
            }
            for &position in active {
                gradient[position] += error;
            }
        }
        for (slope, weight) in gradient.iter_mut().zip(weights).skip(1) {
            *slope += self.settings.l2 * weight;
        }
        let rows = batch.len();
        self.optimiser.step(&gradient);
        self.position = end;
        self.step += 1;
        (loss, rows)
    }
}

impl Iterator for Training {
    type Item = Progress;

    fn next(&mut self) -> Option<Progress> {
        let steps = self.steps();
        let due = (self.step + self.settings.report_steps).min(steps);
        if self.step == due {
            return None;
        }
        let (mut loss, mut rows) = (0.0, 0);
        while self.step < due {
            let (batch_loss, batch_rows) = self.learn_batch();
            loss += batch_loss;
            rows += batch_rows;
        }
        let score = |row| sigmoid(self.held_out.log_odds(row, &self.optimiser.weights));
        let scores: Vec<f64> = (0..self.held_out.len()).map(score).collect();
        Some(Progress {
            step: self.step,
            steps,
            epoch: self.settings.epochs as f64 * self.step as f64 / steps as f64,
            train_loss: loss / rows as f64,
            held_out: quality::judge(&self.held_out_labels, &scores)?,
        })
    }
}

/// Adam (Kingma and Ba, 2015, algorithm 1) with the paper's default decay rates.
struct Adam {
    weights: Vec<f64>,
    mean: Vec<f64>,
    square: Vec<f64>,
    rate: f64,
    mean_share: f64,
    square_share: f64,
}

impl Adam {
    const MEAN_DECAY: f64 = 0.9;
    const SQUARE_DECAY: f64 = 0.999;
    const EPSILON: f64 = 1e-8;

    fn new(weights: usize, rate: f64) -> Self {
        let zeros = vec![0.0; weights];
        Self { weights: zeros.clone(), mean: zeros.clone(), square: zeros, rate, mean_share: 1.0, square_share: 1.0 }
    }

    fn step(&mut self, gradient: &[f64]) {
        self.mean_share *= Self::MEAN_DECAY;
        self.square_share *= Self::SQUARE_DECAY;
        let moments = self.mean.iter_mut().zip(&mut self.square);
        for ((weight, (mean, square)), slope) in self.weights.iter_mut().zip(moments).zip(gradient) {
            *mean = Self::MEAN_DECAY * *mean + (1.0 - Self::MEAN_DECAY) * slope;
            *square = Self::SQUARE_DECAY * *square + (1.0 - Self::SQUARE_DECAY) * slope * slope;
            // Both averages start at zero; the division takes that bias out.
            let (mean, square) = (*mean / (1.0 - self.mean_share), *square / (1.0 - self.square_share));
            *weight -= self.rate * mean / (square.sqrt() + Self::EPSILON);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trained(settings: Settings) -> (Flights, Training, Vec<Progress>) {
        let flights = Flights::bundled().unwrap();
        let mut training = Training::new(&flights, settings).unwrap();
        let progress: Vec<_> = training.by_ref().collect();
        (flights, training, progress)
    }

    #[test]
    fn learns_what_scikit_learn_learns() {
        let columns = Settings {
            numeric: Numeric::ALL.to_vec(),
            categorical: vec![Categorical::Origin, Categorical::Carrier],
            epochs: 3,
            ..Settings::default()
        };
        let (flights, training, progress) = trained(columns);
        assert_eq!(training.training_rows() + training.held_out_rows(), 50_009);
        let (first, last) = (&progress[0], progress.last().unwrap());
        assert!(last.train_loss < first.train_loss && last.held_out.log_loss < first.held_out.log_loss);
        assert_eq!((last.step, last.epoch), (last.steps, 3.0));
        // scikit-learn's LogisticRegression on nearly the same columns: 0.71, 0.68 and 0.67 in March, May and July.
        let model = training.model();
        for (month, expected) in [(3, 0.71), (5, 0.68), (7, 0.675)] {
            let found = model.judge(&flights, month..=month).unwrap();
            assert!((found.auc.unwrap() - expected).abs() < 0.02, "month {month}: {found:?}");
        }
        // July is late twice as often as the winter the model knows, and warmer, which it mistakes for punctual.
        let july = model.judge(&flights, 7..=7).unwrap();
        assert!((july.rate - 0.3146).abs() < 1e-4 && july.mean_score < 0.2, "{july:?}");
    }

    #[test]
    fn a_seed_repeats_itself_to_the_bit_and_the_model_survives_json() {
        let settings = Settings { months: 1..=1, epochs: 1, ..Settings::default() };
        let (flights, first, _) = trained(settings.clone());
        let (_, second, _) = trained(settings.clone());
        let (_, other, _) = trained(Settings { seed: 2, ..settings });
        assert_eq!(first.model(), second.model());
        assert_ne!(first.model(), other.model());

        let text = serde_json::to_string(&first.model()).unwrap();
        let read: Model = serde_json::from_slice(text.as_bytes()).unwrap();
        for row in (0..flights.len()).step_by(9_973) {
            assert_eq!(read.score(&flights, row).to_bits(), first.model().score(&flights, row).to_bits());
        }
    }

    /// The fast path used in training and the readable one of the written model are the same function.
    #[test]
    fn the_model_scores_as_the_training_does() {
        let (flights, training, progress) = trained(Settings { months: 1..=1, epochs: 1, ..Settings::default() });
        let model = training.model();
        let held = labelled(&flights, 1..=1)
            .into_iter()
            .filter(|(row, _)| random::mix(*row as u64).is_multiple_of(HELD_OUT_ONE_IN));
        let (labels, scores): (Vec<_>, Vec<_>) = held.map(|(row, label)| (label, model.score(&flights, row))).unzip();
        let found = quality::judge(&labels, &scores).unwrap();
        assert!((found.log_loss - progress.last().unwrap().held_out.log_loss).abs() < 1e-9);
    }

    #[test]
    fn impossible_settings_are_refused() {
        let flights = Flights::bundled().unwrap();
        let refused = |settings| Training::new(&flights, settings).is_err();
        assert!(refused(Settings { months: 13..=14, ..Settings::default() }));
        assert!(refused(Settings { batch_rows: 0, ..Settings::default() }));
        assert!(refused(Settings { learning_rate: f64::NAN, ..Settings::default() }));
    }
}
