//! Numbers, lengths and moments as people read them: one form for the room and the command line.

use std::time::Duration;

use chrono::Datelike;

use super::Timestamp;

/// What is missing; unknown is `?`.
pub const MISSING: &str = "-";

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

/// One number alone: four significant digits, `nan` and `inf` as such.
pub fn metric(v: f64) -> String {
    Decimals::fit(std::iter::once(v)).write(v)
}

/// A column of numbers: four significant digits of the greatest, and the same decimals all the way down.
pub fn metrics(column: &[Option<f64>]) -> Vec<String> {
    let decimals = Decimals::fit(column.iter().flatten().copied());
    column.iter().map(|v| v.map_or_else(|| MISSING.to_owned(), |v| decimals.write(v))).collect()
}

/// Thin groups: `1 204 331`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
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

/// IEC: `412 MiB`, three digits at least where there are any.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    #[allow(clippy::cast_precision_loss)] // three digits are shown
    let mut value = n as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.decimals$} {}", UNITS[unit])
}

/// Two units at most: `41.2 ms`, `3.0 s`, `34m`, `6h41m`, `12d`.
pub fn length(d: Duration) -> String {
    let seconds = d.as_secs();
    match seconds {
        0 if d.is_zero() => "0 s".to_owned(),
        0 => format!("{:.1} ms", d.as_secs_f64() * 1e3),
        1..60 => format!("{:.1} s", d.as_secs_f64()),
        60..3600 => two(seconds / 60, 'm', seconds % 60, 's', seconds < 600),
        3600..86_400 => two(seconds / 3600, 'h', seconds % 3600 / 60, 'm', true),
        _ => two(seconds / 86_400, 'd', seconds % 86_400 / 3600, 'h', seconds < 10 * 86_400),
    }
}

fn two(great: u64, unit: char, small: u64, small_unit: char, both: bool) -> String {
    if both && small > 0 { format!("{great}{unit}{small:02}{small_unit}") } else { format!("{great}{unit}") }
}

/// A length in seconds, with its sign.
pub fn span(seconds: f64) -> String {
    let text = Duration::try_from_secs_f64(seconds.abs()).map_or_else(|_| "?".to_owned(), length);
    if seconds < 0.0 { format!("-{text}") } else { text }
}

/// Between two moments; nothing when the second is earlier.
pub fn between(from: Timestamp, to: Timestamp) -> String {
    length(Duration::from_micros(u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0)))
}

/// How long ago, in one unit: `40s`, `6m`, `12d`.
pub fn age(now: Timestamp, then: Timestamp) -> String {
    let whole = u64::try_from(now.0.saturating_sub(then.0)).unwrap_or(0) / 1_000_000;
    match whole {
        0..=59 => format!("{whole}s"),
        60..=3_599 => format!("{}m", whole / 60),
        3_600..=172_799 => format!("{}h", whole / 3600),
        _ => format!("{}d", whole / 86_400),
    }
}

/// `1 run`, `2 runs`.
pub fn many(n: u64, one: &str, several: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{} {several}", count(n)) }
}

