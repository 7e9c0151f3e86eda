//! From events to rows and back: the long way in, for lines that the short one does not surely understand, and the way out, for
//! whoever looks for a person.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::{Prediction, Score};
use super::rows::{Part, Row, Rows, Scored, Val};
use crate::capability::datasets::profile::hash;

impl Rows {
    /// The row of an event that was read the long way.
    pub fn row_of(&mut self, p: &Prediction) -> Row {
        let id = self.put(&p.id);
        let who = self.who(&p.service, p.version.as_deref(), p.model.as_deref());
        let features = u32::try_from(self.cells.len()).unwrap_or(u32::MAX);
        let mut keys = Vec::with_capacity(p.features.len());
        for (name, value) in &p.features {
            keys.push(self.keys.number(name));
            let value = self.value(value);
            self.cells.push(value);
        }
        let shape = self.shape(&keys);
        let score = match &p.score {
            None => Scored::None,
            Some(Score::Positive(x)) => Scored::Positive(*x),
            Some(Score::Classes(all)) => self.put_classes(all.iter().map(|(class, x)| (class.as_str(), *x))),
        };
        let from = self.slice_of.len();
        for (name, value) in &p.slices {
            self.put_slice(name, value);
        }
        let slices = self.slices_since(from);
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
            shape,
            features,
            slices,
            batch,
            usage: p.usage,
            print: hash(content.as_bytes()),
        }
    }

    pub fn slices_since(&self, from: usize) -> Part {
        let part = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Part { from: part(from), len: part(self.slice_of.len() - from) }
    }

    /// The event of a row, as far as it was kept: of an error only that there was one.
    pub fn event(&self, row: &Row) -> Prediction {
        let who = self.who.get(row.who as usize);
        let named = |key: u32, value: Val| (self.keys.name(key).to_owned(), self.json(value));
        let score = match row.score {
            Scored::None => None,
            Scored::Positive(x) => Some(Score::Positive(x)),
            Scored::Classes(part) => {
                let all = self.classes_of(part).iter().map(|(key, x)| (self.keys.name(*key).to_owned(), *x));
                Some(Score::Classes(all.collect::<BTreeMap<_, _>>()))
            }
        };
        let slice = |number: &u32| {
            let (name, value) = self.slice(*number);
            (name.to_owned(), value.to_owned())
        };
        Prediction {
            id: self.text(row.id).to_owned(),
            service: who.map_or_else(String::new, |who| who.service.clone()),
            model: who.and_then(|who| who.model.clone()),
            version: who.map(|who| who.version.clone()),
            time: row.time,
            features: self.features_of(row).map(|(key, value)| named(key, value)).collect(),
            prediction: self.json(row.said),
            score,
            latency_ms: row.latency_ms,
            error: row.failed.then(String::new),
            slices: self.slices_of(row).iter().map(slice).collect(),
            batch: row.batch.map(|part| self.text(part).to_owned()),
            usage: row.usage,
        }
    }

    fn json(&self, value: Val) -> Value {
        match value {
            Val::Null => Value::Null,
            Val::Truth(b) => Value::from(b),
            Val::Whole(n) => Value::from(n),
            Val::Negative(n) => Value::from(n),
            Val::Fraction(x) => Value::from(x),
            Val::Word(_) | Val::Text(_) => Value::from(self.text_of(value).unwrap_or_default()),
            Val::Other(part) => serde_json::from_slice(self.text(part).as_bytes()).unwrap_or_default(),
        }
    }

    /// The rows that `keeps` names, and nothing that no other row has.
    #[must_use]
    pub fn only(&self, keeps: impl Fn(&Row) -> bool) -> Self {
        let mut left = Self::default();
        for row in self.all.iter().filter(|row| keeps(row)) {
            // What tells two contents of one id apart stays what it was.
            let copy = Row { print: row.print, ..left.row_of(&self.event(row)) };
            left.push(copy);
        }
        left
    }
}
