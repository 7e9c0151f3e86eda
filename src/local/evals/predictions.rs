//! Reading what a predictor wrote: CSV with a heading, a value a line, JSON, or Parquet; every row complete, or a clear error.

use std::path::Path;

use serde_json::Value;

use super::data::class_of;
use crate::base::{Fault, fault::Result};
use crate::capability::evals::{Predicted, Suite, Task, Truth};
use crate::local::table;

/// How a Parquet file begins.
const PARQUET: &[u8] = b"PAR1";

/// One row as it was written.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Row {
    pub prediction: Option<String>,
    /// Probability of the positive class.
    pub score: Option<f64>,
    /// Probabilities by class name, or in the classes' order when unnamed.
    pub proba: Vec<(Option<String>, f64)>,
    pub latency_ms: Option<f64>,
}

/// # Errors
/// `Invalid` when there is no file, when it cannot be read, or has another number of rows.
pub(super) fn read(path: &Path, rows: usize) -> Result<Vec<Row>> {
    let bytes = std::fs::read(path).map_err(|e| {
        Fault::invalid("the command wrote no predictions").why(e.to_string()).next("write them to {out}, or print them")
    })?;
    if bytes.starts_with(PARQUET) {
        return counted(from_parquet(path)?, rows);
    }
    let text = String::from_utf8(bytes).map_err(|e| {
        Fault::invalid("the predictions cannot be read").why(e.to_string()).next("write CSV, JSON or Parquet")
    })?;
    let found = match text.trim_start().chars().next() {
        Some('[' | '{') => {
            from_json(&serde_json::from_slice(text.as_bytes()).map_err(|e| garbage(&text, &e.to_string()))?)?
        }
        Some(_) => from_csv(&text, rows)?,
        None => return Err(Fault::invalid("the predictions are empty").next("write one a row, in the data's order")),
    };
    let begin: String = text.chars().take(80).collect();
    counted(found, rows).map_err(|fault| fault.why(format!("it begins with {begin:?}")))
}

/// # Errors
/// `Invalid` unless there are as many as rows.
pub(super) fn counted(found: Vec<Row>, rows: usize) -> Result<Vec<Row>> {
    if found.len() == rows {
        return Ok(found);
    }
    Err(Fault::invalid(format!("{} predictions for {rows} rows", found.len()))
        .next("predict every row, in the data's order"))
}

fn garbage(text: &str, why: &str) -> Fault {
    let shown: String = text.chars().take(120).collect();
    Fault::invalid("the predictions cannot be read").why(format!("{why}; it begins with {shown:?}"))
}

