//! Drift against something else than the training data: the same hours of earlier weeks, for what goes by the week; another
//! version in the same window, which also tells whether the callers are split fairly; and labels against earlier labels.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::judge::{ColumnDrift, Compared, judge};
use super::report::{DriftReport, VersionDrift, told};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::capability::datasets::profile::{CategoryBins, Counts, Reference};
use crate::capability::monitoring::counters::{ANOTHER, Arm, Cell, Counters, OTHERS, Tally, unpaired};
use crate::capability::monitoring::quality::{Asked, Window};

/// Weeks that a season is made of.
const WEEKS: u32 = 4;
const WEEK: Duration = Duration::from_hours(7 * 24);
/// Labels that have to be there on either side.
const LABELS_MIN: u64 = 100;
/// The column of labels.
const LABEL: &str = "(label)";

/// What a window is held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Against {
    /// The same hours of the four weeks before.
    Season,
    /// Another version in the same window.
    Version(String),
}

impl Against {
    /// `season`, or a version.
    pub fn named(text: &str) -> Self {
        if text == "season" { Self::Season } else { Self::Version(text.to_owned()) }
    }
}

/// # Errors
/// `NotFound` for a service or version of which nothing ever came, `Invalid` for an empty window or a version against itself.
pub async fn against(
    counters: &Counters,
    service: &str,
    asked: &Asked,
    what: &Against,
    now: Timestamp,
) -> Result<DriftReport> {
    let window = asked.bounds(now)?;
    let arms = counters.arms(service)?;
    let missing = |version: &str| {
        Fault::not_found(format!("no prediction of {service} version {version} ever came"))
            .next(format!("see `opsroom drift {service}`"))
    };
    let other = match what {
        Against::Season => None,
        Against::Version(v) => Some(arms.iter().find(|(_, a)| a.version == *v).ok_or_else(|| missing(v))?),
    };
    let wanted = |arm: &Arm| {
        asked.version.as_ref().is_none_or(|v| *v == arm.version) && other.is_none_or(|(_, o)| o.version != arm.version)
    };
    let mut versions = Vec::new();
    for (number, arm) in arms.iter().filter(|(_, arm)| wanted(arm)) {
        let counted = counters.counted(*number, window.from, window.to, Some("")).await?;
        let cell = counted.all();
        if cell.tally.n == 0 && asked.version.is_none() {
            continue;
        }
        let (source, before) = match other {
            Some((n, o)) => {
                let its = counters.counted(*n, window.from, window.to, Some("")).await?.all();
                (format!("version {} in the same window", o.version), of_version(arm, o, &its))
            }
            None => {
                (format!("the same hours of {WEEKS} weeks before"), season(counters, *number, window).await?.columns)
            }
        };
        versions.push(compared(arm, &cell, &before, &source, Window { from: counted.from, to: counted.to }));
    }
    if versions.is_empty() && other.is_some() {
        return Err(Fault::invalid("there is no other version to hold against it").next("name another --version"));
    }
    Ok(DriftReport { service: service.to_owned(), window, versions })
}

async fn season(counters: &Counters, number: u32, window: Window) -> Result<Cell> {
    let mut sum = Cell::default();
    for k in 1..=WEEKS {
        let (from, to) = (window.from.minus(WEEK * k), window.to.minus(WEEK * k));
        sum.merge(&counters.counted(number, from, to, Some("")).await?.all());
    }
    Ok(sum)
}

/// The other version's counts, where both count in the same bins, in the order of this one's columns.
fn of_version(arm: &Arm, other: &Arm, its: &Cell) -> Vec<Counts> {
    let same = |name: &str, reference: &Reference| {
        let place = other.columns.iter().position(|c| c.name == name && c.reference == *reference)?;
        its.columns.get(place).cloned()
    };
    arm.columns.iter().map(|c| same(&c.name, &c.reference).unwrap_or_default()).collect()
}

