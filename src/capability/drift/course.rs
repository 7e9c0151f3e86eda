//! Drift over time, and one column before and now: what a heat map and a comparison of bars are made of.

use serde::{Deserialize, Serialize};

use super::judge::{ColumnDrift, judge};
use super::report::compared;
use crate::base::{Fault, Timestamp, fault::Result};
use crate::capability::datasets::profile::{Counts, Reference};
use crate::capability::monitoring::counters::{Arm, ArmColumn, Counters, Stretch};
use crate::capability::monitoring::quality::{Asked, Window};

/// Above this a shift in one stretch of time is taken for chance, and shows as none.
const CHANCE_P: f64 = 0.01;
/// Bars of one column.
const BARS_MAX: usize = 10;

/// PSI of a column, stretch by stretch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Course {
    pub name: String,
    /// `None`: too few rows to say; 0: no more than chance gives.
    pub psi: Vec<Option<f64>>,
    pub missing: Vec<Option<f64>>,
}

/// The course of every column that was sent; the columns in the order of the reference.
pub fn course(arm: &Arm, stretches: &[Stretch]) -> Vec<Course> {
    let names = arm.columns.iter().filter(|c| c.sent).map(|c| c.name.clone());
    let mut all: Vec<Course> = names.map(|name| Course { name, psi: Vec::new(), missing: Vec::new() }).collect();
    for stretch in stretches {
        let judged = stretch.all().map_or_else(Vec::new, |cell| judge(&compared(arm, cell)));
        for course in &mut all {
            let column = judged.iter().find(|c| c.name == course.name);
            course.psi.push(column.and_then(beyond_chance));
            course.missing.push(column.filter(|c| c.n > 0).map(|c| c.missing));
        }
    }
    all
}

fn beyond_chance(column: &ColumnDrift) -> Option<f64> {
    let psi = column.psi?;
    Some(if column.p.is_some_and(|p| p <= CHANCE_P) { psi } else { 0.0 })
}

/// One column in the training data and in a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    pub service: String,
    pub version: String,
    pub name: String,
    /// `dataset@version`, or `first window`.
    pub reference: String,
    pub window: Window,
    pub n_reference: u64,
    pub n: u64,
    pub mean_reference: Option<f64>,
    pub mean: Option<f64>,
    pub bars: Vec<Bar>,
}

/// Shares of all values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bar {
    pub label: String,
    pub reference: f64,
    pub now: f64,
}

/// # Errors
/// `NotFound` for a version or column of which nothing ever came.
pub async fn feature(counters: &Counters, service: &str, name: &str, asked: &Asked, now: Timestamp) -> Result<Feature> {
    let window = asked.bounds(now)?;
    let arms = counters.arms(service)?;
    let wanted = |arm: &Arm| asked.version.as_ref().is_none_or(|v| *v == arm.version);
    let missing = || {
        Fault::not_found(format!("no column {name} of {service} ever came"))
            .next(format!("see `opsroom drift {service}`"))
    };
    let (number, _) = arms
        .iter()
        .filter(|(_, arm)| wanted(arm) && arm.columns.iter().any(|c| c.name == name))
        .max_by_key(|(_, arm)| arm.last)
        .ok_or_else(missing)?;
    let counted = counters.counted(*number, window.from, window.to, Some("")).await?;
    let place = counted.arm.columns.iter().position(|c| c.name == name).ok_or_else(missing)?;
    let column = &counted.arm.columns[place];
    let cell = counted.all();
    let empty = column.reference.empty();
    let seen = cell.columns.get(place).filter(|c| c.n > 0).unwrap_or(&empty);
    let mean = |counts: &Counts| match &column.reference {
        Reference::Numbers(bins) => counts.mean(bins),
        Reference::Categories(_) => None,
    };
    Ok(Feature {
        service: service.to_owned(),
        version: counted.arm.version.clone(),
        name: name.to_owned(),
        reference: column.source.clone(),
        window,
        n_reference: column.counts.n,
        n: seen.n,
        mean_reference: mean(&column.counts),
        mean: mean(seen),
        bars: bars(column, seen),
    })
}

