//! Numbers, times and text as they stand on the screen: four significant digits, two units of time, no control characters.

use chrono::{Datelike, Timelike};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::base::Timestamp;

/// How the numbers of one column are written: the same decimals from top to bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decimals {
    Fixed(usize),
    Scientific,
}

impl Decimals {
    /// Four significant digits for the largest value, unless the smallest would then read as zero.
    pub fn fit(values: impl Iterator<Item = f64>) -> Self {
        let (mut largest, mut smallest, mut whole) = (0.0_f64, f64::INFINITY, true);
        for v in values.filter(|v| v.is_finite() && *v != 0.0).map(f64::abs) {
            largest = largest.max(v);
            smallest = smallest.min(v);
            whole &= v.fract() == 0.0;
        }
        if largest == 0.0 || (whole && largest < 1e7) {
            return Self::Fixed(0);
        }
        if !(1e-4..1e7).contains(&largest) || smallest < 1e-4 {
            return Self::Scientific;
        }
        #[allow(clippy::cast_possible_truncation)] // log10 of a double lies in ±324
        let magnitude = largest.log10().floor() as i32;
        Self::Fixed(usize::try_from(3 - magnitude).unwrap_or(0).max(usize::from(magnitude < 3)))
    }

    pub fn write(self, v: f64) -> String {
        match self {
            _ if v.is_nan() => "nan".into(),
            _ if v.is_infinite() => if v > 0.0 { "inf" } else { "-inf" }.into(),
            Self::Fixed(d) => format!("{v:.d$}"),
            Self::Scientific if v == 0.0 => "0".into(),
            Self::Scientific => format!("{v:.3e}"),
        }
    }
}

/// One number alone.
pub fn number(v: f64) -> String {
    Decimals::fit(std::iter::once(v)).write(v)
}

/// `1 204 331`: thin groups.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(c);
    }
    text
}

/// `41.2k`, `1.20M`: for tight columns.
pub fn short_count(n: i64) -> String {
    #[allow(clippy::cast_precision_loss)] // three digits are shown
    let v = n as f64;
    match n.unsigned_abs() {
        0..=9_999 => n.to_string(),
        10_000..=99_999 => format!("{:.1}k", v / 1e3),
        100_000..=999_999 => format!("{:.0}k", v / 1e3),
        1_000_000..=9_999_999 => format!("{:.2}M", v / 1e6),
        10_000_000..=999_999_999 => format!("{:.0}M", v / 1e6),
        _ => format!("{v:.2e}"),
    }
}

/// `412 MiB`.
pub fn bytes(n: u64) -> String {
    #[allow(clippy::cast_precision_loss)] // three digits are shown
    let mut v = n as f64;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if v < 1024.0 || unit == "TiB" {
            return if unit == "B" || v >= 100.0 { format!("{v:.0} {unit}") } else { format!("{v:.1} {unit}") };
        }
        v /= 1024.0;
    }
    unreachable!("the last unit returns")
}

/// A length of time in at most two units: `41.2 s`, `34m`, `6h41m`, `12d`.
pub fn span(seconds: f64) -> String {
    if seconds < 0.0 {
        return format!("-{}", span(-seconds));
    }
    if seconds < 1.0 {
        return format!("{:.0} ms", seconds * 1e3);
    }
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // not negative here, and f64 to u64 saturates
    let s = seconds as u64;
    match s {
        60..=3_599 if s < 600 => format!("{}m{:02}s", s / 60, s % 60),
        60..=3_599 => format!("{}m", s / 60),
        3_600..=172_799 => format!("{}h{:02}m", s / 3600, s % 3600 / 60),
        _ => format!("{}d", s / 86_400),
    }
}

/// How long ago, in one unit: `0.4s`, `6m`, `12d`.
pub fn age(now: Timestamp, then: Timestamp) -> String {
    let s = now.seconds_since(then).max(0.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // not negative here
    let whole = s as u64;
    match whole {
        0..=59 => format!("{whole}s"),
        60..=3_599 => format!("{}m", whole / 60),
        3_600..=172_799 => format!("{}h", whole / 3600),
        _ => format!("{}d", whole / 86_400),
    }
}

/// An event's time: `03:08:22Z` today, `Sat 21` this week, `Nov 09` this year, else the date.
pub fn moment(now: Timestamp, t: Timestamp) -> String {
    let (Some(n), Some(d)) = (now.utc(), t.utc()) else { return "-".into() };
    let days = (n.date_naive() - d.date_naive()).num_days();
    match days {
        0 => format!("{:02}:{:02}:{:02}Z", d.hour(), d.minute(), d.second()),
        1..=6 => d.format("%a %d").to_string(),
        _ if n.year() == d.year() => d.format("%b %d").to_string(),
        _ => d.format("%Y-%m-%d").to_string(),
    }
}

/// The screen's clock: `03:14:07Z`.
pub fn clock(t: Timestamp) -> String {
    t.utc().map_or_else(|| "-".into(), |d| d.format("%H:%M:%SZ").to_string())
}

/// The whole moment, to the millisecond, for details and copies.
pub fn full(t: Timestamp) -> String {
    t.utc().map_or_else(|| "-".into(), |d| d.format("%Y-%m-%d %H:%M:%S%.3fZ").to_string())
}

/// Foreign text made safe for a cell: control characters and direction overrides become spaces, so a name can neither
/// move the cursor nor mirror the line.
pub fn clean(text: &str) -> String {
    let bad = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().map(|c| if bad(c) { ' ' } else { c }).collect()
}

pub fn width(text: &str) -> usize {
    text.width()
}

/// Cut at the end, for prose.
pub fn cut(text: &str, columns: usize, ellipsis: &str) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(ellipsis.width());
    let mut kept = take_columns(text.chars(), room);
    if columns >= ellipsis.width() {
        kept.push_str(ellipsis);
    }
    kept
}

