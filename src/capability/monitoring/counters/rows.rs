//! Predictions of one body, close together: their texts in one place, their features in one list. A row costs no allocation
//! of its own.

use std::borrow::Cow;

use serde_json::Value;

use super::super::Usage;
use super::names::Names;
use super::state::UNVERSIONED;
use super::words::Words;
use crate::base::Timestamp;

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
    /// A short text by its number, see [`Words`].
    Word(u32),
    Text(Part),
    /// A list or an object, as JSON: nothing is counted of it, and a person may stand in it.
    Other(Part),
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Scored {
    #[default]
    None,
    Positive(f64),
    /// Of the list of classes.
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
    /// Which features it has, see [`Rows::keys_of`], and where they begin among the cells.
    pub shape: u32,
    pub features: u32,
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
    /// Values of features, those of a row together.
    pub cells: Vec<Val>,
    pub keys: Names,
    /// Class and probability.
    pub classes: Vec<(u32, f64)>,
    /// `country=BR`, as many as there are different ones.
    pub slices: Names,
    pub slice_of: Vec<u32>,
    pub words: Words,
    /// Keys of the features of alike rows, in the order in which they came; the first one is no feature at all.
    shapes: Vec<Box<[u32]>>,
    text: String,
    known: Names,
    /// How much of a slice's text is its name.
    slice_name: Vec<usize>,
    /// Slices up to here were found good, see `check`.
    pub slices_good: usize,
    /// A line that was not taken left names or words behind that no row has.
    pub left_over: bool,
    buffer: String,
}

/// How far a body was read: what came of a line that turns out to be bad is taken back.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    text: usize,
    cells: usize,
    classes: usize,
    slices: usize,
}

/// Shapes that another one is held against.
const SHAPES_NEAR: usize = 16;

fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl Rows {
    /// Makes room for about what a body of so many bytes holds, so that little is moved on the way.
    pub fn reserve_for(&mut self, bytes: usize) {
        self.text.reserve(bytes / 24);
        self.cells.reserve(bytes / 20);
        self.all.reserve(bytes / 420);
    }

    /// Empty again, with the room that it has.
    pub fn clear(&mut self) {
        self.all.clear();
        self.who.clear();
        self.cells.clear();
        self.keys.clear();
        self.classes.clear();
        self.slices.clear();
        self.slice_of.clear();
        self.words.clear();
        self.shapes.clear();
        self.text.clear();
        self.known.clear();
        self.slice_name.clear();
        self.slices_good = 0;
        self.left_over = false;
    }

    /// Bytes that it takes up, about.
    pub fn room(&self) -> usize {
        self.all.capacity() * size_of::<Row>()
            + self.cells.capacity() * size_of::<Val>()
            + self.classes.capacity() * size_of::<(u32, f64)>()
            + self.text.capacity()
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Before a line is read.
    pub fn mark(&self) -> Mark {
        let (text, cells) = (self.text.len(), self.cells.len());
        Mark { text, cells, classes: self.classes.len(), slices: self.slice_of.len() }
    }

    pub fn back(&mut self, mark: Mark) {
        self.text.truncate(mark.text);
        self.cells.truncate(mark.cells);
        self.classes.truncate(mark.classes);
        self.slice_of.truncate(mark.slices);
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

    /// Keys of a row's features, as its cells lie.
    pub fn keys_of(&self, row: &Row) -> &[u32] {
        self.shape_keys(row.shape)
    }

    pub fn shape_keys(&self, shape: u32) -> &[u32] {
        (shape as usize).checked_sub(1).and_then(|n| self.shapes.get(n)).map_or(&[], |keys| keys)
    }

    /// How many different shapes there are, with that of no feature.
    pub fn shapes(&self) -> u32 {
        small(self.shapes.len() + 1)
    }

    pub fn cells_of(&self, row: &Row) -> &[Val] {
        let from = row.features as usize;
        self.cells.get(from..from + self.keys_of(row).len()).unwrap_or_default()
    }

    /// Key and value of a row's features.
    pub fn features_of(&self, row: &Row) -> impl Iterator<Item = (u32, Val)> + '_ {
        self.keys_of(row).iter().copied().zip(self.cells_of(row).iter().copied())
    }

    /// The number of the shape that has these keys.
    pub fn shape(&mut self, keys: &[u32]) -> u32 {
        if keys.is_empty() {
            return 0;
        }
        // The newest is the likeliest; one that stands here twice does no harm.
        let near = self.shapes.iter().rev().take(SHAPES_NEAR).position(|known| **known == *keys);
        if let Some(back) = near {
            return small(self.shapes.len() - back);
        }
        self.push_shape(keys.into());
        small(self.shapes.len())
    }

    pub fn push_shape(&mut self, keys: Vec<u32>) {
        self.shapes.push(keys.into());
    }

    pub fn classes_of(&self, part: Part) -> &[(u32, f64)] {
        self.classes.get(part.range()).unwrap_or_default()
    }

    pub fn slices_of(&self, row: &Row) -> &[u32] {
        self.slice_of.get(row.slices.range()).unwrap_or_default()
    }

    /// The number of a slice; the row in hand has it.
    pub fn put_slice(&mut self, name: &str, value: &str) -> u32 {
        self.buffer.clear();
        self.buffer.extend([name, "=", value]);
        let number = self.slices.number(&self.buffer);
        if number as usize == self.slice_name.len() {
            self.slice_name.push(name.len());
        }
        self.slice_of.push(number);
        number
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

    /// A text as a value.
    pub fn word(&mut self, text: &str) -> Val {
        self.words.number(text).map_or_else(|| Val::Text(self.put(text)), Val::Word)
    }

    /// What is counted of a value, where it is one to count.
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
            Value::String(text) => self.word(text),
            Value::Array(_) | Value::Object(_) => Val::Other(self.put(&value.to_string())),
        }
    }

    pub fn put_classes<'a>(&mut self, all: impl Iterator<Item = (&'a str, f64)>) -> Scored {
        let from = self.classes.len();
        for (class, x) in all {
            let key = self.keys.number(class);
            self.classes.push((key, x));
        }
        Scored::Classes(Part { from: small(from), len: small(self.classes.len() - from) })
    }

    /// The text of a value that is one.
    pub fn text_of(&self, value: Val) -> Option<&str> {
        match value {
            Val::Word(number) => Some(self.words.text(number)),
            Val::Text(part) => Some(self.text(part)),
            _ => None,
        }
    }

    /// A value as a number: also text that is one, or a time.
    pub fn number(&self, value: Val) -> Option<f64> {
        match value {
            Val::Whole(n) => Some(n as f64),
            Val::Negative(n) => Some(n as f64),
            Val::Fraction(x) => Some(x),
            Val::Truth(b) => Some(f64::from(u8::from(b))),
            Val::Word(_) | Val::Text(_) => super::arm::number_of(self.text_of(value)?),
            Val::Null | Val::Other(_) => None,
        }
    }

    /// A value as the name of a category; none for what is missing.
    pub fn category(&self, value: Val) -> Option<Cow<'_, str>> {
        Some(match value {
            Val::Null | Val::Other(_) => return None,
            Val::Word(_) | Val::Text(_) => {
                return self.text_of(value).filter(|text| !text.is_empty()).map(Cow::Borrowed);
            }
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
            Val::Null | Val::Other(_) => return None,
            Val::Truth(b) => Cow::Borrowed(if b { "1" } else { "0" }),
            Val::Whole(0) => Cow::Borrowed("0"),
            Val::Whole(1) => Cow::Borrowed("1"),
            Val::Whole(n) => Cow::Owned(super::state::class_of_number(n as f64)),
            Val::Negative(n) => Cow::Owned(super::state::class_of_number(n as f64)),
            Val::Fraction(x) => Cow::Owned(super::state::class_of_number(x)),
            Val::Word(_) | Val::Text(_) => super::state::class_of_text(self.text_of(value)?),
        })
    }
}
