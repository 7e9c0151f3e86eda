//! The picture of the sheet: what it is now, what it will be, what follows from that, why, and the one key.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::widgets::{Clear, Widget};

use super::overlay::middle;
use super::pane::pane;
use super::{Look, put, put_all, put_right};
use crate::capability::gates::Verdict;

use crate::tui::overlay::Sheet;
use crate::tui::overlay::sheet::Phase;
use crate::tui::screen::lines::wrap;
use crate::tui::state::State;
use crate::tui::theme::Token;

const SHEET_COLUMNS: u16 = 78;
/// Where a gate's words begin, after its sign and its name.
const GATE_INDENT: usize = 19;

/// The reason with its templates takes so many lines, and the confirming line one.
const REASON_LINES: u16 = 5;

pub fn sheet(look: &Look<'_>, buf: &mut Buffer, area: Rect, sheet: &Sheet, state: &State) {
    let width = area.width.min(SHEET_COLUMNS);
    let lines = follows(look, sheet, usize::from(width.saturating_sub(6)));
    // Grows with what follows from it, up to the screen: what is asked should be read without scrolling.
    let more = lines.len().saturating_sub(7);
    let at = middle(area, SHEET_COLUMNS, 22 + u16::try_from(more.min(20)).unwrap_or(0));
    Clear.render(at, buf);
    let context = state.status.value().map_or(String::new(), |s| s.context.to_uppercase());
    let refused = if sheet.ask.way().is_refused() { "   REFUSED" } else { "" };
    let inner = pane(look, buf, at, true, &format!("{}{refused}", sheet.ask.title), &context);
    if inner.height < 6 {
        return;
    }
    let line = |y: u16, height: u16| Rect::new(inner.x + 1, y, inner.width - 2, height);
    let word = u16::from(sheet.ask.way().word.is_some());
    let bottom = inner.bottom() - 1;
    let reason_at = bottom.saturating_sub(REASON_LINES + word + 1).max(inner.y + 3);
    let top = line(inner.y, reason_at.saturating_sub(inner.y + 1));
    let used = subject(look, buf, top, sheet);
    let said = answer(look, sheet);
    let said_lines = u16::try_from(said.len()).unwrap_or(0).min(top.height.saturating_sub(used + 3));
    let room = top.height.saturating_sub(used + said_lines + u16::from(said_lines > 0));
    impact(look, buf, Rect { y: top.y + used, height: room, ..top }, sheet, &lines);
    for (y, (text, token)) in (top.bottom().saturating_sub(said_lines)..top.bottom()).zip(&said) {
        put(look, buf, top.x, y, top.width, text, look.style(*token));
    }
    reason(look, buf, line(reason_at, REASON_LINES.min(bottom.saturating_sub(reason_at))), sheet);
    if word > 0 {
        word_line(look, buf, line(bottom - 1, 1), sheet);
    }
    confirm_line(look, buf, line(bottom, 1), sheet, state);
}

/// What it is now, and what can be chosen; returns the lines used.
fn subject(look: &Look<'_>, buf: &mut Buffer, area: Rect, sheet: &Sheet) -> u16 {
    let ask = &sheet.ask;
    let mut y = area.y;
    for (label, text) in &ask.subject {
        let label = format!("{label:<6} ");
        put_all(look, buf, area.x, y, area.width, &[(&label, Token::Muted), (text, Token::Text)]);
        y += 1;
    }
    let named = ask.subject.iter().any(|(label, _)| matches!(label.as_str(), "to" | "what"));
    if ask.ways.len() > 1 || !named {
        let columns: usize = 7 + ask.ways.iter().map(|w| crate::tui::format::width(&w.name) + 2).sum::<usize>();
        let mut pieces: Vec<(&str, Token)> = vec![("to     ", Token::Muted)];
        let place = format!("  {} of {}", ask.chosen + 1, ask.ways.len());
        if columns > usize::from(area.width) {
            // Too many to stand side by side: the chosen one and its place among them.
            pieces.extend([("[", Token::Accent), (&ask.way().name, Token::Text), ("]", Token::Accent)]);
            pieces.push((&place, Token::Muted));
        } else {
            for (i, way) in ask.ways.iter().enumerate() {
                let chosen = i == ask.chosen;
                pieces.push((if chosen { "[" } else { " " }, Token::Accent));
                pieces.push((&way.name, if chosen { Token::Text } else { Token::Unknown }));
                pieces.push((if chosen { "]" } else { " " }, Token::Accent));
            }
        }
        put_all(look, buf, area.x, y, area.width, &pieces);
        y += 1;
    }
    y - area.y
}

