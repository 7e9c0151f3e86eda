//! What is on the screen as a file: the table of a pane as CSV, JSON or Markdown, its chart as SVG or PNG.
//!
//! The room only says what to write ([`Job`]); [`write()`] does it outside, never over a file that is there already.

mod data;
mod live;
mod take;
mod write;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use take::{chart, job, table};
pub use write::write;

use super::msg::{AuditWant, RunsWant};
use crate::chart::Chart;

/// In which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    Csv,
    Json,
    Markdown,
    Ndjson,
    Svg,
    Png,
}

impl Form {
    pub const TABLES: [Self; 4] = [Self::Csv, Self::Json, Self::Ndjson, Self::Markdown];
    pub const CHARTS: [Self; 2] = [Self::Svg, Self::Png];

    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Markdown => "md",
            Self::Ndjson => "ndjson",
            Self::Svg => "svg",
            Self::Png => "png",
        }
    }

    pub fn words(self) -> &'static str {
        match self {
            Self::Csv => "CSV, all digits",
            Self::Json => "JSON, one object a row",
            Self::Markdown => "Markdown, for a report",
            Self::Ndjson => "NDJSON, an object a line",
            Self::Svg => "SVG, any size",
            Self::Png => "PNG, 1920 x 1080",
        }
    }
}

/// A table with whole values: numbers as numbers, what is missing as null.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    pub heads: Vec<String>,
    pub rows: Vec<Vec<Value>>,
}

impl Grid {
    pub fn new(heads: &[&str]) -> Self {
        Self { heads: heads.iter().map(|h| (*h).to_owned()).collect(), rows: Vec::new() }
    }
}

/// What to write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum What {
    Grid(Grid),
    Chart(Chart),
    /// All runs that the list would show, not only those near the cursor.
    Runs(RunsWant),
    Audit(AuditWant),
    /// As it stands.
    Text(String),
}

/// A file to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// What it says, as the beginning of the file's name: `opsroom-compare-8-metrics`.
    pub name: String,
    pub form: Form,
    pub what: What,
}
