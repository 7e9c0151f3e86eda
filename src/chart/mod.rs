//! Series in, SVG or PNG out: charts as files, for reports and post-mortems. The only place that names plotters.

mod png;

use std::sync::Once;

use plotters::coord::Shift;
use plotters::prelude::*;
use serde::{Deserialize, Serialize};

use crate::base::{Timestamp, show};

/// What to draw.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    pub title: String,
    /// Where the numbers came from: query, moment.
    pub caption: String,
    pub x_label: String,
    pub y_label: String,
    pub lines: Vec<Line>,
    /// What the numbers of the x axis are.
    pub x: Scale,
    /// A logarithmic y axis; what is not above 0 is then a gap.
    pub log: bool,
}

/// How a number on an axis is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scale {
    #[default]
    Number,
    /// A length of time in seconds.
    Seconds,
    /// Seconds since 1970.
    Clock,
}

/// One line; what is not finite is a gap.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// Okabe and Ito's colours, darkened for white paper: told apart also by people who do not see all colours.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0x9a, 0x5b, 0x00),
    RGBColor(0x00, 0x73, 0x5a),
    RGBColor(0xa0, 0x3a, 0x78),
    RGBColor(0x6b, 0x64, 0x00),
    RGBColor(0xb3, 0x47, 0x00),
];

/// Letters for charts, so that none of the system's are needed. Its licence lies beside it.
const FONT: &[u8] = include_bytes!("../../assets/fonts/DejaVuSans-subset.ttf");
const FAMILY: &str = "sans-serif";

/// Gives plotters our letters; it measures with them for SVG too.
fn letters() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Refused only for bytes that are no font, and these are ours: a test draws with them.
        let _ = plotters::style::register_font(FAMILY, FontStyle::Normal, FONT);
    });
}

/// Draws a chart as an SVG document of so many pixels.
///
/// # Errors
/// A sentence when there is nothing to draw.
pub fn svg(chart: &Chart, width: u32, height: u32) -> Result<String, String> {
    letters();
    let frame = Frame::of(chart, 1.0)?;
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
    draw(chart, &area, &frame).map_err(|e| e.to_string())?;
    drop(area);
    Ok(text)
}

/// Draws a chart as a PNG of so many pixels. Letters and lines grow with it from 960 pixels across.
///
/// # Errors
/// A sentence when there is nothing to draw.
pub fn png(chart: &Chart, width: u32, height: u32) -> Result<Vec<u8>, String> {
    letters();
    let frame = Frame::of(chart, f64::from(width) / 960.0)?;
    let bytes = usize::try_from(width).unwrap_or(0) * usize::try_from(height).unwrap_or(0) * 3;
    let mut pixels = vec![0; bytes];
    let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
    draw(chart, &area, &frame).map_err(|e| e.to_string())?;
    drop(area);
    png::encode(&pixels, width, height)
}

/// The extent of both axes, and how large letters are.
struct Frame {
    x: (f64, f64),
    y: (f64, f64),
    scale: f64,
}

