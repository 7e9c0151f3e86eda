//! A cell as bytes: whole numbers of as many bytes as they need, and nothing for what is empty. Reading one takes some microseconds,
//! and an hour of hundreds of versions is tens of thousands of them.

use std::collections::BTreeMap;

use super::bytes::{In, Out};
use super::scores::Scores;
use super::tally::{Cell, Residuals, SCORE_BINS, ScoreBin, Tally, UNIT};
use crate::base::stats::sketch::Sketch;
use crate::capability::datasets::profile::{Counts, Distinct};

/// The form that is written: of sums only how far they lie from what their neighbours let expect. [`PLAIN`] has them as they are.
const FORM: u64 = 2;
const PLAIN: u64 = 1;

pub(super) fn write(cell: &Cell) -> Vec<u8> {
    let mut out = Out(Vec::with_capacity(1024));
    out.put(FORM);
    write_tally(&mut out, &cell.tally);
    out.len(cell.columns.len());
    cell.columns.iter().for_each(|counts| write_counts(&mut out, counts));
    out.0
}

/// `None`: it is no such cell.
pub(super) fn read(bytes: &[u8]) -> Option<Cell> {
    let mut from = In(bytes);
    let (form, tally) = tally_of(&mut from)?;
    let many = from.len()?;
    let columns = (0..many).map(|_| read_counts(&mut from, form)).collect::<Option<Vec<Counts>>>()?;
    from.0.is_empty().then_some(Cell { tally, columns })
}

/// Everything but columns.
pub(super) fn read_tally(bytes: &[u8]) -> Option<Tally> {
    tally_of(&mut In(bytes)).map(|(_, tally)| tally)
}

/// With the form of the whole cell.
fn tally_of(from: &mut In<'_>) -> Option<(u64, Tally)> {
    let form = from.get().filter(|form| matches!(*form, PLAIN | FORM))?;
    let tally = Tally {
        n: from.get()?,
        errors: from.get()?,
        input_tokens: from.get()?,
        output_tokens: from.get()?,
        labelled: from.short()?,
        corrected: from.get()?,
        evicted: from.get()?,
        judged: from.short()?,
        judged_sum: from.short()?,
        judged_squares: from.short()?,
        brier: from.short()?,
        log_loss: from.short()?,
        latency: read_sketch(from)?,
        delay: read_sketch(from)?,
        scores: read_scores(from, form)?,
        confusion: read_confusion(from)?,
        residuals: read_residuals(from)?,
    };
    Some((form, tally))
}

/// What so many scores of a bin come to when they lie in its middle.
fn middle(bin: u8, n: i64) -> i64 {
    #[allow(clippy::cast_possible_truncation)] // whole, and below 2^31
    let middle = ((f64::from(bin) + 0.5) / f64::from(SCORE_BINS) * UNIT) as i64;
    n.wrapping_mul(middle)
}

fn write_tally(out: &mut Out, t: &Tally) {
    out.all(&[t.n, t.errors, t.input_tokens, t.output_tokens]);
    out.all_signed(&[t.labelled]);
    out.all(&[t.corrected, t.evicted]);
    out.all_signed(&[t.judged, t.judged_sum, t.judged_squares, t.brier, t.log_loss]);
    write_sketch(out, &t.latency);
    write_sketch(out, &t.delay);
    out.len(t.scores.len());
    for (bin, b) in t.scores.iter() {
        out.put(u64::from(bin));
        let sum = b.sum.wrapping_sub(middle(bin, b.n));
        let labelled_sum = b.labelled_sum.wrapping_sub(middle(bin, b.labelled));
        out.all_signed(&[b.n, sum, b.called, b.labelled, labelled_sum, b.positive]);
    }
    out.len(t.confusion.len());
    for (pair, n) in &t.confusion {
        out.text(pair);
        out.all_signed(&[*n]);
    }
    let r = &t.residuals;
    out.all_signed(&[r.n, r.absolute, r.bias, r.truth]);
    [r.squares, r.truth_squares, r.absolute_squares].into_iter().for_each(|n| out.signed(n));
}

fn read_scores(from: &mut In<'_>, form: u64) -> Option<Scores> {
    let mut scores = Scores::default();
    for _ in 0..from.len()? {
        let bin = u8::try_from(from.get()?).ok()?;
        let mut of = ScoreBin {
            n: from.short()?,
            sum: from.short()?,
            called: from.short()?,
            labelled: from.short()?,
            labelled_sum: from.short()?,
            positive: from.short()?,
        };
        if form == FORM {
            of.sum = of.sum.wrapping_add(middle(bin, of.n));
            of.labelled_sum = of.labelled_sum.wrapping_add(middle(bin, of.labelled));
        }
        *scores.at(bin) = of;
    }
    Some(scores)
}

fn read_confusion(from: &mut In<'_>) -> Option<BTreeMap<String, i64>> {
    let mut confusion = BTreeMap::new();
    for _ in 0..from.len()? {
        let pair = from.text()?.to_owned();
        confusion.insert(pair, from.short()?);
    }
    Some(confusion)
}

