//! Predictions and labels from files: NDJSON and JSON as they are, CSV and Parquet by their columns.

use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::{Map, Value};

use super::table;
use crate::base::{Fault, fault::Result};

/// Lines that go to the agent at once.
const LINES_AT_ONCE: usize = 5000;

/// What stands in for columns that a file does not have.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    pub service: Option<String>,
    pub model: Option<String>,
    pub version: Option<String>,
    pub batch: Option<String>,
    /// Columns whose values are slices, too.
    pub slices: Vec<String>,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    Predictions,
    Labels,
}

/// Shows a file in parts of NDJSON, each with the number of events before it.
///
/// # Errors
/// `Invalid` naming the file.
pub fn parts(path: &Path, holds: Holds, defaults: &Defaults) -> Result<Vec<Vec<u8>>> {
    let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    let rows = if table::is_parquet(path) {
        from_parquet(path)?
    } else if name.ends_with(".csv") {
        from_csv(path)?
    } else {
        return from_json(path, holds, defaults);
    };
    let lines = rows.into_iter().map(|row| match holds {
        Holds::Predictions => Value::Object(prediction(row, defaults)),
        Holds::Labels => Value::Object(label(row)),
    });
    packed(lines)
}

fn unreadable(path: &Path, why: &impl ToString) -> Fault {
    Fault::invalid(format!("{} cannot be read", path.display()))
        .why(why.to_string())
        .next("give CSV, Parquet or NDJSON")
}

fn packed(lines: impl Iterator<Item = Value>) -> Result<Vec<Vec<u8>>> {
    let mut parts = vec![Vec::new()];
    for (i, line) in lines.enumerate() {
        if i > 0 && i % LINES_AT_ONCE == 0 {
            parts.push(Vec::new());
        }
        if let Some(part) = parts.last_mut() {
            serde_json::to_writer(&mut *part, &line).map_err(|e| Fault::bug("event").why(e.to_string()))?;
            part.push(b'\n');
        }
    }
    Ok(parts)
}

fn from_json(path: &Path, holds: Holds, defaults: &Defaults) -> Result<Vec<Vec<u8>>> {
    let file = std::fs::File::open(path).map_err(|e| unreadable(path, &e))?;
    let mut values = Vec::new();
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|e| unreadable(path, &e))?;
        if line.trim().is_empty() {
            continue;
        }
        let value: Value = serde_json::from_slice(line.as_bytes())
            .map_err(|e| unreadable(path, &format!("line {}: {e}", number + 1)))?;
        match value {
            Value::Array(all) => values.extend(all),
            one => values.push(one),
        }
    }
    if holds == Holds::Predictions {
        for value in values.iter_mut().filter_map(Value::as_object_mut) {
            fill(value, defaults);
        }
    }
    packed(values.into_iter())
}

type Row = Vec<(String, String)>;

fn from_csv(path: &Path) -> Result<Vec<Row>> {
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(|e| unreadable(path, &e))?;
    let heads: Vec<String> = reader
        .headers()
        .map_err(|e| unreadable(path, &e))?
        .iter()
        .map(|h| h.trim_start_matches('\u{feff}').to_owned())
        .collect();
    let row = |record: csv::Result<csv::StringRecord>| {
        let record = record.map_err(|e| unreadable(path, &e))?;
        Ok(heads.iter().cloned().zip(record.iter().map(ToOwned::to_owned)).collect())
    };
    reader.records().map(row).collect()
}

fn from_parquet(path: &Path) -> Result<Vec<Row>> {
    let columns = table::parquet_columns(path)?;
    let rows = columns.first().map_or(0, |(_, cells)| cells.len());
    let mut all: Vec<Row> = vec![Vec::with_capacity(columns.len()); rows];
    for (name, cells) in columns {
        all.iter_mut().zip(cells).for_each(|(row, cell)| row.push((name.clone(), cell)));
    }
    Ok(all)
}

/// A cell: a number where it is one.
fn value(cell: &str) -> Value {
    match cell {
        "" => Value::Null,
        "true" | "True" => Value::Bool(true),
        "false" | "False" => Value::Bool(false),
        text => text
            .parse::<i64>()
            .map(Value::from)
            .or_else(|_| {
                text.parse::<f64>()
                    .map_err(drop)
                    .and_then(|x| serde_json::Number::from_f64(x).map(Value::Number).ok_or(()))
            })
            .unwrap_or_else(|()| Value::from(text)),
    }
}

/// Columns with a meaning of their own are fields; `slice.NAME` is a slice; all others are features, kept as text so that
/// a code such as 007 stays one.
fn prediction(row: Row, defaults: &Defaults) -> Map<String, Value> {
    let (mut event, mut features, mut slices) = (Map::new(), Map::new(), Map::new());
    for (name, cell) in row {
        if defaults.slices.contains(&name) && !cell.is_empty() {
            slices.insert(name.clone(), Value::from(cell.as_str()));
        }
        match name.as_str() {
            "id" | "service" | "model" | "version" | "time" | "error" | "batch" if !cell.is_empty() => {
                event.insert(name, Value::from(cell));
            }
            "id" | "service" | "model" | "version" | "time" | "error" | "batch" => {}
            "prediction" | "score" | "latency_ms" => {
                event.insert(name, value(&cell));
            }
            other => match other.strip_prefix("slice.") {
                Some(slice) if !cell.is_empty() => drop(slices.insert(slice.to_owned(), Value::from(cell))),
                Some(_) => {}
                None => drop(features.insert(name, if cell.is_empty() { Value::Null } else { Value::from(cell) })),
            },
        }
    }
    event.insert("features".to_owned(), Value::Object(features));
    event.insert("slices".to_owned(), Value::Object(slices));
    fill(&mut event, defaults);
    event
}

fn fill(event: &mut Map<String, Value>, defaults: &Defaults) {
    let known = [
        ("service", &defaults.service),
        ("model", &defaults.model),
        ("version", &defaults.version),
        ("batch", &defaults.batch),
    ];
    for (name, given) in known {
        if let Some(given) = given {
            event.entry(name).or_insert_with(|| Value::from(given.as_str()));
        }
    }
}

fn label(row: Row) -> Map<String, Value> {
    let field = |(name, cell): (String, String)| match name.as_str() {
        "label" => Some((name, value(&cell))),
        "id" | "time" if !cell.is_empty() => Some((name, Value::from(cell))),
        _ => None,
    };
    row.into_iter().filter_map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_csv_becomes_events() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.csv");
        std::fs::write(&path, "id,prediction,score,carrier,slice.origin,distance\n7,1,0.75,007,JFK,\n").unwrap();
        let defaults = Defaults { service: Some("s".into()), slices: vec!["carrier".into()], ..Defaults::default() };
        let parts = parts(&path, Holds::Predictions, &defaults).unwrap();
        let event: Value = serde_json::from_slice(&parts[0]).unwrap();
        let want = serde_json::json!({
            "id": "7", "service": "s", "prediction": 1, "score": 0.75,
            "features": {"carrier": "007", "distance": null}, "slices": {"carrier": "007", "origin": "JFK"},
        });
        assert_eq!(event, want);
    }
}
