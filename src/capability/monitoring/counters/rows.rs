//! Predictions of one body, close together: their texts in one place, their features in one list. A row costs no allocation
//! of its own.

use std::borrow::Cow;

use serde_json::Value;

use super::super::{Prediction, Score, Usage};
use super::names::Names;
use super::state::UNVERSIONED;
use crate::base::Timestamp;
use crate::capability::datasets::profile::hash;

/// A part of a list, or of the texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Part {
    pub from: u32,
    pub len: u32,
}

impl Part {
    pub fn range(self) -> std::ops::Range<usize> {
        self.from as usize..self.from as usize + self.len as usize
    }
}

/// A value of JSON, as far as anything is counted of it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Val {
    #[default]
    Null,
    Truth(bool),
    Whole(u64),
    Negative(i64),
    Fraction(f64),
    Text(Part),
    /// A list or an object.
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Scored {
    #[default]
    None,
    Positive(f64),
    /// Cells: class and probability.
    Classes(Part),
}

/// One prediction.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Row {
    pub who: u32,
    pub id: Part,
    pub time: Option<Timestamp>,
    pub said: Val,
    pub score: Scored,
    pub latency_ms: Option<f64>,
    pub failed: bool,
    /// Cells.
    pub features: Part,
    /// Of the list of slices.
    pub slices: Part,
    pub batch: Option<Part>,
    pub usage: Option<Usage>,
    /// What tells two predictions of one id apart.
    pub print: u64,
}

/// A version that rows of this body come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Who {
    pub service: String,
    pub version: String,
    pub model: Option<String>,
    pub predictions: u64,
    pub errors: u64,
}

#[derive(Debug, Clone, Default)]
pub struct Rows {
    pub all: Vec<Row>,
    pub who: Vec<Who>,
    /// Name and value.
    pub cells: Vec<(u32, Val)>,
    pub keys: Names,
    /// `country=BR`, as many as there are different ones.
    pub slices: Names,
    pub slice_of: Vec<u32>,
    text: String,
    known: Names,
    /// How much of a slice's text is its name.
    slice_name: Vec<usize>,
    /// In which line a key came last, and the number of this one.
    came: Vec<u32>,
    line: u32,
    buffer: String,
}

/// How far a body was read: what came of a line that turns out to be bad is taken back.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    text: usize,
    cells: usize,
    slices: usize,
}

fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl Rows {
    /// With room for about what a body of so many bytes holds, so that little is moved on the way.
    pub fn for_bytes(bytes: usize) -> Self {
        let mut rows = Self::default();
        rows.text.reserve(bytes / 16);
        rows.cells.reserve(bytes / 24);
        rows.all.reserve(bytes / 512);
        rows
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Before a line is read.
    pub fn mark(&mut self) -> Mark {
        self.line += 1;
        Mark { text: self.text.len(), cells: self.cells.len(), slices: self.slice_of.len() }
    }

    pub fn back(&mut self, mark: Mark) {
        self.text.truncate(mark.text);
        self.cells.truncate(mark.cells);
        self.slice_of.truncate(mark.slices);
    }

    /// The part of the cells since a mark.
    pub fn since(&self, from: usize) -> Part {
        Part { from: small(from), len: small(self.cells.len() - from) }
    }

    pub fn text(&self, part: Part) -> &str {
        self.text.get(part.range()).unwrap_or_default()
    }

    /// Where texts are put that are built a piece at a time.
    pub fn texts(&mut self) -> &mut String {
        &mut self.text
    }

    pub fn put(&mut self, text: &str) -> Part {
        let from = small(self.text.len());
        self.text.push_str(text);
        Part { from, len: small(text.len()) }
    }

    pub fn cells_of(&self, part: Part) -> &[(u32, Val)] {
        self.cells.get(part.range()).unwrap_or_default()
    }

    pub fn slices_of(&self, row: &Row) -> &[u32] {
        self.slice_of.get(row.slices.range()).unwrap_or_default()
    }

    /// The number of a feature's name, where the one before it in this row is known: rows of one body are mostly alike.
    pub fn key_after(&mut self, before: Option<u32>, name: &str) -> u32 {
        let next = before.map_or(0, |n| n + 1);
        if self.keys.name(next) == name && !name.is_empty() { next } else { self.keys.number(name) }
    }

    /// Notes that a key came in the line that is being read; `false`: it did before.
    pub fn first_in_line(&mut self, key: u32) -> bool {
        let key = key as usize;
        if key >= self.came.len() {
            self.came.resize(self.keys.len().max(key + 1), 0);
        }
        std::mem::replace(&mut self.came[key], self.line) != self.line
    }

    pub fn put_slice(&mut self, name: &str, value: &str) {
        self.buffer.clear();
        self.buffer.extend([name, "=", value]);
        let number = self.slices.number(&self.buffer);
        if number as usize == self.slice_name.len() {
            self.slice_name.push(name.len());
        }
        self.slice_of.push(number);
    }

    /// Name and value of a slice.
    pub fn slice(&self, number: u32) -> (&str, &str) {
        let text = self.slices.name(number);
        let name = self.slice_name.get(number as usize).copied().unwrap_or_default();
        (text.get(..name).unwrap_or_default(), text.get(name + 1..).unwrap_or_default())
    }

    pub fn who(&mut self, service: &str, version: Option<&str>, model: Option<&str>) -> u32 {
        let version = version.unwrap_or(UNVERSIONED);
        self.buffer.clear();
        self.buffer.extend([service, "\u{1f}", version, "\u{1f}", model.map_or("", |_| "m"), model.unwrap_or("")]);
        let number = self.known.number(&self.buffer);
        if number as usize == self.who.len() {
            let (service, version, model) = (service.into(), version.into(), model.map(Into::into));
            self.who.push(Who { service, version, model, predictions: 0, errors: 0 });
        }
        number
    }

    pub fn push(&mut self, row: Row) {
        if let Some(who) = self.who.get_mut(row.who as usize) {
            who.predictions += 1;
            who.errors += u64::from(row.failed);
        }
        self.all.push(row);
    }

    /// What was counted of a row, where it is one to count.
    pub fn value(&mut self, value: &Value) -> Val {
        match value {
            Value::Null => Val::Null,
            Value::Bool(b) => Val::Truth(*b),
            Value::Number(n) => n
                .as_u64()
                .map(Val::Whole)
                .or_else(|| n.as_i64().map(Val::Negative))
                .or_else(|| n.as_f64().map(Val::Fraction))
                .unwrap_or_default(),
            Value::String(text) => Val::Text(self.put(text)),
            Value::Array(_) | Value::Object(_) => Val::Other,
        }
    }

    /// The row of an event that was read the long way.
    pub fn row_of(&mut self, p: &Prediction) -> Row {
        let id = self.put(&p.id);
        let who = self.who(&p.service, p.version.as_deref(), p.model.as_deref());
        let from = self.cells.len();
        for (name, value) in &p.features {
            let (key, value) = (self.keys.number(name), self.value(value));
            self.cells.push((key, value));
        }
        let features = self.since(from);
        let score = match &p.score {
            None => Scored::None,
            Some(Score::Positive(x)) => Scored::Positive(*x),
            Some(Score::Classes(all)) => self.classes(all.iter().map(|(class, x)| (class.as_str(), *x))),
        };
        let from = self.slice_of.len();
        p.slices.iter().for_each(|(name, value)| self.put_slice(name, value));
        let slices = Part { from: small(from), len: small(self.slice_of.len() - from) };
        let said = self.value(&p.prediction);
        let batch = p.batch.as_deref().map(|batch| self.put(batch));
        let content = serde_json::to_string(&(&p.prediction, &p.score, &p.features)).unwrap_or_default();
        Row {
            who,
            id,
            time: p.time,
            said,
            score,
            latency_ms: p.latency_ms,
            failed: p.error.is_some(),
            features,
            slices,
            batch,
            usage: p.usage,
            print: hash(content.as_bytes()),
        }
    }

    pub fn classes<'a>(&mut self, all: impl Iterator<Item = (&'a str, f64)>) -> Scored {
        let from = self.cells.len();
        for (class, x) in all {
            let key = self.keys.number(class);
            self.cells.push((key, Val::Fraction(x)));
        }
        Scored::Classes(self.since(from))
    }

    /// A value as a number: also text that is one, or a time.
    pub fn number(&self, value: Val) -> Option<f64> {
        match value {
            Val::Whole(n) => Some(n as f64),
            Val::Negative(n) => Some(n as f64),
            Val::Fraction(x) => Some(x),
            Val::Truth(b) => Some(f64::from(u8::from(b))),
            Val::Text(part) => super::arm::number_of(self.text(part)),
            Val::Null | Val::Other => None,
        }
    }

    /// A value as the name of a category; none for what is missing.
    pub fn category(&self, value: Val) -> Option<Cow<'_, str>> {
        Some(match value {
            Val::Null | Val::Other => return None,
            Val::Text(part) if part.len == 0 => return None,
            Val::Text(part) => Cow::Borrowed(self.text(part)),
            Val::Truth(true) => Cow::Borrowed("true"),
            Val::Truth(false) => Cow::Borrowed("false"),
            Val::Whole(n) => Cow::Owned(n.to_string()),
            Val::Negative(n) => Cow::Owned(n.to_string()),
            Val::Fraction(x) => Cow::Owned(Value::from(x).to_string()),
        })
    }

    /// A value as the name of a class, as `state::class_of` gives it.
    pub fn class(&self, value: Val) -> Option<Cow<'_, str>> {
        Some(match value {
            Val::Null | Val::Other => return None,
            Val::Truth(b) => Cow::Borrowed(if b { "1" } else { "0" }),
            Val::Whole(0) => Cow::Borrowed("0"),
            Val::Whole(1) => Cow::Borrowed("1"),
            Val::Whole(n) => Cow::Owned(super::state::class_of_number(n as f64)),
            Val::Negative(n) => Cow::Owned(super::state::class_of_number(n as f64)),
            Val::Fraction(x) => Cow::Owned(super::state::class_of_number(x)),
            Val::Text(part) => super::state::class_of_text(self.text(part)),
        })
    }
}
