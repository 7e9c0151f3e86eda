//! Paired bootstrap with a fixed seed: the same rows give the same interval, today and in an audit.

use super::moments::{quantile, sorted};

/// A small deterministic generator (SplitMix64).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`, by the high half of a product: no bias that matters, no division.
    pub fn below(&mut self, n: usize) -> usize {
        #[allow(clippy::cast_possible_truncation)] // the high half of a product with n lies below n
        {
            ((u128::from(self.draw()) * n as u128) >> 64) as usize
        }
    }
}

/// Differences over resampled rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Resampled {
    /// Sorted.
    pub differences: Vec<f64>,
    /// Standard deviation of them: the standard error of the difference.
    pub se: f64,
}

impl Resampled {
    pub fn quantile(&self, q: f64) -> Option<f64> {
        quantile(&self.differences, q)
    }
}

/// How often rows are drawn anew: fewer for many rows, so that it stays a matter of seconds.
pub fn rounds(rows: usize) -> usize {
    (20_000_000 / rows.max(1)).clamp(200, 2000)
}

/// Draws `rows` row numbers with replacement `rounds` times and asks for the difference on them; rounds that have none
/// (one class only) are left out. `None` when most have none.
pub fn paired(
    rows: usize,
    rounds: usize,
    seed: u64,
    mut difference: impl FnMut(&[usize]) -> Option<f64>,
) -> Option<Resampled> {
    let mut random = Random::seeded(seed);
    let mut drawn = vec![0; rows];
    let mut differences = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        drawn.iter_mut().for_each(|row| *row = random.below(rows));
        differences.extend(difference(&drawn).filter(|d| d.is_finite()));
    }
    if rows == 0 || differences.len() * 2 < rounds {
        return None;
    }
    let mean = super::mean(&differences)?;
    let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (differences.len() as f64 - 1.0);
    Some(Resampled { differences: sorted(&differences), se: variance.sqrt() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_mean_is_that_of_the_normal_law_and_the_same_each_time() {
        let mut random = Random::seeded(7);
        let values: Vec<f64> = (0..400).map(|_| (random.draw() >> 11) as f64 / (1u64 << 53) as f64).collect();
        let mean = |rows: &[usize]| Some(rows.iter().map(|r| values[*r]).sum::<f64>() / rows.len() as f64);
        let once = paired(values.len(), 2000, 42, mean).unwrap();
        assert_eq!(once, paired(values.len(), 2000, 42, mean).unwrap());
        // The spread of a uniform number is 1/12.
        let se = (1.0 / 12.0 / 400.0_f64).sqrt();
        assert!((once.se / se - 1.0).abs() < 0.1, "{} against {se}", once.se);
        let (low, high) = (once.quantile(0.025).unwrap(), once.quantile(0.975).unwrap());
        assert!(((high - low) / (2.0 * 1.96 * se) - 1.0).abs() < 0.1);
        assert_eq!(paired(10, 100, 1, |_| None), None);
    }
}
