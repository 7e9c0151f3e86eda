//! From the values of a column to its reference and counts. Exact: all values are kept and sorted once, up to a limit
//! beyond which the edges come from every n-th value and a second pass counts.

use std::collections::HashMap;

use compact_str::CompactString;

use super::counts::{VALUE_BITS, exp2};
use super::distinct::hash;
use super::{BINS, CATEGORIES_MAX, CategoryBins, Column, Counts, Kind, NumberBins, Reference};

/// Values of a column that are kept at once; 8 bytes each.
pub const VALUES_KEPT_MAX: usize = 16 << 20;
/// Categories that are counted by name before the rest becomes "other".
const CATEGORIES_COUNTED_MAX: usize = 1 << 20;
/// Further categories that a reference remembers by hash.
const FURTHER_MAX: usize = 20_000;

/// The numbers of a column as they come.
#[derive(Debug, Clone, Default)]
pub struct NumberTally {
    values: Vec<f64>,
    /// Every how manieth value is kept: a power of two.
    thinning: u32,
    /// Finite values so far.
    seen: u64,
    pub missing: u64,
    pub infinite_low: u64,
    pub infinite_high: u64,
}

impl NumberTally {
    pub fn add(&mut self, x: f64) {
        if x.is_finite() {
            // Zero has two signs and is one value.
            self.keep(x + 0.0);
        } else if x.is_nan() {
            self.missing += 1;
        } else if x > 0.0 {
            self.infinite_high += 1;
        } else {
            self.infinite_low += 1;
        }
    }

    fn keep(&mut self, x: f64) {
        if self.seen.trailing_zeros() >= self.thinning {
            if self.values.len() == VALUES_KEPT_MAX {
                let mut nth = 0;
                self.values.retain(|_| {
                    nth += 1;
                    nth % 2 == 1
                });
                self.thinning += 1;
            }
            if self.seen.trailing_zeros() >= self.thinning {
                self.values.push(x);
            }
        }
        self.seen += 1;
    }

    /// Whether what is kept is every value, so that counts need no second pass.
    pub fn is_whole(&self) -> bool {
        self.thinning == 0
    }

    /// The reference, with its counts and those in `baseline`'s bins where all values are at hand.
    pub fn finish(mut self, baseline: Option<&Reference>) -> (Reference, Option<(Counts, Option<Counts>)>) {
        sort(&mut self.values);
        let bins = number_bins(&self.values, 1 << self.thinning);
        let counts = self.is_whole().then(|| {
            let own = self.count(&bins);
            let beside = match baseline {
                Some(Reference::Numbers(bins)) => Some(self.count(bins)),
                Some(reference @ Reference::Categories(_)) => {
                    let mut counter = reference.counter();
                    self.values.iter().for_each(|x| counter.number(*x, 1));
                    counter.missing(self.missing);
                    Some(counter.counts)
                }
                None => None,
            };
            (own, beside)
        });
        (Reference::Numbers(bins), counts)
    }

    /// Counts the sorted values: one walk along the edges.
    fn count(&self, bins: &NumberBins) -> Counts {
        let mut counts = Reference::Numbers(bins.clone()).empty();
        let (mut bin, mut at) = (0, 0);
        while at < self.values.len() {
            let x = self.values[at];
            while bin < bins.edges.len() && bins.edges[bin] < x {
                bin += 1;
            }
            // Equal values come in a row and are added at once.
            let equal = self.values[at..].iter().take_while(|v| **v == x).count();
            counts.add_finite(bins, bin, x, equal as u64);
            at += equal;
        }
        counts.n += self.missing + self.infinite_low + self.infinite_high;
        counts.missing = self.missing;
        counts.infinite_low = self.infinite_low;
        counts.infinite_high = self.infinite_high;
        counts
    }
}

/// Sorts finite numbers. As integers of the same order they sort faster.
fn sort(values: &mut [f64]) {
    values.sort_unstable_by(f64::total_cmp);
}

