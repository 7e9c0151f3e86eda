//! A framed pane: heavy where the focus is, so that focus does not depend on colour.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Look, put, put_right};
use crate::tui::screen::lines::wrap;
use crate::tui::theme::Token;

/// Draws a frame with a title on the left and a remark on the right, and returns the room inside.
pub fn pane(look: &Look<'_>, buf: &mut Buffer, area: Rect, focused: bool, title: &str, note: &str) -> Rect {
    if area.width < 4 || area.height < 2 {
        return Rect::new(area.x, area.y, 0, 0);
    }
    if focused {
        look.zones.focus.set(area);
    }
    let lines = if focused { look.glyphs.heavy } else { look.glyphs.light };
    let style = look.style(if focused { Token::BorderFocus } else { Token::Border });
    let (right, bottom) = (area.right() - 1, area.bottom() - 1);
    for x in area.x + 1..right {
        buf[(x, area.y)].set_symbol(lines.across).set_style(style);
        buf[(x, bottom)].set_symbol(lines.across).set_style(style);
    }
    for y in area.y + 1..bottom {
        buf[(area.x, y)].set_symbol(lines.along).set_style(style);
        buf[(right, y)].set_symbol(lines.along).set_style(style);
    }
    for (x, y, symbol) in [
        (area.x, area.y, lines.top_left),
        (right, area.y, lines.top_right),
        (area.x, bottom, lines.bottom_left),
        (right, bottom, lines.bottom_right),
    ] {
        buf[(x, y)].set_symbol(symbol).set_style(style);
    }
    let title_style = if focused {
        look.style(Token::BorderFocus).add_modifier(ratatui::style::Modifier::BOLD)
    } else {
        look.style(Token::Text)
    };
    let used = put(look, buf, area.x + 2, area.y, area.width.saturating_sub(4), &format!(" {title} "), title_style);
    if !note.is_empty() {
        put_right(look, buf, area.x + 3 + used, right - 1, area.y, &format!(" {note} "), look.style(Token::Muted));
    }
    Rect::new(area.x + 1, area.y + 1, area.width - 2, area.height - 2)
}

/// Lines of prose in the middle of an empty pane: what is missing and how to get it.
#[allow(clippy::cast_possible_truncation)] // a screen is far smaller than 65,535
pub fn empty(look: &Look<'_>, buf: &mut Buffer, inner: Rect, lines: &[(&str, Token)]) {
    let room = usize::from(inner.width.saturating_sub(2));
    let wrapped =
        |(text, token): &(&str, Token)| wrap(text, room).into_iter().map(|row| (row, *token)).collect::<Vec<_>>();
    let lines: Vec<(String, Token)> = lines.iter().flat_map(wrapped).collect();
    let top = inner.y + inner.height.saturating_sub(lines.len() as u16) / 3;
    let widest =
        lines.iter().map(|(l, _)| crate::tui::format::width(l)).max().unwrap_or(0).min(usize::from(inner.width));
    let left = inner.x + (inner.width - widest as u16) / 2;
    for (line, (text, token)) in (top..inner.bottom()).zip(&lines) {
        put(look, buf, left, line, inner.right() - left, text, look.style(*token));
    }
}