/// A list of values, of lists (a probability a class) or of objects; bare, or under "predictions".
pub(super) fn from_json(value: &Value) -> Result<Vec<Row>> {
    let list = match value {
        Value::Object(fields) => fields.get("predictions").or_else(|| fields.get("outputs")).unwrap_or(value),
        other => other,
    };
    let items = list.as_array().ok_or_else(|| garbage(&value.to_string(), "a list of predictions was expected"))?;
    let row = |(i, item): (usize, &Value)| match item {
        Value::Array(all) if all.len() == 1 => one(i, &all[0]),
        Value::Array(all) => {
            let proba = all.iter().map(|p| Ok((None, number(i, p)?))).collect::<Result<Vec<_>>>()?;
            Ok(Row { proba, ..Row::default() })
        }
        Value::Object(fields) => {
            let mut row = Row::default();
            for (key, value) in fields {
                let text = text_of(value);
                set(&mut row, i, key, &text)?;
            }
            Ok(row)
        }
        single => one(i, single),
    };
    items.iter().enumerate().map(row).collect()
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn one(i: usize, value: &Value) -> Result<Row> {
    let text = text_of(value);
    if text.is_empty() { Err(missing(i)) } else { Ok(Row { prediction: Some(text), ..Row::default() }) }
}

fn number(i: usize, value: &Value) -> Result<f64> {
    value.as_f64().ok_or_else(|| not_a_number(i, &value.to_string()))
}

fn missing(i: usize) -> Fault {
    Fault::invalid(format!("row {} has no prediction", i + 1)).next("predict every row")
}

fn not_a_number(i: usize, text: &str) -> Fault {
    Fault::invalid(format!("row {}: {text:?} is no number", i + 1)).next("predict a finite number for every row")
}

fn from_parquet(path: &Path) -> Result<Vec<Row>> {
    let columns = table::parquet_columns(path)?;
    let mut found = vec![Row::default(); columns.first().map_or(0, |(_, cells)| cells.len())];
    for (name, cells) in &columns {
        let name = if columns.len() == 1 && !known(name) { "prediction" } else { name };
        for (i, cell) in cells.iter().enumerate() {
            set(&mut found[i], i, name, cell)?;
        }
    }
    Ok(found)
}

fn from_csv(text: &str, rows: usize) -> Result<Vec<Row>> {
    // A known heading is one, also when a row is missing beneath it.
    let headed = text.lines().next().is_some_and(|l| known(l.trim()));
    let headless = !headed && text.lines().filter(|l| !l.trim().is_empty()).count() == rows && !text.contains(',');
    let mut reader = csv::ReaderBuilder::new().has_headers(!headless).trim(csv::Trim::All).from_reader(text.as_bytes());
    let heads = if headless {
        vec!["prediction".to_owned()]
    } else {
        reader.headers().map_err(|e| garbage(text, &e.to_string()))?.iter().map(ToOwned::to_owned).collect()
    };
    let alone = heads.len() == 1;
    let mut found = Vec::new();
    for (i, record) in reader.records().enumerate() {
        let record = record.map_err(|e| garbage(text, &e.to_string()))?;
        let mut row = Row::default();
        for (head, cell) in heads.iter().zip(record.iter()) {
            set(&mut row, i, if alone && !known(head) { "prediction" } else { head }, cell)?;
        }
        found.push(row);
    }
    Ok(found)
}

fn known(head: &str) -> bool {
    matches!(head, "prediction" | "score" | "probability" | "latency_ms") || head.starts_with("p_")
}

fn set(row: &mut Row, i: usize, key: &str, text: &str) -> Result<()> {
    let finite = || text.parse::<f64>().ok().filter(|v| v.is_finite()).ok_or_else(|| not_a_number(i, text));
    match key {
        "prediction" if text.is_empty() => return Err(missing(i)),
        "prediction" => row.prediction = Some(text.to_owned()),
        "score" | "probability" if text.is_empty() => return Err(missing(i)),
        "score" | "probability" => row.score = Some(finite()?),
        "latency_ms" => row.latency_ms = finite().ok(),
        key => {
            // p_CLASS is a probability; other columns are the predictor's own affair.
            if let Some(class) = key.strip_prefix("p_") {
                row.proba.push((Some(class.to_owned()), finite()?));
            }
        }
    }
    Ok(())
}

/// What the rows say, for the suite's task.
///
/// # Errors
/// `Invalid` with the row that says nothing usable.
pub(super) fn predicted(rows: &[Row], truth: &Truth, suite: &Suite) -> Result<Predicted> {
    match suite.task {
        Task::Regression => {
            let number = |(i, row): (usize, &Row)| {
                let text = row.prediction.as_deref().ok_or_else(|| missing(i))?;
                text.parse::<f64>().ok().filter(|v| v.is_finite()).ok_or_else(|| not_a_number(i, text))
            };
            let values = rows.iter().enumerate().map(number).collect::<Result<Vec<_>>>()?;
            Ok(Predicted { values, scores: Vec::new() })
        }
        Task::Binary => of_two(rows, truth, suite),
        Task::Multiclass => of_many(rows, truth),
    }
}

fn of_two(rows: &[Row], truth: &Truth, suite: &Suite) -> Result<Predicted> {
    let class = |text: &str| class_of(&truth.classes, text);
    // What names no class and lies between 0 and 1 throughout is a probability.
    let decided = rows.iter().all(|r| r.prediction.as_deref().is_none_or(|p| class(p).is_some()));
    let (mut values, mut scores) = (Vec::new(), Vec::new());
    for (i, row) in rows.iter().enumerate() {
        let given = row.score.or_else(|| of_class(&row.proba, &truth.classes, 1));
        let score = match (given, &row.prediction) {
            (Some(score), _) => Some(score),
            (None, Some(text)) if !decided => {
                Some(text.parse::<f64>().ok().filter(|v| v.is_finite()).ok_or_else(|| not_a_class(i, text, truth))?)
            }
            (None, _) => None,
        };
        if let Some(score) = score.filter(|s| !(0.0..=1.0).contains(s)) {
            return Err(Fault::invalid(format!("row {}: a probability lies between 0 and 1, not at {score}", i + 1)));
        }
        scores.extend(score);
        let decision = row.prediction.as_deref().filter(|_| decided).and_then(class);
        values.push(match (decision, score) {
            (Some(class), _) => class as f64,
            (None, Some(score)) => f64::from(score >= suite.threshold),
            (None, None) => return Err(missing(i)),
        });
    }
    if !scores.is_empty() && scores.len() != rows.len() {
        return Err(Fault::invalid(format!("{} of {} rows have a score", scores.len(), rows.len()))
            .next("give every row one, or none"));
    }
    Ok(Predicted { values, scores })
}

fn not_a_class(i: usize, text: &str, truth: &Truth) -> Fault {
    Fault::invalid(format!("row {}: {text:?} is no class and no probability", i + 1))
        .why(format!("classes are {}", truth.classes.join(", ")))
        .next("list further classes in the suite as classes = [...]")
}

fn of_class(proba: &[(Option<String>, f64)], classes: &[String], class: usize) -> Option<f64> {
    let named = proba.iter().find(|(name, _)| name.as_deref().and_then(|n| class_of(classes, n)) == Some(class));
    let placed = proba.get(class).filter(|(name, _)| name.is_none() && proba.len() == classes.len());
    named.or(placed).map(|(_, p)| *p)
}

fn of_many(rows: &[Row], truth: &Truth) -> Result<Predicted> {
    let (mut values, mut scores) = (Vec::new(), Vec::new());
    for (i, row) in rows.iter().enumerate() {
        let proba: Option<Vec<f64>> =
            (0..truth.classes.len()).map(|c| of_class(&row.proba, &truth.classes, c)).collect();
        if proba.is_none() && !row.proba.is_empty() {
            return Err(Fault::invalid(format!("row {} has not a probability for every class", i + 1))
                .why(format!("classes are {}", truth.classes.join(", ")))
                .next("write p_CLASS columns, or a list in the classes' order"));
        }
        let class = match (&row.prediction, &proba) {
            (Some(text), _) => class_of(&truth.classes, text).ok_or_else(|| not_a_class(i, text, truth))?,
            (None, Some(proba)) => crate::base::stats::multiclass::argmax(proba),
            (None, None) => return Err(missing(i)),
        };
        if proba.iter().flatten().any(|p| !(0.0..=1.0).contains(p)) {
            return Err(Fault::invalid(format!("row {}: a probability lies between 0 and 1", i + 1)));
        }
        values.push(class as f64);
        scores.extend(proba.into_iter().flatten());
    }
    if !scores.is_empty() && scores.len() != rows.len() * truth.classes.len() {
        return Err(Fault::invalid("some rows have probabilities and some have not").next("give all of them, or none"));
    }
    Ok(Predicted { values, scores })
}

/// For a user's own metrics after an endpoint: prediction and score columns.
pub(super) fn write(path: &Path, predicted: &Predicted) -> Result<()> {
    let width = if predicted.values.is_empty() { 0 } else { predicted.scores.len() / predicted.values.len() };
    let mut text = "prediction".to_owned();
    (0..width).for_each(|i| text.push_str(&if width == 1 { ",score".to_owned() } else { format!(",p_{i}") }));
    for (i, value) in predicted.values.iter().enumerate() {
        text.push_str(&format!("\n{value}"));
        predicted.scores[i * width..(i + 1) * width].iter().for_each(|s| text.push_str(&format!(",{s}")));
    }
    text.push('\n');
    std::fs::write(path, text).map_err(|e| Fault::unavailable("cannot write the predictions").why(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite(task: &str) -> Suite {
        let text = format!(
            "[suite.s]\ndata='x'\nlabel='y'\ntask='{task}'\nmetrics=['{}']\ncommand=['p']\n",
            match task {
                "regression" => "mae",
                _ => "accuracy",
            }
        );
        let mut document = crate::capability::form::Document::parse("s", &text).unwrap();
        crate::capability::evals::parse(&mut document).unwrap().remove(0)
    }

    fn truth(task: Task, classes: &[&str], n: usize) -> Truth {
        let classes = classes.iter().map(ToString::to_string).collect();
        Truth { task, classes, labels: vec![0.0; n], slices: Vec::new() }
    }

    fn binary(text: &str, n: usize) -> Result<Predicted> {
        let file = std::env::temp_dir().join(crate::base::id::uuid7());
        std::fs::write(&file, text).unwrap();
        let rows = read(&file, n);
        std::fs::remove_file(file).unwrap();
        predicted(&rows?, &truth(Task::Binary, &["0", "1"], n), &suite("binary"))
    }

    #[test]
    fn many_forms_say_the_same() {
        let scores = Predicted { values: vec![0.0, 1.0], scores: vec![0.25, 0.75] };
        for text in [
            "score\n0.25\n0.75\n",
            "0.25\n0.75\n",
            "id,score\na,0.25\nb,0.75\n",
            "p_0,p_1\n0.75,0.25\n0.25,0.75\n",
            "[0.25, 0.75]",
            "{\"predictions\": [[0.75, 0.25], [0.25, 0.75]]}",
            "[{\"score\": 0.25}, {\"score\": 0.75}]",
            "prediction,score\n0,0.25\n1,0.75\n",
            "y_hat\n0.25\n0.75\n",
        ] {
            assert_eq!(binary(text, 2).unwrap(), scores, "{text}");
        }
        let decided = Predicted { values: vec![0.0, 1.0], scores: Vec::new() };
        for text in ["prediction\n0\n1\n", "[0, 1]", "[0.0, 1.0]", "0\n1"] {
            assert_eq!(binary(text, 2).unwrap(), decided, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_by_its_row() {
        for (text, words) in [
            ("score\n0.5\nnan\n", "row 2: \"nan\" is no number"),
            ("score\n0.5\n", "1 predictions for 2 rows"),
            ("id,score\na,0.5\nb,\n", "row 2 has no prediction"),
            ("[0.5, null]", "row 2 has no prediction"),
            ("[0.5, 1.5]", "row 2: a probability lies between 0 and 1"),
            ("segmentation fault\nsorry\n", "is no class and no probability"),
            ("{\"a\": 1}", "a list of predictions was expected"),
            ("[0.5, ", "cannot be read"),
            ("", "empty"),
        ] {
            let fault = binary(text, 2).unwrap_err();
            assert!(fault.to_string().contains(words), "{text}: {fault}");
        }
    }

    #[test]
    fn several_classes_and_numbers() {
        let classes = truth(Task::Multiclass, &["a", "b", "c"], 1);
        let rows = from_json(&serde_json::json!([[0.2, 0.5, 0.3]])).unwrap();
        let p = predicted(&rows, &classes, &suite("multiclass")).unwrap();
        assert_eq!((p.values, p.scores), (vec![1.0], vec![0.2, 0.5, 0.3]));
        let rows = from_json(&serde_json::json!(["d"])).unwrap();
        assert!(predicted(&rows, &classes, &suite("multiclass")).unwrap_err().what.contains("row 1: \"d\""));
        let rows = from_json(&serde_json::json!([1.5])).unwrap();
        let numbers = truth(Task::Regression, &[], 1);
        assert_eq!(predicted(&rows, &numbers, &suite("regression")).unwrap().values, [1.5]);
    }
}