fn compared(arm: &Arm, cell: &Cell, before: &[Counts], source: &str, counted: Window) -> VersionDrift {
    let all: Vec<Compared<'_>> = arm
        .columns
        .iter()
        .zip(&cell.columns)
        .zip(before)
        .filter(|((c, now), before)| c.sent && now.n > 0 && before.n > 0)
        .map(|((c, now), before)| Compared { name: &c.name, source, reference: &c.reference, before, now })
        .collect();
    told(arm, judge(&all), source.to_owned(), cell.tally.n, counted)
}

/// Whether the truth itself has moved: labels of a window against those of the time before it.
pub fn labels(before: &Tally, now: &Tally) -> Option<ColumnDrift> {
    let (was, is) = (truths(before), truths(now));
    let classes: BTreeSet<&str> = was.keys().chain(is.keys()).copied().collect();
    let reference = Reference::Categories(CategoryBins {
        top: classes.iter().map(|c| (*c).into()).collect(),
        ..CategoryBins::default()
    });
    let counts = |of: &BTreeMap<&str, u64>| {
        let bins: Vec<u64> = classes.iter().map(|c| of.get(c).copied().unwrap_or(0)).collect();
        Counts { n: bins.iter().sum(), bins, ..Counts::default() }
    };
    let (was, is) = (counts(&was), counts(&is));
    if was.n < LABELS_MIN || is.n < LABELS_MIN {
        return None;
    }
    let source = "labels of 30 days before";
    judge(&[Compared { name: LABEL, source, reference: &reference, before: &was, now: &is }]).pop()
}

/// How often each class turned out to be true.
fn truths(tally: &Tally) -> BTreeMap<&str, u64> {
    let mut found: BTreeMap<&str, u64> = BTreeMap::new();
    for (pair, n) in &tally.confusion {
        // Classes without a name are one, whatever was said of them.
        let truth = Some(unpaired(pair).1).filter(|class| *class != ANOTHER).unwrap_or(OTHERS);
        *found.entry(truth).or_default() += u64::try_from(*n).unwrap_or(0);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::monitoring::counters::ArmColumn;

    fn tally(negative: i64, positive: i64) -> Tally {
        let pair = |truth: &str| format!("0\u{1f}{truth}");
        Tally { confusion: BTreeMap::from([(pair("0"), negative), (pair("1"), positive)]), ..Tally::default() }
    }

    #[test]
    fn labels_that_move_are_named_apart_from_inputs() {
        assert!(!labels(&tally(7800, 2200), &tally(775, 225)).unwrap().alarm);
        let moved = labels(&tally(7800, 2200), &tally(500, 500)).unwrap();
        assert!(moved.alarm && moved.name == LABEL, "{moved:?}");
        assert_eq!(labels(&tally(7800, 2200), &tally(5, 5)), None);
    }

    #[test]
    fn versions_are_compared_in_the_same_bins_only() {
        let bins = |names: &[&str]| {
            let top = names.iter().map(|n| (*n).into()).collect();
            Reference::Categories(CategoryBins { top, ..CategoryBins::default() })
        };
        let arm = |reference: Reference| {
            let empty = reference.empty();
            let mut column = ArmColumn::new("country".into(), "d@1".into(), reference, empty);
            column.sent = true;
            Arm::new("s", "1", None, Some(vec![column]))
        };
        let counts = |a, b| Counts { n: a + b, bins: vec![a, b], ..Counts::default() };
        let cell = |c: Counts| Cell { tally: Tally::default(), columns: vec![c] };
        let (one, other) = (arm(bins(&["a", "b"])), arm(bins(&["a", "b"])));
        let window = Window { from: Timestamp(0), to: Timestamp(60_000_000) };
        let judged = |other: &Arm, its: Counts| {
            let before = of_version(&one, other, &cell(its));
            compared(&one, &cell(counts(5000, 5000)), &before, "v2", window)
        };
        assert_eq!(judged(&other, counts(4950, 5050)).alarms, 0);
        assert_eq!(judged(&other, counts(9000, 1000)).alarms, 1);
        assert!(judged(&arm(bins(&["b", "a"])), counts(9000, 1000)).columns.is_empty());
    }
}