fn read_residuals(from: &mut In<'_>) -> Option<Residuals> {
    Some(Residuals {
        n: from.short()?,
        absolute: from.short()?,
        bias: from.short()?,
        truth: from.short()?,
        squares: from.signed()?,
        truth_squares: from.signed()?,
        absolute_squares: from.signed()?,
    })
}

fn write_sketch(out: &mut Out, sketch: &Sketch) {
    let (zero, buckets) = sketch.parts();
    out.put(zero);
    out.len(buckets.len());
    for (bucket, n) in buckets {
        out.signed(i128::from(*bucket));
        out.put(*n);
    }
}

fn read_sketch(from: &mut In<'_>) -> Option<Sketch> {
    let zero = from.get()?;
    let mut buckets = BTreeMap::new();
    for _ in 0..from.len()? {
        let bucket = i16::try_from(from.short()?).ok()?;
        buckets.insert(bucket, from.get()?);
    }
    Some(Sketch::of_parts(zero, buckets))
}

/// Only what is not zero, each with how many zeros stand before it.
fn write_sparse<T: Copy + PartialEq + Default>(out: &mut Out, all: &[T], mut put: impl FnMut(&mut Out, usize, T)) {
    out.len(all.len());
    out.len(all.iter().filter(|n| **n != T::default()).count());
    let mut before = 0;
    for (place, n) in all.iter().enumerate().filter(|(_, n)| **n != T::default()) {
        out.len(place - before);
        put(out, place, *n);
        before = place + 1;
    }
}

