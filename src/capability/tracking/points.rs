//! Metric points: how a chunk of a history is packed, ordered, and thinned for answers and charts.

use serde::{Deserialize, Serialize};

/// The layout [`pack`] writes; a reader refuses any other.
const VERSION: u8 = 1;
/// A varint of a step, one of a timestamp, and a value: the least a packed point takes.
const LEAST_BYTES: usize = 10;

/// One logged value of a metric. In JSON it is `[step, timestamp, value]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "(i64, i64, Written)", into = "(i64, i64, Written)")]
pub struct Point {
    pub step: i64,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    pub value: f64,
}

/// A value as JSON can say it: a number, or one of `MLflow`'s three words for what is none.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Finite(f64),
    Word(Word),
}

#[derive(Serialize, Deserialize)]
enum Word {
    NaN,
    Infinity,
    #[serde(rename = "-Infinity")]
    NegativeInfinity,
}

impl From<Point> for (i64, i64, Written) {
    fn from(Point { step, timestamp, value }: Point) -> Self {
        let written = match value {
            value if value.is_finite() => Written::Finite(value),
            f64::INFINITY => Written::Word(Word::Infinity),
            f64::NEG_INFINITY => Written::Word(Word::NegativeInfinity),
            _ => Written::Word(Word::NaN),
        };
        (step, timestamp, written)
    }
}

impl From<(i64, i64, Written)> for Point {
    fn from((step, timestamp, written): (i64, i64, Written)) -> Self {
        let value = match written {
            Written::Finite(value) => value,
            Written::Word(Word::NaN) => f64::NAN,
            Written::Word(Word::Infinity) => f64::INFINITY,
            Written::Word(Word::NegativeInfinity) => f64::NEG_INFINITY,
        };
        Point { step, timestamp, value }
    }
}

/// Why packed points cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Corrupt {
    #[error("packed points have layout {0}, this version reads layout 1; read them with the version that wrote them")]
    Layout(u8),
    #[error("packed points end too early: the stored chunk is damaged; restore it from a backup")]
    Short,
    #[error("packed points hold a number beyond 64 bits: the stored chunk is damaged; restore it from a backup")]
    Overlong,
    #[error("packed points go on for {0} bytes too many: the stored chunk is damaged; restore it from a backup")]
    Trailing(usize),
}

/// Packs points, in their order, bit for bit: NaN payloads, infinities and -0 survive.
///
/// Layout: a version byte, the count, all steps, all timestamps, all values. Counts are LEB128 varints; steps and
/// timestamps zigzag varints of the (wrapping) difference to the one before, so that a regular history takes two
/// or three bytes a point beside its value; values are 8 bytes, little endian.
pub fn pack(points: &[Point]) -> Vec<u8> {
    let mut out = Vec::with_capacity(LEAST_BYTES + points.len() * (LEAST_BYTES + 2));
    out.push(VERSION);
    put_varint(&mut out, points.len() as u64);
    put_deltas(&mut out, points.iter().map(|point| point.step));
    put_deltas(&mut out, points.iter().map(|point| point.timestamp));
    for point in points {
        out.extend_from_slice(&point.value.to_le_bytes());
    }
    out
}

/// Reads what [`pack`] wrote. Takes memory in proportion to the bytes given, whatever count they claim.
///
/// # Errors
/// [`Corrupt`] for bytes that `pack` has not written.
pub fn unpack(bytes: &[u8]) -> Result<Vec<Point>, Corrupt> {
    let (&version, mut rest) = bytes.split_first().ok_or(Corrupt::Short)?;
    if version != VERSION {
        return Err(Corrupt::Layout(version));
    }
    let count = take_varint(&mut rest)?;
    let count = usize::try_from(count).map_err(|_| Corrupt::Short)?;
    if count > rest.len() / LEAST_BYTES {
        return Err(Corrupt::Short);
    }
    let mut points = vec![Point { step: 0, timestamp: 0, value: 0.0 }; count];
    let mut last = 0_i64;
    for point in &mut points {
        last = last.wrapping_add(unzigzag(take_varint(&mut rest)?));
        point.step = last;
    }
    last = 0;
    for point in &mut points {
        last = last.wrapping_add(unzigzag(take_varint(&mut rest)?));
        point.timestamp = last;
    }
    let (values, surplus) = rest.as_chunks::<8>();
    if values.len() < count {
        return Err(Corrupt::Short);
    }
    if values.len() > count || !surplus.is_empty() {
        return Err(Corrupt::Trailing(rest.len() - 8 * count));
    }
    for (point, value) in points.iter_mut().zip(values) {
        point.value = f64::from_le_bytes(*value);
    }
    Ok(points)
}

