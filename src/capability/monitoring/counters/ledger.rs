//! Predictions that wait for their label, and labels that came before their prediction: bounded, and evicted by whole
//! batches of the journal, oldest first. A million of them wait, so that every byte of an entry counts.

use std::collections::{HashMap, VecDeque};

use hashbrown::HashTable;
use serde_json::Value;

use super::names::Names;
use crate::base::Timestamp;
use crate::capability::datasets::profile::hash;

/// Labels that wait for their prediction.
pub const EARLY_MAX: usize = 100_000;
/// Classes from here on have no name here, only a hash: two of them are told apart, and that is all.
const UNNAMED: u32 = 1 << 31;
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
    /// Told apart from another content under the same id; half of it is kept.
    pub print: u64,
}

impl Entry {
    /// The minute that counts it.
    pub fn minute(&self) -> i64 {
        self.at.0.div_euclid(60_000_000)
    }
}

/// An entry as it waits: in 56 bytes.
#[derive(Debug)]
struct Waiting {
    key: u64,
    at: i64,
    score: f64,
    /// What was said and what the label says: the number of a class or the bits of a number, as [`Self::kinds`] has it.
    said: u64,
    label: u64,
    print: u32,
    arm: u32,
    /// Of the chunk's list.
    slices_from: u32,
    slices_len: u8,
    kinds: u8,
}

const LABEL_SHIFT: u8 = 2;
const OF_SAID: u8 = 1 << 4;

/// As two bits and a word; nothing is 0.
fn packed(said: Option<Said>) -> (u8, u64) {
    match said {
        None => (0, 0),
        Some(Said::Class(class)) => (1, u64::from(class)),
        Some(Said::Number(x)) => (2, x.to_bits()),
        Some(Said::Text) => (3, 0),
    }
}

fn unpacked(kind: u8, word: u64) -> Option<Said> {
    match kind & 3 {
        0 => None,
        1 => Some(Said::Class(u32::try_from(word).unwrap_or(u32::MAX))),
        2 => Some(Said::Number(f64::from_bits(word))),
        _ => Some(Said::Text),
    }
}

/// Half of a print is enough to see that two contents differ.
fn half(print: u64) -> u32 {
    #[allow(clippy::cast_possible_truncation)] // half of it
    let half = print as u32;
    half
}

impl Waiting {
    fn new(key: u64, entry: &Entry, (slices_from, slices_len): (u32, u8)) -> Self {
        let (kind, said) = packed(Some(entry.said));
        let kinds = kind | if entry.of_said { OF_SAID } else { 0 };
        let (at, print) = (entry.at.0, half(entry.print));
        let mut it =
            Self { key, at, score: entry.score, said, label: 0, print, arm: entry.arm, slices_from, slices_len, kinds };
        it.set_label(entry.label);
        it
    }

    fn set_label(&mut self, label: Option<Said>) {
        let (kind, word) = packed(label);
        self.kinds = self.kinds & !(3 << LABEL_SHIFT) | kind << LABEL_SHIFT;
        self.label = word;
    }

    fn entry(&self) -> Entry {
        Entry {
            arm: self.arm,
            of_said: self.kinds & OF_SAID != 0,
            at: Timestamp(self.at),
            said: unpacked(self.kinds, self.said).unwrap_or(Said::Text),
            score: self.score,
            label: unpacked(self.kinds >> LABEL_SHIFT, self.label),
            print: u64::from(self.print),
        }
    }
}

#[derive(Debug, Default)]
struct Chunk {
    entries: Vec<Waiting>,
    slices: Vec<u32>,
}

/// Entries in the order in which they came. A place is counted from the first one that ever came.
#[derive(Debug, Default)]
struct Queue {
    chunks: VecDeque<Chunk>,
    /// Places of chunks that are gone; entries that are.
    gone_chunks: u64,
    gone: u64,
    next: u64,
}

impl Queue {
    fn at(&self, place: u64) -> Option<(&Chunk, &Waiting)> {
        let chunk = self.chunks.get(usize::try_from(place / CHUNK - self.gone_chunks).ok()?)?;
        Some((chunk, chunk.entries.get(inside(place))?))
    }

    /// The lower half of a place is enough to find it again: far fewer wait at once.
    fn whole(&self, low: u32) -> u64 {
        self.gone + u64::from(low.wrapping_sub(half(self.gone)))
    }

