//! Predictions that wait for their label, and labels that came before their prediction: bounded, and evicted by whole
//! batches of the journal, oldest first.

use std::collections::{HashMap, VecDeque};

use serde_json::Value;

use crate::base::Timestamp;
use crate::capability::datasets::profile::hash;

/// Labels that wait for their prediction.
pub const EARLY_MAX: usize = 100_000;
/// Class names that are told apart.
const CLASSES_MAX: usize = 100_000;
/// Versions that may have answered under one id.
const SAME_ID_MAX: u64 = 8;

/// A prediction or a label, small.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Said {
    Class(u32),
    Number(f64),
    /// Text that is no class.
    Text,
}

/// A prediction that waits, or whose label came.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub arm: u32,
    /// The minute that counts it.
    pub minute: i64,
    pub at: Timestamp,
    pub said: Said,
    /// The score as it counts; NaN: none.
    pub score: f64,
    /// It is the probability of what was said, not of the positive class.
    pub of_said: bool,
    pub slices: Box<[u32]>,
    pub label: Option<Said>,
    /// Told apart from another content under the same id.
    pub print: u64,
}

#[derive(Debug, Default)]
pub struct Ledger {
    entries: HashMap<u64, Entry>,
    /// Keys by the batch that brought them, oldest first.
    batches: VecDeque<(i64, Vec<u64>)>,
    early: HashMap<u64, (Value, Timestamp)>,
    early_order: VecDeque<u64>,
    names: Vec<String>,
    numbers: HashMap<String, u32>,
    /// Labels that no prediction ever asked for.
    pub unknown: u64,
}

/// What became of a prediction.
#[derive(Debug, PartialEq)]
pub enum Kept {
    /// With the label that was there before it.
    New(Option<(Value, Timestamp)>),
    /// The same id, version and content once more.
    Again,
    /// The same id and version with another content: the first one holds.
    Differs,
}

fn key(id: &str, nth: u64) -> u64 {
    hash(id.as_bytes()).wrapping_add(nth.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

impl Ledger {
    /// A name as a number, for as long as there is room.
    pub fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        if self.names.len() >= CLASSES_MAX {
            return self.number_of_rest();
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }

    fn number_of_rest(&mut self) -> u32 {
        const REST: &str = "(other)";
        if let Some(number) = self.numbers.get(REST) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(REST.to_owned());
        self.numbers.insert(REST.to_owned(), number);
        number
    }

    pub fn name(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", String::as_str)
    }

    /// Keeps a prediction.
    pub fn put(&mut self, batch: i64, id: &str, entry: Entry) -> Kept {
        let mut place = key(id, 0);
        for nth in 0..SAME_ID_MAX {
            place = key(id, nth);
            match self.entries.get(&place) {
                None => break,
                Some(known) if known.arm == entry.arm => {
                    return if known.print == entry.print { Kept::Again } else { Kept::Differs };
                }
                Some(_) => {}
            }
        }
        self.entries.insert(place, entry);
        match self.batches.back_mut() {
            Some((last, keys)) if *last == batch => keys.push(place),
            _ => self.batches.push_back((batch, vec![place])),
        }
        Kept::New(self.early.remove(&key(id, 0)))
    }

    /// Predictions of an id, each of another version.
    pub fn of(&self, id: &str) -> Vec<u64> {
        (0..SAME_ID_MAX).map(|nth| key(id, nth)).take_while(|k| self.entries.contains_key(k)).collect()
    }

    pub fn entry(&self, place: u64) -> Option<&Entry> {
        self.entries.get(&place)
    }

    pub fn set_label(&mut self, place: u64, label: Said) {
        if let Some(entry) = self.entries.get_mut(&place) {
            entry.label = Some(label);
        }
    }

    /// Takes an id out, with whatever waits for it.
    pub fn remove(&mut self, id: &str) {
        for place in self.of(id) {
            self.entries.remove(&place);
        }
        self.early.remove(&key(id, 0));
    }

    /// A label whose prediction has not come.
    pub fn put_early(&mut self, id: &str, label: Value, at: Timestamp) {
        let place = key(id, 0);
        if self.early.insert(place, (label, at)).is_none() {
            self.early_order.push_back(place);
        }
        while self.early_order.len() > EARLY_MAX {
            if let Some(oldest) = self.early_order.pop_front()
                && self.early.remove(&oldest).is_some()
            {
                self.unknown += 1;
            }
        }
    }

    pub fn waiting_early(&self) -> usize {
        self.early.len()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Ends the waiting for what came in batches up to this one; gives back those without a label.
    pub fn evict(&mut self, batch: i64) -> Vec<Entry> {
        let mut gone = Vec::new();
        while self.batches.front().is_some_and(|(oldest, _)| *oldest <= batch) {
            let Some((_, keys)) = self.batches.pop_front() else { break };
            gone.extend(keys.iter().filter_map(|k| self.entries.remove(k)).filter(|e| e.label.is_none()));
        }
        gone
    }
}
