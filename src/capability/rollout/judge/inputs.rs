//! Whether both versions are asked the same: inputs of the candidate against those of the stable version, in the same bins. Answers
//! that differ are told; they are what a new version is for.

use serde::{Deserialize, Serialize};

use super::{Advice, Finding};
use crate::base::show;
use crate::capability::drift::ColumnDrift;

pub(super) const NAME: &str = "inputs";
/// Rows of the smaller side: from here on chance alone does not give a PSI of 0.1 in the life of a rollout, so that one
/// may look at every minute.
pub const ROWS_MIN: u64 = 500;

/// The candidate's columns held against the stable version's.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Inputs {
    /// Predictions of stable version and candidate.
    pub rows: (u64, u64),
    pub columns: Vec<ColumnDrift>,
    /// Columns that the two count in different bins.
    pub not_compared: usize,
    /// PSI of the scores.
    pub score: Option<f64>,
}

/// `sticky`: callers stay on their version, so that their unequal questions are no fault of the split.
pub(super) fn finding(seen: Option<&Inputs>, sticky: bool) -> Finding {
    let found = |advice, why: String| Finding { guard: NAME.to_owned(), advice, ln_e: None, stops_at: None, why };
    let Some(inputs) = seen else {
        return found(Advice::NotEnoughData, "no predictions of both versions came: inputs are not known".to_owned());
    };
    let rows = inputs.rows.0.min(inputs.rows.1);
    if rows < ROWS_MIN {
        let why = format!("{rows} predictions of each came, {ROWS_MIN} tell whether both are asked the same");
        return found(Advice::NotEnoughData, why);
    }
    if inputs.columns.is_empty() {
        let why = format!("{} columns are counted in different bins: inputs are not compared", inputs.not_compared);
        return found(Advice::NotEnoughData, why);
    }
    let score =
        inputs.score.map_or_else(String::new, |psi| format!("; scores differ by a PSI of {}", show::metric(psi)));
    let worst = inputs
        .columns
        .iter()
        .filter(|c| c.alarm)
        .max_by(|a, b| a.psi.partial_cmp(&b.psi).unwrap_or(std::cmp::Ordering::Equal));
    if let Some(column) = worst {
        let why = format!(
            "{} differs between the versions (PSI {}, allowed {}): {}",
            column.name,
            show::metric(column.psi.unwrap_or(0.0)),
            show::metric(column.limit.unwrap_or(0.0)),
            if sticky { "callers are unequal" } else { "they are not asked the same" }
        );
        return found(if sticky { Advice::Continue } else { Advice::Hold }, why);
    }
    let rest = match inputs.not_compared {
        0 => String::new(),
        n => format!(", {n} in different bins are not compared"),
    };
    found(Advice::Continue, format!("{} columns are the same for both{rest}{score}", inputs.columns.len()))
}