/// Cut in the middle, for ids and paths: both ends tell.
pub fn cut_middle(text: &str, columns: usize, ellipsis: &str) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(ellipsis.width());
    let head = take_columns(text.chars(), room - room / 2);
    let tail: String = take_columns(text.chars().rev(), room / 2).chars().rev().collect();
    format!("{head}{ellipsis}{tail}")
}

fn take_columns(chars: impl Iterator<Item = char>, room: usize) -> String {
    let mut used = 0;
    chars
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= room
        })
        .collect()
}

/// Eight heights of a small curve, `width` cells; a gap for what is not finite.
pub fn sparkline(values: &[f64], width: usize, ramp: &[char]) -> String {
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let (low, high) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if values.is_empty() || low > high || ramp.is_empty() {
        return " ".repeat(width);
    }
    let cells = width.min(values.len().max(1));
    let cell = |i: usize| {
        let (from, to) = (i * values.len() / cells, ((i + 1) * values.len() / cells).max(i * values.len() / cells + 1));
        let in_cell: Vec<f64> = values[from..to.min(values.len())].iter().copied().filter(|v| v.is_finite()).collect();
        if in_cell.is_empty() {
            return ' ';
        }
        #[allow(clippy::cast_precision_loss)] // at most a few hundred points
        let mean = in_cell.iter().sum::<f64>() / in_cell.len() as f64;
        ramp[level(mean, low, high, ramp.len())]
    };
    let line: String = (0..cells).map(cell).collect();
    format!("{line}{}", " ".repeat(width - cells))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // clamped to the ramp
fn level(v: f64, low: f64, high: f64, levels: usize) -> usize {
    let share = if high > low { (v - low) / (high - low) } else { 0.5 };
    ((share * (levels - 1) as f64).round().max(0.0) as usize).min(levels - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_four_digits_and_say_nan() {
        assert_eq!(number(0.941), "0.9410");
        assert_eq!(number(0.0003), "0.0003000");
        assert_eq!(number(1024.0), "1024");
        assert_eq!(number(41.25), "41.25");
        assert_eq!(number(f64::NAN), "nan");
        assert_eq!(number(f64::NEG_INFINITY), "-inf");
        assert_eq!(number(3e-9), "3.000e-9");
        assert_eq!(Decimals::fit([0.18, 12.5].into_iter()).write(0.18), "0.18");
    }

    #[test]
    fn lengths_of_time_have_at_most_two_units() {
        assert_eq!(span(0.0412), "41 ms");
        assert_eq!(span(41.2), "41.2 s");
        assert_eq!(span(2040.0), "34m");
        assert_eq!(span(24_060.0), "6h41m");
        assert_eq!(span(1_036_800.0), "12d");
    }

    #[test]
    fn counts_and_bytes() {
        assert_eq!(count(1_204_331), "1 204 331");
        assert_eq!(count(12), "12");
        assert_eq!(short_count(41_234), "41.2k");
        assert_eq!(bytes(412 << 20), "412 MiB");
        assert_eq!(bytes(12), "12 B");
    }

    #[test]
    fn hostile_text_neither_moves_the_cursor_nor_overflows() {
        assert_eq!(clean("a\x1b[2Jb\u{202e}c"), "a [2Jb c");
        assert_eq!(width(&cut("日本語日本語", 5, "…")), 5);
        assert_eq!(cut_middle("sha256:1f9c00000000e2", 11, "…"), "sha25…000e2");
        assert_eq!(cut("abc", 0, "…"), "");
    }

    #[test]
    fn sparkline_leaves_gaps_for_nan() {
        let ramp = ['▁', '▄', '█'];
        assert_eq!(sparkline(&[0.0, f64::NAN, 1.0], 5, &ramp), "▁ █  ");
        assert_eq!(sparkline(&[f64::NAN], 3, &ramp), "   ");
        assert_eq!(sparkline(&[2.0, 2.0], 2, &ramp), "▄▄");
    }
}