fn put_deltas(out: &mut Vec<u8>, numbers: impl Iterator<Item = i64>) {
    let mut last = 0_i64;
    for number in numbers {
        put_varint(out, zigzag(number.wrapping_sub(last)));
        last = number;
    }
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

#[allow(clippy::cast_possible_truncation)] // the low seven bits are meant
fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_varint(rest: &mut &[u8]) -> Result<u64, Corrupt> {
    let mut number = 0_u64;
    for (nth, &byte) in rest.iter().enumerate().take(10) {
        // The tenth byte has room for the 64th bit only.
        if nth == 9 && byte > 1 {
            return Err(Corrupt::Overlong);
        }
        number |= u64::from(byte & 0x7f) << (7 * nth);
        if byte < 0x80 {
            *rest = &rest[nth + 1..];
            return Ok(number);
        }
    }
    Err(if rest.len() < 10 { Corrupt::Short } else { Corrupt::Overlong })
}

/// Orders by timestamp, then step, then value (in IEEE total order), and keeps one of points equal to the bit.
///
/// One pass and no copy when they are in that order already, as freshly logged ones are.
pub fn order_and_dedup(points: &mut Vec<Point>) {
    let order = |a: &Point, b: &Point| {
        a.timestamp.cmp(&b.timestamp).then(a.step.cmp(&b.step)).then(a.value.total_cmp(&b.value))
    };
    if points.is_sorted_by(|a, b| order(a, b).is_lt()) {
        return;
    }
    points.sort_by(order);
    points.dedup_by(|a, b| order(a, b).is_eq());
}

/// Orders by step, then timestamp, then value: the order of charts, and what the two functions below expect.
pub fn order_by_step(points: &mut [Point]) {
    let order = |a: &Point, b: &Point| {
        a.step.cmp(&b.step).then(a.timestamp.cmp(&b.timestamp)).then(a.value.total_cmp(&b.value))
    };
    if !points.is_sorted_by(|a, b| order(a, b).is_le()) {
        points.sort_by(order);
    }
}

/// At most `max` points, evenly taken, for points ordered by step: the rows `MLflow` 3.17.2 answers to
/// `metrics/get-history-bulk-interval`.
///
/// SQL's `NTILE(max)` cuts the rows into buckets, the larger ones first, and of each the first is kept; the very
/// last point takes the place of the last bucket's. So `max` 1 gives the last point; 0 counts as 1.
pub fn thin_evenly(points: &[Point], max: usize) -> Vec<Point> {
    let max = max.max(1);
    if points.len() <= max {
        return points.to_vec();
    }
    let (size, larger) = (points.len() / max, points.len() % max);
    let mut kept: Vec<Point> = (0..max).map(|nth| points[nth * size + nth.min(larger)]).collect();
    if let (Some(kept), Some(last)) = (kept.last_mut(), points.last()) {
        *kept = *last;
    }
    kept
}

/// What a chart `columns` wide has to draw of points ordered by step: of each column, an equal share of the range of
/// steps, the first, last, least and greatest point. So no spike is lost, and lines join as they would with all points.
///
/// A gap stays visible: of a column with NaN at least one NaN is kept, in its place. 0 columns count as 1.
pub fn min_max_per_column(points: &[Point], columns: usize) -> Vec<Point> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    // In 128 bits, because a range of steps may take 65 and is multiplied by the columns.
    let begin = i128::from(first.step);
    let span = (i128::from(last.step) - begin + 1).max(1);
    let columns = columns.max(1) as i128;
    let mut kept = Vec::new();
    let mut rest = points;
    while let Some(point) = rest.first() {
        let column = (i128::from(point.step) - begin) * columns / span;
        // The first step of the next column: dividing for every point would be the whole cost.
        let end = begin + ((column + 1) * span + columns - 1).div_euclid(columns);
        let length = rest.iter().take_while(|point| i128::from(point.step) < end).count().max(1);
        let (part, tail) = rest.split_at(length);
        keep_extremes(part, &mut kept);
        rest = tail;
    }
    kept
}

fn keep_extremes(part: &[Point], kept: &mut Vec<Point>) {
    let numbers = || part.iter().enumerate().filter(|(_, point)| !point.value.is_nan());
    let by_value = |a: &(usize, &Point), b: &(usize, &Point)| a.1.value.total_cmp(&b.1.value);
    let mut chosen = vec![0, part.len().saturating_sub(1)];
    chosen.extend(numbers().min_by(by_value).map(|(at, _)| at));
    chosen.extend(numbers().max_by(by_value).map(|(at, _)| at));
    chosen.extend(part.iter().position(|point| point.value.is_nan()));
    chosen.sort_unstable();
    chosen.dedup();
    kept.extend(chosen.into_iter().filter_map(|at| part.get(at)));
}

#[cfg(test)]
mod tests;
