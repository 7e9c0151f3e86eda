//! Money: amounts in millionths, prices in billionths, and in between sums that are kept exactly until a line of a bill is
//! rounded, once.

use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

/// Billionths of a billionth: fine enough that what a division cuts off never reaches a millionth.
const ATTO: i128 = 1_000_000_000_000_000_000;
const ATTO_PER_NANO: i128 = ATTO / 1_000_000_000;
const ATTO_PER_MICRO: i128 = ATTO / 1_000_000;
/// Microseconds of an hour.
pub const HOUR_US: i64 = 3_600_000_000;
/// No price is greater, in whole units of the currency: a typing mistake, surely.
const PRICE_MAX: f64 = 1_000_000.0;

/// An amount in millionths of the currency, as a line of a bill has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micro(pub i64);

/// A price in billionths of the currency for one of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Price(pub i64);

/// An amount that is still being added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Exact(i128);

impl Micro {
    #[allow(clippy::cast_possible_truncation)] // saturates
    pub fn of(units: f64) -> Self {
        Self((units * 1e6).round() as i64)
    }

    pub fn units(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl Add for Micro {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Micro {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Micro {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl std::iter::Sum for Micro {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

impl Price {
    /// What people write: `0.031611`.
    ///
    /// # Errors
    /// In words, for what is no price: negative, not a number, or beyond all measure.
    pub fn of(units: f64) -> Result<Self, String> {
        if !units.is_finite() || units < 0.0 {
            return Err(format!("a price is a number of 0 or more, not {units}"));
        }
        if units > PRICE_MAX {
            return Err(format!("{units} is beyond all measure: a price is at most {PRICE_MAX}"));
        }
        #[allow(clippy::cast_possible_truncation)] // at most 10^15
        Ok(Self((units * 1e9).round() as i64))
    }

    pub fn units(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Whether it can be one: what comes over a wire was not read by [`Self::of`].
    pub fn is_sound(self) -> bool {
        (0.0..=PRICE_MAX).contains(&self.units())
    }

    /// For `part` of `whole`: a thousandth of a core, a million of tokens.
    pub fn of_part(self, part: i128, whole: i128) -> Exact {
        Exact(i128::from(self.0) * ATTO_PER_NANO).scaled(part, whole)
    }

    /// An hour's price for a length of time.
    pub fn for_time(self, micros: i64) -> Exact {
        self.of_part(i128::from(micros), i128::from(HOUR_US))
    }
}

impl Exact {
    /// The same times `by / of`.
    #[must_use]
    pub fn scaled(self, by: i128, of: i128) -> Self {
        match of {
            0 => Self(0),
            // Where the product is too wide, a little exactness goes rather than the figure.
            _ => Self(self.0.checked_mul(by).map_or_else(|| self.0 / of * by, |product| product / of)),
        }
    }

    /// Rounded to a millionth, half to even.
    pub fn rounded(self) -> Micro {
        let (whole, rest) = (self.0.div_euclid(ATTO_PER_MICRO), self.0.rem_euclid(ATTO_PER_MICRO));
        let up = match (rest * 2).cmp(&ATTO_PER_MICRO) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => whole.rem_euclid(2),
            std::cmp::Ordering::Greater => 1,
        };
        Micro(i64::try_from(whole + up).unwrap_or(i64::MAX))
    }
}

impl Add for Exact {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Exact {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Exact {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl std::iter::Sum for Exact {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

/// What parts come to, rounded half to even. Each division that made a part may have cut off less than the smallest unit:
/// where they come to a half, or to less than that below it, the whole ended in a half.
fn whole(parts: &[Exact]) -> Micro {
    const HALF: i128 = ATTO_PER_MICRO / 2;
    let sum: Exact = parts.iter().copied().sum();
    let most = sum.0.saturating_add(i128::try_from(parts.len()).unwrap_or(0));
    let half = most.saturating_sub(HALF).div_euclid(ATTO_PER_MICRO) * ATTO_PER_MICRO + HALF;
    if half >= sum.0 { Exact(half).rounded() } else { sum.rounded() }
}

/// Rounds parts so that they come to their rounded sum: what is missing goes to those that were cut the most.
pub fn apportion(parts: &[Exact]) -> Vec<Micro> {
    let total = whole(parts).0;
    let mut rounded: Vec<i64> =
        parts.iter().map(|p| i64::try_from(p.0.div_euclid(ATTO_PER_MICRO)).unwrap_or(i64::MAX)).collect();
    let missing = usize::try_from(total.saturating_sub(rounded.iter().sum())).unwrap_or(0);
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|i| (std::cmp::Reverse(parts[*i].0.rem_euclid(ATTO_PER_MICRO)), *i));
    order.into_iter().take(missing).for_each(|i| rounded[i] += 1);
    rounded.into_iter().map(Micro).collect()
}

/// Cuts an amount by weights; without any, evenly. The parts come to the whole.
pub fn split(whole: Micro, weights: &[u64]) -> Vec<Micro> {
    let sum: i128 = weights.iter().map(|w| i128::from(*w)).sum();
    let whole = Exact(i128::from(whole.0) * ATTO_PER_MICRO);
    let part = |w: &u64| match sum {
        0 => whole.scaled(1, weights.len().max(1) as i128),
        sum => whole.scaled(i128::from(*w), sum),
    };
    apportion(&weights.iter().map(part).collect::<Vec<_>>())
}

/// `$1 234.56`, `$0.0440`: two decimals, and where that says nothing, four digits that count.
pub fn shown(amount: f64, currency: &str) -> String {
    let sign = if amount < 0.0 { "-" } else { "" };
    let value = amount.abs();
    let unit = match currency {
        "USD" => "$".to_owned(),
        "EUR" => "€".to_owned(),
        "GBP" => "£".to_owned(),
        other => format!("{other} "),
    };
    if value == 0.0 || value >= 0.995 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // shown only
        let cents = (value * 100.0).round() as u64;
        let whole = super::show::count(cents / 100);
        return format!("{sign}{unit}{whole}.{:02}", cents % 100);
    }
    #[allow(clippy::cast_possible_truncation)] // logarithms of doubles lie within ±324
    let magnitude = value.log10().floor() as i32;
    if magnitude < -9 {
        return format!("{sign}{unit}{value:.1e}");
    }
    let decimals = usize::try_from(2 - magnitude).unwrap_or(2).max(2);
    format!("{sign}{unit}{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_costs_its_price_and_a_month_is_exact() {
        let price = Price::of(0.031_611).unwrap();
        assert_eq!(price.for_time(HOUR_US).rounded(), Micro(31_611));
        assert_eq!(price.for_time(HOUR_US * 720).rounded(), Micro(22_759_920));
        // Cut into minutes it comes to the same.
        let cut: Exact = (0..720 * 60).map(|_| price.for_time(HOUR_US / 60)).sum();
        assert_eq!(cut.rounded(), Micro(22_759_920));
    }

    #[test]
    fn halves_go_to_even_ones() {
        let half = |n| Price(n).of_part(1, 1).rounded();
        assert_eq!([500, 1500, 1501, 2500].map(half), [Micro(0), Micro(2), Micro(2), Micro(2)]);
    }

    #[test]
    fn what_is_no_price_is_refused() {
        for odd in [-0.01, f64::NAN, f64::INFINITY, 2e6] {
            assert!(Price::of(odd).is_err(), "{odd}");
        }
        assert_eq!(Price::of(0.0), Ok(Price(0)));
    }

    #[test]
    fn money_is_read_at_a_glance() {
        let usd = |v| shown(v, "USD");
        assert_eq!(
            [0.0, 41_208.0, 12.3, 0.044, 0.000_044, -1.5, 0.999].map(usd),
            ["$0.00", "$41 208.00", "$12.30", "$0.0440", "$0.0000440", "-$1.50", "$1.00"]
        );
        assert_eq!(shown(2.0, "CHF"), "CHF 2.00");
    }

    proptest::proptest! {
        #[test]
        fn parts_sum_to_the_whole(price in 0_i64..1_000_000_000_000, parts in proptest::collection::vec(1_i64..1_000_000, 1..20)) {
            let whole: i64 = parts.iter().sum();
            let total = Price(price).for_time(HOUR_US);
            let cut: Exact = parts.iter().map(|p| total.scaled(i128::from(*p), i128::from(whole))).sum();
            // Each division cuts off less than one billionth of a billionth.
            proptest::prop_assert!(total.0 - cut.0 >= 0 && total.0 - cut.0 <= parts.len() as i128);
            let exact: Vec<Exact> = parts.iter().map(|p| total.scaled(i128::from(*p), i128::from(whole))).collect();
            let rounded = apportion(&exact);
            proptest::prop_assert_eq!(rounded.iter().copied().sum::<Micro>(), total.rounded());
            for (exact, rounded) in exact.iter().zip(rounded) {
                proptest::prop_assert!((exact.0 - i128::from(rounded.0) * ATTO_PER_MICRO).abs() < ATTO_PER_MICRO);
            }
        }
    }
}
