//! The pane of a model's history: every change of a stage or alias, who made it, why, and its audit record.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Registry, TIMELINE};
use crate::tui::format;
use crate::tui::model::{Event, Happened};
use crate::tui::screen::registry::view::stage_token;
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::table::{Cell, Col, Row, table};
use crate::tui::widget::{Look, Scroll};

pub fn draw(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, scroll: &mut Scroll) {
    let registry: &Registry = &state.registry;
    let focused = registry.pane == TIMELINE;
    let name = registry.current().map_or("", |m| m.name.as_str());
    let inner = pane(look, buf, area, focused, &format!("{name} STAGE HISTORY"), "T as of · ↵ audit record");
    let Some(model) = registry.current() else { return };
    if model.history.is_empty() {
        return empty(look, buf, inner, &[("No version has changed its stage yet.", Token::Muted)]);
    }
    let here = registry.version().map(|v| v.number);
    let columns = [
        Col::left("TIME", 10, 0),
        Col::left("VER", 4, 0),
        Col::left("CHANGE", 11, 0).grows(3),
        Col::left("BY", 6, 3),
        Col::right("AUDIT", 5, 2),
        Col::left("WHY", 9, 1).grows(60),
    ];
    let cursor = registry.scrolls[TIMELINE];
    let height = usize::from(inner.height.saturating_sub(1));
    let first = scroll.keep("timeline", cursor, model.history.len(), height);
    let stale = registry.listed().remote.is_stale();
    let rows = model.history.iter().enumerate().skip(first).map(|(i, e)| {
        let (text, token) = change(look, e);
        let (tilde, token) = if stale { ("~", Token::Unknown) } else { ("", token) };
        Row {
            cells: vec![
                Cell::muted(format::moment(state.now, e.at)),
                Cell::text(format!("v{}", e.version)),
                Cell::new(format!("{tilde}{text}"), token),
                Cell::text(e.by.as_str()),
                Cell::muted(e.audit.map_or("-".to_owned(), |n| format!("#{n}"))),
                Cell::muted(if e.reason.is_empty() { "-" } else { e.reason.as_str() }),
            ],
            at_cursor: focused && i == cursor,
            marked: Some(e.version) == here,
        }
    });
    table(look, buf, inner, &columns, rows, focused);
}

fn change(look: &Look<'_>, e: &Event) -> (String, Token) {
    let arrow = look.glyphs.arrow;
    match &e.what {
        Happened::Stage(stage) => (format!("{arrow} {}", stage.name()), stage_token(*stage)),
        Happened::Deleted => (format!("{} deleted", look.glyphs.fail), Token::Warn),
        Happened::Alias(alias) => (format!("{arrow} @{alias}"), Token::Accent),
        Happened::AliasGone(alias) => (format!("{} @{alias}", look.glyphs.fail), Token::Muted),
    }
}
