//! The picture of a prompt: a title, the line under its cursor, and what to write.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::widgets::{Clear, Widget};

use super::overlay::middle;
use super::pane::pane;
use super::{Look, put};
use crate::tui::format;
use crate::tui::overlay::Prompt;
use crate::tui::theme::Token;

pub fn prompt(look: &Look<'_>, buf: &mut Buffer, area: Rect, prompt: &Prompt) {
    let at = middle(area, 72, 5);
    Clear.render(at, buf);
    let inner = pane(look, buf, at, true, &prompt.title, "");
    if inner.height == 0 || inner.width < 8 {
        return;
    }
    let (before, after) = prompt.line.split();
    let (x, room) = (inner.x + 1, inner.width - 2);
    // A long line shows the part around its cursor.
    let mut shown: String = before.clone();
    while format::width(&shown) + 1 > usize::from(room) {
        shown.remove(0);
    }
    let text = look.style(Token::Text);
    let used = put(look, buf, x, inner.y, room, &shown, text);
    let under = after.chars().next().unwrap_or(' ').to_string();
    let used = used + put(look, buf, x + used, inner.y, room - used, &under, text.add_modifier(Modifier::REVERSED));
    let rest: String = after.chars().skip(1).collect();
    put(look, buf, x + used, inner.y, room.saturating_sub(used), &rest, text);
    let hint = format!("{} · ↵ save · Esc leave as it is", prompt.hint);
    put(look, buf, x, inner.bottom() - 1, room, &hint, look.style(Token::Muted));
}