    fn key(&self, low: u32) -> u64 {
        self.at(self.whole(low)).map_or(0, |(_, kept)| kept.key)
    }

    fn push(&mut self, key: u64, entry: &Entry, slices: &[u32]) -> u64 {
        if self.next.is_multiple_of(CHUNK) {
            let entries = Vec::with_capacity(usize::try_from(CHUNK).unwrap_or_default());
            self.chunks.push_back(Chunk { entries, slices: Vec::new() });
        }
        if let Some(chunk) = self.chunks.back_mut() {
            let from = u32::try_from(chunk.slices.len()).unwrap_or(u32::MAX);
            chunk.slices.extend_from_slice(slices);
            let slices = (from, u8::try_from(slices.len()).unwrap_or(u8::MAX));
            chunk.entries.push(Waiting::new(key, entry, slices));
        }
        self.next += 1;
        self.next - 1
    }
}

#[derive(Debug, Default)]
pub struct Ledger {
    /// Where the entry of a key is. The key itself stands there: a million of them twice would be a tenth of the agent.
    places: HashTable<u32>,
    queue: Queue,
    /// Batches with the place after their last entry, oldest first.
    batches: VecDeque<(i64, u64)>,
    early: HashMap<u64, (Value, Timestamp)>,
    early_order: VecDeque<u64>,
    classes: Names,
    /// Labels that no prediction ever asked for.
    pub unknown: u64,
}

/// What became of a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The label that was there before it is to be had with [`Ledger::early`].
    New,
    /// The same id, version and content once more.
    Again,
    /// The same id and version with another content: the first one holds.
    Differs,
}