/// What follows from it, and what speaks for and against it, in lines that fit. What stands in the way comes first.
fn follows(look: &Look<'_>, sheet: &Sheet, columns: usize) -> Vec<(String, Token)> {
    let way = sheet.ask.way();
    let impact = way.impact.iter().flat_map(|text| hanging(text, columns, 2)).map(|line| (line, Token::Text));
    let gates = way.evidence.iter().flat_map(|(verdict, text)| {
        let (glyph, token, indent) = match verdict {
            Some(Verdict::Pass) => (look.glyphs.ok, Token::Ok, GATE_INDENT),
            Some(Verdict::Fail) => (look.glyphs.fail, Token::Crit, GATE_INDENT),
            Some(Verdict::Inconclusive) => ("?", Token::Warn, GATE_INDENT),
            None => ("-", Token::Unknown, 2),
        };
        hanging(&format!("{glyph} {text}"), columns, indent).into_iter().map(move |line| (line, token))
    });
    if way.is_refused() { gates.chain(impact).collect() } else { impact.chain(gates).collect() }
}

/// A text over as many lines as it takes, all but the first indented.
fn hanging(text: &str, columns: usize, indent: usize) -> Vec<String> {
    if crate::tui::format::width(text) <= columns {
        return vec![text.to_owned()];
    }
    // The first words stand as they were laid out.
    let head: String = text.chars().take(indent).collect();
    let rest: String = text.chars().skip(indent).collect();
    let lines = wrap(&rest, columns.saturating_sub(indent).max(8));
    let first = |n: usize| if n == 0 { head.clone() } else { " ".repeat(indent) };
    lines.into_iter().enumerate().map(|(n, line)| format!("{}{line}", first(n))).collect()
}

/// A long list of targets scrolls.
fn impact(look: &Look<'_>, buf: &mut Buffer, area: Rect, sheet: &Sheet, lines: &[(String, Token)]) {
    if area.height < 2 {
        return;
    }
    let blank = u16::from(area.height > 4);
    let room = usize::from(area.height - 1 - blank);
    let first = sheet.scroll.min(lines.len().saturating_sub(room));
    let head = area.y + blank;
    let title = if sheet.ask.way().is_refused() { "NOT NOW" } else { "IMPACT" };
    put(look, buf, area.x, head, area.width, title, look.style(Token::Accent));
    if lines.len() > room {
        let last = (first + room).min(lines.len());
        let where_ = format!("{} to {last} of {} lines · j k", first + 1, lines.len());
        put_right(look, buf, area.x + 8, area.right(), head, &where_, look.style(Token::Muted));
    }
    for (y, (text, token)) in (head + 1..area.bottom()).zip(lines.iter().skip(first)) {
        put(look, buf, area.x + 2, y, area.width.saturating_sub(2), text, look.style(*token));
    }
}

/// What the agent said to the last attempt or rehearsal.
fn answer(look: &Look<'_>, sheet: &Sheet) -> Vec<(String, Token)> {
    match &sheet.phase {
        Phase::Refused(fault) => {
            let rest = [(&fault.why, Token::Text), (&fault.next, Token::Info)];
            let rest = rest.into_iter().filter(|(t, _)| !t.is_empty()).map(|(t, token)| (format!("  {t}"), token));
            std::iter::once((format!("{} {}", look.glyphs.fail, fault.what), Token::Crit)).chain(rest).collect()
        }
        Phase::Sent { dry_run: true, .. } => vec![("asking what would happen…".to_owned(), Token::Info)],
        Phase::Sent { .. } => vec![("sent; the agent goes on if you leave".to_owned(), Token::Info)],
        _ => sheet.rehearsal.iter().map(|said| (format!("dry run  {said}"), Token::Text)).collect(),
    }
}

