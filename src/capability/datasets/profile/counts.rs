//! Counts in fixed bins: integers only, exactly mergeable in any order.

use serde::{Deserialize, Serialize};

use super::distinct::{Distinct, hash};
use super::grid::{Grid, LANES};
use super::{CategoryBins, NumberBins, Reference};
use crate::base::number;

/// Bits that the greatest distance from the center has in fixed point.
pub(super) const VALUE_BITS: i32 = 40;
/// What lies further out than this many times the reference's reach is summed as if it lay there; it is counted in `clipped`.
const CLIP_BITS: i32 = VALUE_BITS + 8;

/// What was seen of a column, in the bins of a [`Reference`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Values, with the missing ones.
    pub n: u64,
    pub missing: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub infinite_low: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub infinite_high: u64,
    /// A bin of numbers or a category each.
    pub bins: Vec<u64>,
    /// Fixed-point sums of a bin's values, see [`NumberBins::scale`].
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "wide")]
    pub sums: Vec<i128>,
    /// Fixed-point sum of squares.
    #[serde(default, skip_serializing_if = "is_nothing", with = "wide_one")]
    pub squares: i128,
    /// Values whose part in the sums was cut, see `CLIP_BITS`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub clipped: u64,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number::option")]
    pub min: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number::option")]
    pub max: Option<f64>,
    /// Categories that the reference saw but does not keep by name.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub other: u64,
    /// Categories that the reference never saw.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub new: u64,
    /// How many different categories there were, about.
    #[serde(default, skip_serializing_if = "Distinct::is_empty")]
    pub distinct: Distinct,
}

/// Where a category counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    Top(u16),
    Other,
    New,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_nothing(n: &i128) -> bool {
    *n == 0
}

impl NumberBins {
    /// Place of a value's bin. Not for NaN.
    pub fn bin(&self, x: f64) -> usize {
        self.edges.partition_point(|edge| *edge < x)
    }

    /// The value in fixed point, and whether it was clipped.
    #[inline(always)]
    #[allow(clippy::inline_always)] // once a value
    fn fixed(&self, x: f64) -> (i64, bool) {
        let scaled = (x - self.center) * exp2(self.scale);
        let limit = exp2(CLIP_BITS);
        let within = scaled.clamp(-limit, limit);
        #[allow(clippy::cast_possible_truncation)] // within ±2^48
        let whole = within as i64;
        // Half away from zero, as `round` does it, which is a call where the processor has no such instruction.
        let rest = within - whole as f64;
        let fixed = whole + i64::from(rest >= 0.5) - i64::from(rest <= -0.5);
        (fixed, scaled.abs() >= limit + 0.5)
    }
}

/// A power of two, exactly.
#[inline]
pub(super) fn exp2(power: i32) -> f64 {
    match u64::try_from(power + 1023) {
        Ok(exponent @ 1..=2046) => f64::from_bits(exponent << 52),
        _ => far_exp2(power),
    }
}

/// One that is no normal number; apart, so that nobody works it out for the others.
#[cold]
#[inline(never)]
fn far_exp2(power: i32) -> f64 {
    2.0_f64.powi(power)
}

impl CategoryBins {
    /// Place of a category among the top ones; `Err(true)` when it is new.
    fn bin(&self, index: &Lookup<'_>, category: &str) -> Result<usize, bool> {
        if let Some(place) = index.get(category) {
            return Ok(*place);
        }
        Err(!self.open && self.further.binary_search(&hash(category.as_bytes())).is_err())
    }
}

type Lookup<'a> = std::collections::HashMap<&'a str, usize>;

/// Counts values into the bins of one reference; keeps the look-up of categories.
pub struct Counter<'a> {
    reference: &'a Reference,
    lookup: Lookup<'a>,
    pub counts: Counts,
}

