//! What a search reads of every run, laid out by column: a scan of 100,000 runs touches a few hundred kilobytes in
//! order, instead of a document here and a document there.

use std::collections::HashMap;

use super::types::{Key, Lifecycle, Run};

/// Rows a page of a column holds. A page exists only where some run of it has the metric.
const PAGE_ROWS: usize = 1024;

/// A NaN that no client's NaN is stored as: the run does not have the metric.
const MISSING: u64 = 0x7ff8_dead_dead_dead;

/// Columns over all runs, by their place.
#[derive(Debug, Default)]
pub struct Columns {
    heads: Vec<Head>,
    metrics: HashMap<Key, Column>,
}

/// What every search asks of a run.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    pub start_ms: i64,
    pub lifecycle: Lifecycle,
}

/// The latest values of one metric.
#[derive(Debug, Default)]
pub struct Column {
    pages: Vec<Option<Box<[f64; PAGE_ROWS]>>>,
}

impl Columns {
    /// Takes a run's values in; places come without gaps.
    pub fn set(&mut self, place: u32, run: &Run) {
        let place = place as usize;
        let head = Head { start_ms: run.start_ms, lifecycle: run.lifecycle };
        match self.heads.get_mut(place) {
            Some(known) => *known = head,
            None => self.heads.push(head),
        }
        for (key, latest) in run.metrics.iter() {
            self.metrics.entry(key).or_default().set(place, latest.value);
        }
    }

    pub fn head(&self, place: u32) -> Head {
        self.heads[place as usize]
    }

    /// `None` when no run has ever logged it.
    pub fn metric(&self, key: &str) -> Option<&Column> {
        self.metrics.get(&Key::from(key))
    }
}

impl Column {
    fn set(&mut self, place: usize, value: f64) {
        let (page, row) = (place / PAGE_ROWS, place % PAGE_ROWS);
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        let rows = self.pages[page].get_or_insert_with(|| Box::new([f64::from_bits(MISSING); PAGE_ROWS]));
        rows[row] = if value.is_nan() { f64::NAN } else { value };
    }

    pub fn get(&self, place: u32) -> Option<f64> {
        let (page, row) = (place as usize / PAGE_ROWS, place as usize % PAGE_ROWS);
        let value = self.pages.get(page)?.as_ref()?[row];
        (value.to_bits() != MISSING).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_value_is_not_a_nan() {
        let mut column = Column::default();
        column.set(5000, f64::NAN);
        column.set(3, 0.0);
        assert_eq!(column.get(3), Some(0.0));
        assert!(column.get(5000).is_some_and(f64::is_nan));
        assert_eq!((column.get(4), column.get(1500), column.get(999_999)), (None, None, None));
    }
}
