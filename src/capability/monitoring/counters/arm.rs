//! A version of a service that predictions came from: what its columns are held against, and what it is asked to tell apart.

use std::collections::BTreeSet;
use std::sync::Arc;

use compact_str::CompactString;
use hashbrown::HashTable;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::first::FirstWindow;
use super::names::Names;
use super::rows::{Rows, Val};
use crate::base::Timestamp;
use crate::capability::datasets::profile::{Counts, Grid, NumberBins, Reference, Slot, hash};

/// Predictions that a version's own first window is made of.
pub const FIRST_WINDOW_ROWS: usize = 1000;
/// Columns of a version.
pub const COLUMNS_MAX: usize = 500;
/// Slices of a version, `country=BR` each.
pub const SLICES_MAX: usize = 200;
/// Classes of a version that are told apart by name, and how long such a name is.
pub const CLASSES_MAX: usize = 500;
pub const CLASS_BYTES_MAX: usize = 64;
/// Rows that are counted a column at a time, so that what a column is held against stays at hand.
pub(super) const TILE: usize = 64;
/// Names of the columns that are no feature.
pub const SCORE: &str = "(score)";
pub const PREDICTION: &str = "(prediction)";
pub(super) const FIRST_WINDOW: &str = "first window";

/// What a model answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    Classes,
    Numbers,
    /// Text, or something else that only a judgement tells the worth of.
    Text,
}

/// A column with what it is compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmColumn {
    pub name: String,
    /// `dataset@version`, or `first window`.
    pub source: String,
    pub reference: Reference,
    /// Of the reference itself.
    pub counts: Counts,
    /// Whether a prediction ever had it: a column of the training data that is no input is not missing.
    #[serde(default)]
    pub sent: bool,
    #[serde(skip)]
    lookup: Lookup,
}

/// What makes finding a value's bin quick.
#[derive(Debug, Clone, Default)]
enum Lookup {
    #[default]
    Nothing,
    Grid(Grid),
    /// Where a category is among the top ones, by its hash; the category itself stands there.
    Places(HashTable<u16>),
}

/// It follows from the reference.
impl PartialEq for Lookup {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Where words of one body were counted in one column: the same word counts there again. Empty where too little is counted.
#[derive(Debug, Clone, Default)]
pub struct Found(Vec<Option<Slot>>);

impl Found {
    /// Of nothing yet, for so many words.
    pub fn begin(&mut self, words: usize) {
        self.0.clear();
        self.0.resize(words, None);
    }

    #[inline(always)]
    #[allow(clippy::inline_always)] // once a value
    fn of(&self, value: Val) -> Option<Slot> {
        if let Val::Word(number) = value { self.0.get(number as usize).copied()? } else { None }
    }

    fn note(&mut self, value: Val, slot: Slot) {
        if let Val::Word(number) = value
            && let Some(known) = self.0.get_mut(number as usize)
        {
            *known = Some(slot);
        }
    }
}

impl ArmColumn {
    pub fn new(name: String, source: String, reference: Reference, counts: Counts) -> Self {
        let mut it = Self { name, source, reference, counts, sent: false, lookup: Lookup::default() };
        it.look_up();
        it
    }

    fn look_up(&mut self) {
        self.lookup = match &self.reference {
            Reference::Numbers(bins) => Lookup::Grid(Grid::new(bins)),
            Reference::Categories(bins) => {
                let mut table = HashTable::with_capacity(bins.top.len());
                for (place, category) in (0..u16::MAX).zip(&bins.top) {
                    table.insert_unique(hash(category.as_bytes()), place, |known| {
                        hash(bins.top[usize::from(*known)].as_bytes())
                    });
                }
                Lookup::Places(table)
            }
        };
    }

    /// Counts values and answers how many there were: those that are missing the caller counts together.
    pub fn count(&self, counts: &mut Counts, rows: &Rows, values: &[Val], found: &mut Found) -> u64 {
        let before = counts.n;
        match &self.reference {
            Reference::Numbers(bins) => self.numbers(bins, counts, rows, values),
            Reference::Categories(bins) => {
                for value in values {
                    if let Some(slot) = found.of(*value) {
                        counts.add_again(slot);
                    } else if let Some(category) = rows.category(*value) {
                        let digest = hash(category.as_bytes());
                        let slot = counts.add_category(bins, self.place(&bins.top, &category, digest), digest);
                        found.note(*value, slot);
                    }
                }
            }
        }
        counts.n - before
    }

    fn numbers(&self, bins: &NumberBins, counts: &mut Counts, rows: &Rows, values: &[Val]) {
        let mut finite = [0.0; TILE];
        for some in values.chunks(TILE) {
            let mut len = 0;
            for value in some {
                let x = match *value {
                    Val::Fraction(x) => x,
                    Val::Whole(n) => n as f64,
                    other => rows.number(other).unwrap_or(f64::NAN),
                };
                if x.is_finite() {
                    finite[len] = x;
                    len += 1;
                } else if !x.is_nan() {
                    counts.add_number(bins, x, 1);
                }
            }
            match &self.lookup {
                Lookup::Grid(grid) => counts.add_numbers(bins, grid, &finite[..len]),
                _ => counts.add_numbers(bins, &Grid::default(), &finite[..len]),
            }
        }
    }

