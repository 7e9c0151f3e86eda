//! Curves of a metric with their legend, for every screen that charts one.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::curves;
use super::runs::{Axis, ChartLook, EMA};
use crate::base::Timestamp;
use crate::chart as file;
use crate::tui::format;
use crate::tui::model::Point;
use crate::tui::theme::Token;
use crate::tui::widget::chart::{Chart, Series, chart, number};
use crate::tui::widget::pane::empty;
use crate::tui::widget::{Look, put, put_all, put_right};

/// One curve as a chart needs it.
pub struct Plotted<'a> {
    /// In the legend.
    pub name: &'a str,
    pub run: &'a str,
    pub metric: &'a str,
    /// `None` while it is on its way.
    pub points: Option<&'a [Point]>,
    pub latest: Option<f64>,
    /// Points of the whole history that are NaN or infinite: gaps in the line.
    pub gaps: u64,
    pub token: Token,
    pub started: Timestamp,
}

/// Curves with their legend; used by every screen that charts a metric.
pub fn plot(
    look: &Look<'_>,
    buf: &mut Buffer,
    inner: Rect,
    lines: &[Plotted<'_>],
    chart_look: ChartLook,
    probe: Option<f64>,
) {
    if lines.is_empty() {
        return empty(look, buf, inner, &[("no metric to draw", Token::Muted)]);
    }
    let series = series(lines, chart_look);
    let x_label = x_label(chart_look.axis);
    let told = lines.iter().filter(|l| l.token != Token::Border).count();
    // A name and a value take about 30 columns; the curves keep most of the height.
    let wanted = u16::try_from(told * 30).unwrap_or(u16::MAX).div_ceil(inner.width.max(30));
    let legends = wanted.clamp(1, (inner.height / 5).clamp(1, 3));
    let plot_area = Rect { height: inner.height.saturating_sub(legends), ..inner };
    let drawn = chart(
        look,
        buf,
        plot_area,
        &Chart { series: &series, log: chart_look.log, x_label, probe, clock: chart_look.axis == Axis::Clock },
    );
    if !drawn {
        single(look, buf, inner, lines);
        return;
    }
    let foot = Rect { y: inner.bottom() - legends, height: legends, ..inner };
    legend(look, buf, foot, lines, &series, probe, x_label);
}

/// The lines as they are drawn: smoothed where asked, over the axis asked for.
fn series(lines: &[Plotted<'_>], chart_look: ChartLook) -> Vec<Series> {
    let weight = EMA[chart_look.ema];
    lines
        .iter()
        .map(|l| {
            let raw: Vec<(f64, f64)> = l
                .points
                .unwrap_or_default()
                .iter()
                .map(|p| (abscissa(p, l.started, chart_look.axis), p.value))
                .collect();
            let smoothed = curves::smooth(raw.iter().map(|p| p.1), weight);
            let points = raw.iter().zip(smoothed).map(|(p, y)| (p.0, y)).collect();
            Series { points, raw: if chart_look.ema > 0 { raw } else { Vec::new() }, token: l.token }
        })
        .collect()
}

/// The same curves for a file.
pub fn picture(title: String, caption: String, lines: &[Plotted<'_>], chart_look: ChartLook) -> file::Chart {
    let (x, x_label) = match chart_look.axis {
        Axis::Step => (file::Scale::Number, "step"),
        Axis::Elapsed => (file::Scale::Seconds, "since the run began"),
        Axis::Clock => (file::Scale::Clock, "UTC"),
    };
    let drawn = series(lines, chart_look);
    let lines = lines.iter().zip(drawn).map(|(l, s)| file::Line { name: format::clean(l.name), points: s.points });
    file::Chart {
        title,
        caption,
        x_label: x_label.to_owned(),
        y_label: if chart_look.log { "logarithmic".to_owned() } else { String::new() },
        lines: lines.collect(),
        x,
        log: chart_look.log,
    }
}

#[allow(clippy::cast_precision_loss)] // an axis
fn abscissa(p: &Point, started: Timestamp, axis: Axis) -> f64 {
    match axis {
        Axis::Step => p.step as f64,
        Axis::Elapsed => p.at.seconds_since(started),
        Axis::Clock => p.at.0 as f64 / 1e6,
    }
}

/// A small chart without a legend: its name and value stand around it.
pub fn small(
    look: &Look<'_>,
    buf: &mut Buffer,
    inner: Rect,
    line: &Plotted<'_>,
    chart_look: ChartLook,
    probe: Option<f64>,
) {
    let series = series(std::slice::from_ref(line), chart_look);
    let x_label = x_label(chart_look.axis);
    if chart(
        look,
        buf,
        inner,
        &Chart { series: &series, log: chart_look.log, x_label, probe, clock: chart_look.axis == Axis::Clock },
    ) {
        put_right(look, buf, inner.x, inner.right(), inner.y, &gaps(line), look.style(Token::Crit));
    } else {
        let why = match (line.points, line.latest) {
            (None, _) => "asking the agent…",
            (_, Some(v)) if !v.is_finite() => "nothing finite to draw",
            _ => "logged once, no curve",
        };
        empty(look, buf, inner, &[(why, Token::Muted)]);
    }
}

/// ` 12 nan`: how many points of the history are no numbers.
fn gaps(line: &Plotted<'_>) -> String {
    match line.gaps {
        0 => String::new(),
        n => format!(" {} nan", format::short_count(i64::try_from(n).unwrap_or(i64::MAX))),
    }
}

/// How a place on the axis is written.
fn x_label(axis: Axis) -> fn(f64) -> String {
    match axis {
        #[allow(clippy::cast_possible_truncation)] // a label
        Axis::Step => |x: f64| format::short_count(x as i64),
        Axis::Elapsed => |x: f64| format::span(x),
        #[allow(clippy::cast_possible_truncation)] // a label
        Axis::Clock => |x: f64| format::clock(Timestamp((x * 1e6) as i64)),
    }
}

/// A metric logged once has no curve: its value is said instead.
fn single(look: &Look<'_>, buf: &mut Buffer, inner: Rect, lines: &[Plotted<'_>]) {
    for (y, l) in (inner.y + 1..inner.bottom()).zip(lines) {
        let value = l.latest.map_or("-".to_owned(), format::number);
        let gaps = gaps(l);
        let name = format::cut_middle(&look.spell(l.name), 30, look.glyphs.ellipsis);
        let remark = match (l.points, l.latest) {
            (_, Some(v)) if !v.is_finite() => "   nothing finite to draw",
            (Some(_), _) => "   logged once",
            (None, _) => "",
        };
        put_all(
            look,
            buf,
            inner.x + 2,
            y,
            inner.width - 2,
            &[
                (&name, l.token),
                ("  ", Token::Text),
                (&value, Token::Text),
                (&gaps, Token::Crit),
                (remark, Token::Muted),
            ],
        );
    }
}

/// Names and values of the coloured lines, at the probe where there is one. Lines in grey are the crowd behind them.
fn legend(
    look: &Look<'_>,
    buf: &mut Buffer,
    foot: Rect,
    lines: &[Plotted<'_>],
    series: &[Series],
    probe: Option<f64>,
    x_label: fn(f64) -> String,
) {
    let dash = if look.glyphs.ascii { "--" } else { "──" };
    let xs = || series.iter().flat_map(|s| &s.points).map(|p| p.0);
    let (low, high) = xs().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
    let at = probe.map(|share| low + share * (high - low));
    let (mut x, mut y) = (foot.x + 2, foot.y);
    if let Some(at) = at {
        let text = format!("@ {}   ", x_label(at));
        x += put(look, buf, x, y, foot.right().saturating_sub(x), &text, look.style(Token::Accent));
    }
    let told: Vec<_> = lines.iter().zip(series).filter(|(l, _)| l.token != Token::Border).collect();
    for (n, (l, s)) in told.iter().enumerate() {
        let mark = if told.len() > 1 { number(n) } else { String::new() };
        let value = match at {
            Some(at) => nearest(&s.points, at).map_or("-".to_owned(), format::number),
            None => l.latest.map_or("-".to_owned(), format::number),
        };
        let name = format::cut_middle(&look.spell(l.name), 18, look.glyphs.ellipsis);
        let gaps = gaps(l);
        let pieces = [
            (mark.as_str(), l.token),
            (dash, l.token),
            (" ", Token::Text),
            (name.as_str(), Token::Muted),
            (" ", Token::Text),
            (value.as_str(), Token::Text),
            (gaps.as_str(), Token::Crit),
            ("   ", Token::Text),
        ];
        let wide = pieces.iter().map(|(t, _)| format::width(t)).sum::<usize>().saturating_sub(3);
        if usize::from(foot.right().saturating_sub(x)) < wide && y + 1 < foot.bottom() && x > foot.x + 2 {
            (x, y) = (foot.x + 2, y + 1);
        }
        x += put_all(look, buf, x, y, foot.right().saturating_sub(x), &pieces);
    }
}

/// The value at or before a place on the axis.
fn nearest(points: &[(f64, f64)], at: f64) -> Option<f64> {
    points.iter().filter(|p| p.0 <= at).max_by(|a, b| a.0.total_cmp(&b.0)).map(|p| p.1)
}
