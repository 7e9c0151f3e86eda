//! The first predictions of a version, kept until there are enough to make references of: by column, since a thousand rows of
//! hundreds of versions wait at once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::arm::{ArmColumn, COLUMNS_MAX, FIRST_WINDOW_ROWS, number_of};
use super::names::Names;
use super::rows::{Rows, Val};
use crate::capability::datasets::profile::{CategoryTally, NumberTally};

/// Columns that are kept of a first window; of those that were seen, the first by name are used.
const NAMES_MAX: usize = 4 * COLUMNS_MAX;
/// Whole numbers that a double holds exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The values of one column, in the smallest form that holds them; rows after the last one lack it.
#[derive(Debug, Clone)]
enum Values {
    /// NaN: missing.
    Numbers(Vec<f64>),
    /// By the number of the text; `u32::MAX`: missing.
    Texts(Vec<u32>, Names),
    Mixed(Vec<Value>),
}

#[derive(Debug, Clone, Default)]
pub struct FirstWindow {
    rows: usize,
    /// Rows that are in the store.
    pub stored: usize,
    columns: BTreeMap<String, Values>,
}

/// Rows of a first window, as the store keeps them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FirstPart {
    pub rows: usize,
    pub columns: BTreeMap<String, Vec<Value>>,
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Self::Numbers(all) => all.len(),
            Self::Texts(all, _) => all.len(),
            Self::Mixed(all) => all.len(),
        }
    }

    fn miss(&mut self) {
        match self {
            Self::Numbers(all) => all.push(f64::NAN),
            Self::Texts(all, _) => all.push(u32::MAX),
            Self::Mixed(all) => all.push(Value::Null),
        }
    }

    fn value(&self, row: usize) -> Value {
        match self {
            // What is whole was sent as a whole number, but for columns that hold both.
            Self::Numbers(all) => all.get(row).map_or(Value::Null, |x| {
                #[allow(clippy::cast_possible_truncation)] // exact
                let whole = *x as i64;
                if x.fract() == 0.0 && x.abs() < EXACT { Value::from(whole) } else { Value::from(*x) }
            }),
            Self::Texts(all, names) => match all.get(row) {
                Some(&number) if number != u32::MAX => Value::from(names.name(number)),
                _ => Value::Null,
            },
            Self::Mixed(all) => all.get(row).cloned().unwrap_or_default(),
        }
    }

    fn push(&mut self, value: &Value) {
        match (&mut *self, value) {
            (Self::Numbers(all), Value::Number(n)) if n.as_f64().is_some_and(|x| x.abs() < EXACT) => {
                return all.push(n.as_f64().unwrap_or(f64::NAN));
            }
            (Self::Texts(all, names), Value::String(text)) => return all.push(names.number(text)),
            (Self::Mixed(all), value) => return all.push(value.clone()),
            _ => {}
        }
        let mut all: Vec<Value> = (0..self.len()).map(|row| self.value(row)).collect();
        all.push(value.clone());
        *self = Self::Mixed(all);
    }

    fn fit(value: &Value) -> Self {
        match value {
            Value::Number(_) => Self::Numbers(Vec::with_capacity(FIRST_WINDOW_ROWS)),
            Value::String(_) => Self::Texts(Vec::with_capacity(FIRST_WINDOW_ROWS), Names::default()),
            _ => Self::Mixed(Vec::new()),
        }
    }
}

impl FirstWindow {
    pub fn len(&self) -> usize {
        self.rows
    }

    pub fn full(&self) -> bool {
        self.rows >= FIRST_WINDOW_ROWS
    }

    /// Takes a row: pairs of name and value, those that are missing left out.
    pub fn take<'a>(&mut self, cells: impl Iterator<Item = (&'a str, Value)>) {
        for (name, value) in cells.filter(|(_, value)| !value.is_null()) {
            self.put(name, &value);
        }
        self.rows += 1;
    }

    fn put(&mut self, name: &str, value: &Value) {
        if !self.columns.contains_key(name) {
            if self.columns.len() >= NAMES_MAX {
                return;
            }
            self.columns.insert(name.to_owned(), Values::fit(value));
        }
        if let Some(values) = self.columns.get_mut(name) {
            (values.len()..self.rows).for_each(|_| values.miss());
            values.push(value);
        }
    }

    /// The rows that the store does not have yet; `None`: it has all.
    pub fn fresh(&self) -> Option<FirstPart> {
        (self.stored < self.rows).then(|| self.part(self.stored))
    }

    fn part(&self, from: usize) -> FirstPart {
        let column = |values: &Values| (from..self.rows).map(|row| values.value(row)).collect::<Vec<_>>();
        let columns = self.columns.iter().map(|(name, values)| (name.clone(), column(values))).collect();
        FirstPart { rows: self.rows - from, columns }
    }

    /// Bytes of it, as text.
    pub fn bytes(&self) -> u64 {
        serde_json::to_vec(&self.part(0)).map_or(0, |text| text.len() as u64)
    }

    /// The window without the rows that `goes` names, none of it stored; `None`: it names none.
    pub fn without(&self, goes: impl Fn(&Map<String, Value>) -> bool) -> Option<Self> {
        let row = |row: usize| -> Map<String, Value> {
            let cell = |(name, values): (&String, &Values)| (name.clone(), values.value(row));
            self.columns.iter().map(cell).filter(|(_, value)| !value.is_null()).collect()
        };
        let left: Vec<Map<String, Value>> = (0..self.rows).map(row).filter(|row| !goes(row)).collect();
        (left.len() < self.rows).then(|| Self::of_rows(&left))
    }

    /// Takes back what [`Self::fresh`] gave, after a start.
    pub fn restore(&mut self, part: &FirstPart) {
        for row in 0..part.rows.min(FIRST_WINDOW_ROWS) {
            let cell = |(name, all): (_, &Vec<Value>)| (name, all.get(row).cloned().unwrap_or_default());
            self.take(part.columns.iter().map(|(name, all)| cell((name.as_str(), all))));
        }
        self.stored = self.rows;
    }

    /// As older stores kept them.
    pub fn of_rows(rows: &[Map<String, Value>]) -> Self {
        let mut all = Self::default();
        rows.iter().for_each(|row| all.take(row.iter().map(|(k, v)| (k.as_str(), v.clone()))));
        all
    }

    /// The references that it gives: of these columns, or of all.
    pub fn made(mut self, wanted: impl Fn(&str) -> bool, room: usize) -> Vec<ArmColumn> {
        let rows = self.rows;
        for values in self.columns.values_mut() {
            (values.len()..rows).for_each(|_| values.miss());
        }
        self.columns.iter().filter(|(name, _)| wanted(name)).take(room).map(|(n, v)| made_of(n, v)).collect()
    }
}

