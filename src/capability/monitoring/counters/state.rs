//! The counters as they follow from the journal: applying a batch is a pure function of what is here and of the batch, so that
//! a restart that replays it comes to the same.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::super::{Label, Prediction, Score};
use super::arm::{Arm, PREDICTION, SCORE, SLICES_MAX, Task};
use super::ledger::{Entry, Kept, Ledger, Said};
use super::tally::{Cell, NUMBER_UNIT, SCORE_BINS, Tally, UNIT, add, pair};
use crate::base::Timestamp;
use crate::base::stats::binary::log_loss_of;
use crate::capability::datasets::profile::{Counts, hash};

/// Where something is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CellKey {
    pub arm: u32,
    /// Empty: all predictions.
    pub slice: String,
    /// Minutes since 1970.
    pub minute: i64,
}

/// One row of the journal.
#[derive(Debug, Clone)]
pub struct Batch {
    pub seq: i64,
    pub arrived: Timestamp,
    pub predictions: Vec<Prediction>,
    pub labels: Vec<Label>,
}

/// What came more than once, or for nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Oddities {
    /// Predictions that were here already.
    pub again: u64,
    /// The same id and version with another content; the first holds.
    pub differing: u64,
    /// Labels that were here already.
    pub labels_again: u64,
    /// Labels that no prediction asked for in time.
    pub labels_unknown: u64,
}

#[derive(Debug, Default)]
pub struct State {
    pub arms: Vec<Arm>,
    pub arm_of: HashMap<(String, String), u32>,
    /// Counted since the last fold.
    pub cells: HashMap<CellKey, Cell>,
    /// Arms that changed since the last fold.
    pub touched: std::collections::BTreeSet<u32>,
    pub ledger: Ledger,
    pub odd: Oddities,
    /// While replaying what is counted already.
    pub only_ledger: bool,
}

/// The version of those who say none.
pub const UNVERSIONED: &str = "-";

pub fn version_of(p: &Prediction) -> &str {
    p.version.as_deref().unwrap_or(UNVERSIONED)
}

/// A value as the name of a class: truths and falsehoods of all kinds are "1" and "0".
pub fn class_of(value: &Value) -> Option<String> {
    match value {
        Value::Bool(b) => Some(u8::from(*b).to_string()),
        Value::Number(n) => {
            let x = n.as_f64()?;
            Some(if x.fract() == 0.0 && x.abs() < 1e15 { format!("{x:.0}") } else { x.to_string() })
        }
        Value::String(text) => Some(match text.trim() {
            "true" | "True" | "TRUE" => "1".to_owned(),
            "false" | "False" | "FALSE" => "0".to_owned(),
            text => text
                .parse::<f64>()
                .ok()
                .filter(|x| x.fract() == 0.0)
                .map_or_else(|| text.to_owned(), |x| format!("{x:.0}")),
        }),
        _ => None,
    }
}

impl State {
    pub fn add_arm(&mut self, arm: Arm) -> u32 {
        let number = u32::try_from(self.arms.len()).unwrap_or(u32::MAX);
        self.arm_of.insert((arm.service.clone(), arm.version.clone()), number);
        self.arms.push(arm);
        number
    }

    /// Counts one batch.
    pub fn apply(&mut self, batch: &Batch) {
        for prediction in &batch.predictions {
            self.predicted(batch, prediction);
        }
        for label in &batch.labels {
            self.labelled(&label.id, &label.label, label.time.unwrap_or(batch.arrived));
        }
    }

