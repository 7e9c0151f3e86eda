//! What is drawn over a screen: lists to pick from, the help, the keys that may follow a first one, the sheet.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Clear, Widget};

use super::pane::pane;
use super::{Look, Scroll, put, put_all, put_right};
use crate::tui::format;
use crate::tui::key::Key;
use crate::tui::model::{Model, Stage};
use crate::tui::overlay::help;
use crate::tui::overlay::sheet::{Phase, REASON_CHARS_MIN};
use crate::tui::overlay::{Picker, Sheet};
use crate::tui::state::State;
use crate::tui::theme::Token;

/// A place in the middle, at most as large as the screen.
fn middle(area: Rect, width: u16, height: u16) -> Rect {
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
        let note = item.why_not.as_deref().unwrap_or(&item.note);
        let tick = item.checked.map_or("", |c| if c { "[x] " } else { "[ ] " });
        let right = put_right(
            look,
            buf,
            list.x + 24,
            list.right() - 1,
            y,
            &format::cut(note, 36, "…"),
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
    let hint = if picker.stays {
        "Space tick · type to search · Esc close"
    } else {
        "↵ pick · type to search · Esc close"
    };
    put(look, buf, inner.x + 1, inner.bottom() - 1, inner.width, hint, look.style(Token::Muted));
}

pub fn help(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, scroll: usize) {
    let at = middle(area, area.width.min(118), area.height);
    Clear.render(at, buf);
    let inner = pane(look, buf, at, true, "KEYS", "any key closes · : finds by name · change in keymap.toml");
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

/// The sheet: what it is now, what it will be, what follows from that, why, and the one key.
pub fn sheet(look: &Look<'_>, buf: &mut Buffer, area: Rect, sheet: &Sheet, state: &State) {
    let at = middle(area, 78, 22);
    Clear.render(at, buf);
    let context = state.status.value().map_or(String::new(), |s| s.context.to_uppercase());
    let verb = if sheet.rollback { "ROLL BACK" } else { "CHANGE STAGE" };
    let inner = pane(look, buf, at, true, &format!("{verb}  {} v{}", sheet.model, sheet.version), &context);
    if inner.height < 6 {
        return;
    }
    let model = state.registry.models.value().and_then(|m| m.iter().find(|m| m.name == sheet.model));
    let mut y = inner.y;
    let mut line = |pieces: &[(&str, Token)]| {
        if y < inner.bottom() {
            put_all(look, buf, inner.x + 1, y, inner.width - 2, pieces);
        }
        y += 1;
    };
    line(&[("from   ", Token::Muted), (sheet.from.name(), Token::Text)]);
    let mut stages: Vec<(&str, Token)> = vec![("to     ", Token::Muted)];
    for stage in Stage::ALL.into_iter().filter(|s| !sheet.rollback || *s == sheet.to) {
        let chosen = stage == sheet.to;
        stages.push((if chosen { "[" } else { " " }, Token::Accent));
        stages.push((stage.name(), if chosen { Token::Text } else { Token::Unknown }));
        stages.push((if chosen { "]" } else { " " }, Token::Accent));
    }
    line(&stages);
    line(&[]);
    line(&[("IMPACT", Token::Accent)]);
    for text in model.map(|m| impact(sheet, m, state)).unwrap_or_default() {
        line(&[("  ", Token::Text), (&text, Token::Text)]);
    }
    line(&[]);
    answer(look, &mut line, sheet);
    let top = inner.bottom().saturating_sub(7).max(inner.y + 5);
    reason(look, buf, Rect::new(inner.x + 1, top, inner.width - 2, 5.min(inner.bottom().saturating_sub(top))), sheet);
    confirm_line(look, buf, inner, sheet, state);
}

/// What the agent said to the last attempt or rehearsal.
fn answer(look: &Look<'_>, line: &mut impl FnMut(&[(&str, Token)]), sheet: &Sheet) {
    match &sheet.phase {
        Phase::Refused(fault) => {
            line(&[(look.glyphs.fail, Token::Crit), (" ", Token::Text), (&fault.what, Token::Crit)]);
            if !fault.why.is_empty() {
                line(&[("  ", Token::Text), (&fault.why, Token::Text)]);
            }
            if !fault.next.is_empty() {
                line(&[("  ", Token::Text), (&fault.next, Token::Info)]);
            }
        }
        Phase::Sent { dry_run: true, .. } => line(&[("asking what would happen…", Token::Info)]),
        Phase::Sent { .. } => line(&[("sent; the agent goes on if you leave", Token::Info)]),
        _ => {
            if let Some(said) = &sheet.rehearsal {
                line(&[("dry run  ", Token::Muted), (said, Token::Text)]);
            }
        }
    }
}

/// What follows from the change, in numbers where there are some.
pub fn impact(sheet: &Sheet, model: &Model, state: &State) -> Vec<String> {
    let mut lines = vec![format!("{}   v{}  {} → {}", model.name, sheet.version, sheet.from.name(), sheet.to.name())];
    if let (Stage::Prod, Some(now)) = (sheet.to, model.in_stage(Stage::Prod).find(|v| v.number != sheet.version)) {
        let since =
            now.moves.first().map_or(String::new(), |m| format!(" after {} in prod", format::age(state.now, m.at)));
        lines.push(format!("v{} leaves prod and is archived{since}", now.number));
        let better: Vec<String> =
            model.version(sheet.version).map(|new| differences(&now.metrics, &new.metrics)).unwrap_or_default();
        if !better.is_empty() {
            lines.push(format!("v{} → v{}   {}", now.number, sheet.version, better.join("   ")));
        }
    }
    if sheet.from == Stage::Prod && sheet.to != Stage::Prod {
        lines.push(format!("{} is left without a version in prod", model.name));
    }
    if let Some(v) = model.version(sheet.version)
        && !v.aliases.is_empty()
    {
        lines.push(format!("aliases stay: {}", v.aliases.join(", ")));
    }
    lines.push(format!("generation {}", sheet.generation));
    lines
}

/// The first few metrics that both versions have, old to new.
fn differences(
    old: &std::collections::BTreeMap<String, f64>,
    new: &std::collections::BTreeMap<String, f64>,
) -> Vec<String> {
    let both = new.iter().filter_map(|(k, n)| old.get(k).map(|o| (k, *o, *n)));
    both.take(3).map(|(k, o, n)| format!("{k} {} → {}", format::number(o), format::number(n))).collect()
}

fn reason(look: &Look<'_>, buf: &mut Buffer, area: Rect, sheet: &Sheet) {
    if area.height < 2 {
        return;
    }
    let writing = sheet.phase == Phase::Writing;
    put(look, buf, area.x, area.y, area.width, "REASON", look.style(Token::Accent));
    let hint = if writing { "↵ or Esc done".to_owned() } else { "e edit".to_owned() };
    put_right(look, buf, area.x + 8, area.right(), area.y, &hint, look.style(Token::Muted));
    let mut text = sheet.reason.clone();
    let body = look.style(Token::Text);
    text.set_style(body);
    text.set_cursor_line_style(ratatui::style::Style::new());
    text.set_cursor_style(if writing { body.add_modifier(ratatui::style::Modifier::REVERSED) } else { body });
    text.set_placeholder_text(format!("why; prod needs {REASON_CHARS_MIN} characters"));
    text.set_placeholder_style(look.style(Token::Unknown));
    let room = Rect::new(area.x + 2, area.y + 1, area.width - 2, (area.height - 1).min(2));
    (&text).render(room, buf);
    for (n, text) in sheet.templates().iter().enumerate() {
        let (row, column) = (u16::try_from(n / 2).unwrap_or(0), u16::try_from(n % 2).unwrap_or(0));
        let (x, y) = (area.x + column * (area.width / 2), area.y + 3 + row);
        if y < area.bottom() {
            let key = (n + 1).to_string();
            let pieces = [(key.as_str(), Token::Accent), (" ", Token::Text), (*text, Token::Muted)];
            put_all(look, buf, x, y, area.width / 2, &pieces);
        }
    }
}

fn confirm_line(look: &Look<'_>, buf: &mut Buffer, inner: Rect, sheet: &Sheet, state: &State) {
    let y = inner.bottom() - 1;
    let lacks = sheet.lacks();
    let (text, token) = match (&sheet.phase, &lacks) {
        (Phase::Sent { .. } | Phase::Confirming(_), _) => ("[ … ]".to_owned(), Token::Info),
        (Phase::Writing, _) => ("[ writing the reason ]".to_owned(), Token::Info),
        (_, Some(why)) => (format!("[ y ]  {why}"), Token::Warn),
        _ if !sheet.is_armed(state.now) => ("[ y ]  read first…".to_owned(), Token::Unknown),
        _ => (
            format!("[ y  {} to {} now ]", if sheet.rollback { "roll back" } else { "move" }, sheet.to.name()),
            Token::Ok,
        ),
    };
    let used = put(look, buf, inner.x + 1, y, inner.width - 2, &text, look.style(token));
    put_right(look, buf, inner.x + 3 + used, inner.right() - 1, y, "n / Esc  cancel", look.style(Token::Muted));
}