    /// Where a category is among the top ones.
    fn place(&self, top: &[CompactString], category: &str, digest: u64) -> Option<usize> {
        let Lookup::Places(places) = &self.lookup else { return None };
        places.find(digest, |place| top[usize::from(*place)] == category).map(|place| usize::from(*place))
    }
}

/// A text as a number, or as a time.
pub fn number_of(text: &str) -> Option<f64> {
    let text = text.trim();
    text.parse().ok().or_else(|| Timestamp::parse(text).map(|t| t.0 as f64))
}

/// A label as a number.
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::Bool(b) => Some(f64::from(u8::from(*b))),
        Value::String(text) => number_of(text),
        _ => None,
    }
}

/// A version of a service.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Arm {
    pub service: String,
    pub version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Shared with those who read reports of it.
    pub columns: Arc<Vec<ArmColumn>>,
    #[serde(skip)]
    pub names: Arc<Names>,
    /// Rows of the first window so far; none when it is full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_rows: Option<usize>,
    /// The first window as older stores kept it.
    #[serde(default, skip_serializing)]
    pub(super) first: Option<Vec<Map<String, Value>>>,
    /// Whether its features have a training profile.
    #[serde(default)]
    pub profiled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// The class that a score is the probability of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positive: Option<String>,
    #[serde(default)]
    pub slices: BTreeSet<String>,
    /// Slices that were too many to count apart.
    #[serde(default)]
    pub slices_dropped: u64,
    /// Classes that have a name in its counts.
    #[serde(default)]
    pub classes: BTreeSet<String>,
    /// Answers and labels whose class has none: there were too many, or the name is too long.
    #[serde(default)]
    pub classes_dropped: u64,
    #[serde(default)]
    pub last: Timestamp,
    /// The newest batch of a model that answers in batches, and when it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<(String, Timestamp)>,
}

impl Arm {
    /// One that is seen for the first time, with its training profile if there is one.
    pub fn new(service: &str, version: &str, model: Option<String>, profile: Option<Vec<ArmColumn>>) -> Self {
        let arm = Self {
            service: service.to_owned(),
            version: version.to_owned(),
            model,
            profiled: profile.is_some(),
            columns: Arc::new(profile.unwrap_or_default().into_iter().take(COLUMNS_MAX).collect()),
            names: Arc::default(),
            first_rows: Some(0),
            first: None,
            task: None,
            positive: None,
            slices: BTreeSet::new(),
            slices_dropped: 0,
            classes: BTreeSet::new(),
            classes_dropped: 0,
            last: Timestamp::default(),
            batch: None,
        };
        arm.named()
    }

    /// After it was read from the store: what was counted of it, with its first window.
    #[must_use]
    pub fn woken(mut self) -> (Self, Option<FirstWindow>) {
        let old = self.first.take().map(|rows| FirstWindow::of_rows(&rows));
        let window = old.or_else(|| self.first_rows.map(|_| FirstWindow::default()));
        self.first_rows = window.as_ref().map(FirstWindow::len);
        (self.indexed(), window)
    }

    /// With everything by which its columns and their categories are found.
    #[must_use]
    pub fn indexed(mut self) -> Self {
        Arc::make_mut(&mut self.columns).iter_mut().for_each(ArmColumn::look_up);
        self.named()
    }

    fn named(mut self) -> Self {
        self.names = Arc::new(self.columns.iter().map(|c| c.name.as_str()).collect());
        self
    }

    /// What it was before its first prediction.
    #[must_use]
    pub fn unborn(&self) -> Self {
        let mut profile: Vec<ArmColumn> = self.columns.iter().filter(|c| c.source != FIRST_WINDOW).cloned().collect();
        profile.iter_mut().for_each(|c| c.sent = false);
        Self::new(&self.service, &self.version, self.model.clone(), self.profiled.then_some(profile))
    }

    /// Gets the references that its first window gives.
    pub fn close_first(&mut self, window: FirstWindow) {
        self.first_rows = None;
        let (names, profiled) = (self.names.clone(), self.profiled);
        // With a profile, what the training data does not have has nothing to be held against.
        let wanted = |name: &str| names.find(name).is_none() && (!profiled || matches!(name, SCORE | PREDICTION));
        let room = (COLUMNS_MAX + 2).saturating_sub(self.columns.len());
        Arc::make_mut(&mut self.columns).extend(window.made(wanted, room));
        *self = std::mem::take(self).named();
    }

    /// What changes with every prediction, apart from the rest: a small part of it.
    pub fn moving(&self) -> Moving {
        let (slices_dropped, classes_dropped) = (self.slices_dropped, self.classes_dropped);
        Moving { last: self.last, slices_dropped, classes_dropped, batch: self.batch.clone() }
    }

    pub fn moved(&mut self, moving: Moving) {
        self.last = moving.last;
        self.slices_dropped = moving.slices_dropped;
        self.classes_dropped = moving.classes_dropped;
        self.batch = moving.batch;
    }
}

/// See [`Arm::moving`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moving {
    last: Timestamp,
    #[serde(default)]
    slices_dropped: u64,
    #[serde(default)]
    classes_dropped: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    batch: Option<(String, Timestamp)>,
}
