//! Whether a column has drifted: by more than chance gives with so many rows, and by enough to matter.

use serde::{Deserialize, Serialize};

use crate::base::stats::bins::{self, chi2, psi_limit, psi_p, psi_smoothed};
use crate::base::stats::multiple::{Adjustment, adjusted};
use crate::capability::datasets::profile::{Counts, Reference};

/// Below this PSI a shift is real at most, never of weight.
pub const PRACTICAL_PSI: f64 = 0.1;
/// Share of windows without drift that may alarm, whatever the number of columns.
pub const FALSE_ALARMS: f64 = 0.005;
/// Groups that the bins of a column are put together to.
const GROUPS_MAX: usize = 10;
/// Rows that a group has to be expected to hold on either side: below it the law of chance is none.
const EXPECTED_MIN: f64 = 10.0;

/// One column of a window against its reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnDrift {
    pub name: String,
    /// `dataset@version`, or `first window`.
    pub reference: String,
    pub n: u64,
    /// `None`: too few rows to say.
    pub psi: Option<f64>,
    /// What PSI has to exceed for an alarm.
    pub limit: Option<f64>,
    /// How likely so much is by chance.
    pub p: Option<f64>,
    /// Share of missing values, and what it was in the reference.
    pub missing: f64,
    pub missing_reference: f64,
    /// Share of values in categories that the reference never saw.
    pub new: f64,
    /// Share of numbers beyond all that the reference saw, up to its bins.
    pub outside: f64,
    /// Distance of Jensen and Shannon, bits under a root, 0 to 1.
    pub js: Option<f64>,
    /// Kolmogorov and Smirnov's distance lies between these.
    pub ks: Option<(f64, f64)>,
    /// First Wasserstein distance in standard deviations of the reference.
    pub wasserstein: Option<f64>,
    pub alarm: bool,
}

/// A column to judge.
#[derive(Debug, Clone, Copy)]
pub struct Compared<'a> {
    pub name: &'a str,
    pub source: &'a str,
    pub reference: &'a Reference,
    pub before: &'a Counts,
    pub now: &'a Counts,
}