fn bars(column: &ArmColumn, now: &Counts) -> Vec<Bar> {
    let before = &column.counts;
    let share = |part: u64, of: &Counts| if of.n == 0 { 0.0 } else { part as f64 / of.n as f64 };
    let bar = |label: String, a: u64, b: u64| Bar { label, reference: share(a, before), now: share(b, now) };
    let mut bars = match &column.reference {
        Reference::Numbers(bins) => numbers(&bins.edges, before, now, &bar),
        Reference::Categories(bins) => {
            let mut all: Vec<Bar> =
                bins.top.iter().enumerate().map(|(i, c)| bar(c.to_string(), at(before, i), at(now, i))).collect();
            all.sort_by(|a, b| b.reference.max(b.now).total_cmp(&a.reference.max(a.now)));
            let rest = all.split_off(all.len().min(BARS_MAX - 2));
            let sum = |of: fn(&Bar) -> f64| rest.iter().map(of).sum::<f64>();
            let others = Bar {
                label: "(others)".to_owned(),
                reference: sum(|b| b.reference) + share(before.other, before),
                now: sum(|b| b.now) + share(now.other, now),
            };
            all.extend((others.reference + others.now > 0.0).then_some(others));
            all
        }
    };
    bars.extend((before.new + now.new > 0).then(|| bar("(new)".to_owned(), before.new, now.new)));
    bars.extend((before.missing + now.missing > 0).then(|| bar("(missing)".to_owned(), before.missing, now.missing)));
    bars
}

fn at(counts: &Counts, bin: usize) -> u64 {
    counts.bins.get(bin).copied().unwrap_or(0)
}

/// Bins put together so that each holds about the same share of the reference.
fn numbers(edges: &[f64], before: &Counts, now: &Counts, bar: &dyn Fn(String, u64, u64) -> Bar) -> Vec<Bar> {
    let bins = edges.len() + 1;
    let total: u64 = (0..bins).map(|i| at(before, i)).sum();
    let groups = (BARS_MAX - 2) as u64;
    let (mut bars, mut open, mut gone, mut low) = (Vec::new(), (0, 0), 0, None);
    for i in 0..bins {
        let (a, b) = (at(before, i), at(now, i));
        open = (open.0 + a, open.1 + b);
        gone += a;
        let due = gone * groups >= total * (bars.len() as u64 + 1);
        if due || i + 1 == bins {
            let high = edges.get(i).copied();
            bars.push(bar(between(low, high), open.0, open.1));
            (open, low) = ((0, 0), high);
        }
    }
    if let (Some(first), Some(last)) = (bars.first_mut(), (now.infinite_low > 0).then_some(now.infinite_low)) {
        first.now += last as f64 / now.n.max(1) as f64;
    }
    if let (Some(end), Some(last)) = (bars.last_mut(), (now.infinite_high > 0).then_some(now.infinite_high)) {
        end.now += last as f64 / now.n.max(1) as f64;
    }
    bars
}

fn between(low: Option<f64>, high: Option<f64>) -> String {
    let shown = crate::base::show::metric;
    match (low, high) {
        (None, None) => "all".to_owned(),
        (None, Some(high)) => format!("≤ {}", shown(high)),
        (Some(low), None) => format!("> {}", shown(low)),
        (Some(low), Some(high)) => format!("{} - {}", shown(low), shown(high)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::datasets::profile::{CategoryBins, NumberBins};

    #[test]
    fn bars_hold_every_value_once() {
        let bins = NumberBins { edges: (1..64).map(f64::from).collect(), ..NumberBins::default() };
        let reference = Reference::Numbers(bins.clone());
        let (mut before, mut now) = (reference.empty(), reference.empty());
        for x in 0..640 {
            before.add_number(&bins, f64::from(x) / 10.0, 1);
            now.add_number(&bins, f64::from(x) / 20.0, 1);
        }
        now.missing += 60;
        now.n += 60;
        let column = ArmColumn::new("x".into(), "d@1".into(), reference, before);
        let bars = bars(&column, &now);
        assert!(bars.len() <= BARS_MAX + 1 && bars.len() >= 5, "{bars:?}");
        for sum in [bars.iter().map(|b| b.reference).sum::<f64>(), bars.iter().map(|b| b.now).sum::<f64>()] {
            assert!((sum - 1.0).abs() < 1e-9, "{bars:?}");
        }
        assert_eq!(bars.last().map(|b| b.label.as_str()), Some("(missing)"));
    }

    #[test]
    fn the_categories_that_are_frequent_on_either_side_are_named() {
        let top: Vec<compact_str::CompactString> = (0..30).map(|i| format!("c{i:02}").into()).collect();
        let reference = Reference::Categories(CategoryBins { top, ..CategoryBins::default() });
        let (mut before, mut now) = (reference.empty(), reference.empty());
        before.bins[0] = 100;
        before.n = 100;
        now.bins[29] = 70;
        (now.new, now.n) = (30, 100);
        let column = ArmColumn::new("x".into(), "d@1".into(), reference, before);
        let bars = bars(&column, &now);
        let named: Vec<(&str, f64, f64)> = bars.iter().map(|b| (b.label.as_str(), b.reference, b.now)).collect();
        assert_eq!(named[..2], [("c00", 1.0, 0.0), ("c29", 0.0, 0.7)]);
        assert_eq!(named.last(), Some(&("(new)", 0.0, 0.3)));
    }
}
