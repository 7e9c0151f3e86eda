//! Points of a history as they are read: a column a metric, without a document a record.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::capability::tracking::points::Point;
use crate::capability::tracking::wandb::line::metric_key;

/// Hashes short names quickly. Their number is bounded by the file, so nobody gains by making them collide.
#[derive(Default)]
pub struct Quick(u64);

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.0 = (self.0.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

/// A map by name.
pub type Names<T> = HashMap<Vec<u8>, T, BuildHasherDefault<Quick>>;

/// Series by metric.
#[derive(Default)]
pub struct Columns {
    places: Names<usize>,
    all: Vec<Column>,
    /// Points that have not been taken out.
    pub waiting: usize,
}

struct Column {
    key: String,
    points: Vec<Point>,
    newest: Option<f64>,
}

impl Columns {
    /// The column of a metric, by its name as it stands in the file; `named` makes the name that tracking has.
    pub fn place(&mut self, raw: &[u8], named: impl FnOnce(&str) -> String) -> usize {
        if let Some(&place) = self.places.get(raw) {
            return place;
        }
        let key = named(&String::from_utf8_lossy(raw));
        // Two names may become one.
        let known = self.all.iter().position(|c| c.key == key);
        let place = known.unwrap_or(self.all.len());
        if known.is_none() {
            self.all.push(Column { key, points: Vec::new(), newest: None });
        }
        self.places.insert(raw.to_vec(), place);
        place
    }

    /// As [`Self::place`], for a name of the history.
    pub fn own(&mut self, raw: &[u8]) -> usize {
        self.place(raw, metric_key)
    }

    /// Notes a point; one that the store has already is only noted for its value.
    pub fn push(&mut self, place: usize, point: Point, known: bool) {
        let column = &mut self.all[place];
        column.newest = Some(point.value);
        if !known {
            column.points.push(point);
            self.waiting += 1;
        }
    }

    /// The newest value of a metric.
    pub fn newest(&self, key: &str) -> Option<f64> {
        self.all.iter().find(|c| c.key == key).and_then(|c| c.newest)
    }

    /// Takes the points out that wait.
    pub fn take(&mut self) -> Vec<(String, Vec<Point>)> {
        self.waiting = 0;
        let full = self.all.iter_mut().filter(|c| !c.points.is_empty());
        full.map(|c| (c.key.clone(), std::mem::take(&mut c.points))).collect()
    }
}
