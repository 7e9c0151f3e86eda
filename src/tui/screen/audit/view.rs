//! The picture of the audit trail: events, one of them in full, and what it changed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::Value;

use super::{Audit, CHANGE, DETAIL, EVENTS, PANES, Standing};
use crate::base::Timestamp;
use crate::tui::format;
use crate::tui::model::{Link, Record};
use crate::tui::remote::Remote;
use crate::tui::screen::lines::{self, Line, line};
use crate::tui::screen::runs::view::failed;
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::table::{Cell, Col, Row, table};
use crate::tui::widget::{Look, Scroll};

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
        let inner = pane(look, buf, area, state.audit.pane == DETAIL, &title, "o link · y copy");
        if let Some(r) = record {
            let text = aged(detail(look, r, &state.audit), state);
            lines::draw(look, buf, inner, state.audit.scrolls[DETAIL], &text);
        }
    }
    if let Some(area) = at[CHANGE] {
        let title = if record.is_none_or(|r| r.ok) { "STATE BEFORE → AFTER" } else { "WHAT WAS ASKED, AND REFUSED" };
        let inner = pane(look, buf, area, state.audit.pane == CHANGE, title, "d full diff");
        if let Some(r) = record {
            lines::draw(look, buf, inner, state.audit.scrolls[CHANGE], &aged(change(r), state));
        }
    }
}

/// Nothing is green that may no longer hold.
fn aged(mut lines: Vec<Line>, state: &State) -> Vec<Line> {
    if state.audit.page.remote.is_stale() {
        lines.iter_mut().filter(|l| l.token == Token::Ok).for_each(|l| l.token = Token::Unknown);
    }
    lines
}

/// What is known of the chain, for the frame of the list.
fn chain(look: &Look<'_>, state: &State) -> (String, Token) {
    match &state.audit.verdict.remote {
        _ if state.audit.verdict.is_waiting() => ("verifying the chain…".into(), Token::Info),
        Remote::Fresh(v, at) | Remote::Stale(v, at, _) => match &v.broken {
            None => (
                format!(
                    "chain {} {} records, {} signed heads, verified {}",
                    look.glyphs.ok,
                    format::count(v.records),
                    v.heads,
                    format::clock(*at)
                ),
                Token::Ok,
            ),
            Some(what) => (format!("chain {} BROKEN: {what}", look.glyphs.fail), Token::Crit),
        },
        Remote::Failed(fault) => (format!("not verified: {}", fault.what), Token::Warn),
        Remote::Empty | Remote::Loading => ("not verified yet: v · newest first".into(), Token::Muted),
    }
}

fn events(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, scroll: &mut Scroll) {
    let audit = &state.audit;
    let (mut note, mut token) = chain(look, state);
    if audit.page.remote.is_stale() && token == Token::Ok {
        (note, token) = (format!("~{note}"), Token::Unknown);
    }
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
        let grammar = "since=24h  -actor=ci  action=set-stage  target~flight  result=refused  a word of the reason";
        return empty(
            look,
            buf,
            inner,
            &[
                (text, Token::Text),
                ("", Token::Text),
                ("P in the Registry (3) moves a version:  opsroom promote MODEL VERSION --to STAGE", Token::Muted),
                ("a filter reads such as:", Token::Muted),
                (grammar, Token::Muted),
            ],
        );
    }
    let mut columns = vec![
        Col::right("#", 6, 6),
        Col::left("TIME", 10, 0),
        Col::left("ACTOR", 7, 1),
        Col::left("VIA", 4, 7),
        Col::left("ACTION", 12, 0).grows(7),
        Col::left("TARGET", 16, 0).grows(8),
        Col::left("FROM → TO", 15, 3).grows(2),
        Col::left("RESULT", 10, 2),
        Col::left("REASON", 14, 4).grows(40),
    ];
    // What the last check says of each record, once there was one.
    let checked = audit.verdict.value().is_some();
    columns.extend(checked.then(|| Col::left("CHAIN", 5, 5)));
    let is_stale = audit.page.remote.is_stale();
    let first = scroll.keep("audit", audit.cursor, window.total, usize::from(inner.height.saturating_sub(1)));
    let rows = (first..window.total).take(usize::from(inner.height)).map(|i| match window.get(i) {
        None => Row { cells: vec![Cell::muted("…")], at_cursor: i == audit.cursor, marked: false },
        Some(r) => {
            let mut cells = cells(look, r, state.then(), is_stale);
            cells.extend(audit.standing(r.seq).map(|s| standing(look, s, is_stale)));
            Row { cells, at_cursor: i == audit.cursor, marked: false }
        }
    });
    table(look, buf, inner, &columns, rows, audit.pane == EVENTS);
}

