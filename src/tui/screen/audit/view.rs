//! The picture of the audit trail: events, one of them in full, and what it changed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::Value;

use super::{CHANGE, DETAIL, EVENTS, PANES};
use crate::base::Timestamp;
use crate::tui::format;
use crate::tui::model::Record;
use crate::tui::remote::Remote;
use crate::tui::screen::runs::view::failed;
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::table::{Cell, Col, Row, table};
use crate::tui::widget::{Look, Scroll, put, put_all};

pub fn panes(state: &State, body: Rect) -> [Option<Rect>; PANES] {
    let focus = state.audit.pane;
    let mut at = [None; PANES];
    if state.zoom || body.width < 80 || body.height < 16 {
        at[focus] = Some(body);
        return at;
    }
    let low = (body.height * 2 / 5).clamp(7, 16);
    let bottom = Rect { y: body.bottom() - low, height: low, ..body };
    at[EVENTS] = Some(Rect { height: body.height - low, ..body });
    if body.width >= 100 {
        let half = body.width / 2;
        at[DETAIL] = Some(Rect { width: half, ..bottom });
        at[CHANGE] = Some(Rect { x: bottom.x + half, width: body.width - half, ..bottom });
    } else {
        at[if focus == CHANGE { CHANGE } else { DETAIL }] = Some(bottom);
    }
    at
}

pub fn view(look: &Look<'_>, buf: &mut Buffer, body: Rect, state: &State, scroll: &mut Scroll) {
    let at = panes(state, body);
    if let Some(area) = at[EVENTS] {
        events(look, buf, area, state, scroll);
    }
    let record = state.audit.current();
    if let Some(area) = at[DETAIL] {
        let title = record.map_or("RECORD".into(), |r| format!("#{} {}", r.seq, r.action));
        let inner = pane(look, buf, area, state.audit.pane == DETAIL, &title, "y copy");
        if let Some(r) = record {
            lines(look, buf, inner, state.audit.scrolls[DETAIL], &detail(look, r));
        }
    }
    if let Some(area) = at[CHANGE] {
        let inner = pane(look, buf, area, state.audit.pane == CHANGE, "STATE BEFORE → AFTER", "");
        if let Some(r) = record {
            lines(look, buf, inner, state.audit.scrolls[CHANGE], &change(r));
        }
    }
}

/// What is known of the chain, for the frame of the list.
fn chain(look: &Look<'_>, state: &State) -> (String, Token) {
    match &state.audit.verdict.remote {
        _ if state.audit.verdict.is_waiting() => ("verifying the chain…".into(), Token::Info),
        Remote::Fresh(v, at) | Remote::Stale(v, at, _) => match &v.broken {
            None => (
                format!(
                    "chain {} {} records verified {}",
                    look.glyphs.ok,
                    format::count(v.records),
                    format::clock(*at)
                ),
                Token::Ok,
            ),
            Some(what) => (format!("chain {} BROKEN: {what}", look.glyphs.fail), Token::Crit),
        },
        Remote::Failed(fault) => (format!("not verified: {}", fault.what), Token::Warn),
        Remote::Empty | Remote::Loading => ("v verify chain · newest first".into(), Token::Muted),
    }
}

fn events(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, scroll: &mut Scroll) {
    let audit = &state.audit;
    let (note, token) = chain(look, state);
    let inner = pane(look, buf, area, audit.pane == EVENTS, "EVENTS", "");
    crate::tui::widget::put_right(
        look,
        buf,
        area.x + 12,
        area.right() - 2,
        area.y,
        &format!(" {} ", format::cut(&note, usize::from(area.width) - 16, "…")),
        look.style(token),
    );
    let window = match &audit.page.remote {
        Remote::Empty | Remote::Loading => return empty(look, buf, inner, &[("asking the agent…", Token::Muted)]),
        Remote::Failed(fault) => return failed(look, buf, inner, fault),
        Remote::Fresh(w, _) | Remote::Stale(w, ..) => w,
    };
    if window.total == 0 {
        let text = if audit.filter.is_empty() {
            "Nothing has been changed yet: every change leaves a record here."
        } else {
            "No record fits. Esc clears the filter."
        };
        return empty(
            look,
            buf,
            inner,
            &[
                (text, Token::Text),
                ("registry changes:   opsroom model stage   or P in the Registry (3)", Token::Muted),
            ],
        );
    }
    let columns = [
        Col::right("#", 6, 6),
        Col::left("TIME", 10, 0),
        Col::left("ACTOR", 10, 1),
        Col::left("VIA", 7, 7),
        Col::left("ACTION", 12, 0).grows(8),
        Col::left("TARGET", 16, 0).grows(10),
        Col::left("FROM → TO", 16, 3).grows(8),
        Col::left("RESULT", 8, 2),
        Col::left("REASON", 14, 4).grows(40),
    ];
    let is_stale = audit.page.remote.is_stale();
    let first = scroll.keep("audit", audit.cursor, window.total, usize::from(inner.height.saturating_sub(1)));
    let rows = (first..window.total).take(usize::from(inner.height)).map(|i| match window.get(i) {
        None => Row { cells: vec![Cell::muted("…")], at_cursor: i == audit.cursor, marked: false },
        Some(r) => Row { cells: cells(r, state.now, is_stale), at_cursor: i == audit.cursor, marked: false },
    });
    table(look, buf, inner, &columns, rows, audit.pane == EVENTS);
}