/// Edges at the ranks k/64 of sorted values; a value that fills more than one rank gets a bin of its own.
fn number_bins(sorted: &[f64], every: u64) -> NumberBins {
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else {
        return NumberBins { every, ..NumberBins::default() };
    };
    let mut edges: Vec<f64> = Vec::with_capacity(BINS);
    for k in 1..BINS {
        let rank = (k * sorted.len()).div_ceil(BINS).saturating_sub(1);
        let value = sorted[rank];
        match edges.last().copied() {
            Some(before) if before == value => {
                let below = value.next_down();
                let place = edges.len() - 1;
                if place == 0 || edges[place - 1] < below {
                    edges.insert(place, below);
                }
            }
            _ => edges.push(value),
        }
    }
    let center = sorted[sorted.len() / 2];
    let reach = (last - center).max(center - first);
    NumberBins { edges, center, scale: scale_for(reach), every }
}

/// The power of two that gives the farthest value `VALUE_BITS` bits.
fn scale_for(reach: f64) -> i32 {
    if reach <= 0.0 || !reach.is_finite() {
        // A constant, or a reach beyond all measure.
        return if reach > 0.0 { -1000 } else { VALUE_BITS / 2 };
    }
    #[allow(clippy::cast_possible_truncation)] // within ±1100
    let exponent = reach.log2().ceil() as i32;
    let scale = (VALUE_BITS - exponent).clamp(-980, 980);
    // The logarithm is rounded: never more bits than promised.
    if reach * exp2(scale) > exp2(VALUE_BITS) { scale - 1 } else { scale }
}

/// The categories of a column as they come.
#[derive(Debug, Clone, Default)]
pub struct CategoryTally {
    counted: HashMap<Box<[u8]>, u64, Hashing>,
    /// Values of categories that came after there were too many.
    uncounted: u64,
    pub missing: u64,
    distinct: super::Distinct,
}

/// The same hash for the table as for the estimate.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hashing;

impl std::hash::BuildHasher for Hashing {
    type Hasher = Hasher;

    fn build_hasher(&self) -> Hasher {
        Hasher(0)
    }
}

#[derive(Debug)]
pub struct Hasher(u64);

impl std::hash::Hasher for Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 ^= hash(bytes);
    }

    fn write_usize(&mut self, _: usize) {
        // The length of a slice; the hash of its bytes holds it already.
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl CategoryTally {
    pub fn add(&mut self, category: &[u8], n: u64) {
        if let Some(count) = self.counted.get_mut(category) {
            *count += n;
        } else {
            self.distinct.add(hash(category));
            if self.counted.len() < CATEGORIES_COUNTED_MAX {
                self.counted.insert(category.into(), n);
            } else {
                self.uncounted += n;
            }
        }
    }

    /// Adds what another tally has counted.
    pub fn merge(&mut self, other: Self) {
        for (category, n) in other.counted {
            self.add(&category, n);
        }
        self.distinct.merge(&other.distinct);
        self.uncounted += other.uncounted;
        self.missing += other.missing;
    }

    pub fn finish(self, baseline: Option<&Reference>) -> (Reference, Counts, Option<Counts>) {
        let beside = baseline.map(|reference| {
            let mut counter = reference.counter();
            for (category, n) in &self.counted {
                counter.category(&String::from_utf8_lossy(category), *n);
            }
            counter.missing(self.missing);
            counter.counts.n += self.uncounted;
            counter.counts.other += self.uncounted;
            counter.counts
        });
        let mut by_frequency: Vec<(Box<[u8]>, u64)> = self.counted.into_iter().collect();
        by_frequency.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let rest = by_frequency.split_off(by_frequency.len().min(CATEGORIES_MAX));
        let mut further: Vec<u64> = rest.iter().take(FURTHER_MAX).map(|(c, _)| hash(c)).collect();
        further.sort_unstable();
        let reference = CategoryBins {
            top: by_frequency.iter().map(|(c, _)| CompactString::from_utf8_lossy(c)).collect(),
            open: rest.len() > FURTHER_MAX || self.uncounted > 0,
            further,
        };
        let other = rest.iter().map(|(_, n)| n).sum::<u64>() + self.uncounted;
        let bins: Vec<u64> = by_frequency.iter().map(|(_, n)| *n).collect();
        let n = bins.iter().sum::<u64>() + other + self.missing;
        let counts = Counts { n, missing: self.missing, bins, other, distinct: self.distinct, ..Counts::default() };
        (Reference::Categories(reference), counts, beside)
    }
}

impl Column {
    /// A column whose counts are known.
    pub fn new(name: &str, kind: Kind, reference: Reference, counts: Counts, baseline: Option<Counts>) -> Self {
        Self { name: name.to_owned(), kind, reference, counts, baseline }
    }
}
