//! The predictor that the eval suite runs: a written model and a table in, a score a row out.

use std::fmt::Write as _;
use std::path::Path;

use super::features::{Categorical, Numeric};
use super::model::Model;
use super::months::column_name;
use crate::base::{Fault, fault::Result};

/// Scores every row of `data` with the `model.json` below `artifact` and writes `score` to `out`.
///
/// # Errors
/// `Invalid` for a model or a table that cannot be read, and for a column that the model needs and the table has not.
pub fn predict(artifact: &Path, data: &Path, out: &Path) -> Result<()> {
    let unreadable = |path: &Path, why: String| Fault::invalid(format!("cannot read {}", path.display())).why(why);
    let at = artifact.join("model.json");
    let text = std::fs::read(&at).map_err(|e| unreadable(&at, e.to_string()))?;
    let model: Model = serde_json::from_slice(&text).map_err(|e| unreadable(&at, e.to_string()))?;
    let mut table = csv::Reader::from_path(data).map_err(|e| unreadable(data, e.to_string()))?;
    let heads = table.headers().map_err(|e| unreadable(data, e.to_string()))?.clone();
    let place = |name: String| {
        let missing = || Fault::invalid(format!("{} has no column {name}", data.display()));
        heads.iter().position(|h| h == name).ok_or_else(missing)
    };
    let numbers = model.numeric.iter().map(|t| place(column_name(t.column))).collect::<Result<Vec<_>>>()?;
    let categories = model.categorical.iter().map(|t| place(column_name(t.column))).collect::<Result<Vec<_>>>()?;
    let mut scores = String::from("score\n");
    for record in table.records() {
        let record = record.map_err(|e| unreadable(data, e.to_string()))?;
        let cell = |place: usize| record.get(place).unwrap_or_default();
        let number = |c: Numeric| {
            let term = model.numeric.iter().position(|t| t.column == c)?;
            cell(numbers[term]).parse().ok()
        };
        let category = |c: Categorical| {
            let term = model.categorical.iter().position(|t| t.column == c);
            term.map_or("", |term| cell(categories[term]))
        };
        let _ = writeln!(scores, "{}", model.score_of(number, category));
    }
    std::fs::write(out, scores)
        .map_err(|e| Fault::unavailable(format!("cannot write {}", out.display())).why(e.to_string()))
}