fn key(of_id: u64, nth: u64) -> u64 {
    of_id.wrapping_add(nth.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

impl Ledger {
    /// A class as a number, by which its name is found again.
    pub fn class(&mut self, name: &str) -> u32 {
        self.classes.number(name)
    }

    /// A class of which only a number is kept.
    pub fn unnamed(name: &str) -> u32 {
        #[allow(clippy::cast_possible_truncation)] // half of the hash
        let half = hash(name.as_bytes()) as u32;
        half | UNNAMED
    }

    /// `None`: it has none here.
    pub fn class_name(&self, number: u32) -> Option<&str> {
        (number < UNNAMED).then(|| self.classes.name(number))
    }

    /// Keeps a prediction.
    pub fn put(&mut self, batch: i64, id: &str, entry: &Entry, slices: &[u32]) -> Kept {
        let of_id = hash(id.as_bytes());
        let mut free = key(of_id, 0);
        for nth in 0..SAME_ID_MAX {
            free = key(of_id, nth);
            match self.waiting(free) {
                None => break,
                Some((_, known)) if known.arm == entry.arm => {
                    return if known.print == half(entry.print) { Kept::Again } else { Kept::Differs };
                }
                Some(_) => {}
            }
        }
        let place = self.queue.push(free, entry, slices);
        let queue = &self.queue;
        self.places.insert_unique(free, half(place), |low| queue.key(*low));
        match self.batches.back_mut() {
            Some((last, end)) if *last == batch => *end = self.queue.next,
            _ => self.batches.push_back((batch, self.queue.next)),
        }
        Kept::New
    }

    /// The label that waited for a prediction, which is here now.
    pub fn early(&mut self, id: &str) -> Option<(Value, Timestamp)> {
        if self.early.is_empty() { None } else { self.early.remove(&hash(id.as_bytes())) }
    }

    fn place(&self, key: u64) -> Option<u64> {
        self.places.find(key, |low| self.queue.key(*low) == key).map(|low| self.queue.whole(*low))
    }

    fn waiting(&self, key: u64) -> Option<(&Chunk, &Waiting)> {
        self.queue.at(self.place(key)?)
    }

    /// Keys of the predictions of an id, each of another version.
    pub fn of(&self, id: &str) -> Vec<u64> {
        let of_id = hash(id.as_bytes());
        (0..SAME_ID_MAX).map(|nth| key(of_id, nth)).take_while(|k| self.place(*k).is_some()).collect()
    }

    pub fn entry(&self, key: u64) -> Option<Entry> {
        self.waiting(key).map(|(_, kept)| kept.entry())
    }

    /// The slices that an entry was counted in.
    pub fn slices(&self, key: u64) -> Vec<u32> {
        self.waiting(key).map_or_else(Vec::new, |(chunk, kept)| slices_of(chunk, kept))
    }

    pub fn set_label(&mut self, key: u64, label: Said) {
        let Some(place) = self.place(key) else { return };
        let chunk = usize::try_from(place / CHUNK - self.queue.gone_chunks).unwrap_or(usize::MAX);
        let kept = self.queue.chunks.get_mut(chunk).and_then(|c| c.entries.get_mut(inside(place)));
        if let Some(kept) = kept {
            kept.set_label(Some(label));
        }
    }

    /// Takes an id out, with whatever waits for it.
    pub fn remove(&mut self, id: &str) {
        for key in self.of(id) {
            let queue = &self.queue;
            if let Ok(found) = self.places.find_entry(key, |low| queue.key(*low) == key) {
                found.remove();
            }
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
        let mut end = self.queue.gone;
        while let Some((_, last)) = self.batches.pop_front_if(|(oldest, _)| *oldest <= batch) {
            end = last;
        }
        let mut unlabelled = Vec::new();
        while self.queue.gone < end {
            let place = self.queue.gone;
            if let Some((chunk, kept)) = self.queue.at(place)
                // What was taken out meanwhile waits no more.
                && let Ok(found) = self.places.find_entry(kept.key, |low| *low == half(place))
            {
                found.remove();
                let entry = kept.entry();
                if entry.label.is_none() {
                    unlabelled.push((entry, slices_of(chunk, kept)));
                }
            }
            self.queue.gone += 1;
            if self.queue.gone.is_multiple_of(CHUNK) {
                self.queue.chunks.pop_front();
                self.queue.gone_chunks += 1;
            }
        }
        unlabelled
    }
}

fn slices_of(chunk: &Chunk, kept: &Waiting) -> Vec<u32> {
    let from = kept.slices_from as usize;
    chunk.slices.get(from..from + usize::from(kept.slices_len)).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: i64) -> Entry {
        let said = Said::Class(0);
        Entry { arm: 0, of_said: false, at: Timestamp(at), said, score: 0.5, label: None, print: 7 }
    }

    #[test]
    fn an_entry_comes_back_as_it_was() {
        for said in [Said::Class(u32::MAX), Said::Number(-0.1), Said::Text] {
            for label in [None, Some(Said::Class(0)), Some(Said::Number(f64::MAX)), Some(Said::Text)] {
                let whole = Entry { said, label, of_said: label.is_some(), ..entry(-5) };
                assert_eq!(Waiting::new(9, &whole, (3, 2)).entry(), whole);
            }
        }
    }

    #[test]
    fn what_waits_is_found_until_its_batch_is_let_go() {
        let mut ledger = Ledger::default();
        for i in 0..10_000_i64 {
            let slices = [1, u32::try_from(i % 5).unwrap()];
            assert_eq!(ledger.put(i / 3000, &i.to_string(), &entry(i), &slices), Kept::New);
        }
        assert_eq!(ledger.put(4, "17", &entry(17), &[]), Kept::Again);
        let other = Entry { arm: 1, ..entry(17) };
        assert_eq!(ledger.put(4, "17", &other, &[9]), Kept::New);
        let of = ledger.of("17");
        assert_eq!((of.len(), ledger.slices(of[0]), ledger.slices(of[1])), (2, vec![1, 2], vec![9]));
        ledger.set_label(of[0], Said::Class(3));
        assert_eq!(ledger.entry(of[0]).unwrap().label, Some(Said::Class(3)));
        let gone = ledger.evict(1);
        assert_eq!((gone.len(), gone[0].1.as_slice(), ledger.len()), (5999, &[1, 0][..], 4001));
        assert!(ledger.of("5999").is_empty() && ledger.of("6000").len() == 1);
        assert_eq!(ledger.entry(ledger.of("9999")[0]).unwrap().at, Timestamp(9999));
        assert_eq!(ledger.evict(9).len(), 4001);
        assert_eq!((ledger.len(), ledger.queue.chunks.len()), (0, 1));
        ledger.put(10, "new", &entry(1), &[]);
        assert_eq!(ledger.of("new").len(), 1);
        ledger.remove("new");
        assert_eq!((ledger.len(), ledger.of("new").len(), ledger.evict(10).len()), (0, 0, 0));
        assert!(size_of::<Waiting>() <= 56, "{}", size_of::<Waiting>());
    }
}
