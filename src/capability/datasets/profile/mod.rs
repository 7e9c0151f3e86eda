//! The training profile of a table: what drift is measured against.
//!
//! A column has a *reference* (bins fixed once: inner edges at the quantiles of the training data, or the most frequent
//! categories) and *counts* in these bins. Counts are integers, sums are fixed-point integers, so they add up exactly
//! and in any order: over files, minutes, machines and restarts, and a figure can be recomputed bit for bit.

mod build;
mod compare;
mod counts;
mod distinct;
mod grid;
#[cfg(test)]
mod tests;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

pub use build::{CategoryTally, NumberTally, VALUES_KEPT_MAX};
pub use compare::{ColumnChange, TableChange, compare, psi};
pub use counts::{Counts, Slot};
pub use distinct::{Distinct, hash};
pub use grid::Grid;

/// Bins that a reference aims at; point masses add some.
pub const BINS: usize = 64;
/// Categories that a reference keeps by name.
pub const CATEGORIES_MAX: usize = 500;

/// The profile of a version: a table for every schema among its files.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Profile {
    /// Of this form of profile.
    pub profile: u32,
    pub tables: Vec<TableProfile>,
}

pub const FORM: u32 = 1;

impl Profile {
    pub fn new(tables: Vec<TableProfile>) -> Self {
        Self { profile: FORM, tables }
    }
}

/// One table: all files of one schema.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TableProfile {
    /// Its files, by path.
    pub files: Vec<String>,
    pub rows: u64,
    pub columns: Vec<Column>,
    /// The dataset's version whose bins `Column::baseline` counts in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<u32>,
}

impl TableProfile {
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Integer,
    Number,
    Boolean,
    Text,
    /// Microseconds since 1970 as a number.
    Time,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Text => "text",
            Self::Time => "time",
        }
    }

    pub fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Number | Self::Time)
    }
}

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    pub reference: Reference,
    /// In its own bins.
    pub counts: Counts,
    /// In the bins of the dataset's first version, so that versions can be compared exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Counts>,
}

/// Bins fixed by the training data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reference {
    Numbers(NumberBins),
    Categories(CategoryBins),
}

/// Bins of numbers: bin `j` holds `edges[j-1] < x <= edges[j]`, the last one what is above all edges.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct NumberBins {
    /// Inner edges, rising. A point mass has one edge at its value and one just below.
    pub edges: Vec<f64>,
    /// A value `x` is summed as the integer nearest to `(x - center) * 2^scale`.
    pub center: f64,
    pub scale: i32,
    /// Whether the edges come from every value; else from every n-th.
    pub every: u64,
}

/// Categories by falling frequency, then by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CategoryBins {
    /// Mostly short, and kept for hundreds of versions.
    pub top: Vec<CompactString>,
    /// Hashes of the further categories that the reference saw, sorted: what is in neither list is new.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<u64>,
    /// Further categories beyond what is kept: then what is not known counts as other, not as new.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
}