    fn predicted(&mut self, batch: &Batch, p: &Prediction) {
        let Some(&number) = self.arm_of.get(&(p.service.clone(), version_of(p).to_owned())) else { return };
        let at = p.time.unwrap_or(batch.arrived);
        let minute = at.0.div_euclid(60_000_000);
        let said_class = class_of(&p.prediction);
        let (score, of_said) = self.score(number, p, said_class.as_deref());
        let said = self.said(number, p, said_class.as_deref());
        let slices = self.slices(number, p);
        let entry = Entry {
            arm: number,
            minute,
            at,
            said,
            score,
            of_said,
            slices: slices.iter().map(|s| self.ledger.number(s)).collect(),
            label: None,
            print: print(p),
        };
        match self.ledger.put(batch.seq, &p.id, entry.clone()) {
            Kept::Again => self.odd.again += u64::from(!self.only_ledger),
            Kept::Differs => self.odd.differing += u64::from(!self.only_ledger),
            Kept::New(early) => {
                if !self.only_ledger {
                    self.count(number, minute, &slices, &entry, p);
                    self.observe(number, minute, p, at, batch.arrived);
                }
                if let Some((label, time)) = early {
                    self.labelled(&p.id, &label, time);
                }
            }
        }
    }

    /// The score as it counts, and whether it is the probability of what was said.
    fn score(&mut self, number: u32, p: &Prediction, said: Option<&str>) -> (f64, bool) {
        let arm = &mut self.arms[number as usize];
        let good = |x: f64| (0.0..=1.0).contains(&x).then_some(x);
        match &p.score {
            None => (f64::NAN, false),
            Some(Score::Positive(x)) => {
                if arm.positive.is_none() && *x >= 0.5 {
                    arm.positive = said.map(ToOwned::to_owned);
                }
                (good(*x).unwrap_or(f64::NAN), false)
            }
            Some(Score::Classes(all)) => {
                let truth = ["1", "true", "True", "yes"].iter().find_map(|name| all.get(*name));
                if let Some(x) = truth.filter(|_| all.len() == 2) {
                    arm.positive.get_or_insert_with(|| "1".to_owned());
                    return (good(*x).unwrap_or(f64::NAN), false);
                }
                let own = said.and_then(|s| all.get(s)).copied();
                let top = || all.values().copied().fold(f64::NAN, f64::max);
                (good(own.unwrap_or_else(top)).unwrap_or(f64::NAN), true)
            }
        }
    }

    /// What was predicted, as the version's task takes it.
    fn said(&mut self, number: u32, p: &Prediction, class: Option<&str>) -> Said {
        let arm = &mut self.arms[number as usize];
        let fractional = p.prediction.as_f64().is_some_and(|x| x.fract() != 0.0);
        let long = p.prediction.as_str().is_some_and(|t| t.len() > 64);
        let structured = matches!(p.prediction, Value::Array(_) | Value::Object(_));
        let task = match arm.task {
            _ if fractional && p.score.is_none() => Task::Numbers,
            Some(task) => task,
            None if long || structured || p.usage.is_some() => Task::Text,
            None => Task::Classes,
        };
        arm.task = Some(task);
        match (task, class) {
            (Task::Numbers, _) => p.prediction.as_f64().map_or(Said::Text, Said::Number),
            (Task::Classes, Some(class)) if !long => Said::Class(self.ledger.number(class)),
            _ => Said::Text,
        }
    }

    fn slices(&mut self, number: u32, p: &Prediction) -> Vec<String> {
        let arm = &mut self.arms[number as usize];
        let mut found = Vec::new();
        for (name, value) in &p.slices {
            let slice = format!("{name}={value}");
            if arm.slices.contains(&slice) || arm.slices.len() < SLICES_MAX {
                arm.slices.insert(slice.clone());
                found.push(slice);
            } else {
                arm.slices_dropped += u64::from(!self.only_ledger);
            }
        }
        found
    }

    fn cell(&mut self, arm: u32, minute: i64, slice: &str) -> &mut Cell {
        self.cells.entry(CellKey { arm, slice: slice.to_owned(), minute }).or_default()
    }

    /// The prediction itself.
    fn count(&mut self, number: u32, minute: i64, slices: &[String], entry: &Entry, p: &Prediction) {
        self.touched.insert(number);
        let called = self.called(entry);
        for slice in std::iter::once("").chain(slices.iter().map(String::as_str)) {
            let tally = &mut self.cell(number, minute, slice).tally;
            tally.n += 1;
            tally.errors += u64::from(p.error.is_some());
            if let Some(usage) = p.usage {
                tally.input_tokens += usage.input_tokens;
                tally.output_tokens += usage.output_tokens;
            }
            if let Some(ms) = p.latency_ms {
                tally.latency.add(ms);
            }
            if let Some((bin, units)) = scored(entry.score) {
                let bin = tally.scores.entry(bin).or_default();
                bin.n += 1;
                bin.sum += units;
                bin.called += i64::from(called);
            }
        }
    }

