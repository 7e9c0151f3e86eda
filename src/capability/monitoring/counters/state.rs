//! The counters as they follow from the journal: applying a batch is a pure function of what is here and of the batch, so that
//! a restart that replays it comes to the same.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::super::Label;
use super::arm::{Arm, CLASS_BYTES_MAX, CLASSES_MAX, SLICES_MAX, Task};
use super::first::FirstWindow;
use super::ledger::{Entry, Kept, Ledger, Said};
use super::names::{Names, Quickly};
use super::rows::{Row, Rows, Scored, Val};
use super::tally::Cell;
use crate::base::Timestamp;

/// Where something is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CellKey {
    pub arm: u32,
    /// See [`State::slices`].
    pub slice: u32,
    /// Minutes since 1970.
    pub minute: i64,
}

/// In two words: every prediction looks for the cells of all its slices.
impl std::hash::Hash for CellKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from(self.arm) << 32 | u64::from(self.slice));
        state.write_i64(self.minute);
    }
}

/// The number of the slice that holds all predictions.
pub const ALL: u32 = 0;

/// One row of the journal.
#[derive(Debug, Clone)]
pub struct Batch {
    pub seq: i64,
    pub arrived: Timestamp,
    pub predictions: Arc<Rows>,
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

#[derive(Debug)]
pub struct State {
    pub arms: Vec<Arm>,
    pub arm_of: HashMap<String, HashMap<String, u32>>,
    /// First windows that are not full.
    pub firsts: BTreeMap<u32, FirstWindow>,
    /// Those whose rows the store is to forget at the next fold: they are full, or were taken away.
    pub filled: BTreeSet<u32>,
    /// Counted since the last fold began.
    pub cells: Quickly<CellKey, Cell>,
    /// On their way to the store; readers still find them here.
    pub(super) folding: Arc<Quickly<CellKey, Cell>>,
    /// Texts of slices by their number; the first one is everything.
    pub slices: Names,
    /// Arms that changed since the last fold, and whether more of them did than moves with every prediction.
    pub touched: BTreeMap<u32, bool>,
    pub ledger: Ledger,
    pub odd: Oddities,
    /// While replaying what is counted already.
    pub only_ledger: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            arms: Vec::new(),
            arm_of: HashMap::new(),
            firsts: BTreeMap::new(),
            filled: BTreeSet::new(),
            cells: Quickly::default(),
            folding: Arc::default(),
            slices: std::iter::once("").collect(),
            touched: BTreeMap::new(),
            ledger: Ledger::default(),
            odd: Oddities::default(),
            only_ledger: false,
        }
    }
}

/// The version of those who say none.
pub const UNVERSIONED: &str = "-";

/// A value as the name of a class: truths and falsehoods of all kinds are "1" and "0".
pub fn class_of(value: &Value) -> Option<String> {
    match value {
        Value::Bool(b) => Some(u8::from(*b).to_string()),
        Value::Number(n) => n.as_f64().map(class_of_number),
        Value::String(text) => Some(class_of_text(text).into_owned()),
        _ => None,
    }
}

pub fn class_of_number(x: f64) -> String {
    if x.fract() == 0.0 && x.abs() < 1e15 { format!("{x:.0}") } else { x.to_string() }
}

pub fn class_of_text(text: &str) -> Cow<'_, str> {
    match text.trim() {
        "true" | "True" | "TRUE" => Cow::Borrowed("1"),
        "false" | "False" | "FALSE" => Cow::Borrowed("0"),
        text => {
            let whole = text.parse::<f64>().ok().filter(|x| x.fract() == 0.0);
            whole.map_or(Cow::Borrowed(text), |x| Cow::Owned(format!("{x:.0}")))
        }
    }
}

/// A prediction that is new and whose columns are to be counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub arm: u32,
    pub row: u32,
    pub minute: i64,
    /// Its answer is no column.
    pub free_text: bool,
}

/// What the numbers of a batch mean here.
pub(super) struct Meaning {
    arms: Vec<Option<u32>>,
    /// Slices of an arm by the batch's number: the number here, none where there is no room.
    slices: Quickly<(u32, u32), Option<u32>>,
    /// Of the row in hand.
    found: Vec<u32>,
    dropped: u64,
    /// Classes that have a name, by version and what was said; most models say one of a few things.
    classes: Vec<(u32, Val, u32)>,
}

/// So many answers are remembered.
const CLASSES_KNOWN: usize = 4;

impl State {
    pub fn number(&self, service: &str, version: &str) -> Option<u32> {
        self.arm_of.get(service)?.get(version).copied()
    }

    pub fn add_arm(&mut self, arm: Arm) -> u32 {
        let window = arm.first_rows.map(|_| FirstWindow::default());
        self.add(arm, window)
    }

    pub fn add(&mut self, arm: Arm, window: Option<FirstWindow>) -> u32 {
        let number = u32::try_from(self.arms.len()).unwrap_or(u32::MAX);
        self.arm_of.entry(arm.service.clone()).or_default().insert(arm.version.clone(), number);
        self.firsts.extend(window.map(|window| (number, window)));
        self.arms.push(arm);
        number
    }

