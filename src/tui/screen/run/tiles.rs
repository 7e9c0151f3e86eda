//! Small multiples: every metric of a run with a small chart of its own.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{METRICS, RunDetail};
use crate::tui::format;
use crate::tui::model::Run;
use crate::tui::screen::plot::{Plotted, small};
use crate::tui::theme::Token;
use crate::tui::widget::Look;
use crate::tui::widget::pane::{empty, pane};

/// The least in which a curve can be read.
const TILE: (u16, u16) = (30, 7);

/// Tiles side by side and one above the other in this room.
fn grid(inner: Rect, count: usize) -> (u16, u16) {
    let across = (inner.width / TILE.0).max(1);
    let down = (inner.height / TILE.1).max(1);
    // A few metrics share the room instead of leaving half of it empty.
    let count = u16::try_from(count).unwrap_or(u16::MAX);
    let across = across.min(count.max(1));
    (across, down.min(count.div_ceil(across).max(1)))
}

pub(super) fn draw(look: &Look<'_>, buf: &mut Buffer, area: Rect, detail: &RunDetail, run: &Run, focused: bool) {
    let metrics = detail.metrics();
    let note = format!("v one · ↵ this one · {}", detail.look.words());
    let inner = pane(look, buf, area, focused, &format!("ALL METRICS {}", metrics.len()), &note);
    if metrics.is_empty() {
        return empty(look, buf, inner, &[("no metric logged yet", Token::Muted)]);
    }
    let (across, down) = grid(inner, metrics.len());
    let (width, height) = (inner.width / across, inner.height / down);
    let page = usize::from(across) * usize::from(down);
    let first = detail.cursors[METRICS] / page * page;
    for (nth, (i, (key, latest))) in metrics.iter().enumerate().skip(first).take(page).enumerate() {
        let nth = u16::try_from(nth).unwrap_or(0);
        let tile = Rect::new(inner.x + nth % across * width, inner.y + nth / across * height, width, height);
        let at_cursor = i == detail.cursors[METRICS];
        let value = format::number(latest.value);
        let room = usize::from(width).saturating_sub(format::width(&value) + 9);
        let mark = if detail.marks.contains(*key) { look.glyphs.mark } else { "" };
        let title = format!("{mark}{}", format::cut_middle(&look.spell(key), room, look.glyphs.ellipsis));
        let room = pane(look, buf, tile, at_cursor, &title, &value);
        let line = Plotted {
            name: key,
            run: &run.name,
            metric: key,
            points: detail.charts.get(&run.id, key),
            latest: Some(latest.value),
            gaps: detail.charts.gaps(&run.id, key),
            token: Token::Series(i % 6),
            started: run.started,
        };
        small(look, buf, room, &line, detail.look, detail.probe);
    }
}