/// Judges the columns of one window together: the promise on false alarms holds for all of them.
pub fn judge(columns: &[Compared<'_>]) -> Vec<ColumnDrift> {
    let mut found: Vec<(ColumnDrift, usize)> = columns.iter().map(one).collect();
    let known: Vec<usize> = (0..found.len()).filter(|i| found[*i].0.p.is_some()).collect();
    let p: Vec<f64> = known.iter().filter_map(|i| found[*i].0.p).collect();
    let held = adjusted(&p, Adjustment::BenjaminiHochberg);
    let rejected = held.iter().filter(|p| **p <= FALSE_ALARMS).count();
    // The level that the procedure came to: what a column has to fall short of.
    let level = FALSE_ALARMS * rejected.max(1) as f64 / p.len().max(1) as f64;
    for (place, i) in known.into_iter().enumerate() {
        let (column, groups) = &mut found[i];
        let before = columns[i].before.n;
        let limit = psi_limit(before.max(1), column.n.max(1), *groups, 1.0 - level).max(PRACTICAL_PSI);
        column.limit = Some(limit);
        column.alarm = held[place] <= FALSE_ALARMS && column.psi.is_some_and(|psi| psi > limit);
    }
    found.into_iter().map(|(column, _)| column).collect()
}

/// All but the verdict, and how many groups were compared.
fn one(it: &Compared<'_>) -> (ColumnDrift, usize) {
    let (before, now) = (it.before, it.now);
    let share = |part: u64, of: &Counts| part as f64 / of.n.max(1) as f64;
    let (r, c) = grouped(it.reference, before, now);
    let told = r.len() > 1;
    let chance = || {
        let psi = psi_smoothed(&r, &c);
        // Two laws of the same chance; the tails of small counts are heavier than either alone says.
        (psi, psi_p(psi, before.n, now.n, r.len()).max(chi2(&r, &c).p))
    };
    let (psi, p) = if told { chance() } else { (0.0, 1.0) };
    let (mut ks, mut wasserstein, mut outside) = (None, None, 0.0);
    if let Reference::Numbers(numbers) = it.reference
        && before.present() > 0
        && now.present() > 0
    {
        let bracket = bins::ks_bracket(&before.bins, &now.bins);
        ks = Some((bracket.low, bracket.high.min(1.0)));
        let sums = |of: &Counts| (0..of.bins.len()).map(|j| of.sum(numbers, j)).collect::<Vec<f64>>();
        let far = bins::wasserstein(&numbers.edges, (&before.bins, &sums(before)), (&now.bins, &sums(now)));
        wasserstein = before.deviation(numbers).filter(|sd| *sd > 0.0).map(|sd| far / sd);
        let new_ends =
            now.min.zip(before.min).is_some_and(|(a, b)| a < b) || now.max.zip(before.max).is_some_and(|(a, b)| a > b);
        outside = if new_ends { share(beyond(before, now), now) } else { 0.0 };
    }
    let column = ColumnDrift {
        name: it.name.to_owned(),
        reference: it.source.to_owned(),
        n: now.n,
        psi: told.then_some(psi),
        limit: None,
        p: told.then_some(p),
        missing: share(now.missing, now),
        missing_reference: share(before.missing, before),
        new: share(now.new, now),
        outside,
        js: told.then(|| bins::js_divergence(&r, &c).sqrt()),
        ks,
        wasserstein,
        alarm: false,
    };
    (column, r.len())
}

/// Values in the two end bins where the window goes further than the reference, and those clipped or infinite.
fn beyond(before: &Counts, now: &Counts) -> u64 {
    let low = now.min.zip(before.min).is_some_and(|(a, b)| a < b);
    let high = now.max.zip(before.max).is_some_and(|(a, b)| a > b);
    let ends = |wanted: bool, bin: Option<&u64>| if wanted { bin.copied().unwrap_or(0) } else { 0 };
    ends(low, now.bins.first()) + ends(high, now.bins.last()) + now.infinite_low + now.infinite_high
}

/// Counts of both sides in at most [`GROUPS_MAX`] groups and those for missing and for new: every one expected to hold enough rows.
fn grouped(reference: &Reference, before: &Counts, now: &Counts) -> (Vec<u64>, Vec<u64>) {
    let (n, m) = (before.n as f64, now.n as f64);
    if before.n == 0 || now.n == 0 {
        return (Vec::new(), Vec::new());
    }
    // What both sides together let the smaller one expect.
    let part = n.min(m) / (n + m);
    let enough = |a: u64, b: u64| (a + b) as f64 * part >= EXPECTED_MIN;
    let cells = |c: &Counts| {
        let mut bins = c.bins.clone();
        if let (Some(first), true) = (bins.first_mut(), matches!(reference, Reference::Numbers(_))) {
            *first += c.infinite_low;
        }
        if let (Some(last), true) = (bins.last_mut(), matches!(reference, Reference::Numbers(_))) {
            *last += c.infinite_high;
        }
        bins
    };
    let (p, q) = (cells(before), cells(now));
    let total = (p.iter().chain(&q).sum::<u64>()) as f64;
    let (mut r, mut c) = (Vec::new(), Vec::new());
    let (mut open, mut gone) = ((0, 0), 0.0);
    for (a, b) in p.iter().zip(&q) {
        open = (open.0 + a, open.1 + b);
        gone += (a + b) as f64;
        // A group ends where its share of all is reached, so that groups are about equal.
        let due = gone >= total * (r.len() + 1) as f64 / GROUPS_MAX as f64;
        if due && enough(open.0, open.1) {
            r.push(open.0);
            c.push(open.1);
            open = (0, 0);
        }
    }
    let mut rest = (open.0 + before.other, open.1 + now.other);
    for (a, b) in [(before.missing, now.missing), (before.new, now.new)] {
        if enough(a, b) {
            r.push(a);
            c.push(b);
        } else {
            rest = (rest.0 + a, rest.1 + b);
        }
    }
    if enough(rest.0, rest.1) {
        r.push(rest.0);
        c.push(rest.1);
    } else if let (Some(a), Some(b)) = (r.last_mut(), c.last_mut()) {
        *a += rest.0;
        *b += rest.1;
    }
    (r, c)
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // draws
mod tests {
    use super::*;
    use crate::capability::datasets::profile::{CategoryBins, NumberBins};

    /// splitmix64.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }

        fn share(&mut self) -> f64 {
            (self.roll() >> 11) as f64 / (1_u64 << 53) as f64
        }

        /// Sum of twelve: normal enough.
        fn normal(&mut self) -> f64 {
            (0..12).map(|_| self.share()).sum::<f64>() - 6.0
        }
    }

    /// Cumulated shares of a column's cells; the last one is "missing".
    fn law(kind: usize) -> Vec<f64> {
        let weights: Vec<f64> = match kind % 4 {
            0 => (0..64).map(|_| 1.0).chain([0.0]).collect(),
            1 => (0..64).map(|_| 1.0).chain([3.0]).collect(),
            // Zipf.
            2 => (1..=100).map(|k| 1.0 / f64::from(k)).chain([0.2]).collect(),
            _ => vec![0.9, 0.1, 0.0],
        };
        let total: f64 = weights.iter().sum();
        weights
            .iter()
            .scan(0.0, |sum, w| {
                *sum += w / total;
                Some(*sum)
            })
            .collect()
    }

    fn reference(kind: usize) -> Reference {
        match kind % 4 {
            0 | 1 => {
                Reference::Numbers(NumberBins { edges: (0..63).map(f64::from).collect(), ..NumberBins::default() })
            }
            2 => Reference::Categories(CategoryBins {
                top: (0..100).map(|i| i.to_string().into()).collect(),
                ..CategoryBins::default()
            }),
            _ => Reference::Categories(CategoryBins { top: vec!["a".into(), "b".into()], ..CategoryBins::default() }),
        }
    }

    fn drawn(dice: &mut Dice, kind: usize, law: &[f64], rows: u64) -> Counts {
        let mut counts = reference(kind).empty();
        let last = law.len() - 1;
        for _ in 0..rows {
            match law.partition_point(|edge| *edge <= dice.share()).min(last) {
                at if at == last => counts.missing += 1,
                at => counts.bins[at] += 1,
            }
        }
        counts.n = rows;
        counts
    }

    fn verdict(before: &[(Reference, Counts)], now: &[Counts]) -> bool {
        let compared = |((reference, before), now)| Compared { name: "c", source: "s", reference, before, now };
        let columns: Vec<_> = before.iter().map(|(r, b)| (r, b)).zip(now).map(compared).collect();
        judge(&columns).iter().any(|c| c.alarm)
    }

    #[test]
    fn at_most_one_window_in_a_hundred_alarms_without_drift() {
        let mut dice = Dice(7);
        let laws: Vec<Vec<f64>> = (0..20).map(law).collect();
        // Two thousand windows, most of them small, where chance is greatest.
        for (rows, windows) in [(100, 900), (300, 600), (1000, 400), (3000, 80), (10_000, 20)] {
            let mut alarms = 0;
            let mut before = Vec::new();
            for window in 0..windows {
                if window % 20 == 0 {
                    before = (0..20).map(|k| (reference(k), drawn(&mut dice, k, &laws[k], 10_000))).collect();
                }
                let now: Vec<Counts> = (0..20).map(|k| drawn(&mut dice, k, &laws[k], rows)).collect();
                alarms += u64::from(verdict(&before, &now));
            }
            assert!(alarms * 100 <= windows, "{alarms} of {windows} windows of {rows} rows");
        }
    }

    #[test]
    fn half_a_deviation_in_one_of_twenty_columns_is_found_at_a_thousand_rows() {
        let mut dice = Dice(11);
        let mut sorted: Vec<f64> = (0..10_000).map(|_| dice.normal()).collect();
        sorted.sort_by(f64::total_cmp);
        let edges: Vec<f64> = (1..64).map(|k| sorted[k * 10_000 / 64]).collect();
        let numbers = NumberBins { edges, ..NumberBins::default() };
        let of = |values: &mut dyn Iterator<Item = f64>| {
            let mut counts = Reference::Numbers(numbers.clone()).empty();
            values.for_each(|x| counts.add_number(&numbers, x, 1));
            counts
        };
        let base = of(&mut sorted.iter().copied());
        let before: Vec<_> = (0..20).map(|_| (Reference::Numbers(numbers.clone()), base.clone())).collect();
        let windows = 200;
        let found = (0..windows).filter(|_| {
            let mut shifted = |by: f64| of(&mut (0..1000).map(|_| dice.normal() + by));
            let now: Vec<Counts> = (0..20).map(|k| shifted(if k == 3 { 0.5 } else { 0.0 })).collect();
            verdict(&before, &now)
        });
        let found = found.count();
        assert!(found * 100 >= windows * 99, "{found} of {windows}");
    }

    #[test]
    fn missing_values_and_new_categories_drift_too() {
        let reference = reference(3);
        let counts = |a, b, missing, new| Counts {
            n: a + b + missing + new,
            bins: vec![a, b],
            missing,
            new,
            ..Counts::default()
        };
        let before = counts(8550, 950, 500, 0);
        let judged =
            |now: &Counts| judge(&[Compared { name: "c", source: "s", reference: &reference, before: &before, now }]);
        assert!(!judged(&counts(855, 95, 50, 0))[0].alarm);
        assert!(judged(&counts(720, 80, 200, 0))[0].alarm);
        let new = &judged(&counts(755, 95, 50, 100))[0];
        assert!(new.alarm && (new.new - 0.1).abs() < 1e-12);
        // Too few rows say nothing.
        assert_eq!(judged(&counts(5, 1, 0, 0))[0].psi, None);
    }
}