    /// Counts one batch.
    pub fn apply(&mut self, batch: &Batch) {
        let rows = &*batch.predictions;
        let arms = rows.who.iter().map(|who| self.number(&who.service, &who.version)).collect();
        let mut meaning =
            Meaning { arms, slices: Quickly::default(), found: Vec::new(), dropped: 0, classes: Vec::new() };
        let mut seen = Vec::with_capacity(if self.only_ledger { 0 } else { rows.len() });
        for (i, row) in (0..).zip(&rows.all) {
            self.predicted(batch, &mut meaning, i, row, &mut seen);
        }
        // Of each arm in the order in which they came.
        seen.sort_by_key(|s| s.arm);
        for of_arm in seen.chunk_by(|a, b| a.arm == b.arm) {
            self.observe(rows, of_arm);
        }
        for label in &batch.labels {
            self.labelled(&label.id, &label.label, label.time.unwrap_or(batch.arrived));
        }
    }

    fn predicted(&mut self, batch: &Batch, meaning: &mut Meaning, i: u32, row: &Row, seen: &mut Vec<Seen>) {
        let rows = &*batch.predictions;
        let Some(number) = meaning.arms[row.who as usize] else { return };
        let at = row.time.unwrap_or(batch.arrived);
        let (score, of_said) = self.score(number, rows, row);
        let said = self.said(number, rows, row, meaning);
        self.slices(number, rows, row, meaning);
        let entry = Entry { arm: number, at, said, score, of_said, label: None, print: row.print };
        let id = rows.text(row.id);
        match self.ledger.put(batch.seq, id, &entry, &meaning.found) {
            Kept::Again => self.odd.again += u64::from(!self.only_ledger),
            Kept::Differs => self.odd.differing += u64::from(!self.only_ledger),
            Kept::New => {
                if !self.only_ledger {
                    self.count(&entry, &meaning.found, row);
                    let arm = &mut self.arms[number as usize];
                    arm.slices_dropped += meaning.dropped;
                    arm.last = arm.last.max(at);
                    let name = row.batch.map(|name| rows.text(name));
                    if let Some(name) = name.filter(|n| arm.batch.as_ref().is_none_or(|(known, _)| known != n)) {
                        arm.batch = Some((name.to_owned(), batch.arrived));
                    }
                    let free_text = arm.task == Some(Task::Text);
                    seen.push(Seen { arm: number, row: i, minute: entry.minute(), free_text });
                }
                if let Some((label, time)) = self.ledger.early(id) {
                    self.labelled(id, &label, time);
                }
            }
        }
    }

    /// More of an arm changes than with every prediction.
    fn changed(&mut self, number: u32) -> &mut Arm {
        self.touched.insert(number, true);
        &mut self.arms[number as usize]
    }

    /// The score as it counts, and whether it is the probability of what was said.
    fn score(&mut self, number: u32, rows: &Rows, row: &Row) -> (f64, bool) {
        let good = |x: f64| if (0.0..=1.0).contains(&x) { x } else { f64::NAN };
        let unknown = self.arms[number as usize].positive.is_none();
        match row.score {
            Scored::None => (f64::NAN, false),
            Scored::Positive(x) => {
                if unknown
                    && x >= 0.5
                    && let Some(class) = rows.class(row.said)
                {
                    self.set_positive(number, &class);
                }
                (good(x), false)
            }
            Scored::Classes(all) => {
                let all = rows.classes_of(all);
                let of = |name: &str| all.iter().find(|(k, _)| rows.keys.name(*k) == name).map(|(_, x)| *x);
                let truth = ["1", "true", "True", "yes"].iter().find_map(|name| of(name));
                if let Some(x) = truth.filter(|_| all.len() == 2) {
                    if unknown {
                        self.set_positive(number, "1");
                    }
                    return (good(x), false);
                }
                let own = rows.class(row.said).and_then(|said| of(&said));
                (good(own.unwrap_or_else(|| highest(all))), true)
            }
        }
    }

    /// The positive class always has a name.
    fn set_positive(&mut self, number: u32, class: &str) {
        let arm = self.changed(number);
        arm.positive = Some(class.to_owned());
        arm.classes.insert(class.to_owned());
    }

    /// A class as a number: by its name where the version has room for one, else by its hash. Which ones have a name stands in
    /// the store with the version, so that a later label, after a restart too, is counted where an earlier one was.
    pub(super) fn class(&mut self, number: u32, name: &str) -> u32 {
        let arm = &self.arms[number as usize];
        if !arm.classes.contains(name) {
            if arm.classes.len() >= CLASSES_MAX || name.len() > CLASS_BYTES_MAX {
                self.arms[number as usize].classes_dropped += u64::from(!self.only_ledger);
                return Ledger::unnamed(name);
            }
            self.changed(number).classes.insert(name.to_owned());
        }
        self.ledger.class(name)
    }