fn reason(look: &Look<'_>, buf: &mut Buffer, area: Rect, sheet: &Sheet) {
    if area.height < 2 {
        return;
    }
    let writing = sheet.phase == Phase::Writing;
    put(look, buf, area.x, area.y, area.width, "REASON", look.style(Token::Accent));
    let hint = if writing { "↵ or Esc done" } else { "e edit" };
    put_right(look, buf, area.x + 8, area.right(), area.y, hint, look.style(Token::Muted));
    let mut text = sheet.reason.clone();
    let body = look.style(Token::Text);
    text.set_style(body);
    text.set_cursor_line_style(Style::new());
    text.set_cursor_style(if writing { body.add_modifier(Modifier::REVERSED) } else { body });
    let least = sheet.ask.way().reason_chars_min;
    let wanted = if least > 1 { format!("why; {least} characters at least") } else { "why".to_owned() };
    text.set_placeholder_text(wanted);
    text.set_placeholder_style(look.style(Token::Unknown));
    let room = Rect::new(area.x + 2, area.y + 1, area.width - 2, (area.height - 1).min(2));
    (&text).render(room, buf);
    for (n, text) in sheet.ask.way().reasons.iter().enumerate() {
        let (row, column) = (u16::try_from(n / 2).unwrap_or(0), u16::try_from(n % 2).unwrap_or(0));
        let (x, y) = (area.x + column * (area.width / 2), area.y + 3 + row);
        if y < area.bottom() {
            let key = (n + 1).to_string();
            let pieces = [(key.as_str(), Token::Accent), (" ", Token::Text), (*text, Token::Muted)];
            put_all(look, buf, x, y, area.width / 2, &pieces);
        }
    }
}

/// The word that must be typed, and what of it there is.
fn word_line(look: &Look<'_>, buf: &mut Buffer, line: Rect, sheet: &Sheet) {
    let Some(word) = &sheet.ask.way().word else { return };
    let typing = sheet.phase == Phase::Typing;
    let done = sheet.word.text().trim() == word;
    let (before, after) = sheet.word.split();
    let label = format!("TYPE {word} ");
    let x = line.x
        + put_all(
            look,
            buf,
            line.x,
            line.y,
            line.width,
            &[(&label, Token::Accent), ("▸ ", Token::Muted), (&before, Token::Text)],
        );
    if typing {
        let under = after.chars().next().unwrap_or(' ').to_string();
        put(look, buf, x, line.y, 1, &under, look.style(Token::Text).add_modifier(Modifier::REVERSED));
    }
    let hint = match (typing, done) {
        (true, _) => "↵ or Esc done",
        (false, true) => look.glyphs.ok,
        (false, false) => "t type",
    };
    put_right(look, buf, x + 2, line.right(), line.y, hint, look.style(if done { Token::Ok } else { Token::Muted }));
}

fn confirm_line(look: &Look<'_>, buf: &mut Buffer, line: Rect, sheet: &Sheet, state: &State) {
    let lacks = sheet.lacks();
    let (text, token) = match (&sheet.phase, &lacks) {
        (Phase::Sent { .. } | Phase::Confirming(_), _) => ("[ … ]".to_owned(), Token::Info),
        (Phase::Writing, _) => ("[ writing the reason ]".to_owned(), Token::Info),
        (Phase::Typing, _) => ("[ typing ]".to_owned(), Token::Info),
        (_, Some(why)) => (format!("[ y ]  {why}"), Token::Warn),
        _ if !sheet.is_armed(state.now) => ("[ y ]  read first…".to_owned(), Token::Unknown),
        _ => (format!("[ y  {} now ]", sheet.ask.way().verb), Token::Ok),
    };
    let used = put(look, buf, line.x, line.y, line.width, &text, look.style(token));

    put_right(look, buf, line.x + 2 + used, line.right(), line.y, "n / Esc  cancel", look.style(Token::Muted));
}
