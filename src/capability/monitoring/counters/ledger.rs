//! Predictions that wait for their label, and labels that came before their prediction: bounded, and evicted by whole
//! batches of the journal, oldest first. A million of them wait, so that every byte of an entry counts.

use std::collections::{HashMap, VecDeque};

use serde_json::Value;

use super::names::{Names, Quickly};
use crate::base::Timestamp;
use crate::capability::datasets::profile::hash;

/// Labels that wait for their prediction.
pub const EARLY_MAX: usize = 100_000;
/// Class names that are told apart.
const CLASSES_MAX: usize = 100_000;
/// Versions that may have answered under one id.
const SAME_ID_MAX: u64 = 8;
/// Entries that are kept, and let go, together.
const CHUNK: u64 = 4096;

/// Where an entry is within its chunk.
fn inside(place: u64) -> usize {
    usize::try_from(place % CHUNK).unwrap_or_default()
}

/// A prediction or a label, small.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Said {
    Class(u32),
    Number(f64),
    /// Text that is no class.
    Text,
}

/// A prediction that waits, or whose label came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    pub arm: u32,
    /// Whether the score is the probability of what was said, not of the positive class.
    pub of_said: bool,
    pub at: Timestamp,
    pub said: Said,
    /// The score as it counts; NaN: none.
    pub score: f64,
    pub label: Option<Said>,
    /// Told apart from another content under the same id.
    pub print: u64,
}

impl Entry {
    /// The minute that counts it.
    pub fn minute(&self) -> i64 {
        self.at.0.div_euclid(60_000_000)
    }
}

#[derive(Debug)]
struct Waiting {
    key: u64,
    entry: Entry,
    /// Of the chunk's list.
    slices: (u32, u8),
}

#[derive(Debug, Default)]
struct Chunk {
    entries: Vec<Waiting>,
    slices: Vec<u32>,
}

