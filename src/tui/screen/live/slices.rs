//! Slices by their share of the loss, beside the stable version where another one is looked at.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::base::show;
use crate::capability::fleet::{Live, Role, Watched};
use crate::capability::monitoring::quality::SliceQuality;
use crate::tui::format;
use crate::tui::screen::watch::words;
use crate::tui::theme::Token;
use crate::tui::widget::pane::empty;
use crate::tui::widget::table::{Cell, Col, rows, table};
use crate::tui::widget::{Look, Scroll};

/// The least width of the share of the loss.
const LOSS: u16 = 10;

#[allow(clippy::too_many_arguments)] // a place, what to draw, and where the cursor is
pub fn table_of(
    look: &Look<'_>,
    buf: &mut Buffer,
    inner: Rect,
    page: Option<&Live>,
    arm: &Watched,
    cursor: usize,
    here: bool,
    scroll: &mut Scroll,
) {
    let slices = &arm.quality.slices;
    if slices.is_empty() {
        let lines: &[(&str, Token)] = if arm.quality.labelled == 0 {
            &[("No labels yet, so no loss to share out.", Token::Muted)]
        } else {
            &[
                ("No slices came with the predictions:", Token::Muted),
                ("send \"slices\": {\"country\": \"BR\"} with each.", Token::Muted),
            ]
        };
        return empty(look, buf, inner, lines);
    }
    let stable = page.and_then(|p| p.versions.iter().find(|v| v.role == Role::Stable && v.version != arm.version));
    let metric = slices.first().map_or("quality", |s| s.metric.as_str());
    let mut columns = vec![
        Col::left("SLICE", 12, 0).grows(10),
        Col::right("N", 7, 3),
        Col::right(metric.to_uppercase(), u16::try_from(metric.len()).unwrap_or(8).clamp(8, 12), 0),
        Col::left("LOSS SHARE", LOSS, 0).grows(12),
    ];
    let against = stable.map(|v| format!("vs {}", words::version(&v.version)));
    if let Some(title) = &against {
        columns.insert(3, Col::right(title.clone(), 8, 2));
    }
    let bar = bar_of(inner.width, metric, against.is_some());
    let rows = rows(scroll, "slices", inner, (cursor, here), slices, |s| {
        let before = stable.and_then(|v| v.quality.slices.iter().find(|other| other.slice == s.slice));
        let mut cells = vec![
            Cell::id(s.slice.as_str()),
            Cell::muted(format::short_count(i64::try_from(s.labelled).unwrap_or(i64::MAX))),
            Cell::new(words::short(s.value), token(s)),
            Cell::new(share(look, s, bar), token(s)),
        ];
        if against.is_some() {
            let moved = before.map_or("-".to_owned(), |b| show::difference(s.value - b.value));
            cells.insert(3, Cell::muted(moved));
        }
        cells
    });
    table(look, buf, inner, &columns, rows, here);
}

/// Worse than its share of the labels would let expect.
fn token(s: &SliceQuality) -> Token {
    let over = s.loss_share / s.label_share.max(1e-9);
    match over {
        o if o >= 1.5 && s.loss_share >= 0.05 => Token::Crit,
        o if o >= 1.15 && s.loss_share >= 0.05 => Token::Warn,
        _ => Token::Text,
    }
}

/// Cells of the bar, as many as its column will have beside the figure: a bar that is cut off would lie.
fn bar_of(width: u16, metric: &str, against: bool) -> f64 {
    let metric = u16::try_from(metric.len()).unwrap_or(8).clamp(8, 12);
    let (columns, beside) = if against { (4, 8) } else { (3, 0) };
    let room = width.saturating_sub(12 + metric + LOSS + beside + 2 * columns + 2);
    // The number of rows is shown where there is room for it, and slices grow before the bar does.
    let room = if room >= 9 { room - 9 } else { room };
    f64::from((LOSS + room.saturating_sub(10).min(12)).saturating_sub(6).clamp(4, 16))
}

fn share(look: &Look<'_>, s: &SliceQuality, bar: f64) -> String {
    let full = look.glyphs.ramp.last().copied().unwrap_or('#');
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to the bar's length
    let bar: String = (0..(s.loss_share * bar).round() as usize).map(|_| full).collect();
    let text = if s.loss_share > 0.0 && s.loss_share < 0.01 {
        "<1".to_owned()
    } else {
        format!("{:.0}", s.loss_share * 100.0)
    };
    format!("{text:>3}% {bar}")
}