    /// What was predicted, as the version's task takes it.
    fn said(&mut self, number: u32, rows: &Rows, row: &Row, meaning: &mut Meaning) -> Said {
        let fractional = matches!(row.said, Val::Fraction(x) if x.fract() != 0.0);
        let long = matches!(row.said, Val::Text(part) if part.len as usize > CLASS_BYTES_MAX);
        let task = match self.arms[number as usize].task {
            _ if fractional && row.score == Scored::None => Task::Numbers,
            Some(task) => task,
            None if long || matches!(row.said, Val::Other(_)) || row.usage.is_some() => Task::Text,
            None => Task::Classes,
        };
        if self.arms[number as usize].task != Some(task) {
            self.changed(number).task = Some(task);
        }
        let as_number = match row.said {
            Val::Whole(n) => Some(n as f64),
            Val::Negative(n) => Some(n as f64),
            Val::Fraction(x) => Some(x),
            _ => None,
        };
        match task {
            Task::Numbers => as_number.map_or(Said::Text, Said::Number),
            Task::Classes if !long => self.said_class(number, rows, row.said, meaning).map_or(Said::Text, Said::Class),
            _ => Said::Text,
        }
    }

    fn said_class(&mut self, number: u32, rows: &Rows, said: Val, meaning: &mut Meaning) -> Option<u32> {
        if let Some((_, _, class)) = meaning.classes.iter().find(|known| known.0 == number && known.1 == said) {
            return Some(*class);
        }
        let class = self.class(number, &rows.class(said)?);
        // One that has no name is looked at again, and counted.
        if self.ledger.class_name(class).is_some() {
            meaning.classes.truncate(CLASSES_KNOWN - 1);
            meaning.classes.insert(0, (number, said, class));
        }
        Some(class)
    }

    /// The slices that a row counts in, as far as there is room for them.
    fn slices(&mut self, number: u32, rows: &Rows, row: &Row, meaning: &mut Meaning) {
        meaning.found.clear();
        meaning.dropped = 0;
        for slice in rows.slices_of(row) {
            let known = if let Some(known) = meaning.slices.get(&(number, *slice)) {
                *known
            } else {
                let known = self.slice(number, rows.slices.name(*slice));
                meaning.slices.insert((number, *slice), known);
                known
            };
            match known {
                Some(known) if !meaning.found.contains(&known) => meaning.found.push(known),
                Some(_) => {}
                None => meaning.dropped += u64::from(!self.only_ledger),
            }
        }
    }

    /// The number of a slice, where it counts apart.
    fn slice(&mut self, number: u32, name: &str) -> Option<u32> {
        let arm = &self.arms[number as usize];
        if !arm.slices.contains(name) {
            if arm.slices.len() >= SLICES_MAX {
                return None;
            }
            self.changed(number).slices.insert(name.to_owned());
        }
        Some(self.slices.number(name))
    }

    pub(super) fn cell(&mut self, arm: u32, minute: i64, slice: u32) -> &mut Cell {
        self.cells.entry(CellKey { arm, slice, minute }).or_default()
    }

    /// Whether the model called it positive.
    pub(super) fn called(&self, entry: &Entry) -> bool {
        let positive = self.arms[entry.arm as usize].positive.as_deref().unwrap_or("1");
        entry.of_said || matches!(entry.said, Said::Class(c) if self.ledger.class_name(c) == Some(positive))
    }

    /// Nobody waits any more for what came up to this batch.
    pub fn evict(&mut self, batch: i64) {
        for (entry, slices) in self.ledger.evict(batch) {
            for slice in std::iter::once(ALL).chain(slices) {
                self.cell(entry.arm, entry.minute(), slice).tally.evicted += 1;
            }
        }
    }

    /// What is counted and not in the store.
    pub fn counts(&self) -> impl Iterator<Item = (&CellKey, &Cell)> {
        self.folding.iter().chain(&self.cells)
    }

    /// Everything that the store does not have, to be brought there; with what a fold that failed left.
    pub fn begin_fold(&mut self) -> Arc<Quickly<CellKey, Cell>> {
        let left = std::mem::take(&mut self.folding);
        let mut all = std::mem::take(&mut self.cells);
        for (key, cell) in Arc::unwrap_or_clone(left) {
            all.entry(key).or_default().merge(&cell);
        }
        self.folding = Arc::new(all);
        self.folding.clone()
    }

    /// What a fold began with is in the store.
    pub fn folded(&mut self) {
        self.folding = Arc::default();
        self.touched.clear();
        self.filled.clear();
        self.firsts.values_mut().for_each(|window| window.stored = window.len());
    }

    /// Nothing is counted in these slices.
    pub fn remove_slices(&mut self, slices: &BTreeSet<u32>) {
        self.begin_fold();
        self.cells = Arc::unwrap_or_clone(std::mem::take(&mut self.folding));
        self.cells.retain(|key, _| !slices.contains(&key.slice));
    }
}

/// The greatest probability of any class.
pub(super) fn highest(classes: &[(u32, f64)]) -> f64 {
    classes.iter().map(|(_, x)| *x).fold(f64::NAN, f64::max)
}
