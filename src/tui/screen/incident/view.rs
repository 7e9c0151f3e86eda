//! The picture of an incident: WHAT, WHAT CHANGED, WHICH INPUT, WHICH SLICE, DO, and what people noted.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{CHANGED, INPUT, NOTES, PANES, SLICE, WHAT};
use crate::base::show;
use crate::capability::fleet::Live;
use crate::capability::wire::IncidentView;
use crate::tui::action::Action;
use crate::tui::format;
use crate::tui::remote::Remote;
use crate::tui::screen::runs::view::failed;
use crate::tui::screen::watch::curve;
use crate::tui::screen::watch::words::{self, Freshness, freshness};
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::table::{Cell, Col, rows, table};
use crate::tui::widget::{Look, Scroll, put, put_all};

/// Where the panes lie, and after them what can be done.
fn places(state: &State, body: Rect) -> ([Option<Rect>; PANES], Option<Rect>) {
    let focus = state.incident.pane;
    let mut at = [None; PANES];
    if state.zoom || body.width < 80 || body.height < 18 {
        at[focus] = Some(Rect { y: body.y + 1, height: body.height.saturating_sub(1), ..body });
        return (at, None);
    }
    let body = Rect { y: body.y + 1, height: body.height - 1, ..body };
    let tall = body.height >= 30;
    let row = |y: u16, height: u16| Rect { y, height, ..body };
    if tall {
        let notes = 5;
        let low = 8;
        let mid = 7;
        let what = body.height - notes - low - mid;
        at[WHAT] = Some(row(body.y, what));
        let (left, right) = halves(row(body.y + what, mid), 58);
        (at[CHANGED], at[INPUT]) = (Some(left), Some(right));
        let (left, right) = halves(row(body.y + what + mid, low), 70);
        at[SLICE] = Some(left);
        at[NOTES] = Some(row(body.bottom() - notes, notes));
        return (at, Some(right));
    }
    let (act, mid) = (4, 5);
    let changed = 5;
    let what = body.height.saturating_sub(act + mid + changed);
    at[WHAT] = Some(row(body.y, what));
    at[if focus == NOTES { NOTES } else { CHANGED }] = Some(row(body.y + what, changed));
    let (left, right) = halves(row(body.y + what + changed, mid), 50);
    (at[INPUT], at[SLICE]) = (Some(left), Some(right));
    (at, Some(row(body.bottom() - act, act)))
}

fn halves(area: Rect, per_cent: u16) -> (Rect, Rect) {
    let left = area.width * per_cent / 100;
    (Rect { width: left, ..area }, Rect { x: area.x + left, width: area.width - left, ..area })
}

pub fn panes(state: &State, body: Rect) -> [Option<Rect>; PANES] {
    places(state, body).0
}

pub fn view(look: &Look<'_>, buf: &mut Buffer, body: Rect, state: &State, scroll: &mut Scroll) {
    let Some(view) = state.incident.known() else {
        let inner = pane(look, buf, body, true, &format!("INC-{}", state.incident.id), "");
        if let Remote::Failed(fault) = &state.incident.view.remote {
            return failed(look, buf, inner, fault);
        }
        return empty(look, buf, inner, &[("loading…", Token::Muted)]);
    };
    let page = state.watch.about(&view.incident.service);
    summary(look, buf, Rect { height: 1, ..body }, state, view);
    let (at, todo) = places(state, body);
    if let Some(area) = at[WHAT] {
        what(look, buf, area, state, view, page);
    }
    if let Some(area) = at[CHANGED] {
        changed(look, buf, area, state, view, scroll);
    }
    if let Some(area) = at[INPUT] {
        input(look, buf, area, state, page, scroll);
    }
    if let Some(area) = at[SLICE] {
        slice(look, buf, area, state, page, scroll);
    }
    if let Some(area) = at[NOTES] {
        notes(look, buf, area, state, view);
    }
    if let Some(area) = todo {
        what_to_do(look, buf, area, state, view);
    }
}