impl Reference {
    /// Nothing seen yet.
    pub fn empty(&self) -> Counts {
        match self {
            Self::Numbers(bins) => {
                let len = bins.edges.len() + 1;
                Counts { bins: vec![0; len], sums: vec![0; len], ..Counts::default() }
            }
            Self::Categories(bins) => Counts { bins: vec![0; bins.top.len()], ..Counts::default() },
        }
    }

    pub fn counter(&self) -> Counter<'_> {
        let lookup = match self {
            Self::Numbers(_) => Lookup::new(),
            Self::Categories(bins) => bins.top.iter().enumerate().map(|(i, c)| (c.as_str(), i)).collect(),
        };
        Counter { reference: self, lookup, counts: self.empty() }
    }
}

impl Counter<'_> {
    pub fn missing(&mut self, n: u64) {
        self.counts.n += n;
        self.counts.missing += n;
    }

    /// A number `n` times; NaN is missing. Where categories are expected, its text counts.
    pub fn number(&mut self, x: f64, n: u64) {
        match self.reference {
            Reference::Numbers(bins) => self.counts.add_number(bins, x, n),
            Reference::Categories(_) if x.is_nan() => self.missing(n),
            Reference::Categories(_) => self.category(&x.to_string(), n),
        }
    }

    /// A category `n` times. Where numbers are expected, what is none counts as missing.
    pub fn category(&mut self, category: &str, n: u64) {
        match self.reference {
            Reference::Numbers(_) => match category.trim().parse::<f64>() {
                Ok(x) => self.number(x, n),
                Err(_) => self.missing(n),
            },
            Reference::Categories(bins) => {
                self.counts.n += n;
                self.counts.distinct.add(hash(category.as_bytes()));
                match bins.bin(&self.lookup, category) {
                    Ok(place) => self.counts.bins[place] += n,
                    Err(true) => self.counts.new += n,
                    Err(false) => self.counts.other += n,
                }
            }
        }
    }
}

impl Counts {
    /// Finite numbers.
    pub fn add_numbers(&mut self, bins: &NumberBins, grid: &Grid, values: &[f64]) {
        let Some(first) = values.first() else { return };
        let (mut squares, mut cut) = (0_i128, 0);
        let (mut low, mut high) = (*first, *first);
        for some in values.chunks(LANES) {
            let places = grid.places(bins, some);
            for (x, place) in some.iter().zip(places) {
                let (fixed, clipped) = bins.fixed(*x);
                self.bins[place] += 1;
                self.sums[place] += i128::from(fixed);
                squares += i128::from(fixed) * i128::from(fixed);
                cut += u64::from(clipped);
                low = if *x < low { *x } else { low };
                high = if *x > high { *x } else { high };
            }
        }
        self.n += values.len() as u64;
        self.clipped += cut;
        self.squares = self.squares.saturating_add(squares);
        self.min = Some(self.min.map_or(low, |m| m.min(low)));
        self.max = Some(self.max.map_or(high, |m| m.max(high)));
    }

    /// A number `n` times.
    pub fn add_number(&mut self, bins: &NumberBins, x: f64, n: u64) {
        if x.is_finite() {
            self.add_finite(bins, bins.bin(x), x, n);
            return;
        }
        self.n += n;
        if x.is_nan() {
            self.missing += n;
        } else if x > 0.0 {
            self.infinite_high += n;
        } else {
            self.infinite_low += n;
        }
    }

    /// A finite number whose bin is known.
    pub(super) fn add_finite(&mut self, bins: &NumberBins, bin: usize, x: f64, n: u64) {
        let (fixed, clipped) = bins.fixed(x);
        let (fixed, times) = (i128::from(fixed), i128::from(n));
        self.n += n;
        self.bins[bin] += n;
        self.sums[bin] += fixed * times;
        self.squares = self.squares.saturating_add(fixed * fixed * times);
        self.clipped += n * u64::from(clipped);
        self.min = Some(self.min.map_or(x, |m| m.min(x)));
        self.max = Some(self.max.map_or(x, |m| m.max(x)));
    }