fn standing(look: &Look<'_>, standing: Standing, stale: bool) -> Cell<'static> {
    match standing {
        Standing::Holds if stale => Cell::new(format!("~{}", look.glyphs.ok), Token::Unknown),
        Standing::Holds => Cell::new(look.glyphs.ok, Token::Ok),
        Standing::Bad => Cell::new(format!("{} BAD", look.glyphs.fail), Token::Crit),
        Standing::Doubtful => Cell::new("?", Token::Warn),
        Standing::Newer => Cell::new("new", Token::Muted),
    }
}

/// A refused command has a sign of its own, says why, and stands back: nothing came of it.
fn cells<'a>(look: &Look<'_>, r: &'a Record, now: Timestamp, stale: bool) -> Vec<Cell<'a>> {
    let tilde = if stale { "~" } else { "" };
    let token = |usual: Token| if stale { Token::Unknown } else { usual };
    let body = if r.ok { Token::Text } else { Token::Unknown };
    let result = if r.ok {
        Cell::new(format!("{tilde}ok"), token(Token::Ok))
    } else {
        Cell::new(format!("{tilde}{} REFUSED", look.glyphs.fail), token(Token::Crit))
    };
    let moved = match (r.from.is_empty(), r.to.is_empty()) {
        (true, true) => "-".to_owned(),
        (true, false) => format!("→ {}", first_line(&r.to)),
        _ => format!("{} → {}", first_line(&r.from), first_line(&r.to)),
    };
    let why = match (r.ok, r.reason.is_empty()) {
        (false, _) => Cell::new(r.result.as_str(), token(Token::Warn)),
        (true, true) => Cell::muted("-"),
        (true, false) => Cell::muted(r.reason.as_str()),
    };
    vec![
        Cell::muted(r.seq.to_string()),
        Cell::muted(format::moment(now, r.at)),
        if r.verified { Cell::text(r.actor.as_str()) } else { Cell::new(format!("{}?", r.actor), Token::Warn) },
        Cell::muted(r.via.as_str()),
        Cell::new(r.action.as_str(), body),
        Cell { id: true, ..Cell::new(r.target.as_str(), body) },
        Cell::new(moved, body),
        result,
        why,
    ]
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.len() < text.trim_end().len() { format!("{line}…") } else { line.to_owned() }
}

fn detail(look: &Look<'_>, r: &Record, audit: &Audit) -> Vec<Line> {
    let identity = if r.verified { "identity verified" } else { "identity claimed, not verified" };
    let mut lines = Vec::new();
    if !r.ok {
        lines.push(line("REFUSED", format!("{} {}", look.glyphs.fail, r.result), Token::Crit));
        lines.push(line("", "nothing was changed", Token::Muted));
    }
    lines.extend([
        line(
            "who",
            format!("{} via {}   {identity}", r.actor, r.via),
            if r.verified { Token::Text } else { Token::Warn },
        ),
        line("when", format::full(r.at), Token::Text),
        line("what", format!("{} {}", r.action, r.target), Token::Text),
        line("why", if r.reason.is_empty() { "not given" } else { &r.reason }, Token::Text),
    ]);
    if (!r.from.is_empty() || !r.to.is_empty()) && !is_document(r) {
        lines.push(line("move", format!("{} → {}", r.from, r.to), Token::Text));
    }
    if r.ok {
        lines.push(line("result", format!("{} {}", look.glyphs.ok, r.result), Token::Ok));
    }
    lines.extend(r.link.as_ref().map(|l| line("links", format!("{}   o goes there", link_text(l)), Token::Accent)));
    lines.extend(r.generation.map(|g| line("gen", format!("{} → {g}", g.saturating_sub(1)), Token::Text)));
    lines.extend(r.idempotency_key.iter().map(|k| line("idem", k, Token::Muted)));
    lines.push(chain_line(look, r, audit));
    lines.push(line("previous", &r.previous, Token::Muted));
    lines.push(line("this", &r.digest, Token::Muted));
    if r.erased {
        lines.push(line("texts", "erased; the chain holds without them", Token::Warn));
    }
    lines
}

fn link_text(link: &Link) -> String {
    match link {
        Link::Model { name, version: Some(v) } => format!("{name} v{v}"),
        Link::Model { name, version: None } => name.clone(),
        Link::Run(id) => format!("run {id}"),
    }
}

/// Where the record stands in the chain, and whether that holds.
fn chain_line(look: &Look<'_>, r: &Record, audit: &Audit) -> Line {
    let of = audit.verdict.value().map_or(0, |v| v.records);
    let (text, token) = match audit.standing(r.seq) {
        None => (format!("link {}; not verified yet: v", r.seq), Token::Muted),
        Some(Standing::Holds) => (format!("{} link {} of {}", look.glyphs.ok, r.seq, format::count(of)), Token::Ok),
        Some(Standing::Bad) => {
            let why = audit.verdict.value().and_then(|v| v.broken.clone()).unwrap_or_default();
            (format!("{} {why}", look.glyphs.fail), Token::Crit)
        }
        Some(Standing::Doubtful) => ("? it comes after a record that does not hold".to_owned(), Token::Warn),
        Some(Standing::Newer) => (format!("link {}; newer than the last check: v", r.seq), Token::Muted),
    };
    line("chain", text, token)
}

/// A change of a text of several lines or of a long one.
fn is_document(r: &Record) -> bool {
    [&r.from, &r.to].iter().any(|t| t.contains('\n') || t.chars().count() > 80)
}

/// What differs, line by line: `-` before, `+` after, blank for what stayed.
fn change(r: &Record) -> Vec<Line> {
    if is_document(r) {
        let told = lines::difference(&r.from, &r.to);
        return told.into_iter().map(|(sign, text)| line(sign.text(), text, sign.token())).collect();
    }
    let (mut before, mut after) = (Vec::new(), Vec::new());
    flatten("", &r.before, &mut before);
    flatten("", &r.after, &mut after);
    let mut lines = Vec::new();
    for (key, old) in &before {
        match after.iter().find(|(k, _)| k == key) {
            Some((_, new)) if new == old => lines.push(line("  ", format!("{key}: {old}"), Token::Muted)),
            Some((_, new)) => {
                lines.push(line("- ", format!("{key}: {old}"), Token::Crit));
                lines.push(line("+ ", format!("{key}: {new}"), Token::Ok));
            }
            None => lines.push(line("- ", format!("{key}: {old}"), Token::Crit)),
        }
    }
    let new = after.iter().filter(|(k, _)| !before.iter().any(|(b, _)| b == k));
    lines.extend(new.map(|(k, v)| line("+ ", format!("{k}: {v}"), Token::Ok)));
    if lines.is_empty() {
        lines.push(line("  ", "nothing was changed", Token::Muted));
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