impl Frame {
    fn of(chart: &Chart, scale: f64) -> Result<Self, String> {
        let points = || chart.lines.iter().flat_map(|l| &l.points).map(|p| placed(*p, chart.log)).filter(finite);
        let nothing = "no finite points to draw";
        Ok(Self {
            x: span(points().map(|p| p.0)).ok_or(nothing)?,
            y: span(points().map(|p| p.1)).ok_or(nothing)?,
            scale,
        })
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // pixels of a page
    fn px(&self, at_960: f64) -> u32 {
        (at_960 * self.scale).round() as u32
    }

    fn letters(&self, at_960: f64) -> (&'static str, f64) {
        (FAMILY, at_960 * self.scale)
    }
}

fn finite(p: &(f64, f64)) -> bool {
    p.0.is_finite() && p.1.is_finite()
}

/// Where a point lies: with a logarithmic axis at the power of ten.
fn placed((x, y): (f64, f64), log: bool) -> (f64, f64) {
    match log {
        false => (x, y),
        true if y > 0.0 => (x, y.log10()),
        true => (x, f64::NAN),
    }
}

/// Least and greatest, widened a little so that no line lies on the frame.
fn span(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (low, high) = values.fold(None, |found: Option<(f64, f64)>, v| {
        Some(found.map_or((v, v), |(low, high)| (low.min(v), high.max(v))))
    })?;
    let margin = if high > low { (high - low) * 0.03 } else { high.abs().max(1.0) * 0.05 };
    Some((low - margin, high + margin))
}

type Problem = Box<dyn std::error::Error>;

fn draw<B>(chart: &Chart, area: &DrawingArea<B, Shift>, frame: &Frame) -> Result<(), Problem>
where
    B: DrawingBackend,
    B::ErrorType: 'static,
{
    area.fill(&WHITE)?;
    let (_, height) = area.dim_in_pixel();
    let (body, foot) = area.split_vertically(height.saturating_sub(frame.px(24.0)));
    let mut canvas = ChartBuilder::on(&body)
        .caption(&chart.title, frame.letters(18.0))
        .margin(frame.px(12.0))
        .x_label_area_size(frame.px(40.0))
        .y_label_area_size(frame.px(64.0))
        .build_cartesian_2d(frame.x.0..frame.x.1, frame.y.0..frame.y.1)?;
    let y_word = |v: &f64| short(if chart.log { 10_f64.powf(*v) } else { *v });
    canvas
        .configure_mesh()
        .x_desc(&chart.x_label)
        .y_desc(&chart.y_label)
        .x_labels(8)
        .label_style(frame.letters(12.0))
        .axis_desc_style(frame.letters(12.0))
        .x_label_formatter(&|v| word(*v, chart.x))
        .y_label_formatter(&y_word)
        .light_line_style(RGBColor(0xee, 0xee, 0xee))
        .draw()?;
    for (i, line) in chart.lines.iter().enumerate() {
        let style = COLOURS[i % COLOURS.len()].stroke_width(frame.px(2.0));
        let points: Vec<(f64, f64)> = line.points.iter().map(|p| placed(*p, chart.log)).collect();
        let sample = i32::try_from(frame.px(18.0)).unwrap_or(18);
        for (nth, part) in points.split(|p| !finite(p)).filter(|p| !p.is_empty()).enumerate() {
            let drawn = canvas.draw_series(LineSeries::new(part.iter().copied(), style))?;
            if nth == 0 {
                drawn.label(&line.name).legend(move |(x, y)| PathElement::new([(x, y), (x + sample, y)], style));
            }
        }
    }
    canvas
        .configure_series_labels()
        .label_font(frame.letters(12.0))
        .legend_area_size(frame.px(26.0))
        .background_style(WHITE.mix(0.8))
        .border_style(RGBColor(0xcc, 0xcc, 0xcc))
        .draw()?;
    let grey = frame.letters(11.0).into_font().color(&RGBColor(0x58, 0x62, 0x74));
    let at = i32::try_from(frame.px(12.0)).unwrap_or(12);
    foot.draw_text(&chart.caption, &grey, (at, i32::try_from(frame.px(4.0)).unwrap_or(4)))?;
    area.present()?;
    Ok(())
}

/// A place on the x axis.
fn word(v: f64, scale: Scale) -> String {
    match scale {
        Scale::Number => short(v),
        Scale::Seconds => show::length(std::time::Duration::try_from_secs_f64(v.max(0.0)).unwrap_or_default()),
        #[allow(clippy::cast_possible_truncation)] // a label
        Scale::Clock => Timestamp((v * 1e6) as i64)
            .utc()
            .map_or_else(|| "?".to_owned(), |t| t.format("%m-%d %H:%M:%SZ").to_string()),
    }
}

/// A number in at most four digits, thousands and millions by letter.
fn short(v: f64) -> String {
    let (scaled, letter) = match v.abs() {
        a if a >= 1e6 => (v / 1e6, "M"),
        a if a >= 1e4 => (v / 1e3, "k"),
        _ => (v, ""),
    };
    let text = format!("{scaled:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{}{letter}", if text == "-0" { "0" } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_breaks_the_line_and_names_are_kept() {
        let points = vec![(0.0, 1.0), (1.0, 0.5), (2.0, f64::NAN), (3.0, 0.4), (4.0, 0.3)];
        let chart = Chart {
            title: "loss <a & b>".to_owned(),
            caption: "opsroom runs history".to_owned(),
            lines: vec![Line { name: "able-otter-1".to_owned(), points }],
            ..Chart::default()
        };
        let text = svg(&chart, 800, 400).unwrap();
        assert!(text.starts_with("<svg") && text.contains("able-otter-1") && text.contains("&lt;a &amp; b&gt;"));
        assert!(!text.contains("NaN"));
        // Each part of the line is one of its own; a logarithmic axis leaves out what is not above 0.
        let logged = Chart { log: true, x: Scale::Seconds, ..chart.clone() };
        assert!(svg(&logged, 800, 400).unwrap().contains("2.0 s"));
    }

    #[test]
    fn a_png_has_lines_and_letters_without_a_font_of_the_system() {
        let line = |name: &str, by: f64| Line {
            name: name.to_owned(),
            points: (0..100).map(|i| (f64::from(i), by / f64::from(i + 1))).collect(),
        };
        let bare = Chart { lines: vec![line("a", 1.0), line("b", 2.0)], ..Chart::default() };
        let told = Chart { title: "loss Δ".into(), caption: "where from".into(), ..bare.clone() };
        let (bare, told) = (png(&bare, 960, 540).unwrap(), png(&told, 960, 540).unwrap());
        assert!(bare.starts_with(&[0x89, b'P', b'N', b'G']) && bare != told);
    }

    #[test]
    fn nothing_to_draw_is_said() {
        assert!(svg(&Chart::default(), 800, 400).is_err() && png(&Chart::default(), 800, 400).is_err());
    }

    #[test]
    fn numbers_on_axes_are_short() {
        assert_eq!([0.0, -0.25, 12_000.0, 2_500_000.0].map(short), ["0", "-0.25", "12k", "2.5M"]);
    }
}
