//! The training profile as a table: a line for every column, with the shape of its values.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Data, PROFILE};
use crate::base::Timestamp;
use crate::capability::datasets::profile::{Column, Kind, Reference};
use crate::tui::format;
use crate::tui::theme::Token;
use crate::tui::widget::table::{Cell, Col, rows, table};
use crate::tui::widget::{Look, Scroll};

/// Cells of a histogram.
const HISTOGRAM: usize = 16;

pub(super) fn draw(look: &Look<'_>, buf: &mut Buffer, inner: Rect, data: &Data, scroll: &mut Scroll) {
    let Some(profile) = data.table() else { return };
    let heads = [
        Col::left("COLUMN", 14, 0).grows(12),
        Col::left("TYPE", 7, 5),
        Col::right("MISSING", 8, 1),
        Col::left("DISTRIBUTION", 16, 2),
        Col::right("MIN", 10, 6),
        Col::right("MEAN", 10, 3),
        Col::right("MAX", 10, 7),
        Col::left("MOST FREQUENT", 18, 4).grows(40),
    ];
    let cursor = data.cursors[PROFILE].min(profile.columns.len().saturating_sub(1));
    let focused = data.pane == PROFILE;
    let rows = rows(scroll, "profile", inner, (cursor, focused), &profile.columns, |c| cells(look, c));
    table(look, buf, inner, &heads, rows, focused);
}

fn cells<'a>(look: &Look<'_>, c: &'a Column) -> Vec<Cell<'a>> {
    let missing = if c.counts.n == 0 { None } else { Some(c.counts.missing as f64 / c.counts.n as f64) };
    let text = |v: Option<f64>| v.map_or(Cell::muted("-"), |v| Cell::text(figure(c.kind, v)));
    let mean = match &c.reference {
        Reference::Numbers(bins) => c.counts.mean(bins),
        Reference::Categories(_) => None,
    };
    vec![
        Cell::id(c.name.as_str()),
        Cell::muted(c.kind.name()),
        missing.map_or(Cell::muted("-"), |m| Cell::new(share(m), if m > 0.0 { Token::Text } else { Token::Muted })),
        Cell::new(bars(&density(c, HISTOGRAM), look.glyphs.ramp), Token::Series(0)),
        text(c.counts.min),
        text(mean),
        text(c.counts.max),
        Cell::muted(most(c)),
    ]
}

/// A value of a column: a day where it is a moment.
fn figure(kind: Kind, v: f64) -> String {
    if kind != Kind::Time {
        return format::number(v);
    }
    #[allow(clippy::cast_possible_truncation)] // microseconds since 1970; f64 to i64 saturates
    let at = Timestamp(v as i64);
    crate::base::show::moment(at).chars().take(10).collect()
}

/// `JFK 34 %  EWR 33 %  … 3 distinct`.
fn most(c: &Column) -> String {
    let Reference::Categories(bins) = &c.reference else { return String::new() };
    let n = c.counts.present().max(1) as f64;
    let top = bins.top.iter().zip(&c.counts.bins).filter(|(_, count)| **count > 0).take(3);
    let mut parts: Vec<String> = top.map(|(name, count)| format!("{name} {}", rough(*count as f64 / n))).collect();
    let distinct = c.counts.distinct.estimate();
    if distinct > 3 {
        parts.push(format!("… {} distinct", format::count(distinct)));
    }
    parts.join("  ")
}

fn rough(p: f64) -> String {
    if p >= 0.01 { format!("{:.0} %", p * 100.0) } else { "<1 %".to_owned() }
}

/// A share in per cent that never reads as none or all when it is not.
pub fn share(p: f64) -> String {
    let percent = p * 100.0;
    match percent {
        _ if p == 0.0 => "0 %".to_owned(),
        _ if p == 1.0 => "100 %".to_owned(),
        x if x < 0.01 => "<0.01 %".to_owned(),
        x if x > 99.99 => ">99.99 %".to_owned(),
        x if !(1.0..=99.0).contains(&x) => format!("{x:.2} %"),
        x => format!("{x:.1} %"),
    }
}