#[derive(Debug, Default)]
pub struct Ledger {
    /// Where the entry of a key is, counted from the first one that ever came.
    places: Quickly<u64, u64>,
    chunks: VecDeque<Chunk>,
    /// Places of chunks that are gone; entries that are.
    gone_chunks: u64,
    gone: u64,
    next: u64,
    /// Batches with the place after their last entry, oldest first.
    batches: VecDeque<(i64, u64)>,
    early: HashMap<u64, (Value, Timestamp)>,
    early_order: VecDeque<u64>,
    classes: Names,
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

fn key(of_id: u64, nth: u64) -> u64 {
    of_id.wrapping_add(nth.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

impl Ledger {
    /// A class as a number, for as long as there is room.
    pub fn class(&mut self, name: &str) -> u32 {
        match self.classes.find(name) {
            Some(number) => number,
            None if self.classes.len() >= CLASSES_MAX => self.classes.number("(other)"),
            None => self.classes.number(name),
        }
    }

    pub fn class_name(&self, number: u32) -> &str {
        self.classes.name(number)
    }

    /// Keeps a prediction.
    pub fn put(&mut self, batch: i64, id: &str, entry: Entry, slices: &[u32]) -> Kept {
        let of_id = hash(id.as_bytes());
        let mut free = key(of_id, 0);
        for nth in 0..SAME_ID_MAX {
            free = key(of_id, nth);
            match self.entry(free) {
                None => break,
                Some(known) if known.arm == entry.arm => {
                    return if known.print == entry.print { Kept::Again } else { Kept::Differs };
                }
                Some(_) => {}
            }
        }
        if self.next.is_multiple_of(CHUNK) {
            self.chunks.push_back(Chunk { entries: Vec::with_capacity(4096), slices: Vec::new() });
        }
        if let Some(chunk) = self.chunks.back_mut() {
            let from = u32::try_from(chunk.slices.len()).unwrap_or(u32::MAX);
            chunk.slices.extend_from_slice(slices);
            let slices = (from, u8::try_from(slices.len()).unwrap_or(u8::MAX));
            chunk.entries.push(Waiting { key: free, entry, slices });
        }
        self.places.insert(free, self.next);
        self.next += 1;
        match self.batches.back_mut() {
            Some((last, end)) if *last == batch => *end = self.next,
            _ => self.batches.push_back((batch, self.next)),
        }
        Kept::New(if self.early.is_empty() { None } else { self.early.remove(&of_id) })
    }

    /// Keys of the predictions of an id, each of another version.
    pub fn of(&self, id: &str) -> Vec<u64> {
        let of_id = hash(id.as_bytes());
        (0..SAME_ID_MAX).map(|nth| key(of_id, nth)).take_while(|k| self.places.contains_key(k)).collect()
    }

    fn at(&self, place: u64) -> Option<(&Chunk, &Waiting)> {
        let chunk = self.chunks.get(usize::try_from(place / CHUNK - self.gone_chunks).ok()?)?;
        Some((chunk, chunk.entries.get(inside(place))?))
    }

    pub fn entry(&self, key: u64) -> Option<&Entry> {
        self.at(*self.places.get(&key)?).map(|(_, kept)| &kept.entry)
    }

    /// The slices that an entry was counted in.
    pub fn slices(&self, key: u64) -> Vec<u32> {
        let Some((chunk, kept)) = self.places.get(&key).and_then(|place| self.at(*place)) else { return Vec::new() };
        slices_of(chunk, kept)
    }

    pub fn set_label(&mut self, key: u64, label: Said) {
        let Some(&place) = self.places.get(&key) else { return };
        let chunk = usize::try_from(place / CHUNK - self.gone_chunks).unwrap_or(usize::MAX);
        let kept = self.chunks.get_mut(chunk).and_then(|c| c.entries.get_mut(inside(place)));
        if let Some(kept) = kept {
            kept.entry.label = Some(label);
        }
    }

    /// Takes an id out, with whatever waits for it.
    pub fn remove(&mut self, id: &str) {
        for key in self.of(id) {
            self.places.remove(&key);
        }
        self.early.remove(&hash(id.as_bytes()));
    }

    /// A label whose prediction has not come.
    pub fn put_early(&mut self, id: &str, label: Value, at: Timestamp) {
        let place = hash(id.as_bytes());
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
        self.places.len()
    }

    /// Ends the waiting for what came in batches up to this one; gives back those without a label, with their slices.
    pub fn evict(&mut self, batch: i64) -> Vec<(Entry, Vec<u32>)> {
        let mut end = self.gone;
        while let Some((_, last)) = self.batches.pop_front_if(|(oldest, _)| *oldest <= batch) {
            end = last;
        }
        let mut unlabelled = Vec::new();
        while self.gone < end {
            let place = self.gone;
            self.gone += 1;
            // What was taken out meanwhile waits no more.
            if let Some((chunk, kept)) = self.at(place).filter(|(_, kept)| self.places.get(&kept.key) == Some(&place)) {
                let (key, entry) = (kept.key, kept.entry);
                if entry.label.is_none() {
                    unlabelled.push((entry, slices_of(chunk, kept)));
                }
                self.places.remove(&key);
            }
            if self.gone.is_multiple_of(CHUNK) {
                self.chunks.pop_front();
                self.gone_chunks += 1;
            }
        }
        unlabelled
    }
}

fn slices_of(chunk: &Chunk, kept: &Waiting) -> Vec<u32> {
    let from = kept.slices.0 as usize;
    chunk.slices.get(from..from + usize::from(kept.slices.1)).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: i64) -> Entry {
        let said = Said::Class(0);
        Entry { arm: 0, of_said: false, at: Timestamp(at), said, score: 0.5, label: None, print: 7 }
    }

    #[test]
    fn what_waits_is_found_until_its_batch_is_let_go() {
        let mut ledger = Ledger::default();
        for i in 0..10_000_i64 {
            let slices = [1, u32::try_from(i % 5).unwrap()];
            assert_eq!(ledger.put(i / 3000, &i.to_string(), entry(i), &slices), Kept::New(None));
        }
        assert_eq!(ledger.put(4, "17", entry(17), &[]), Kept::Again);
        let other = Entry { arm: 1, ..entry(17) };
        assert_eq!(ledger.put(4, "17", other, &[9]), Kept::New(None));
        let of = ledger.of("17");
        assert_eq!((of.len(), ledger.slices(of[0]), ledger.slices(of[1])), (2, vec![1, 2], vec![9]));
        ledger.set_label(of[0], Said::Class(3));
        assert_eq!(ledger.entry(of[0]).unwrap().label, Some(Said::Class(3)));
        let gone = ledger.evict(1);
        assert_eq!((gone.len(), gone[0].1.as_slice(), ledger.len()), (5999, &[1, 0][..], 4001));
        assert!(ledger.of("5999").is_empty() && ledger.of("6000").len() == 1);
        assert_eq!(ledger.entry(ledger.of("9999")[0]).unwrap().at, Timestamp(9999));
        assert_eq!(ledger.evict(9).len(), 4001);
        assert_eq!((ledger.len(), ledger.chunks.len()), (0, 1));
        ledger.put(10, "new", entry(1), &[]);
        assert_eq!(ledger.of("new").len(), 1);
        assert!(size_of::<Waiting>() <= 80, "{}", size_of::<Waiting>());
    }
}
