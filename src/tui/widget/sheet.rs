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
use crate::tui::state::State;
use crate::tui::theme::Token;

/// The reason with its templates takes so many lines, and the confirming line one.
const REASON_LINES: u16 = 5;

pub fn sheet(look: &Look<'_>, buf: &mut Buffer, area: Rect, sheet: &Sheet, state: &State) {
    let way = sheet.ask.way();
    // Grows with what follows from it, up to the screen: what is asked should be read without scrolling.
    let more = (way.impact.len() + way.evidence.len()).saturating_sub(7);
    let at = middle(area, 78, 22 + u16::try_from(more.min(20)).unwrap_or(0));
    Clear.render(at, buf);
    let context = state.status.value().map_or(String::new(), |s| s.context.to_uppercase());
    let inner = pane(look, buf, at, true, &sheet.ask.title, &context);
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
    impact(look, buf, Rect { y: top.y + used, height: room, ..top }, sheet);
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
    let named = ask.subject.iter().any(|(label, _)| label == "to");
    if ask.ways.len() > 1 || !named {
        let mut pieces: Vec<(&str, Token)> = vec![("to     ", Token::Muted)];
        for (i, way) in ask.ways.iter().enumerate() {
            let chosen = i == ask.chosen;
            pieces.push((if chosen { "[" } else { " " }, Token::Accent));
            pieces.push((&way.name, if chosen { Token::Text } else { Token::Unknown }));
            pieces.push((if chosen { "]" } else { " " }, Token::Accent));
        }
        put_all(look, buf, area.x, y, area.width, &pieces);
        y += 1;
    }
    y - area.y
}

/// What follows from it; a long list of targets scrolls.
fn impact(look: &Look<'_>, buf: &mut Buffer, area: Rect, sheet: &Sheet) {
    if area.height < 2 {
        return;
    }
    let blank = u16::from(area.height > 4);
    let way = sheet.ask.way();
    let impact = way.impact.iter().map(|text| (text.clone(), Token::Text));
    let evidence = way.evidence.iter().map(|(verdict, text)| {
        let (glyph, token) = match verdict {
            Some(Verdict::Pass) => (look.glyphs.ok, Token::Ok),
            Some(Verdict::Fail) => (look.glyphs.fail, Token::Crit),
            Some(Verdict::Inconclusive) => ("?", Token::Warn),
            None => ("-", Token::Unknown),
        };
        (format!("{glyph} {text}"), token)
    });
    let lines: Vec<(String, Token)> = impact.chain(evidence).collect();
    let room = usize::from(area.height - 1 - blank);
    let first = sheet.scroll.min(lines.len().saturating_sub(room));
    let head = area.y + blank;
    put(look, buf, area.x, head, area.width, "IMPACT", look.style(Token::Accent));
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