/// How many values lie in each of `cells` stretches of the same width, from the least to the greatest value; of
/// categories the most frequent ones, and last all others. The bins hold equal shares of the training data by their
/// making, so their counts alone would draw a flat line: a bin's count is spread over its width.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a few cells
fn density(c: &Column, cells: usize) -> Vec<f64> {
    let Reference::Numbers(bins) = &c.reference else {
        let mut counts: Vec<f64> = c.counts.bins.iter().take(cells).map(|n| *n as f64).collect();
        let rest: u64 = c.counts.bins.iter().skip(cells.saturating_sub(1)).sum::<u64>() + c.counts.other + c.counts.new;
        match counts.len() == cells {
            true => counts[cells - 1] = rest as f64,
            false if c.counts.other + c.counts.new > 0 => counts.push(rest as f64),
            false => {}
        }
        return counts;
    };
    let (Some(low), Some(high)) = (c.counts.min, c.counts.max) else { return Vec::new() };
    if high <= low {
        return vec![c.counts.present() as f64];
    }
    let mut out = vec![0.0; cells];
    let place = |x: f64| ((x - low) / (high - low) * cells as f64).clamp(0.0, cells as f64);
    for (j, n) in c.counts.bins.iter().enumerate().filter(|(_, n)| **n > 0) {
        let from = place(if j == 0 { low } else { bins.edges[j - 1] });
        let to = place(bins.edges.get(j).copied().unwrap_or(high));
        let (first, last) = ((from as usize).min(cells - 1), (to as usize).min(cells - 1));
        if to - from < 1e-9 {
            out[last] += *n as f64;
            continue;
        }
        for (cell, held) in out.iter_mut().enumerate().take(last + 1).skip(first) {
            let overlap = (to.min(cell as f64 + 1.0) - from.max(cell as f64)).max(0.0);
            *held += *n as f64 * overlap / (to - from);
        }
    }
    out
}

/// Bars from nothing to the greatest; what holds anything shows at least the lowest bar.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped to the ramp
fn bars(values: &[f64], ramp: &[char]) -> String {
    let greatest = values.iter().copied().fold(0.0_f64, f64::max);
    let bar = |v: &f64| {
        if *v <= 0.0 || greatest <= 0.0 || ramp.is_empty() {
            return ' ';
        }
        let level = (v / greatest * ramp.len() as f64).ceil() as usize;
        ramp[level.clamp(1, ramp.len()) - 1]
    };
    values.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::datasets::profile::{Counts, NumberBins};

    #[test]
    fn a_share_is_never_rounded_to_none_or_all() {
        assert_eq!(
            [0.0, 0.00001, 0.0002, 0.123, 0.9997, 0.99999, 1.0].map(share),
            ["0 %", "<0.01 %", "0.02 %", "12.3 %", "99.97 %", ">99.99 %", "100 %"]
        );
    }

    #[test]
    fn bins_of_equal_counts_draw_the_shape_and_keep_every_value() {
        let bins = NumberBins { edges: vec![1.0, 2.0, 4.0], every: 1, ..NumberBins::default() };
        let counts = Counts { n: 40, bins: vec![10, 10, 10, 10], min: Some(0.0), max: Some(8.0), ..Counts::default() };
        let reference = Reference::Numbers(bins);
        let c = Column { name: "x".into(), kind: Kind::Number, reference, counts, baseline: None };
        let shape = density(&c, 8);
        assert_eq!(shape, [10.0, 10.0, 5.0, 5.0, 2.5, 2.5, 2.5, 2.5]);
        assert_eq!(bars(&shape, &['1', '2', '3', '4']), "44221111");
    }

    #[test]
    fn one_value_alone_is_one_bar() {
        let counts = Counts { n: 3, bins: vec![3], min: Some(7.0), max: Some(7.0), ..Counts::default() };
        let reference = Reference::Numbers(NumberBins::default());
        let c = Column { name: "x".into(), kind: Kind::Integer, reference, counts, baseline: None };
        assert_eq!(density(&c, 8), [3.0]);
    }
}
