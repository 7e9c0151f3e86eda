//! What was counted of a version in one minute or hour: integers only, so that parts add up exactly and in any order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::scores::Scores;
use crate::base::stats::sketch::Sketch;
use crate::capability::datasets::profile::Counts;

/// Bins of probabilities, of equal width.
pub const SCORE_BINS: u8 = 100;
/// Probabilities and their errors are summed in units of 2^-30.
pub const UNIT: f64 = (1_u64 << 30) as f64;
/// Numbers of a regression are summed in units of 2^-16, cut at ±2^45.
pub const NUMBER_UNIT: f64 = (1_u64 << 16) as f64;

/// Predictions whose score lies in one bin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ScoreBin {
    pub n: i64,
    /// Sum of scores, in [`UNIT`]s.
    pub sum: i64,
    /// Those that the model called positive.
    pub called: i64,
    pub labelled: i64,
    pub labelled_sum: i64,
    /// Labelled ones that turned out positive.
    pub positive: i64,
}

/// Sums of a regression, in [`NUMBER_UNIT`]s; squares in its square.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Residuals {
    pub n: i64,
    pub absolute: i64,
    #[serde(with = "wide")]
    pub squares: i128,
    pub bias: i64,
    pub truth: i64,
    #[serde(with = "wide")]
    pub truth_squares: i128,
    #[serde(with = "wide")]
    pub absolute_squares: i128,
}

/// Everything but columns.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    pub n: u64,
    pub errors: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// Milliseconds.
    pub latency: Sketch,
    pub scores: Scores,
    /// By predicted and true class.
    pub confusion: BTreeMap<String, i64>,
    pub residuals: Residuals,
    /// Judgements between 0 and 1: how many, and their sum and squares in [`UNIT`]s.
    pub judged: i64,
    pub judged_sum: i64,
    pub judged_squares: i64,
    /// Of labelled scores: squared distances and negative logarithms, in [`UNIT`]s.
    pub brier: i64,
    pub log_loss: i64,
    pub labelled: i64,
    /// Labels that replaced another one.
    pub corrected: u64,
    /// Seconds between answer and label.
    pub delay: Sketch,
    /// Predictions that nobody waits for any more.
    pub evicted: u64,
}

impl Tally {
    pub fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.errors += other.errors;
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        self.latency.merge(&other.latency);
        for (bin, b) in other.scores.iter() {
            let a = self.scores.at(bin);
            a.n += b.n;
            a.sum += b.sum;
            a.called += b.called;
            a.labelled += b.labelled;
            a.labelled_sum += b.labelled_sum;
            a.positive += b.positive;
        }
        for (pair, n) in &other.confusion {
            add(&mut self.confusion, pair, *n);
        }
        let (a, b) = (&mut self.residuals, &other.residuals);
        a.n += b.n;
        a.absolute += b.absolute;
        a.squares += b.squares;
        a.bias += b.bias;
        a.truth += b.truth;
        a.truth_squares += b.truth_squares;
        a.absolute_squares += b.absolute_squares;
        self.judged += other.judged;
        self.judged_sum += other.judged_sum;
        self.judged_squares += other.judged_squares;
        self.brier += other.brier;
        self.log_loss += other.log_loss;
        self.labelled += other.labelled;
        self.corrected += other.corrected;
        self.delay.merge(&other.delay);
        self.evicted += other.evicted;
    }
}

/// Adds to a class pair; what comes to nothing is not kept, so that equal sums are equal documents.
pub fn add(confusion: &mut BTreeMap<String, i64>, pair: &str, n: i64) {
    let known = confusion.entry(pair.to_owned()).or_default();
    *known += n;
    if *known == 0 {
        confusion.remove(pair);
    }
}

/// Classes that have no name of their own, and those of them that something else was said of.
pub const OTHERS: &str = "(others)";
pub const ANOTHER: &str = "(another)";

const BETWEEN: char = '\u{1f}';

/// A predicted and a true class as one key.
pub fn pair(said: &str, truth: &str) -> String {
    format!("{said}{BETWEEN}{truth}")
}

/// The two classes of a key.
pub fn unpaired(key: &str) -> (&str, &str) {
    key.split_once(BETWEEN).unwrap_or((key, ""))
}

/// A cell of the counter store.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cell {
    pub tally: Tally,
    /// Of all predictions only: by the version's columns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<Counts>,
}

impl Cell {
    pub fn merge(&mut self, other: &Self) {
        self.tally.merge(&other.tally);
        for (i, counts) in other.columns.iter().enumerate() {
            match self.columns.get_mut(i) {
                Some(mine) if mine.bins.is_empty() && mine.n == 0 => *mine = counts.clone(),
                Some(_) if counts.bins.is_empty() && counts.n == 0 => {}
                Some(mine) => mine.merge(counts),
                None => self.columns.push(counts.clone()),
            }
        }
    }
}

/// Sums that are wider than a JSON number travel as text.
mod wide {
    use serde::{Deserialize, Deserializer, Serializer, de};

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
    pub fn serialize<S: Serializer>(sum: &i128, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(sum)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<i128, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map_err(|_| de::Error::custom(format!("not a whole number: {text}")))
    }
}