fn cells(r: &Record, now: Timestamp, stale: bool) -> Vec<Cell<'_>> {
    let result = match (r.ok, stale) {
        (true, false) => Cell::new("ok", Token::Ok),
        (false, false) => Cell::new("REFUSED", Token::Crit),
        (ok, true) => Cell::new(if ok { "~ok" } else { "~REFUSED" }, Token::Unknown),
    };
    let moved = match (r.from.is_empty(), r.to.is_empty()) {
        (true, true) => "-".to_owned(),
        (true, false) => format!("→ {}", r.to),
        _ => format!("{} → {}", r.from, r.to),
    };
    vec![
        Cell::muted(r.seq.to_string()),
        Cell::muted(format::moment(now, r.at)),
        if r.verified { Cell::text(r.actor.as_str()) } else { Cell::new(format!("{}?", r.actor), Token::Warn) },
        Cell::muted(r.via.as_str()),
        Cell::text(r.action.as_str()),
        Cell::id(r.target.as_str()),
        Cell::text(moved),
        result,
        Cell::muted(if r.reason.is_empty() { "-" } else { r.reason.as_str() }),
    ]
}

type Line = (String, String, Token);

fn detail(look: &Look<'_>, r: &Record) -> Vec<Line> {
    let line = |label: &str, text: String, token| (label.to_owned(), text, token);
    let identity = if r.verified { "identity verified" } else { "identity claimed, not verified" };
    let mut lines = vec![
        line("who", format!("{} via {}   {identity}", r.actor, r.via), Token::Text),
        line("when", format::full(r.at), Token::Text),
        line("what", format!("{} {}", r.action, r.target), Token::Text),
        line("why", if r.reason.is_empty() { "not given".into() } else { r.reason.clone() }, Token::Text),
    ];
    if !r.from.is_empty() || !r.to.is_empty() {
        lines.push(line("move", format!("{} → {}", r.from, r.to), Token::Text));
    }
    let token = if r.ok { Token::Ok } else { Token::Crit };
    lines.push(line("result", format!("{} {}", if r.ok { look.glyphs.ok } else { look.glyphs.fail }, r.result), token));
    lines.extend(r.generation.map(|g| line("gen", g.to_string(), Token::Text)));
    lines.extend(r.idempotency_key.iter().map(|k| line("idem", k.clone(), Token::Muted)));
    lines.push(line("previous", r.previous.clone(), Token::Muted));
    lines.push(line("digest", r.digest.clone(), Token::Muted));
    lines
}

/// What differs, line by line: `-` before, `+` after, blank for what stayed.
fn change(r: &Record) -> Vec<Line> {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    flatten("", &r.before, &mut before);
    flatten("", &r.after, &mut after);
    let mut lines = Vec::new();
    for (key, old) in &before {
        match after.iter().find(|(k, _)| k == key) {
            Some((_, new)) if new == old => lines.push(("  ".into(), format!("{key}: {old}"), Token::Muted)),
            Some((_, new)) => {
                lines.push(("- ".into(), format!("{key}: {old}"), Token::Crit));
                lines.push(("+ ".into(), format!("{key}: {new}"), Token::Ok));
            }
            None => lines.push(("- ".into(), format!("{key}: {old}"), Token::Crit)),
        }
    }
    let new = after.iter().filter(|(k, _)| !before.iter().any(|(b, _)| b == k));
    lines.extend(new.map(|(k, v)| ("+ ".into(), format!("{k}: {v}"), Token::Ok)));
    if lines.is_empty() {
        lines.push((String::new(), "nothing was changed".into(), Token::Muted));
    }
    lines
}

fn flatten(path: &str, value: &Value, into: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            for (k, v) in map {
                flatten(&if path.is_empty() { k.clone() } else { format!("{path}.{k}") }, v, into);
            }
        }
        Value::Null if path.is_empty() => {}
        Value::String(s) => into.push((path.to_owned(), s.clone())),
        other => into.push((path.to_owned(), other.to_string())),
    }
}

fn lines(look: &Look<'_>, buf: &mut Buffer, inner: Rect, scroll: usize, lines: &[Line]) {
    let skip = scroll.min(lines.len().saturating_sub(usize::from(inner.height)));
    for (y, (label, text, token)) in (inner.y..inner.bottom()).zip(lines.iter().skip(skip)) {
        if label.len() <= 2 {
            put_all(look, buf, inner.x + 1, y, inner.width - 1, &[(label, *token), (text, *token)]);
        } else {
            put(look, buf, inner.x + 1, y, 9, label, look.style(Token::Muted));
            put(look, buf, inner.x + 11, y, inner.width.saturating_sub(11), text, look.style(*token));
        }
    }
}
