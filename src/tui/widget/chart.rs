//! Curves over two axes, in braille or ASCII. Gaps in the data are gaps in the line.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::Widget;
use ratatui::widgets::canvas::{Canvas, Line as Stroke, Points};

use super::{Look, put, put_right};
use crate::tui::format;
use crate::tui::theme::Token;

/// One curve. Values that are not finite break the line.
#[derive(Debug, Clone)]
pub struct Series {
    pub points: Vec<(f64, f64)>,
    /// The unsmoothed values, drawn dim beneath.
    pub raw: Vec<(f64, f64)>,
    pub token: Token,
}

/// What is drawn.
#[derive(Debug, Clone)]
pub struct Chart<'a> {
    pub series: &'a [Series],
    pub log: bool,
    /// How a place on the x axis is written.
    pub x_label: fn(f64) -> String,
    /// Where the chart is read, as a share of its width.
    pub probe: Option<f64>,
    /// The x axis is time in seconds since 1970: its marks are whole minutes, hours or days.
    pub clock: bool,
}

/// Columns left of the axis.
const LABELS: u16 = 8;

/// The extent of the finite points, widened where it would be nothing.
fn bounds(values: impl Iterator<Item = f64>) -> Option<[f64; 2]> {
    let (low, high) =
        values.filter(|v| v.is_finite()).fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low > high {
        return None;
    }
    if low == high {
        let pad = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
        return Some([low - pad, high + pad]);
    }
    Some([low, high])
}

/// Round numbers inside the extent, at most about `most`.
fn ticks([low, high]: [f64; 2], most: usize) -> Vec<f64> {
    #[allow(clippy::cast_precision_loss)] // a handful of ticks
    let rough = (high - low) / most.max(1) as f64;
    if !rough.is_finite() || rough <= 0.0 {
        return Vec::new();
    }
    let magnitude = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|m| m * magnitude).find(|s| *s >= rough).unwrap_or(rough);
    let first = (low / step).ceil();
    (0..=most + 1)
        .map(|i| (first + f64::from(u32::try_from(i).unwrap_or(0))) * step)
        .filter(|t| *t <= high + step * 1e-6)
        .collect()
}

/// Round moments inside the extent, at most about `most`.
fn clock_ticks([low, high]: [f64; 2], most: usize) -> Vec<f64> {
    const STEPS: [f64; 15] = [
        1.0, 5.0, 15.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 10_800.0, 21_600.0, 43_200.0,
        86_400.0,
    ];
    #[allow(clippy::cast_precision_loss)] // a handful of ticks
    let rough = (high - low) / most.max(1) as f64;
    let Some(step) = STEPS.into_iter().find(|s| *s >= rough) else { return ticks([low, high], most) };
    let first = (low / step).ceil();
    (0..=most + 1).map(|i| (first + f64::from(u32::try_from(i).unwrap_or(0))) * step).filter(|t| *t <= high).collect()
}

fn transform(points: &[(f64, f64)], log: bool) -> Vec<(f64, f64)> {
    points
        .iter()
        .map(|(x, y)| {
            (
                *x,
                if !log {
                    *y
                } else if *y > 0.0 {
                    y.log10()
                } else {
                    f64::NAN
                },
            )
        })
        .collect()
}

/// Draws the chart; `false` when there is nothing to draw.
pub fn chart(look: &Look<'_>, buf: &mut Buffer, area: Rect, chart: &Chart<'_>) -> bool {
    if area.width < LABELS + 10 || area.height < 3 {
        return false;
    }
    let scaled = |s: &Series| Series {
        points: transform(&s.points, chart.log),
        raw: transform(&s.raw, chart.log),
        token: s.token,
    };
    let drawn: Vec<Series> = chart.series.iter().map(scaled).collect();
    let all =
        || drawn.iter().flat_map(|s| s.points.iter().chain(&s.raw)).filter(|(x, y)| x.is_finite() && y.is_finite());
    let (Some(xs), Some(ys)) = (bounds(all().map(|p| p.0)), bounds(all().map(|p| p.1))) else { return false };
    let first = all().next().map(|p| p.0);
    if all().all(|p| Some(p.0) == first) {
        return false;
    }
    let plot = Rect::new(area.x + LABELS, area.y, area.width - LABELS, area.height - 1);
    axes(look, buf, area, plot, xs, ys, chart);
    let muted = look.theme.paint(Token::Border);
    Canvas::default()
        .marker(look.glyphs.marker)
        .x_bounds(xs)
        .y_bounds(ys)
        .paint(|ctx| {
            for s in &drawn {
                stroke(ctx, &s.raw, muted);
            }
            ctx.layer();
            let (behind, before): (Vec<&Series>, Vec<&Series>) = drawn.iter().partition(|s| s.token == Token::Border);
            for s in behind {
                stroke(ctx, &s.points, muted);
            }
            ctx.layer();
            for s in before {
                stroke(ctx, &s.points, look.theme.paint(s.token));
            }
        })
        .render(plot, buf);
    numbers(look, buf, plot, &drawn, xs, ys);
    probe(look, buf, plot, chart.probe);
    true
}

fn stroke(ctx: &mut ratatui::widgets::canvas::Context<'_>, points: &[(f64, f64)], color: ratatui::style::Color) {
    for pair in points.windows(2) {
        let ([(x1, y1), (x2, y2)], true) =
            ([pair[0], pair[1]], pair.iter().all(|p| p.0.is_finite() && p.1.is_finite()))
        else {
            continue;
        };
        ctx.draw(&Stroke { x1, y1, x2, y2, color });
    }
    // A point between two gaps has no line, so all points are drawn as well.
    let alone: Vec<(f64, f64)> = points.iter().copied().filter(|p| p.0.is_finite() && p.1.is_finite()).collect();
    ctx.draw(&Points { coords: &alone, color });
}