/// `2026-05-03 14:05:09Z`.
pub fn moment(t: Timestamp) -> String {
    t.utc().map_or_else(|| "?".to_owned(), |t| t.format("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// The whole moment, to the millisecond, for details and copies.
pub fn full(t: Timestamp) -> String {
    t.utc().map_or_else(|| "?".to_owned(), |t| t.format("%Y-%m-%d %H:%M:%S%.3fZ").to_string())
}

/// How far a metric is from another one: the sign always, two significant digits at least.
pub fn difference(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".to_owned() } else { metric(value) };
    }
    #[allow(clippy::cast_possible_truncation)] // logarithms of doubles lie within ±324
    let magnitude = value.abs().log10().floor() as i32;
    match usize::try_from(1 - magnitude) {
        Ok(decimals) if magnitude >= -5 => format!("{value:+.decimals$}"),
        Ok(_) => format!("{value:+.1e}"),
        Err(_) if magnitude < 7 => format!("{value:+.0}"),
        Err(_) => format!("{value:+.2e}"),
    }
}

/// An event's time in little room: `03:08:22Z` within a day, `Sat 21` this week, `Nov 09` this year, else the date. Shortly
/// after midnight what matters happened before it, so a day here is 24 hours and not the calendar's.
pub fn short_moment(now: Timestamp, t: Timestamp) -> String {
    let (Some(n), Some(d)) = (now.utc(), t.utc()) else { return "?".into() };
    if (n - d).num_hours().abs() < 24 {
        return clock(t);
    }
    match (n.date_naive() - d.date_naive()).num_days() {
        1..=6 => d.format("%a %d").to_string(),
        _ if n.year() == d.year() => d.format("%b %d").to_string(),
        _ => d.format("%Y-%m-%d").to_string(),
    }
}

/// The clock alone: `03:14:07Z`.
pub fn clock(t: Timestamp) -> String {
    t.utc().map_or_else(|| "?".into(), |d| d.format("%H:%M:%SZ").to_string())
}

/// One line without control characters, so that a name cannot drive the terminal.
pub fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_bytes() {
        assert_eq!([0, 999, 1000, 1_204_331].map(count), ["0", "999", "1 000", "1 204 331"]);
        assert_eq!([5, 1024, 1_536, 432_013_312].map(bytes), ["5 B", "1.00 KiB", "1.50 KiB", "412 MiB"]);
    }

    #[test]
    fn lengths_have_two_units_at_most() {
        let shown = |s: f64| length(Duration::from_secs_f64(s));
        assert_eq!(
            [0.0412, 3.0, 75.0, 2040.0, 24_060.0, 1_036_800.0].map(shown),
            ["41.2 ms", "3.0 s", "1m15s", "34m", "6h41m", "12d"]
        );
    }

    #[test]
    fn a_column_of_metrics_has_the_same_decimals() {
        assert_eq!(metrics(&[Some(0.941), Some(0.5), None]), ["0.9410", "0.5000", "-"]);
        assert_eq!(metrics(&[Some(12.3456), Some(0.1), Some(f64::NAN)]), ["12.35", "0.10", "nan"]);
        assert_eq!(metrics(&[Some(3.0), Some(4.0)]), ["3", "4"]);
        assert_eq!(metrics(&[Some(1e-6), Some(0.5)]), ["1.000e-6", "5.000e-1"]);
        assert_eq!(metric(f64::NEG_INFINITY), "-inf");
    }

    #[test]
    fn one_number_has_four_digits() {
        assert_eq!(
            [0.941, 0.0003, 1024.0, 41.25, 3e-9].map(metric),
            ["0.9410", "0.0003000", "1024", "41.25", "3.000e-9"]
        );
        assert_eq!(Decimals::fit([0.18, 12.5].into_iter()).write(0.18), "0.18");
        assert_eq!([41_234, 12, -1_204_331].map(short_count), ["41.2k", "12", "-1.20M"]);
        assert_eq!([-75.0, f64::NAN, 0.0].map(span), ["-1m15s", "?", "0 s"]);
    }

    #[test]
    fn a_difference_has_its_sign_and_is_never_rounded_away() {
        let shown = [0.0022, -0.157, 2.2, -12.0, 0.000_001_3, 0.0, 1234.5].map(difference);
        assert_eq!(shown, ["+0.0022", "-0.16", "+2.2", "-12", "+1.3e-6", "0", "+1234"]);
    }

    #[test]
    fn what_happened_before_midnight_keeps_its_clock_for_a_day() {
        let at = |text: &str| Timestamp::parse(text).unwrap_or_default();
        let now = at("2026-11-29T00:03:24Z");
        let shown = |text| short_moment(now, at(text));
        assert_eq!(shown("2026-11-29T00:01:00Z"), "00:01:00Z");
        assert_eq!(shown("2026-11-28T23:50:03Z"), "23:50:03Z");
        assert_eq!(shown("2026-11-28T00:02:00Z"), "Sat 28");
        assert_eq!(shown("2026-11-20T23:50:03Z"), "Nov 20");
    }

    #[test]
    fn a_name_cannot_drive_the_terminal() {
        assert_eq!(line("a\u{1b}[2Jb\n"), "a [2Jb ");
    }
}
