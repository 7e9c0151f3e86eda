//! What changed between two tables: columns, rows, and the distribution of every column that both have.

use serde::{Deserialize, Serialize};

use super::{Column, Counts, Kind, TableProfile};
use crate::base::stats::bins::psi_limit;

/// How a table changed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TableChange {
    /// Its first file.
    pub path: String,
    pub rows: (u64, u64),
    pub added: Vec<String>,
    pub removed: Vec<String>,
    /// Columns of both, in order.
    pub columns: Vec<ColumnChange>,
}

/// How a column changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnChange {
    pub name: String,
    pub kinds: (Kind, Kind),
    /// Shares of missing values.
    pub missing: (f64, f64),
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub means: Option<(f64, f64)>,
    /// Population stability index over the bins of the dataset's first version, with a bin for missing values;
    /// `None` when the two were not counted in the same bins.
    pub psi: Option<f64>,
    /// What the index stays under, 99 times of 100, between two samples of these sizes out of one distribution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// Values of categories that the reference never saw.
    pub new: (u64, u64),
}

/// Compares two tables of a dataset. `first` says whether `from` is the version whose bins are the baseline.
pub fn compare(from: &TableProfile, from_version: u32, to: &TableProfile, to_version: u32) -> TableChange {
    let names = |t: &TableProfile| t.columns.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
    let (before, after) = (names(from), names(to));
    let columns = from.columns.iter().filter_map(|a| Some((a, to.column(&a.name)?)));
    TableChange {
        path: to.files.first().cloned().unwrap_or_default(),
        rows: (from.rows, to.rows),
        added: after.iter().filter(|n| !before.contains(n)).cloned().collect(),
        removed: before.iter().filter(|n| !after.contains(n)).cloned().collect(),
        columns: columns
            .map(|(a, b)| column(a, in_bins_of(from, from_version, a), b, in_bins_of(to, to_version, b)))
            .collect(),
    }
}

/// Counts with the version whose bins they are in.
fn in_bins_of<'a>(table: &TableProfile, version: u32, column: &'a Column) -> (u32, &'a Counts) {
    match (&column.baseline, table.baseline) {
        (Some(counts), Some(baseline)) => (baseline, counts),
        _ => (version, &column.counts),
    }
}

fn column(a: &Column, (bins_a, in_a): (u32, &Counts), b: &Column, (bins_b, in_b): (u32, &Counts)) -> ColumnChange {
    let share = |c: &Counts| if c.n == 0 { 0.0 } else { c.missing as f64 / c.n as f64 };
    let mean = |c: &Column| match &c.reference {
        super::Reference::Numbers(bins) => c.counts.mean(bins),
        super::Reference::Categories(_) => None,
    };
    let comparable = bins_a == bins_b && in_a.bins.len() == in_b.bins.len();
    ColumnChange {
        name: a.name.clone(),
        kinds: (a.kind, b.kind),
        missing: (share(&a.counts), share(&b.counts)),
        means: mean(a).zip(mean(b)),
        psi: comparable.then(|| psi(in_a, in_b)),
        limit: comparable.then(|| limit(in_a, in_b)),
        new: (in_a.new, in_b.new),
    }
}

/// Population stability index of two counts in the same bins: the sum of (p - q) ln(p / q) over bins, missing,
/// infinities, other and new. Half a value is added to every bin that either has (Jeffreys), so that an empty one
/// gives a finite figure that shrinks with the number of rows.
pub fn psi(p: &Counts, q: &Counts) -> f64 {
    let pairs = pairs(p, q);
    let half = pairs.len() as f64 / 2.0;
    let totals = pairs.iter().fold((half, half), |(a, b), (x, y)| (a + *x as f64, b + *y as f64));
    let term = |(x, y): &(u64, u64)| {
        let (p, q) = ((*x as f64 + 0.5) / totals.0, (*y as f64 + 0.5) / totals.1);
        (p - q) * (p / q).ln()
    };
    pairs.iter().map(term).sum()
}

/// Counts of both in every bin that either has.
fn pairs(p: &Counts, q: &Counts) -> Vec<(u64, u64)> {
    let cells = |c: &Counts| {
        let beside = [c.missing, c.infinite_low, c.infinite_high, c.other, c.new];
        c.bins.iter().copied().chain(beside).collect::<Vec<u64>>()
    };
    cells(p).into_iter().zip(cells(q)).filter(|(a, b)| a + b > 0).collect()
}

/// The index of two samples out of one distribution is a chi-squared variable of one degree of freedom less than bins,
/// times `1/n + 1/m`; this is its 99 % point.
fn limit(p: &Counts, q: &Counts) -> f64 {
    let bins = pairs(p, q).len();
    if bins < 2 || p.n == 0 || q.n == 0 { 0.0 } else { psi_limit(p.n, q.n, bins, 0.99) }
}