/// Each of several curves ends with its number, so that they are told apart without colours too.
fn numbers(look: &Look<'_>, buf: &mut Buffer, plot: Rect, drawn: &[Series], xs: [f64; 2], ys: [f64; 2]) {
    let told: Vec<&Series> = drawn.iter().filter(|s| s.token != Token::Border).collect();
    if told.len() < 2 {
        return;
    }
    let mut taken: Vec<(u16, u16)> = Vec::new();
    for (n, s) in told.into_iter().enumerate() {
        let Some((x, y)) = s.points.iter().rev().find(|p| p.0.is_finite() && p.1.is_finite()) else { continue };
        let (x, mut y) = (plot.x + column_of(*x, xs, plot.width), plot.y + row_of(*y, ys, plot.height));
        // Curves that end together have their numbers one below the other.
        while taken.contains(&(x, y)) && y + 1 < plot.bottom() {
            y += 1;
        }
        while taken.contains(&(x, y)) && y > plot.y {
            y -= 1;
        }
        taken.push((x, y));
        let style = look.style(s.token).add_modifier(ratatui::style::Modifier::BOLD);
        put(look, buf, x, y, 1, &number(n), style);
    }
}

/// The mark of the n-th curve: `1` to `9`, then letters.
pub fn number(n: usize) -> String {
    u32::try_from(n + 1).ok().and_then(|n| char::from_digit(n, 36)).unwrap_or('*').to_string()
}

fn axes(look: &Look<'_>, buf: &mut Buffer, area: Rect, plot: Rect, xs: [f64; 2], ys: [f64; 2], chart: &Chart<'_>) {
    let (muted, border) = (look.style(Token::Muted), look.style(Token::Border));
    let (bar, notch) = if look.glyphs.ascii { ("|", "+") } else { ("│", "┤") };
    for y in plot.y..plot.bottom() {
        put(look, buf, plot.x - 1, y, 1, bar, border);
    }
    let wanted = usize::from(plot.height / 2).clamp(2, 6);
    let marks = ticks(ys, wanted);
    let value = |t: f64| if chart.log { 10_f64.powf(t) } else { t };
    let decimals = format::Decimals::fit(marks.iter().map(|t| value(*t)));
    for t in &marks {
        let y = plot.y + row_of(*t, ys, plot.height);
        let label = if chart.log { format::number(value(*t)) } else { trim(&decimals.write(value(*t)), &marks) };
        if put_right(look, buf, area.x, plot.x - 1, y, &format!("{label} "), muted) == 0 {
            put_right(look, buf, area.x, plot.x - 1, y, &label, muted);
        }
        put(look, buf, plot.x - 1, y, 1, notch, border);
    }
    let y = plot.bottom();
    let mut free = area.x + 2;
    let most = usize::from(plot.width / 14).clamp(2, 6);
    for t in if chart.clock { clock_ticks(xs, most) } else { ticks(xs, most) } {
        let label = (chart.x_label)(t);
        let width = u16::try_from(format::width(&label)).unwrap_or(u16::MAX);
        let at = (plot.x + column_of(t, xs, plot.width))
            .saturating_sub(width / 2)
            .min(plot.right().saturating_sub(width))
            .max(plot.x);
        if at >= free {
            put(look, buf, at, y, width, &label, muted);
            free = at + width + 2;
        }
    }
}

/// Round ticks need no trailing zeros: as many decimals as the finest needs.
fn trim(text: &str, marks: &[f64]) -> String {
    let needed = (0..6).find(|d| {
        let scale = 10_f64.powi(*d);
        marks.iter().all(|m| ((m * scale).round() - m * scale).abs() < 1e-6 * scale.max(1.0))
    });
    match (text.contains('e'), needed) {
        (false, Some(d)) => {
            text.parse::<f64>().map_or_else(|_| text.to_owned(), |v| format!("{v:.*}", usize::try_from(d).unwrap_or(0)))
        }
        _ => text.to_owned(),
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped to the plot
fn row_of(v: f64, [low, high]: [f64; 2], height: u16) -> u16 {
    let share = (high - v) / (high - low);
    ((share * f64::from(height - 1)).round().max(0.0) as u16).min(height - 1)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped to the plot
fn column_of(v: f64, [low, high]: [f64; 2], width: u16) -> u16 {
    let share = (v - low) / (high - low);
    ((share * f64::from(width - 1)).round().max(0.0) as u16).min(width - 1)
}

fn probe(look: &Look<'_>, buf: &mut Buffer, plot: Rect, probe: Option<f64>) {
    let Some(share) = probe else { return };
    let x = plot.x + column_of(share, [0.0, 1.0], plot.width);
    for y in plot.y..plot.bottom() {
        let cell = &mut buf[(x, y)];
        if matches!(cell.symbol(), " " | "⠀") {
            cell.set_symbol(if look.glyphs.ascii { ":" } else { "┊" }).set_style(look.style(Token::Accent));
        } else {
            cell.set_style(look.style(Token::Select));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks([0.0, 10.0], 5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        let t = ticks([0.1837, 0.4491], 3);
        assert!(t.iter().all(|v| (0.1837..=0.4491).contains(v)) && t.len() >= 2, "{t:?}");
        assert!(ticks([1.0, 1.0], 3).is_empty());
    }

    #[test]
    fn nothing_finite_has_no_extent() {
        assert_eq!(bounds([f64::NAN, f64::INFINITY].into_iter()), None);
        assert_eq!(bounds([3.0].into_iter()), Some([2.7, 3.3]));
    }
}
