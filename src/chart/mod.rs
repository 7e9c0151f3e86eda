//! Series in, SVG out: charts as files, for reports and post-mortems. The only place that names plotters.

use plotters::prelude::*;

/// What to draw.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    pub title: String,
    /// Where the numbers came from: query, moment.
    pub caption: String,
    pub x_label: String,
    pub y_label: String,
    pub lines: Vec<Line>,
}

/// One line; what is not finite is a gap.
#[derive(Debug, Clone, Default)]
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

/// Draws a chart as an SVG document of so many pixels.
///
/// # Errors
/// A sentence when there is nothing to draw.
pub fn svg(chart: &Chart, width: u32, height: u32) -> Result<String, String> {
    let finite = |p: &&(f64, f64)| p.0.is_finite() && p.1.is_finite();
    let points = || chart.lines.iter().flat_map(|l| l.points.iter().filter(finite));
    let x = span(points().map(|p| p.0)).ok_or("no finite points to draw")?;
    let y = span(points().map(|p| p.1)).ok_or("no finite points to draw")?;
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
    draw(chart, &area, x, y).map_err(|e| e.to_string())?;
    drop(area);
    Ok(text)
}

/// Least and greatest, widened a little so that no line lies on the frame.
fn span(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (low, high) = values.fold(None, |found: Option<(f64, f64)>, v| {
        Some(found.map_or((v, v), |(low, high)| (low.min(v), high.max(v))))
    })?;
    let margin = if high > low { (high - low) * 0.03 } else { high.abs().max(1.0) * 0.05 };
    Some((low - margin, high + margin))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw(chart: &Chart, area: &Area<'_>, x: (f64, f64), y: (f64, f64)) -> Result<(), Box<dyn std::error::Error>> {
    area.fill(&WHITE)?;
    let (_, height) = area.dim_in_pixel();
    let (body, foot) = area.split_vertically(height.saturating_sub(24));
    let mut canvas = ChartBuilder::on(&body)
        .caption(&chart.title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(x.0..x.1, y.0..y.1)?;
    canvas
        .configure_mesh()
        .x_desc(&chart.x_label)
        .y_desc(&chart.y_label)
        .x_label_formatter(&|v| short(*v))
        .y_label_formatter(&|v| short(*v))
        .light_line_style(RGBColor(0xee, 0xee, 0xee))
        .draw()?;
    for (i, line) in chart.lines.iter().enumerate() {
        let style = COLOURS[i % COLOURS.len()].stroke_width(2);
        let parts = line.points.split(|p| !(p.0.is_finite() && p.1.is_finite())).filter(|p| !p.is_empty());
        for (part, points) in parts.enumerate() {
            let drawn = canvas.draw_series(LineSeries::new(points.iter().copied(), style))?;
            if part == 0 {
                drawn.label(&line.name).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
            }
        }
    }
    canvas
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .border_style(RGBColor(0xcc, 0xcc, 0xcc))
        .draw()?;
    foot.draw_text(&chart.caption, &("sans-serif", 11).into_font().color(&RGBColor(0x58, 0x62, 0x74)), (12, 4))?;
    area.present()?;
    Ok(())
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
    }

    #[test]
    fn nothing_to_draw_is_said() {
        assert!(svg(&Chart::default(), 800, 400).is_err());
    }

    #[test]
    fn numbers_on_axes_are_short() {
        assert_eq!([0.0, -0.25, 12_000.0, 2_500_000.0].map(short), ["0", "-0.25", "12k", "2.5M"]);
    }
}