    /// Whether the model called it positive.
    fn called(&self, entry: &Entry) -> bool {
        let positive = self.arms[entry.arm as usize].positive.as_deref().unwrap_or("1");
        entry.of_said || matches!(entry.said, Said::Class(c) if self.ledger.name(c) == positive)
    }

    /// Its columns, against the reference.
    fn observe(&mut self, number: u32, minute: i64, p: &Prediction, at: Timestamp, arrived: Timestamp) {
        let arm = &mut self.arms[number as usize];
        arm.last = arm.last.max(at);
        if let Some(batch) = p.batch.as_ref().filter(|b| arm.batch.as_ref().is_none_or(|(known, _)| known != *b)) {
            arm.batch = Some((batch.clone(), arrived));
        }
        let score = match &p.score {
            Some(Score::Positive(x)) => Value::from(*x),
            Some(Score::Classes(all)) => Value::from(all.values().copied().fold(f64::NAN, f64::max)),
            None => Value::Null,
        };
        let said = if arm.task == Some(Task::Text) { Value::Null } else { p.prediction.clone() };
        let of = |name: &str| match name {
            SCORE => Some(&score),
            PREDICTION => Some(&said),
            name => p.features.get(name),
        };
        if !arm.columns.is_empty() {
            let key = CellKey { arm: number, slice: String::new(), minute };
            let cell = self.cells.entry(key).or_default();
            cell.columns.resize_with(cell.columns.len().max(arm.columns.len()), Counts::default);
            for (column, counts) in arm.columns.iter_mut().zip(&mut cell.columns) {
                let own = matches!(column.name.as_str(), SCORE | PREDICTION);
                if p.features.is_empty() && !own {
                    continue;
                }
                let value = of(&column.name);
                column.sent |= value.is_some_and(|v| !v.is_null());
                if !column.sent {
                    continue;
                }
                if counts.bins.is_empty() && counts.n == 0 {
                    *counts = column.reference.empty();
                }
                column.count(counts, value);
            }
        }
        if arm.first.is_some() {
            let mut row: Map<String, Value> = if arm.profiled { Map::new() } else { p.features.clone() };
            let own = [(SCORE, score), (PREDICTION, said)];
            row.extend(own.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.to_owned(), v)));
            arm.take_first(row);
        }
    }

    /// A label, for every version that answered under this id.
    fn labelled(&mut self, id: &str, label: &Value, time: Timestamp) {
        let places = self.ledger.of(id);
        if places.is_empty() {
            self.ledger.put_early(id, label.clone(), time);
        }
        for place in places {
            let Some(entry) = self.ledger.entry(place).cloned() else { continue };
            let Some(truth) = self.truth(&entry, label) else { continue };
            if entry.label == Some(truth) {
                self.odd.labels_again += u64::from(!self.only_ledger);
                continue;
            }
            self.ledger.set_label(place, truth);
            if self.only_ledger {
                continue;
            }
            self.touched.insert(entry.arm);
            let slices: Vec<String> = entry.slices.iter().map(|s| self.ledger.name(*s).to_owned()).collect();
            for slice in std::iter::once(String::new()).chain(slices) {
                if let Some(before) = entry.label {
                    self.judge(&entry, &slice, before, -1);
                }
                self.judge(&entry, &slice, truth, 1);
                let tally = &mut self.cell(entry.arm, entry.minute, &slice).tally;
                if entry.label.is_some() {
                    tally.corrected += 1;
                } else {
                    tally.delay.add(time.seconds_since(entry.at).max(0.0));
                }
            }
        }
    }

    /// The label as the prediction can be held against it.
    fn truth(&mut self, entry: &Entry, label: &Value) -> Option<Said> {
        match entry.said {
            Said::Number(_) => super::arm::number(label).filter(|x| x.is_finite()).map(Said::Number),
            Said::Text => super::arm::number(label).filter(|x| (0.0..=1.0).contains(x)).map(Said::Number),
            Said::Class(_) => match label.as_f64().filter(|x| x.fract() != 0.0) {
                // A judgement, not a class.
                Some(x) => (0.0..=1.0).contains(&x).then_some(Said::Number(x)),
                None => class_of(label).map(|class| Said::Class(self.ledger.number(&class))),
            },
        }
    }

    /// Adds what a label says, or takes it back.
    fn judge(&mut self, entry: &Entry, slice: &str, truth: Said, sign: i64) {
        let names = |said: Said| match said {
            Said::Class(c) => self.ledger.name(c).to_owned(),
            _ => String::new(),
        };
        let (said, true_name) = (names(entry.said), names(truth));
        let positive = self.arms[entry.arm as usize].positive.clone().unwrap_or_else(|| "1".to_owned());
        let is_positive = if entry.of_said { said == true_name } else { true_name == positive };
        let tally = &mut self.cell(entry.arm, entry.minute, slice).tally;
        tally.labelled += sign;
        match (entry.said, truth) {
            (Said::Class(_), Said::Class(_)) => {
                add(&mut tally.confusion, &pair(&said, &true_name), sign);
                score_judged(tally, entry.score, is_positive, sign);
            }
            (Said::Number(said), Said::Number(truth)) => regress(tally, said, truth, sign),
            (_, Said::Number(x)) => {
                let units = fixed(x, UNIT);
                tally.judged += sign;
                tally.judged_sum += sign * units;
                tally.judged_squares += sign * fixed(x * x, UNIT);
            }
            _ => {}
        }
    }

    /// Nobody waits any more for what came up to this batch.
    pub fn evict(&mut self, batch: i64) {
        for entry in self.ledger.evict(batch) {
            let slices: Vec<String> = entry.slices.iter().map(|s| self.ledger.name(*s).to_owned()).collect();
            for slice in std::iter::once(String::new()).chain(slices) {
                self.cell(entry.arm, entry.minute, &slice).tally.evicted += 1;
            }
        }
    }
}