/// What is wrong, who has it, what serves: in a line.
fn summary(look: &Look<'_>, buf: &mut Buffer, line: Rect, state: &State, view: &IncidentView) {
    let (i, now) = (&view.incident, state.then());
    let (sign, token) = words::severity(look.glyphs, i.severity);
    let lasted = match i.closed {
        Some(at) => format!("closed {} after {}", format::moment(now, at), show::between(i.opened, at)),
        None => format!("for {}", format::age(now, i.opened)),
    };
    let (word, word_token) = words::state(i, now);
    let who = i.acknowledged.as_ref().map_or(String::new(), |(who, at)| format!(" {who} {}", format::clock(*at)));
    let owner = i.owner.as_ref().filter(|o| i.acknowledged.as_ref().is_none_or(|(who, _)| who != *o));
    let owner = owner.map_or(String::new(), |o| format!(" · with {o}"));
    let watched = match i.watchers.as_slice() {
        [] => String::new(),
        [one] => format!(" · watched by {one}"),
        many => format!(" · watched by {} and {} more", many[0], many.len() - 1),
    };
    let share = state.rollouts.rows.value().and_then(|all| all.iter().find(|s| s.service.name == i.service));
    let share = share.and_then(crate::tui::screen::rollouts::share_words).map_or(String::new(), |s| format!(" · {s}"));
    let what = words::what(i);
    let lead = format!(" {sign} SEV{} ", i.severity);
    let told = format!(" {lasted}");
    let stale = if state.incident.view.remote.is_stale() { "~" } else { "" };
    let pieces = [
        (lead.as_str(), token),
        (stale, Token::Unknown),
        (what.as_str(), Token::Text),
        (told.as_str(), Token::Muted),
        (" · ", Token::Muted),
        (word.as_str(), word_token),
        (who.as_str(), Token::Muted),
        (owner.as_str(), Token::Muted),
        (watched.as_str(), Token::Muted),
        (share.as_str(), Token::Muted),
    ];
    put_all(look, buf, line.x, line.y, line.width, &pieces);
}

fn what(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, view: &IncidentView, page: Option<&Live>) {
    let here = state.incident.pane == WHAT;
    let title = page.map_or("WHAT".to_owned(), |p| format!("WHAT  {}, {}", p.metric, words::length(p)));
    let bound = page.and_then(|p| p.bound).map_or(String::new(), |b| format!("bad {}", b.shown()));
    let inner = pane(look, buf, area, here, &title, &bound);
    let alerts = if inner.height >= 9 { u16::try_from(view.incident.alerts.len()).unwrap_or(3).clamp(1, 3) } else { 0 };
    let plot = Rect { height: inner.height.saturating_sub(alerts), ..inner };
    match page {
        Some(page) => curve::draw(look, buf, plot, page, None, state.watch.page.remote.is_stale()),
        None => match &state.watch.page.remote {
            Remote::Failed(fault) => empty(look, buf, plot, &[(&fault.to_string(), Token::Muted)]),
            _ => empty(look, buf, plot, &[("asking the agent…", Token::Muted)]),
        },
    }
    let cursor = state.incident.cursors[WHAT];
    let skip = (cursor + 1).saturating_sub(usize::from(alerts));
    let list = view.incident.alerts.iter().enumerate().skip(skip);
    for (y, (n, raised)) in (plot.bottom()..inner.bottom()).zip(list) {
        let bar = if here && n == cursor { look.glyphs.cursor } else { " " };
        let ended = raised.cleared.map_or(String::new(), |t| format!("   well again {}", format::clock(t)));
        let (sign, token) = if raised.cleared.is_some() {
            (look.glyphs.ok, Token::Info)
        } else {
            words::severity(look.glyphs, raised.alert.severity)
        };
        let time = format!("{} ", format::clock(raised.at));
        let sign = format!("{sign:<2} ");
        let text = format!("{}: {}  n={}{ended}", raised.alert.rule, raised.alert.what, format::count(raised.alert.n));
        put_all(
            look,
            buf,
            inner.x,
            y,
            inner.width,
            &[(bar, Token::BorderFocus), (&time, Token::Muted), (&sign, token), (&text, Token::Text)],
        );
    }
}

