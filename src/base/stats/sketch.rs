//! A sketch of positive values: integer counts in buckets of equal relative width, so that merging is addition.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Relative error of a quantile (DDSketch, Masson et al. 2019): 1 %.
pub const ALPHA: f64 = 0.01;
const GAMMA: f64 = (1.0 + ALPHA) / (1.0 - ALPHA);
/// Values below count as zero; in milliseconds that is a nanosecond.
const SMALLEST: f64 = 1e-6;

/// Counts by bucket: bucket `i` holds values in `(γ^(i-1), γ^i]` with `γ = (1 + α) / (1 - α)`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sketch {
    #[serde(default)]
    zero: u64,
    #[serde(default)]
    buckets: BTreeMap<i16, u64>,
}

impl Sketch {
    /// Counts one value; NaN and infinities are not values and are left out.
    pub fn add(&mut self, value: f64) {
        self.add_at(place(value));
    }

    /// Counts one value `n` times.
    pub fn add_many(&mut self, value: f64, n: u64) {
        self.put(place(value), n);
    }

    /// Counts one value whose place is known.
    pub fn add_at(&mut self, place: Place) {
        self.put(place, 1);
    }

    fn put(&mut self, place: Place, n: u64) {
        match place {
            _ if n == 0 => {}
            Place::Nowhere => {}
            Place::Zero => self.zero += n,
            Place::Bucket(i) => match self.buckets.get_mut(&i) {
                Some(known) => *known += n,
                None => drop(self.buckets.insert(i, n)),
            },
        }
    }

    /// Values that count as zero, and counts by bucket: all that there is.
    pub fn parts(&self) -> (u64, &BTreeMap<i16, u64>) {
        (self.zero, &self.buckets)
    }

    pub fn of_parts(zero: u64, buckets: BTreeMap<i16, u64>) -> Self {
        Self { zero, buckets }
    }

    /// Exact, whatever the order.
    pub fn merge(&mut self, other: &Self) {
        self.zero += other.zero;
        for (bucket, n) in &other.buckets {
            *self.buckets.entry(*bucket).or_default() += n;
        }
    }

    /// What came on top of an earlier state of the same sketch.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let left = |(bucket, n): (&i16, &u64)| {
            let before = earlier.buckets.get(bucket).copied().unwrap_or(0);
            (*n > before).then(|| (*bucket, n - before))
        };
        Self { zero: self.zero.saturating_sub(earlier.zero), buckets: self.buckets.iter().filter_map(left).collect() }
    }

    pub fn count(&self) -> u64 {
        self.zero + self.buckets.values().sum::<u64>()
    }

    /// The value at `q` in 0..=1, at most 1 % off; `None` without values.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let n = self.count();
        if n == 0 {
            return None;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 ..= n - 1
        let rank = (q.clamp(0.0, 1.0) * (n - 1) as f64).floor() as u64;
        let mut seen = self.zero;
        if rank < seen {
            return Some(0.0);
        }
        for (bucket, n) in &self.buckets {
            seen += n;
            if rank < seen {
                // The middle of the bucket by relative error: 2 γ^i / (γ + 1).
                return Some(2.0 * GAMMA.powi(i32::from(*bucket)) / (GAMMA + 1.0));
            }
        }
        None
    }

    /// The sum of all values, each taken as the middle of its bucket, in thousandths: a whole number, so that parts add up.
    pub fn sum_thousandths(&self) -> i128 {
        let one = |bucket: i16| {
            #[allow(clippy::cast_possible_truncation)] // a double's thousandfold fits by far
            let middle = (2000.0 * GAMMA.powi(i32::from(bucket)) / (GAMMA + 1.0)).round() as i128;
            middle
        };
        self.buckets.iter().map(|(bucket, n)| one(*bucket).saturating_mul(i128::from(*n))).sum()
    }

    /// How many lie in buckets above that of `value`.
    pub fn above(&self, value: f64) -> u64 {
        let limit = if value < SMALLEST { i16::MIN } else { bucket(value) };
        self.buckets.range(limit.saturating_add(1)..).map(|(_, n)| n).sum()
    }
}

/// Where a value is counted: worked out once for several sketches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Nowhere,
    Zero,
    Bucket(i16),
}

pub fn place(value: f64) -> Place {
    if !value.is_finite() {
        Place::Nowhere
    } else if value < SMALLEST {
        Place::Zero
    } else {
        Place::Bucket(bucket(value))
    }
}

fn bucket(value: f64) -> i16 {
    #[allow(clippy::cast_possible_truncation)] // ln of any double over ln γ lies within ±36,000; the ends are clamped
    let i = (value.ln() / GAMMA.ln()).ceil().clamp(f64::from(i16::MIN + 1), f64::from(i16::MAX - 1)) as i16;
    i
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_one_percent() {
        let mut sketch = Sketch::default();
        (1..=10_000).for_each(|i| sketch.add(f64::from(i)));
        for q in [0.0, 0.01, 0.5, 0.95, 0.99, 1.0] {
            let exact = 1.0 + (q * 9999.0_f64).floor();
            let got = sketch.quantile(q).unwrap();
            assert!((got - exact).abs() <= ALPHA * exact * 1.0001, "{q}: {got} against {exact}");
        }
    }

    #[test]
    fn merging_is_adding() {
        let (mut a, mut b, mut both) = (Sketch::default(), Sketch::default(), Sketch::default());
        for i in 0..1000 {
            let x = f64::from(i) * 0.37;
            if i % 3 == 0 {
                a.add(x);
            } else {
                b.add(x);
            }
            both.add(x);
        }
        b.merge(&a);
        assert_eq!(b, both);
        assert_eq!(both.count(), 1000);
        assert_eq!(both.above(0.0), 999);
        assert_eq!(b.since(&a).count(), 666);
    }

    #[test]
    fn what_is_no_number_is_not_counted() {
        let mut sketch = Sketch::default();
        [f64::NAN, f64::INFINITY].into_iter().for_each(|x| sketch.add(x));
        assert_eq!(sketch.quantile(0.5), None);
    }
}
