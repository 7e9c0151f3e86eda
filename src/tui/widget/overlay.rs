//! What is drawn over a screen: lists to pick from, the help, the keys that may follow a first one.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Clear, Widget};

use super::pane::pane;
use super::{Look, Scroll, put, put_all, put_right};
use crate::tui::format;
use crate::tui::key::Key;
use crate::tui::overlay::help;
use crate::tui::overlay::{Explained, Line, Picker};
use crate::tui::screen::lines::wrap;
use crate::tui::state::State;
use crate::tui::theme::Token;

/// A place in the middle, at most as large as the screen.
pub(super) fn middle(area: Rect, width: u16, height: u16) -> Rect {
    let (w, h) = (width.min(area.width), height.min(area.height));
    Rect::new(area.x + (area.width - w) / 2, area.y + (area.height - h) / 3, w, h)
}

pub fn picker(look: &Look<'_>, buf: &mut Buffer, area: Rect, picker: &Picker, scroll: &mut Scroll) {
    let shown = picker.shown();
    let height = u16::try_from(picker.items.len())
        .unwrap_or(u16::MAX)
        .saturating_add(5)
        .clamp(8, area.height.saturating_sub(4).max(8));
    let at = middle(area, 72, height);
    Clear.render(at, buf);
    let inner = pane(look, buf, at, true, &picker.title, &format!("{} of {}", shown.len(), picker.items.len()));
    if inner.height < 3 {
        return;
    }
    let (before, after) = picker.line.split();
    let x = inner.x
        + 1
        + put_all(look, buf, inner.x + 1, inner.y, inner.width - 2, &[("> ", Token::Accent), (&before, Token::Text)]);
    put_all(look, buf, x, inner.y, inner.right().saturating_sub(x), &[("_", Token::Accent), (&after, Token::Text)]);
    let list = Rect::new(inner.x, inner.y + 1, inner.width, inner.height - 2);
    let first = scroll.keep("picker", picker.cursor, shown.len(), usize::from(list.height));
    for (y, (n, i)) in (list.y..list.bottom()).zip(shown.iter().enumerate().skip(first)) {
        let item = &picker.items[*i];
        let dim = item.why_not.is_some();
        let note = match &item.why_not {
            Some(why) if picker.command && !item.note.is_empty() => {
                format!("{}  {} {why}", item.note, look.glyphs.fail)
            }
            Some(why) => why.clone(),
            None => item.note.clone(),
        };
        let tick = item.checked.map_or("", |c| if c { "[x] " } else { "[ ] " });
        let right = put_right(
            look,
            buf,
            list.x + 24,
            list.right() - 1,
            y,
            &format::cut(&note, 36, "…"),
            look.style(if dim { Token::Unknown } else { Token::Accent }),
        );
        let room = list.width.saturating_sub(right + 4);
        put_all(
            look,
            buf,
            list.x + 2,
            y,
            room,
            &[(tick, Token::Accent), (&item.label, if dim { Token::Unknown } else { Token::Text })],
        );
        if n == picker.cursor {
            put(look, buf, list.x, y, 1, look.glyphs.cursor, look.style(Token::BorderFocus));
            buf.set_style(Rect::new(list.x, y, list.width, 1), look.style(Token::Select));
        }
    }
    if shown.is_empty() {
        put(look, buf, list.x + 2, list.y, list.width, "nothing matches", look.style(Token::Muted));
    }
    let hint = if picker.command {
        "Tab complete · ↵ run · Esc close"
    } else if picker.stays {
        "Space tick · type to search · Esc close"
    } else {
        "↵ pick · type to search · Esc close"
    };
    put(look, buf, inner.x + 1, inner.bottom() - 1, inner.width, hint, look.style(Token::Muted));
}