/// A value that a first window keeps.
pub fn kept(rows: &Rows, value: Val) -> Value {
    match value {
        Val::Null | Val::Other(_) => Value::Null,
        Val::Truth(b) => Value::from(b),
        Val::Whole(n) => Value::from(n),
        Val::Negative(n) => Value::from(n),
        Val::Fraction(x) => Value::from(x),
        Val::Word(_) | Val::Text(_) => Value::from(rows.text_of(value).unwrap_or_default()),
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::Bool(b) => Some(f64::from(u8::from(*b))),
        Value::String(text) => number_of(text),
        _ => None,
    }
}

/// The reference that a column of the first window gives.
fn made_of(name: &str, values: &Values) -> ArmColumn {
    let rows = values.len();
    let numeric = match values {
        Values::Numbers(_) => true,
        Values::Texts(_, names) => names.iter().all(|text| number_of(text).is_some()),
        Values::Mixed(all) => all.iter().filter(|v| !v.is_null()).all(|v| number(v).is_some()),
    };
    let (reference, counts) = if numeric {
        let mut tally = NumberTally::default();
        for row in 0..rows {
            let x = if let Values::Numbers(all) = values { Some(all[row]) } else { number(&values.value(row)) };
            match x.filter(|x| !x.is_nan() || !matches!(values, Values::Numbers(_))) {
                Some(x) => tally.add(x),
                None => tally.missing += 1,
            }
        }
        let (reference, counts) = tally.finish(None);
        let counts = counts.map_or_else(|| reference.empty(), |c| c.0);
        (reference, counts)
    } else {
        let mut tally = CategoryTally::default();
        for row in 0..rows {
            match values.value(row) {
                Value::Null => tally.missing += 1,
                Value::String(text) => tally.add(text.as_bytes(), 1),
                other => tally.add(other.to_string().as_bytes(), 1),
            }
        }
        let (reference, counts, _) = tally.finish(None);
        (reference, counts)
    };
    let mut column = ArmColumn::new(name.to_owned(), super::arm::FIRST_WINDOW.to_owned(), reference, counts);
    column.sent = true;
    column
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(i: usize) -> Value {
        let odd = if i.is_multiple_of(7) { json!("none") } else { json!(i) };
        let late = if i < 500 { Value::Null } else { json!(i) };
        json!({"x": i as f64 / 3.0, "t": format!("v{}", i % 5), "odd": odd, "late": late, "b": i.is_multiple_of(2)})
    }

    fn columns(window: FirstWindow) -> Vec<ArmColumn> {
        window.made(|_| true, 100)
    }

    #[test]
    fn it_gives_the_same_however_often_it_was_stored() {
        let rows: Vec<Map<String, Value>> =
            (0..FIRST_WINDOW_ROWS).map(|i| row(i).as_object().unwrap().clone()).collect();
        let (mut broken, mut parts) = (FirstWindow::default(), Vec::new());
        for (i, row) in rows.iter().enumerate() {
            broken.take(row.iter().map(|(k, v)| (k.as_str(), v.clone())));
            if i % 230 == 100 {
                parts.push(serde_json::to_string(&broken.fresh()).unwrap());
                broken.stored = broken.len();
            }
        }
        parts.push(serde_json::to_string(&broken.fresh()).unwrap());
        let mut again = FirstWindow::default();
        parts.iter().for_each(|part| again.restore(&serde_json::from_slice(part.as_bytes()).unwrap()));
        assert!(again.full() && again.fresh().is_none());
        let whole = columns(FirstWindow::of_rows(&rows));
        assert_eq!(columns(again), whole);
        assert_eq!(columns(broken), whole);
        let told = |name: &str| whole.iter().find(|c| c.name == name).map(|c| (c.counts.n, c.counts.missing));
        assert_eq!((told("late"), told("x"), told("odd")), (Some((1000, 500)), Some((1000, 0)), Some((1000, 0))));
    }
}
