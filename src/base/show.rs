//! Numbers, lengths and moments as people read them: one form for the room and the command line.

use std::time::Duration;

use super::Timestamp;

/// What is missing; unknown is `?`.
pub const MISSING: &str = "-";

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

/// IEC: `412 MiB`, three digits at least where there are any.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n < 1024 {
        return format!("{n} B");
    }
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

/// Between two moments; nothing when the second is earlier.
pub fn between(from: Timestamp, to: Timestamp) -> String {
    length(Duration::from_micros(u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0)))
}

/// `2026-05-03 14:05:09Z`.
pub fn moment(t: Timestamp) -> String {
    t.utc().map_or_else(|| "?".to_owned(), |t| t.format("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// A metric by itself: four significant digits, `nan` and `inf` as such.
pub fn metric(value: f64) -> String {
    metrics(&[Some(value)]).pop().unwrap_or_default()
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

/// A column of metrics: four significant digits of the greatest, and the same decimals all the way down.
pub fn metrics(column: &[Option<f64>]) -> Vec<String> {
    let finite = || column.iter().flatten().filter(|v| v.is_finite() && **v != 0.0).map(|v| v.abs());
    let (least, greatest) = finite().fold((f64::INFINITY, 0.0_f64), |(l, g), v| (l.min(v), g.max(v)));
    let powers = greatest >= 1e7 || (greatest > 0.0 && least < 1e-4);
    #[allow(clippy::cast_possible_truncation)] // logarithms of doubles lie within ±324
    let magnitude = if greatest > 0.0 { greatest.log10().floor() as i32 } else { 0 };
    let whole = column.iter().flatten().all(|v| v.fract() == 0.0);
    let decimals = if whole { 0 } else { usize::try_from((3 - magnitude.max(-1)).max(0)).unwrap_or(0) };
    let one = |value: &Option<f64>| match value {
        None => MISSING.to_owned(),
        Some(v) if v.is_nan() => "nan".to_owned(),
        Some(v) if v.is_infinite() => if *v > 0.0 { "inf" } else { "-inf" }.to_owned(),
        Some(v) if powers && *v != 0.0 => format!("{v:.3e}"),
        Some(v) => format!("{v:.decimals$}"),
    };
    column.iter().map(one).collect()
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
    fn a_difference_has_its_sign_and_is_never_rounded_away() {
        let shown = [0.0022, -0.157, 2.2, -12.0, 0.000_001_3, 0.0, 1234.5].map(difference);
        assert_eq!(shown, ["+0.0022", "-0.16", "+2.2", "-12", "+1.3e-6", "0", "+1234"]);
    }

    #[test]
    fn a_name_cannot_drive_the_terminal() {
        assert_eq!(line("a\u{1b}[2Jb\n"), "a [2Jb ");
    }
}