fn read_sparse<T: Copy + Default>(
    from: &mut In<'_>,
    mut get: impl FnMut(&mut In<'_>, usize) -> Option<T>,
) -> Option<Vec<T>> {
    let mut all = vec![T::default(); from.len()?];
    let mut place = 0;
    for _ in 0..from.len()? {
        place += from.len()?;
        let n = get(from, place)?;
        *all.get_mut(place)? = n;
        place += 1;
    }
    Some(all)
}

fn write_counts(out: &mut Out, c: &Counts) {
    out.all(&[c.n, c.missing, c.infinite_low, c.infinite_high, c.clipped, c.other, c.new]);
    out.float(c.min);
    out.float(c.max);
    out.signed(c.squares);
    write_sparse(out, &c.bins, |out, _, n| out.put(n));
    write_sums(out, c);
    write_sparse(out, &c.distinct.registers(), |out, _, n| out.0.push(n));
}

/// The mean of a bin lies about as far from the one before as that one from its own: only the rest is written.
#[derive(Default)]
struct Expected {
    before: i128,
    last: i128,
    seen: u8,
}

impl Expected {
    fn sum(&self, n: u64) -> i128 {
        let step = if self.seen < 2 { 0 } else { self.last.wrapping_sub(self.before) };
        self.last.wrapping_add(step).wrapping_mul(i128::from(n))
    }

    fn see(&mut self, n: u64, sum: i128) {
        self.before = self.last;
        self.last = sum / i128::from(n.max(1));
        self.seen = self.seen.saturating_add(1);
    }
}

/// Sums stand where something was counted; where they do not, they are written as they are.
fn write_sums(out: &mut Out, c: &Counts) {
    let regular = c.sums.len() == c.bins.len() && c.sums.iter().zip(&c.bins).all(|(sum, n)| *sum == 0 || *n > 0);
    out.put(u64::from(regular));
    if !regular {
        return write_sparse(out, &c.sums, |out, _, n| out.signed(n));
    }
    let mut expected = Expected::default();
    for (n, sum) in c.bins.iter().zip(&c.sums).filter(|(n, _)| **n > 0) {
        out.signed(sum.wrapping_sub(expected.sum(*n)));
        expected.see(*n, *sum);
    }
}

fn read_sums(from: &mut In<'_>, form: u64, bins: &[u64]) -> Option<Vec<i128>> {
    if form == PLAIN || from.get()? == 0 {
        return read_sparse(from, |from, _| from.signed());
    }
    let mut expected = Expected::default();
    let mut sum = |n: &u64| {
        if *n == 0 {
            return Some(0);
        }
        let sum = from.signed()?.wrapping_add(expected.sum(*n));
        expected.see(*n, sum);
        Some(sum)
    };
    bins.iter().map(&mut sum).collect()
}

fn read_counts(from: &mut In<'_>, form: u64) -> Option<Counts> {
    let mut counts = Counts {
        n: from.get()?,
        missing: from.get()?,
        infinite_low: from.get()?,
        infinite_high: from.get()?,
        clipped: from.get()?,
        other: from.get()?,
        new: from.get()?,
        min: from.float()?,
        max: from.float()?,
        squares: from.signed()?,
        bins: read_sparse(from, |from, _| from.get())?,
        ..Counts::default()
    };
    counts.sums = read_sums(from, form, &counts.bins)?;
    counts.distinct = Distinct::of_registers(&read_sparse(from, |from, _| {
        let (byte, rest) = from.0.split_first()?;
        from.0 = rest;
        Some(*byte)
    })?)?;
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::datasets::profile::hash;

    fn cell() -> Cell {
        let mut distinct = Distinct::default();
        (0..300_u64).for_each(|i| distinct.add(hash(&i.to_le_bytes())));
        let numbers = Counts {
            n: 7,
            missing: 1,
            infinite_high: 2,
            clipped: 1,
            bins: vec![0, 3, 0, 0, 4],
            sums: vec![0, -5, 0, 0, i128::MIN / 3],
            squares: i128::MAX,
            min: Some(-0.1),
            max: Some(f64::MAX),
            ..Counts::default()
        };
        let categories = Counts { n: 300, bins: vec![0; 3], other: 200, new: 100, distinct, ..Counts::default() };
        let mut tally =
            Tally { n: 300, errors: 2, judged_sum: -1, brier: i64::MIN, log_loss: i64::MAX, ..Tally::default() };
        [0.0, 3.5, 1e9].into_iter().for_each(|ms| tally.latency.add(ms));
        tally.delay.add(60.0);
        *tally.scores.at(99) = ScoreBin { n: 3, sum: -4, positive: 1, ..ScoreBin::default() };
        tally.confusion.insert("a\u{1f}ü".into(), -2);
        tally.residuals = Residuals { n: 1, squares: -3, truth_squares: i128::MAX, ..Residuals::default() };
        Cell { tally, columns: vec![numbers, Counts::default(), categories] }
    }

    #[test]
    fn sums_come_back_whatever_they_are() {
        let long: Vec<u64> = (0..64).map(|i| i % 7 * 100).collect();
        let steady = long.iter().zip(0..).map(|(n, i)| i128::from(*n) * (i * 1_000_003 - 31_000_000)).collect();
        let odd = [
            (long.clone(), steady),
            (vec![1, 2, 0, u64::MAX], vec![i128::MIN, i128::MAX, 0, -1]),
            (vec![0, 3], vec![9, 1]),
            (vec![1, 2], vec![]),
            (vec![], vec![1]),
        ];
        let size = |cell: &Cell| write(cell).len();
        for (bins, sums) in odd {
            let columns = vec![Counts { bins, sums, ..Counts::default() }];
            let cell = Cell { columns, ..Cell::default() };
            assert_eq!(read(&write(&cell)).as_ref(), Some(&cell));
        }
        let of = |sums: Vec<i128>| Cell {
            columns: vec![Counts { bins: long.clone(), sums, ..Counts::default() }],
            ..Cell::default()
        };
        let far = 1 << 48;
        let spread = of(long.iter().zip(0..).map(|(n, i)| i128::from(*n) * (far + i * 1000)).collect());
        assert!(size(&spread) < 64 * 5, "{}", size(&spread));
    }

    /// Written before sums were taken apart.
    #[test]
    fn the_older_form_is_read() {
        let plain = |bin: u8, n: i64, sum: i64| {
            let mut out = Out(Vec::new());
            out.put(PLAIN);
            out.all(&[7, 0, 0, 0]);
            out.all_signed(&[0]);
            out.all(&[0, 0]);
            out.all_signed(&[0, 0, 0, 0, 0]);
            write_sketch(&mut out, &Sketch::default());
            write_sketch(&mut out, &Sketch::default());
            out.all(&[1, u64::from(bin)]);
            out.all_signed(&[n, sum, 0, 0, 0, 0]);
            out.put(0);
            out.all_signed(&[0, 0, 0, 0]);
            [0, 0, 0].into_iter().for_each(|n| out.signed(n));
            out.put(1);
            out.all(&[7, 0, 0, 0, 0, 0, 0]);
            out.float(None);
            out.float(None);
            out.signed(5);
            write_sparse(&mut out, &[0_u64, 7], |out, _, n| out.put(n));
            write_sparse(&mut out, &[0_i128, -9], |out, _, n| out.signed(n));
            write_sparse(&mut out, &[], |out, _, n: u8| out.0.push(n));
            out.0
        };
        let cell = read(&plain(3, 7, 99)).unwrap();
        assert_eq!((cell.tally.n, cell.tally.scores.clone().at(3).sum, cell.columns[0].sums[1]), (7, 99, -9));
        assert_eq!(read(&write(&cell)).as_ref(), Some(&cell));
    }

    #[test]
    fn a_cell_comes_back_whole_and_damage_is_seen() {
        for cell in [Cell::default(), cell()] {
            let bytes = write(&cell);
            assert_eq!(read(&bytes).unwrap(), cell);
            assert_eq!(read_tally(&bytes).unwrap(), cell.tally);
            (0..bytes.len()).for_each(|cut| assert!(read(&bytes[..cut]).is_none(), "{cut}"));
        }
        assert!(read(b"{}").is_none());
        assert!(read(&[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_none());
    }
}