pub fn help(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, scroll: usize, find: &Line) {
    let at = middle(area, area.width.min(118), area.height);
    Clear.render(at, buf);
    let title = if find.is_empty() { "KEYS".to_owned() } else { format!("KEYS  > {}_", find.text()) };
    let inner = pane(look, buf, at, true, &title, "type to search · Esc closes · change in keymap.toml");
    let columns = if inner.width >= 100 { 2 } else { 1 };
    let mut lines: Vec<Vec<(String, Token)>> = Vec::new();
    for (heading, entries) in help::sections(state) {
        lines.push(vec![(heading.to_owned(), Token::Accent)]);
        for e in entries {
            let dim = e.why_not.is_some();
            let (key, text) = if dim { (Token::Unknown, Token::Unknown) } else { (Token::Accent, Token::Text) };
            let mut line = vec![(format!("  {:<11}", e.keys), key), (e.help.to_owned(), text)];
            line.extend(e.why_not.map(|why| (format!("  {} {why}", look.glyphs.fail), Token::Unknown)));
            lines.push(line);
        }
        lines.push(Vec::new());
    }
    let height = usize::from(inner.height);
    let per_column = if columns == 2 { lines.len().div_ceil(2).max(height.min(lines.len())) } else { lines.len() };
    let width = inner.width / columns;
    let first = scroll.min(per_column.saturating_sub(height));
    for c in 0..usize::from(columns) {
        let x = inner.x + 1 + width * u16::try_from(c).unwrap_or(0);
        for (y, line) in (inner.y..inner.bottom()).zip(lines.iter().skip(c * per_column).take(per_column).skip(first)) {
            let pieces: Vec<(&str, Token)> = line.iter().map(|(t, k)| (t.as_str(), *k)).collect();
            put_all(look, buf, x, y, width.saturating_sub(2), &pieces);
        }
    }
}

/// The keys that may follow a first one, after it has waited a moment.
pub fn prefix(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, first: Key) {
    let next = state.keys.continuations(&state.contexts(), &[first]);
    let height = u16::try_from(next.len()).unwrap_or(0) + 2;
    let at = Rect::new(
        area.x + 2,
        area.bottom().saturating_sub(height + 1),
        34.min(area.width.saturating_sub(2)),
        height.min(area.height),
    );
    Clear.render(at, buf);
    let inner = pane(look, buf, at, true, &format!("{first}…"), "");
    for (y, (key, action)) in (inner.y..inner.bottom()).zip(&next) {
        put_all(
            look,
            buf,
            inner.x + 1,
            y,
            inner.width,
            &[(key, Token::Accent), ("  ", Token::Text), (action.help(), Token::Text)],
        );
    }
}

/// Where a number comes from.
pub fn explain(look: &Look<'_>, buf: &mut Buffer, area: Rect, explained: &Explained) {
    const LABEL: usize = 15;
    let width = area.width.min(92);
    let room = usize::from(width).saturating_sub(LABEL + 5);
    let query = [("again by".to_owned(), explained.query.clone())];
    let lines: Vec<(&str, String, Token)> = explained
        .rows
        .iter()
        .chain(&query)
        .flat_map(|(label, text)| {
            let token = match label.as_str() {
                "again by" => Token::Accent,
                "warning" => Token::Warn,
                _ => Token::Text,
            };
            let parts = wrap(&format::clean(text), room);
            parts.into_iter().enumerate().map(move |(n, part)| (if n == 0 { label.as_str() } else { "" }, part, token))
        })
        .collect();
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(4).min(area.height);
    let at = middle(area, width, height);
    Clear.render(at, buf);
    let inner = pane(look, buf, at, true, &explained.title, "");
    for (y, (label, text, token)) in (inner.y..inner.bottom().saturating_sub(1)).zip(&lines) {
        let label = format!("{label:<LABEL$} ");
        put_all(look, buf, inner.x + 1, y, inner.width.saturating_sub(2), &[(&label, Token::Muted), (text, *token)]);
    }
    let hint = "y copy the command · Esc close";
    put(
        look,
        buf,
        inner.x + 1,
        inner.bottom().saturating_sub(1),
        inner.width.saturating_sub(2),
        hint,
        look.style(Token::Muted),
    );
}
