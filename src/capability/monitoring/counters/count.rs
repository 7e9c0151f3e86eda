//! What one prediction adds: to the figures of its version and slices, and to the bins of its columns.

use super::arm::{Arm, ArmColumn, Found, PREDICTION, SCORE, TILE};
use super::first::{self, FirstWindow};
use super::judged::scored;
use super::ledger::Entry;
use super::rows::{Row, Rows, Scored, Val};
use super::state::{ALL, Seen, State, highest};
use super::tally::Cell;
use crate::base::stats::sketch;
use crate::capability::datasets::profile::{Counts, Reference};

/// From so many rows on it is worth to note where their words count.
const MANY_ROWS: usize = 64;
/// No column of this name.
const NOWHERE: u32 = u32::MAX;

impl State {
    /// The prediction itself.
    pub(super) fn count(&mut self, entry: &Entry, slices: &[u32], row: &Row) {
        let called = i64::from(self.called(entry));
        let (score, latency) = (scored(entry.score), row.latency_ms.map(sketch::place));
        for slice in std::iter::once(&ALL).chain(slices) {
            let tally = &mut self.cell(entry.arm, entry.minute(), *slice).tally;
            tally.n += 1;
            tally.errors += u64::from(row.failed);
            if let Some(usage) = row.usage {
                tally.input_tokens += usage.input_tokens;
                tally.output_tokens += usage.output_tokens;
            }
            if let Some(place) = latency {
                tally.latency.add_at(place);
            }
            if let Some((bin, units)) = score {
                let bin = tally.scores.at(bin);
                bin.n += 1;
                bin.sum += units;
                bin.called += called;
            }
        }
    }

    /// The columns of predictions of one arm, in the order in which they came: a first window that fills on the way gives the
    /// columns of those after it.
    pub(super) fn observe(&mut self, rows: &Rows, seen: &[Seen]) {
        let Some(number) = seen.first().map(|s| s.arm) else { return };
        self.touched.entry(number).or_default();
        let mut rest = seen;
        while !rest.is_empty() {
            let room = self.firsts.get(&number).map(|window| super::FIRST_WINDOW_ROWS.saturating_sub(window.len()));
            let (now, later) = rest.split_at(room.unwrap_or(usize::MAX).clamp(1, rest.len()));
            self.columns(number, rows, now);
            if let Some(window) = self.firsts.get_mut(&number) {
                let profiled = self.arms[number as usize].profiled;
                now.iter().for_each(|s| take_first(window, rows, *s, profiled));
                self.arms[number as usize].first_rows = Some(window.len());
            }
            if let Some(window) = self.firsts.remove(&number) {
                if window.full() {
                    self.arms[number as usize].close_first(window);
                    self.filled.insert(number);
                    self.touched.insert(number, true);
                } else {
                    self.firsts.insert(number, window);
                }
            }
            rest = later;
        }
    }

    fn columns(&mut self, number: u32, rows: &Rows, seen: &[Seen]) {
        let arm = &mut self.arms[number as usize];
        if arm.columns.is_empty() {
            return;
        }
        let mut plan = Plan::new(arm, rows);
        for run in seen.chunk_by(|a, b| a.minute == b.minute) {
            let key = super::state::CellKey { arm: number, slice: ALL, minute: run[0].minute };
            plan.count(arm, self.cells.entry(key).or_default(), rows, run);
        }
        if plan.sent_more {
            let columns = std::sync::Arc::make_mut(&mut arm.columns);
            columns.iter_mut().zip(&plan.sent).for_each(|(column, sent)| column.sent = *sent);
            self.touched.insert(number, true);
        }
    }
}

/// Where the columns of a batch are among those of an arm.
struct Plan {
    /// By the number of a feature's name.
    of_key: Vec<u32>,
    score: u32,
    prediction: u32,
    sent: Vec<bool>,
    sent_more: bool,
    /// Values of each column in the run in hand, and rows before the first one of a column that never came before.
    present: Vec<u64>,
    late: Vec<u64>,
    found: Vec<Found>,
    /// Values of a column in the tile in hand.
    values: Vec<Val>,
}

impl Plan {
    fn new(arm: &Arm, rows: &Rows) -> Self {
        let place = |name: &str| arm.names.find(name).unwrap_or(NOWHERE);
        let feature = |name: &str| if matches!(name, SCORE | PREDICTION) { NOWHERE } else { place(name) };
        let many = arm.columns.len();
        Self {
            of_key: rows.keys.iter().map(feature).collect(),
            score: place(SCORE),
            prediction: place(PREDICTION),
            sent: arm.columns.iter().map(|c| c.sent).collect(),
            sent_more: false,
            present: vec![0; many],
            late: vec![0; many],
            found: vec![Found::default(); many],
            values: Vec::with_capacity(TILE),
        }
    }

