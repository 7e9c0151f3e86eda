//! Drift of a service's versions in one window.

use serde::{Deserialize, Serialize};

use super::judge::{ColumnDrift, Compared, judge};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::capability::monitoring::counters::{Arm, Cell, Counters, FIRST_WINDOW_ROWS, PREDICTION, SCORE};
use crate::capability::monitoring::quality::{self, Asked, Window};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriftReport {
    pub service: String,
    pub window: Window,
    pub versions: Vec<VersionDrift>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionDrift {
    pub version: String,
    pub model: Option<String>,
    /// What features are held against: `dataset@version`, `first window`, or how much of it is there.
    pub reference: String,
    pub counted: Window,
    pub n: u64,
    /// Features, the one that drifted most first.
    pub columns: Vec<ColumnDrift>,
    pub score: Option<ColumnDrift>,
    pub prediction: Option<ColumnDrift>,
    /// What turned out to be true, against the time before: the world has moved, whatever the inputs do.
    #[serde(default)]
    pub labels: Option<ColumnDrift>,
    /// Columns of the training data that no prediction ever had.
    pub not_sent: Vec<String>,
    pub alarms: u64,
}

/// # Errors
/// `NotFound` for a service or version of which nothing ever came, `Invalid` for an empty window.
pub async fn report(counters: &Counters, service: &str, asked: &Asked, now: Timestamp) -> Result<DriftReport> {
    let window = asked.bounds(now)?;
    let mut versions = Vec::new();
    let arms = counters.arms(service)?;
    let wanted = |arm: &Arm| asked.version.as_ref().is_none_or(|v| *v == arm.version);
    if !arms.iter().any(|(_, arm)| wanted(arm)) {
        let version = asked.version.as_deref().unwrap_or_default();
        return Err(Fault::not_found(format!("no prediction of {service} version {version} ever came"))
            .next(format!("see `opsroom drift {service}`")));
    }
    for (number, _) in arms.into_iter().filter(|(_, arm)| wanted(arm)) {
        let counted = counters.counted(number, window.from, window.to, Some("")).await?;
        let cell = counted.all();
        if cell.tally.n == 0 && asked.version.is_none() {
            continue;
        }
        let before = quality::before(counters, number, window.from).await?;
        let labels = super::beside::labels(&before, &cell.tally);
        let drift = of_cell(&counted.arm, &cell, Window { from: counted.from, to: counted.to });
        versions.push(VersionDrift { labels, ..drift });
    }
    Ok(DriftReport { service: service.to_owned(), window, versions })
}

/// Drift of one version from its counters.
pub fn of_cell(arm: &Arm, cell: &Cell, counted: Window) -> VersionDrift {
    told(arm, judge(&compared(arm, cell)), reference(arm), cell.tally.n, counted)
}

/// Judged columns as the report tells of them, whatever they were held against.
pub(super) fn told(
    arm: &Arm,
    mut columns: Vec<ColumnDrift>,
    reference: String,
    n: u64,
    counted: Window,
) -> VersionDrift {
    let mut take = |name: &str| columns.iter().position(|c| c.name == name).map(|i| columns.remove(i));
    let (score, prediction) = (take(SCORE), take(PREDICTION));
    columns.sort_by(|a, b| {
        let far = |c: &ColumnDrift| (c.alarm, c.psi.unwrap_or(-1.0));
        far(b).partial_cmp(&far(a)).unwrap_or(std::cmp::Ordering::Equal)
    });
    let alarms = columns.iter().chain(&score).chain(&prediction).filter(|c| c.alarm).count() as u64;
    VersionDrift {
        version: arm.version.clone(),
        model: arm.model.clone(),
        reference,
        counted,
        n,
        columns,
        score,
        prediction,
        labels: None,
        not_sent: arm.columns.iter().filter(|c| !c.sent).map(|c| c.name.clone()).collect(),
        alarms,
    }
}

/// The columns of a version that were seen, beside their references.
pub(super) fn compared<'a>(arm: &'a Arm, cell: &'a Cell) -> Vec<Compared<'a>> {
    arm.columns
        .iter()
        .zip(&cell.columns)
        .filter(|(c, now)| c.sent && now.n > 0)
        .map(|(c, now)| Compared { name: &c.name, source: &c.source, reference: &c.reference, before: &c.counts, now })
        .collect()
}

fn reference(arm: &Arm) -> String {
    let feature = arm.columns.iter().find(|c| !matches!(c.name.as_str(), SCORE | PREDICTION));
    match (arm.first_rows, feature) {
        (_, Some(column)) => column.source.clone(),
        (Some(rows), None) => format!("first window, {rows} of {FIRST_WINDOW_ROWS} rows so far"),
        (None, None) => "first window".to_owned(),
    }
}