fn changed(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, view: &IncidentView, scroll: &mut Scroll) {
    let here = state.incident.pane == CHANGED;
    let note = if area.width >= 60 { "nearness × scope · ↵ record" } else { "" };
    let inner = pane(look, buf, area, here, "WHAT CHANGED", note);
    if view.suspects.is_empty() {
        return empty(
            look,
            buf,
            inner,
            &[
                ("Nothing was changed in the 24 hours before.", Token::Muted),
                ("Look at the inputs, and at what callers send.", Token::Muted),
            ],
        );
    }
    let columns = [
        Col::left("WHEN", 9, 2),
        Col::right("BEFORE", 6, 0),
        Col::left("WHO", 6, 3),
        Col::left("CHANGE", 18, 0).grows(34),
        Col::left("SUSPECT", 13, 1),
    ];
    let cursor = state.incident.cursors[CHANGED];
    let rows = rows(scroll, "suspects", inner, (cursor, here), &view.suspects, |s| {
        let c = &s.change;
        let moved = if c.from.is_empty() || c.from == c.to { c.to.clone() } else { format!("{} → {}", c.from, c.to) };
        let target = c.target.strip_prefix("service ").unwrap_or(&c.target);
        let target = if target == view.incident.service { String::new() } else { format!(" {target}") };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 8
        let bar: String =
            (0..(s.score * 8.0).round() as usize).map(|_| look.glyphs.ramp.last().copied().unwrap_or('#')).collect();
        vec![
            Cell::muted(format::moment(state.then(), c.at)),
            Cell::text(format!("-{}", format::rough_span(s.before))),
            Cell::muted(c.who.as_str()),
            Cell::text(format::clean(&format!("{}{target} {moved}", c.what.replace('-', " ")))),
            Cell::new(format!("{bar:<8} {:.2}", s.score), if s.score >= 0.5 { Token::Crit } else { Token::Warn }),
        ]
    });
    table(look, buf, inner, &columns, rows, here);
}

fn input(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, page: Option<&Live>, scroll: &mut Scroll) {
    let here = state.incident.pane == INPUT;
    let arm = super::arm(state);
    let name = arm.map_or(String::new(), |v| format!("{} against {}", words::version(&v.version), v.drift.reference));
    let title = if area.width >= 46 { "WHICH INPUT DRIFTED" } else { "INPUT" };
    let inner = pane(look, buf, area, here, title, &name);
    let (Some(arm), Some(page)) = (arm, page) else {
        return empty(look, buf, inner, &[("no prediction in this window", Token::Muted)]);
    };
    if arm.drift.columns.is_empty() {
        return empty(look, buf, inner, &[("No features came with the predictions.", Token::Muted)]);
    }
    let stale = state.watch.page.remote.is_stale();
    let fresh = if stale { Freshness::Stale } else { freshness(Some(arm.quality.last), true, page.at) };
    let columns = [Col::left("FEATURE", 14, 0).grows(6), Col::right("PSI", 8, 0), Col::left("MISSING", 14, 0)];
    let cursor = state.incident.cursors[INPUT];
    let rows = rows(scroll, "inputs", inner, (cursor, here), &arm.drift.columns, |c| {
        let (psi, token) = words::psi(look.glyphs, c.psi, c.alarm, fresh);
        let moved = (c.missing - c.missing_reference).abs() > 0.001;
        let share = words::per_cent(c.missing);
        let missing =
            if moved { format!("{}→{share}%", words::per_cent(c.missing_reference)) } else { format!("{share}%") };
        vec![
            Cell::id(c.name.as_str()),
            Cell::new(psi, token),
            Cell::new(missing, if moved { Token::Warn } else { Token::Muted }),
        ]
    });
    table(look, buf, inner, &columns, rows, here);
}

