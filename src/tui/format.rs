//! Text as it stands on the screen: how wide it is, how it is cut, how it is made safe. Numbers and times are written in
//! [`crate::base::show`], for the room and the command line alike.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

pub use crate::base::show::short_moment as moment;
pub use crate::base::show::{Decimals, age, bytes, clock, count, full, metric as number, short_count, span};

use crate::base::Timestamp;

/// A length of time in one unit: `34m`, `6h`, `12d`.
pub fn rough_span(seconds: f64) -> String {
    #[allow(clippy::cast_possible_truncation)] // f64 to i64 saturates
    let micros = (seconds * 1e6) as i64;
    age(Timestamp(micros), Timestamp(0))
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
