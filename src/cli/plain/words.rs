//! Figures as a person would read them aloud: a curve is a sentence, a list has its "and".

use crate::base::show::{self, Decimals};
use crate::capability::tracking::points::Point;

/// Less than this share of a curve's whole range counts as not having moved.
const STILL: f64 = 0.005;

/// `loss fell from 0.9300 to 0.8390 over 400 steps, lowest 0.8360 at step 320`: what a chart shows, in words.
pub fn course(key: &str, points: &[Point], count: u64) -> String {
    let finite: Vec<&Point> = points.iter().filter(|p| p.value.is_finite()).collect();
    let (Some(first), Some(last)) = (finite.first(), finite.last()) else {
        return match points.last() {
            None => format!("{key} has no points"),
            Some(p) => format!("{key} is {} in all {} points", show::metric(p.value), show::count(count)),
        };
    };
    let by_value = |a: &&&Point, b: &&&Point| a.value.total_cmp(&b.value);
    let (low, high) =
        (finite.iter().min_by(by_value).unwrap_or(first), finite.iter().max_by(by_value).unwrap_or(first));
    let decimals = Decimals::fit([first.value, last.value, low.value, high.value].into_iter());
    let write = |v: f64| decimals.write(v);
    if finite.len() == 1 {
        return format!("{key} is {} at step {}{}", show::metric(last.value), last.step, lost(points, count));
    }
    let change = last.value - first.value;
    let range = high.value - low.value;
    let moved = if range == 0.0 || change.abs() < range * STILL {
        format!("{key} ends where it began, at {}", write(last.value))
    } else {
        let verb = if change < 0.0 { "fell" } else { "rose" };
        format!("{key} {verb} from {} to {}", write(first.value), write(last.value))
    };
    let steps = last.step.saturating_sub(first.step);
    let over = if steps > 0 {
        format!(" over {} steps", show::count(steps.unsigned_abs()))
    } else {
        format!(" in {}", show::span((last.timestamp - first.timestamp) as f64 / 1e3))
    };
    let mut text = format!("{moved}{over}");
    if low.value < first.value.min(last.value) {
        text.push_str(&format!(", lowest {} at step {}", write(low.value), low.step));
    }
    if high.value > first.value.max(last.value) {
        text.push_str(&format!(", highest {} at step {}", write(high.value), high.step));
    }
    text.push_str(&lost(points, count));
    text
}

fn lost(points: &[Point], count: u64) -> String {
    let lost = points.iter().filter(|p| !p.value.is_finite()).count();
    if lost == 0 {
        return String::new();
    }
    if lost as u64 == 1 {
        return format!(", one of {} points is not a number", show::count(count.max(1)));
    }
    format!(", {} of {} points looked at are not numbers", show::count(lost as u64), show::count(points.len() as u64))
}

/// `a, b and c`.
pub fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

/// A text in quotation marks on one line, cut where it is long.
pub fn quoted(text: &str) -> String {
    const CHARS_MAX: usize = 200;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= CHARS_MAX {
        return format!("\"{line}\"");
    }
    format!("\"{} and so on\"", line.chars().take(CHARS_MAX).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[f64]) -> Vec<Point> {
        values
            .iter()
            .enumerate()
            .map(|(i, v)| Point { step: 100 * i64::try_from(i).unwrap_or(0), timestamp: 0, value: *v })
            .collect()
    }

    fn said(values: &[f64]) -> String {
        course("loss", &points(values), values.len() as u64)
    }

    #[test]
    fn a_curve_is_a_sentence() {
        assert_eq!(
            said(&[0.93, 0.88, 0.85, 0.836, 0.839]),
            "loss fell from 0.9300 to 0.8390 over 400 steps, lowest 0.8360 at step 300"
        );
        assert_eq!(
            said(&[0.5, 0.9, 0.7]),
            "loss rose from 0.5000 to 0.7000 over 200 steps, highest 0.9000 at step 100"
        );
        assert_eq!(said(&[2.0, 2.0]), "loss ends where it began, at 2 over 100 steps");
        assert_eq!(said(&[0.25]), "loss is 0.2500 at step 0");
    }

    #[test]
    fn what_is_not_a_number_is_said_and_never_read_as_zero() {
        let nan = f64::NAN;
        assert_eq!(said(&[nan, nan]), "loss is nan in all 2 points");
        assert_eq!(
            said(&[1.0, nan, 3.0, f64::INFINITY]),
            "loss rose from 1 to 3 over 200 steps, 2 of 4 points looked at are not numbers"
        );
        assert_eq!(said(&[]), "loss has no points");
    }

    #[test]
    fn lists_have_their_and() {
        let of = |items: &[&str]| list(&items.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!([of(&[]), of(&["a"]), of(&["a", "b"]), of(&["a", "b", "c"])], ["", "a", "a and b", "a, b and c"]);
        assert_eq!(quoted("two\nlines"), "\"two lines\"");
    }
}
