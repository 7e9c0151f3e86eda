//! A version of a service that predictions came from: what its columns are held against, and what it is asked to tell apart.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::base::Timestamp;
use crate::capability::datasets::profile::{CategoryTally, Counts, NumberTally, Reference};

/// Predictions that a version's own first window is made of.
pub const FIRST_WINDOW_ROWS: usize = 1000;
/// Columns of a version.
pub const COLUMNS_MAX: usize = 500;
/// Slices of a version, `country=BR` each.
pub const SLICES_MAX: usize = 200;
/// Names of the columns that are no feature.
pub const SCORE: &str = "(score)";
pub const PREDICTION: &str = "(prediction)";
const FIRST_WINDOW: &str = "first window";

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
    pub lookup: HashMap<String, usize>,
}

impl ArmColumn {
    pub fn new(name: String, source: String, reference: Reference, counts: Counts) -> Self {
        let mut it = Self { name, source, reference, counts, sent: false, lookup: HashMap::new() };
        it.look_up();
        it
    }

    fn look_up(&mut self) {
        if let Reference::Categories(bins) = &self.reference {
            self.lookup = bins.top.iter().enumerate().map(|(i, c)| (c.clone(), i)).collect();
        }
    }

    /// Counts one value.
    pub fn count(&self, counts: &mut Counts, value: Option<&Value>) {
        match (&self.reference, value) {
            (_, None | Some(Value::Null | Value::Array(_) | Value::Object(_))) => missing(counts),
            (Reference::Numbers(bins), Some(value)) => match number(value) {
                Some(x) => counts.add_number(bins, x, 1),
                None => missing(counts),
            },
            (Reference::Categories(bins), Some(Value::String(text))) if text.is_empty() => {
                let _ = bins;
                missing(counts);
            }
            (Reference::Categories(bins), Some(value)) => {
                let text = match value {
                    Value::String(text) => std::borrow::Cow::Borrowed(text.as_str()),
                    other => std::borrow::Cow::Owned(other.to_string()),
                };
                counts.add_category(bins, self.lookup.get(text.as_ref()).copied(), &text);
            }
        }
    }
}

fn missing(counts: &mut Counts) {
    counts.n += 1;
    counts.missing += 1;
}

/// A value as a number: also text that is one, or a time.
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::Bool(b) => Some(f64::from(u8::from(*b))),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| Timestamp::parse(text).map(|t| t.0 as f64))
        }
        _ => None,
    }
}

/// A version of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    pub service: String,
    pub version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    pub columns: Vec<ArmColumn>,
    /// The first predictions, until there are enough to make references of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Vec<Map<String, Value>>>,
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
    #[serde(default)]
    pub last: Timestamp,
    /// The newest batch of a model that answers in batches, and when it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<(String, Timestamp)>,
}

impl Arm {
    /// One that is seen for the first time, with its training profile if there is one.
    pub fn new(service: &str, version: &str, model: Option<String>, profile: Option<Vec<ArmColumn>>) -> Self {
        Self {
            service: service.to_owned(),
            version: version.to_owned(),
            model,
            profiled: profile.is_some(),
            columns: profile.unwrap_or_default().into_iter().take(COLUMNS_MAX).collect(),
            first: Some(Vec::new()),
            task: None,
            positive: None,
            slices: BTreeSet::new(),
            slices_dropped: 0,
            last: Timestamp::default(),
            batch: None,
        }
    }

    /// After it was read from the store.
    #[must_use]
    pub fn woken(mut self) -> Self {
        self.columns.iter_mut().for_each(ArmColumn::look_up);
        self
    }

    /// What it was before its first prediction.
    #[must_use]
    pub fn unborn(&self) -> Self {
        let mut profile: Vec<ArmColumn> = self.columns.iter().filter(|c| c.source != FIRST_WINDOW).cloned().collect();
        profile.iter_mut().for_each(|c| c.sent = false);
        Self::new(&self.service, &self.version, self.model.clone(), self.profiled.then_some(profile))
    }

    /// Takes a prediction into the first window; makes the references when it is full.
    pub fn take_first(&mut self, row: Map<String, Value>) {
        let Some(first) = &mut self.first else { return };
        first.push(row);
        if first.len() < FIRST_WINDOW_ROWS {
            return;
        }
        let rows = self.first.take().unwrap_or_default();
        let mut names: BTreeSet<&String> = rows.iter().flat_map(Map::keys).collect();
        names.retain(|name| !self.columns.iter().any(|c| c.name == **name));
        // With a profile, what the training data does not have has nothing to be held against.
        names.retain(|name| !self.profiled || matches!(name.as_str(), SCORE | PREDICTION));
        let room = (COLUMNS_MAX + 2).saturating_sub(self.columns.len());
        let made: Vec<ArmColumn> = names.into_iter().take(room).map(|name| made_of(name, &rows)).collect();
        self.columns.extend(made);
    }
}

/// The reference that the first window gives.
fn made_of(name: &str, rows: &[Map<String, Value>]) -> ArmColumn {
    let values: Vec<Option<&Value>> = rows.iter().map(|r| r.get(name).filter(|v| !v.is_null())).collect();
    let numeric = values.iter().flatten().all(|v| number(v).is_some());
    let (reference, counts) = if numeric {
        let mut tally = NumberTally::default();
        for value in &values {
            match value.and_then(number) {
                Some(x) => tally.add(x),
                None => tally.missing += 1,
            }
        }
        let (reference, counts) = tally.finish(None);
        let counts = counts.map_or_else(|| reference.empty(), |c| c.0);
        (reference, counts)
    } else {
        let mut tally = CategoryTally::default();
        for value in &values {
            match value {
                Some(Value::String(text)) => tally.add(text.as_bytes(), 1),
                Some(other) => tally.add(other.to_string().as_bytes(), 1),
                None => tally.missing += 1,
            }
        }
        let (reference, counts, _) = tally.finish(None);
        (reference, counts)
    };
    let mut column = ArmColumn::new(name.to_owned(), FIRST_WINDOW.to_owned(), reference, counts);
    column.sent = true;
    column
}
