//! Two versions of a service held against each other in one window: whether they were asked the same.

use super::judge::{ColumnDrift, Compared, judge};
use crate::base::stats::bins::psi_smoothed;
use crate::capability::monitoring::counters::{Counted, PREDICTION, SCORE, SCORE_BINS, Tally};

/// Score bins that are put together.
const SCORE_GROUP: u8 = SCORE_BINS / 10;

/// The inputs of `b` against those of `a`, where both count in the same bins; how many do not; and how far the scores differ.
pub fn between(a: &Counted, b: &Counted) -> (Vec<ColumnDrift>, usize, Option<f64>) {
    let (of_a, of_b) = (a.all(), b.all());
    let source = format!("version {}", a.arm.version);
    let mut compared = Vec::new();
    let mut elsewhere = 0;
    let inputs = b.arm.columns.iter().zip(&of_b.columns);
    for (column, now) in inputs.filter(|(c, _)| c.sent && !matches!(c.name.as_str(), SCORE | PREDICTION)) {
        let same = a.arm.columns.iter().position(|c| c.name == column.name && c.reference == column.reference);
        match same.and_then(|place| of_a.columns.get(place)) {
            Some(before) if before.n > 0 && now.n > 0 => compared.push(Compared {
                name: &column.name,
                source: &source,
                reference: &column.reference,
                before,
                now,
            }),
            _ => elsewhere += 1,
        }
    }
    (judge(&compared), elsewhere, scores(&of_a.tally, &of_b.tally))
}

fn scores(a: &Tally, b: &Tally) -> Option<f64> {
    let grouped = |tally: &Tally| {
        let mut groups = vec![0_u64; 10];
        for (bin, of) in tally.scores.iter() {
            groups[usize::from(bin / SCORE_GROUP).min(9)] += u64::try_from(of.n).unwrap_or(0);
        }
        groups
    };
    let (a, b) = (grouped(a), grouped(b));
    let some = |groups: &[u64]| groups.iter().sum::<u64>() > 0;
    (some(&a) && some(&b)).then(|| psi_smoothed(&a, &b))
}