    /// A category by its hash, whose place among the top ones is known, or that is none of them. Answers where it counts.
    pub fn add_category(&mut self, bins: &CategoryBins, place: Option<usize>, digest: u64) -> Slot {
        self.distinct.add(digest);
        let slot = match place.map(u16::try_from) {
            Some(Ok(place)) => Slot::Top(place),
            _ if bins.open || bins.further.binary_search(&digest).is_ok() => Slot::Other,
            _ => Slot::New,
        };
        self.add_again(slot);
        slot
    }

    /// A category that was added here before.
    #[inline(always)]
    #[allow(clippy::inline_always)] // once a value
    pub fn add_again(&mut self, slot: Slot) {
        self.n += 1;
        match slot {
            Slot::Top(place) => self.bins[usize::from(place)] += 1,
            Slot::Other => self.other += 1,
            Slot::New => self.new += 1,
        }
    }

    /// Adds what was counted elsewhere, in the same bins. Exact, and in any order the same.
    pub fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.missing += other.missing;
        self.infinite_low += other.infinite_low;
        self.infinite_high += other.infinite_high;
        self.clipped += other.clipped;
        self.other += other.other;
        self.new += other.new;
        self.squares = self.squares.saturating_add(other.squares);
        add_up(&mut self.bins, &other.bins);
        add_up(&mut self.sums, &other.sums);
        self.min = self.min.into_iter().chain(other.min).reduce(f64::min);
        self.max = self.max.into_iter().chain(other.max).reduce(f64::max);
        self.distinct.merge(&other.distinct);
    }

    /// Finite values, or values of known and unknown categories.
    pub fn present(&self) -> u64 {
        self.bins.iter().sum::<u64>() + self.other + self.new
    }

    /// Sum of a bin's values.
    pub fn sum(&self, bins: &NumberBins, bin: usize) -> f64 {
        bins.center * self.bins[bin] as f64 + self.sums[bin] as f64 / exp2(bins.scale)
    }

    /// Mean of the finite values.
    pub fn mean(&self, bins: &NumberBins) -> Option<f64> {
        let n = self.present();
        let sum: i128 = self.sums.iter().sum();
        (n > 0).then(|| bins.center + sum as f64 / exp2(bins.scale) / n as f64)
    }

    /// Sum of squared distances from the mean (M2).
    pub fn m2(&self, bins: &NumberBins) -> Option<f64> {
        let n = self.present();
        if n == 0 {
            return None;
        }
        let sum: i128 = self.sums.iter().sum();
        let exact = || {
            let all = self.squares.checked_mul(i128::from(n))?;
            all.checked_sub(sum.checked_mul(sum)?).map(|d| d as f64 / n as f64)
        };
        let fixed = exact().unwrap_or_else(|| self.squares as f64 - sum as f64 * (sum as f64 / n as f64));
        Some(fixed.max(0.0) / exp2(bins.scale) / exp2(bins.scale))
    }

    /// Standard deviation of the finite values, as of a sample.
    pub fn deviation(&self, bins: &NumberBins) -> Option<f64> {
        let n = self.present();
        (n > 1).then(|| self.m2(bins).map(|m2| (m2 / (n - 1) as f64).sqrt())).flatten()
    }
}

fn add_up<T: Copy + std::ops::AddAssign>(to: &mut [T], from: &[T]) {
    to.iter_mut().zip(from).for_each(|(a, b)| *a += *b);
}

/// Sums are wider than a JSON number: they travel as decimal text.
mod wide {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(sums: &[i128], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(sums.iter().map(ToString::to_string))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<i128>, D::Error> {
        let texts = Vec::<String>::deserialize(d)?;
        texts.iter().map(|t| t.parse().map_err(|_| de::Error::custom(format!("not a whole number: {t}")))).collect()
    }
}

mod wide_one {
    use serde::{Deserialize, Deserializer, Serializer, de};

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
    pub fn serialize<S: Serializer>(sum: &i128, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(sum)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<i128, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map_err(|_| de::Error::custom(format!("not a whole number: {text}")))
    }
}
