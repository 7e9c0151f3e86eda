//! The picture of a text being written.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::widgets::{Clear, Widget};

use super::overlay::middle;
use super::pane::pane;
use super::{Look, put};
use crate::tui::overlay::Editor;
use crate::tui::theme::Token;

pub fn editor(look: &Look<'_>, buf: &mut Buffer, area: Rect, editor: &Editor) {
    let at = middle(area, 84, area.height.saturating_sub(4).clamp(6, 20));
    Clear.render(at, buf);
    let inner = pane(look, buf, at, true, &editor.title, "Tab save · Esc leave as it is");
    if inner.height < 2 || inner.width < 8 {
        return;
    }
    let mut text = editor.area.clone();
    let style = look.style(Token::Text);
    text.set_style(style);
    text.set_cursor_line_style(Style::new());
    text.set_cursor_style(style.add_modifier(Modifier::REVERSED));
    let room = Rect { x: inner.x + 1, width: inner.width - 2, height: inner.height - 1, ..inner };
    (&text).render(room, buf);
    let hint = "what its readers must know: what it is for, and what it is not for";
    put(look, buf, inner.x + 1, inner.bottom() - 1, inner.width - 2, hint, look.style(Token::Muted));
}