fn slice(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, page: Option<&Live>, scroll: &mut Scroll) {
    let here = state.incident.pane == SLICE;
    let arm = super::arm(state);
    let title = arm.map_or("WHICH SLICE".to_owned(), |v| format!("WHICH SLICE ({})", words::version(&v.version)));
    let inner = pane(look, buf, area, here, if area.width >= 50 { &title } else { "SLICE" }, "by share of the loss");
    let Some(arm) = arm else {
        return empty(look, buf, inner, &[("no prediction in this window", Token::Muted)]);
    };
    super::super::live::slices::table_of(look, buf, inner, page, arm, state.incident.cursors[SLICE], here, scroll);
}

fn notes(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, view: &IncidentView) {
    let here = state.incident.pane == NOTES;
    let inner = pane(look, buf, area, here, "NOTES & ACTIONS", "n note");
    let all = &view.incident.notes;
    if all.is_empty() {
        put_all(
            look,
            buf,
            inner.x + 1,
            inner.y,
            inner.width - 2,
            &[("Nobody noted anything yet; n writes a note, A says that you look after it.", Token::Muted)],
        );
        return;
    }
    // The newest at the bottom, as in a log; the cursor scrolls back.
    let back = state.incident.cursors[NOTES].min(all.len().saturating_sub(usize::from(inner.height)));
    let end = all.len() - back;
    let first = end.saturating_sub(usize::from(inner.height));
    for (y, note) in (inner.y..inner.bottom()).zip(&all[first..end]) {
        let head = format!("{} {}  ", format::moment(state.then(), note.at), note.by);
        put_all(
            look,
            buf,
            inner.x + 1,
            y,
            inner.width - 2,
            &[(&head, Token::Muted), (&format::clean(&note.text), Token::Text)],
        );
    }
}

/// The ways out, each with its key and whether it is ready; the drafted reason below.
fn what_to_do(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, view: &IncidentView) {
    let inner = pane(look, buf, area, false, "DO", "a all");
    let standing =
        state.rollouts.rows.value().and_then(|all| all.iter().find(|s| s.service.name == view.incident.service));
    let back = standing.map_or("roll back".to_owned(), |s| {
        let to = if s.candidate.is_some() { s.stable } else { s.previous };
        to.map_or("roll back".to_owned(), |v| format!("roll back to v{v}"))
    });
    let ways = [
        (Action::RollbackSheet, back.as_str()),
        (Action::DropSheet, "drop the canary"),
        (Action::WeightSheet, "weight"),
        (Action::PromoteSheet, "promote"),
        (Action::Ack, "acknowledge"),
        (Action::Silence, "silence"),
    ];
    let contexts = state.contexts();
    let tall = inner.height > 3;
    let (mut x, mut y) = (inner.x + 1, inner.y);
    for (action, words) in ways {
        let key = state.keys.keys_of(&contexts, action).into_iter().next().unwrap_or_default();
        let why = state.why_not(action);
        let (sign, token) =
            if why.is_none() { (look.glyphs.ok, Token::Ok) } else { (look.glyphs.fail, Token::Unknown) };
        let key = format!("{key} ");
        let words = format!("{words} ");
        let pieces = [
            (key.as_str(), if why.is_none() { Token::Accent } else { Token::Unknown }),
            (words.as_str(), Token::Text),
            (sign, token),
            ("  ", Token::Text),
        ];
        let wide = u16::try_from(pieces.iter().map(|(t, _)| format::width(t)).sum::<usize>()).unwrap_or(u16::MAX);
        if tall {
            if y >= inner.bottom() {
                break;
            }
            let why = why.map_or(String::new(), |w| format!(" {w}"));
            let used = put_all(look, buf, x, y, inner.right().saturating_sub(x), &pieces[..3]);
            put(look, buf, x + used, y, inner.right().saturating_sub(x + used), &why, look.style(Token::Muted));
            y += 1;
        } else {
            if x + wide > inner.right() {
                break;
            }
            x += put_all(look, buf, x, y, wide, &pieces);
        }
    }
    if !tall && inner.height > 1 {
        let text = format!("drafted reason: {}", view.reason);
        put_all(look, buf, inner.x + 1, inner.y + 1, inner.width - 2, &[(&text, Token::Muted)]);
    }
}