fn score_judged(tally: &mut Tally, score: f64, positive: bool, sign: i64) {
    let Some((bin, units)) = scored(score) else { return };
    let bin = tally.scores.entry(bin).or_default();
    bin.labelled += sign;
    bin.labelled_sum += sign * units;
    bin.positive += sign * i64::from(positive);
    let off = score - f64::from(u8::from(positive));
    tally.brier += sign * fixed(off * off, UNIT);
    tally.log_loss += sign * fixed(log_loss_of(positive, score), UNIT);
}

fn regress(tally: &mut Tally, said: f64, truth: f64, sign: i64) {
    let (off, y) = (fixed(said - truth, NUMBER_UNIT), fixed(truth, NUMBER_UNIT));
    let wide = i128::from(sign);
    let r = &mut tally.residuals;
    r.n += sign;
    r.absolute += sign * off.abs();
    r.squares += wide * i128::from(off) * i128::from(off);
    r.absolute_squares += wide * i128::from(off) * i128::from(off);
    r.bias += sign * off;
    r.truth += sign * y;
    r.truth_squares += wide * i128::from(y) * i128::from(y);
}

/// In fixed point, cut where sums could overflow.
fn fixed(x: f64, unit: f64) -> i64 {
    #[allow(clippy::cast_possible_truncation)] // within ±2^45
    let units = (x * unit).round().clamp(-35_184_372_088_832.0, 35_184_372_088_832.0) as i64;
    units
}

/// The bin of a score and the score in units.
fn scored(score: f64) -> Option<(u8, i64)> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 ..= 99
    let bin = (score * f64::from(SCORE_BINS)).floor().clamp(0.0, f64::from(SCORE_BINS - 1)) as u8;
    (!score.is_nan()).then(|| (bin, fixed(score, UNIT)))
}

/// What tells two predictions of one id apart.
fn print(p: &Prediction) -> u64 {
    let said = serde_json::to_string(&(&p.prediction, &p.score, &p.features)).unwrap_or_default();
    hash(said.as_bytes())
}