    /// Counts rows of one minute.
    fn count(&mut self, arm: &Arm, cell: &mut Cell, rows: &Rows, run: &[Seen]) {
        cell.columns.resize_with(cell.columns.len().max(arm.columns.len()), Counts::default);
        self.present.fill(0);
        self.late.fill(0);
        if run.len() >= MANY_ROWS {
            let categories = |column: &&ArmColumn| matches!(column.reference, Reference::Categories(_));
            let of_categories = arm.columns.iter().zip(&mut self.found).filter(|(column, _)| categories(column));
            of_categories.for_each(|(_, found)| found.begin(rows.words.len()));
        } else {
            self.found.iter_mut().for_each(|found| found.begin(0));
        }
        let (mut all, mut with_features) = (0_u64, 0_u64);
        for tile in run.chunks(TILE) {
            let row = |seen: &Seen| &rows.all[seen.row as usize];
            if let Some(keys) = alike(rows, tile) {
                for (nth, key) in keys.iter().enumerate() {
                    self.gather(tile.len(), |n| rows.cells[row(&tile[n]).features as usize + nth]);
                    self.many(arm, cell, rows, self.of_key[*key as usize], with_features);
                }
                with_features += tile.len() as u64;
            } else {
                for seen in tile {
                    for (key, value) in rows.features_of(row(seen)) {
                        self.gather(1, |_| value);
                        self.many(arm, cell, rows, self.of_key[key as usize], with_features);
                    }
                    with_features += u64::from(row(seen).shape > 0);
                }
            }
            self.gather(tile.len(), |n| score_of(rows, row(&tile[n])));
            self.many(arm, cell, rows, self.score, all);
            self.gather(tile.len(), |n| said_of(row(&tile[n]), tile[n]));
            self.many(arm, cell, rows, self.prediction, all);
            all += tile.len() as u64;
        }
        for (place, (column, counts)) in arm.columns.iter().zip(&mut cell.columns).enumerate() {
            if !self.sent[place] {
                continue;
            }
            if counts.bins.is_empty() && counts.n == 0 {
                *counts = column.reference.empty();
            }
            // A prediction without any feature says nothing of the features.
            let own = matches!(column.name.as_str(), SCORE | PREDICTION);
            let missing = if own { all } else { with_features } - self.late[place] - self.present[place];
            counts.n += missing;
            counts.missing += missing;
        }
    }

    fn gather(&mut self, len: usize, value: impl Fn(usize) -> Val) {
        self.values.clear();
        for nth in 0..len {
            self.values.push(value(nth));
        }
    }

    /// The values that were gathered, which are of one column.
    fn many(&mut self, arm: &Arm, cell: &mut Cell, rows: &Rows, place: u32, before: u64) {
        if place == NOWHERE {
            return;
        }
        let place = place as usize;
        if !self.sent[place] {
            let Some(nth) = self.values.iter().position(|value| *value != Val::Null) else { return };
            // It is an input after all, from here on.
            self.sent[place] = true;
            self.sent_more = true;
            self.late[place] = before + nth as u64;
        }
        let (column, counts) = (&arm.columns[place], &mut cell.columns[place]);
        if counts.bins.is_empty() && counts.n == 0 {
            *counts = column.reference.empty();
        }
        self.present[place] += column.count(counts, rows, &self.values, &mut self.found[place]);
    }
}

/// The keys of the features, where all rows have the same ones in the same order.
fn alike<'a>(rows: &'a Rows, tile: &[Seen]) -> Option<&'a [u32]> {
    let row = |seen: &Seen| &rows.all[seen.row as usize];
    let first = row(tile.first()?);
    let same = tile.len() > 1 && first.shape > 0 && tile[1..].iter().all(|seen| row(seen).shape == first.shape);
    same.then(|| rows.keys_of(first))
}

fn score_of(rows: &Rows, row: &Row) -> Val {
    let x = match row.score {
        Scored::None => return Val::Null,
        Scored::Positive(x) => x,
        Scored::Classes(all) => highest(rows.classes_of(all)),
    };
    if x.is_finite() { Val::Fraction(x) } else { Val::Null }
}

fn said_of(row: &Row, seen: Seen) -> Val {
    if seen.free_text { Val::Null } else { row.said }
}

fn take_first(window: &mut FirstWindow, rows: &Rows, seen: Seen, profiled: bool) {
    let row = &rows.all[seen.row as usize];
    let features = rows.features_of(row).filter(|_| !profiled);
    let feature = |(key, value): (u32, Val)| {
        let name = rows.keys.name(key);
        (!matches!(name, SCORE | PREDICTION)).then(|| (name, first::kept(rows, value)))
    };
    let own = [(SCORE, score_of(rows, row)), (PREDICTION, said_of(row, seen))];
    let own = own.into_iter().map(|(name, value)| (name, first::kept(rows, value)));
    window.take(features.filter_map(feature).chain(own));
}
