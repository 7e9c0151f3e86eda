//! What surrounds every screen: badge, breadcrumb, links with their ages, clock; tabs; the filter; banners.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Look, Spot, put, put_all, put_right};
use crate::base::show;
use crate::tui::format;
use crate::tui::overlay::Overlay;
use crate::tui::query::Query;
use crate::tui::screen;
use crate::tui::state::{Pulse, State, View};
use crate::tui::theme::Token;

/// Line 1.
pub fn header(look: &Look<'_>, buf: &mut Buffer, line: Rect, state: &State) {
    let status = state.status.value();
    let context = status.map_or("…", |s| s.context.as_str());
    let prod = context.eq_ignore_ascii_case("prod") || context.eq_ignore_ascii_case("production");
    let badge = look.style(if prod { Token::BadgeProd } else { Token::BadgeOther });
    let brackets = look.theme.name == "mono";
    let name = context.to_uppercase();
    let mut x = line.x
        + put(look, buf, line.x, line.y, 24, &if brackets { format!("[{name}]") } else { format!(" {name} ") }, badge);
    if state.read_only().is_some() {
        x += put(look, buf, x + 1, line.y, 9, "READ-ONLY", look.style(Token::Warn)) + 1;
    }
    if state.frozen {
        x += put(look, buf, x + 1, line.y, 6, "FROZEN", look.style(Token::Warn)) + 1;
    }
    if state.in_past().is_some() {
        x += put(look, buf, x + 1, line.y, 5, "AS OF", look.style(Token::Warn)) + 1;
    }
    let right = links(look, buf, line, state);
    let crumbs = crumbs(state);
    for (i, crumb) in crumbs.iter().enumerate() {
        let token = if i + 1 == crumbs.len() { Token::Text } else { Token::Muted };
        x += put_all(look, buf, x, line.y, right.saturating_sub(x + 1), &[(" ▸ ", Token::Muted), (crumb, token)]);
    }
}

fn crumbs(state: &State) -> Vec<String> {
    match state.nav.here() {
        View::Fleet => vec!["fleet".into()],
        View::Incident(id) => {
            let of = state.incident.known().map(|v| format!(" {}", v.incident.service)).unwrap_or_default();
            vec!["fleet".into(), format!("INC-{id}{of}")]
        }
        View::Recovery(service) => vec!["rollouts".into(), service.clone(), "recovery".into()],
        View::Live => {
            let here = crate::tui::screen::live::service(state).map(ToOwned::to_owned);
            let arm = state.live.arm.as_ref().map(|v| crate::tui::screen::watch::words::version(v));
            std::iter::once("live".to_owned()).chain(here).chain(arm).collect()
        }
        View::Runs => {
            std::iter::once("runs".to_owned()).chain(state.runs.experiment.as_ref().map(|e| e.name.clone())).collect()
        }
        View::Run(id) => {
            let name = state.run.row.value().map_or_else(|| id.clone(), |r| r.name.clone());
            vec!["runs".into(), name]
        }
        View::Compare(ids) => vec!["runs".into(), format!("compare {}", ids.len())],
        View::Registry => {
            std::iter::once("registry".to_owned()).chain(state.registry.current().map(|m| m.name.clone())).collect()
        }
        View::Rollouts => {
            let here = state.rollouts.current().map(|s| s.service.name.clone());
            std::iter::once("rollouts".to_owned()).chain(here).collect()
        }
        View::Cost => vec!["cost".into()],
        View::Readiness => vec!["readiness".into()],
        View::Audit => vec!["audit".into()],
        View::Data => {
            let data = &state.data;
            let here = match &data.between {
                _ if data.shows_evals => Some("evals".to_owned()),
                Some((from, to)) => Some(format!("{from} → {to}")),
                None => data.current().map(|r| r.dataset.clone()),
            };
            std::iter::once("data".to_owned()).chain(here).collect()
        }
        View::Versus { model, old, new } => vec!["registry".into(), model.clone(), format!("v{old} → v{new}")],
    }
}

/// The right end of the header, from the right; returns where it begins.
fn links(look: &Look<'_>, buf: &mut Buffer, line: Rect, state: &State) -> u16 {
    let wide = line.width >= 100;
    let mut right = line.right().saturating_sub(1);
    let mut put_left = |text: &str, token: Token| {
        let used = put_right(look, buf, line.x + 10, right, line.y, text, look.style(token));
        right = right.saturating_sub(if used == 0 { 0 } else { used + 2 });
    };
    if wide && let Some(s) = state.status.value() {
        put_left(&s.user, Token::Muted);
    }
    put_left(&format::clock(state.now), Token::Text);
    for (name, pulse) in [("obs", &state.events), ("ctl", &state.control)] {
        let (text, token) = link(look, name, pulse, state);
        put_left(&text, token);
    }
    if *state.nav.here() == View::Runs && wide && state.runs.live() > 0 {
        let (tilde, token) = if state.runs.page.remote.is_stale() { ("~", Token::Unknown) } else { ("", Token::Ok) };
        put_left(&format!("{tilde}{} live", state.runs.live()), token);
    }
    if let Some(n) = state.fleet.open_count().filter(|n| *n > 0) {
        let stale = state.fleet.open.remote.is_stale();
        let (tilde, token) = if stale { ("~", Token::Unknown) } else { ("", Token::Crit) };
        put_left(&format!("{tilde}{n} open"), token);
    }
    right
}

/// A link with the age of its last sign of life. The age is left out while it is young, so that an idle room stays still.
fn link(look: &Look<'_>, name: &str, pulse: &Pulse, state: &State) -> (String, Token) {
    let age = pulse.at.map(|at| (state.now.seconds_since(at), format::age(state.now, at)));
    match (&pulse.down, age) {
        (Some(_), Some((_, age))) => (format!("{name} {} {age}", look.glyphs.fail), Token::Crit),
        (Some(_), None) => (format!("{name} {}", look.glyphs.fail), Token::Crit),
        (None, None) => (format!("{name} …"), Token::Unknown),
        (None, Some((s, age))) if s > 30.0 => (format!("{name} ~ {age}"), Token::Warn),
        (None, Some((s, age))) if s > 10.0 => (format!("{name} {} {age}", look.glyphs.ok), Token::Warn),
        (None, Some(_)) => (format!("{name} {}", look.glyphs.ok), Token::Ok),
    }
}

/// Line 2, where there is room.
pub fn tabs(look: &Look<'_>, buf: &mut Buffer, line: Rect, state: &State) {
    let mut x = line.x + 1;
    // A tab that is cut says nothing: where not all fit, the long ones have a short name.
    let whole: usize = View::TABS.iter().map(|(_, _, name, _)| name.len() + 5).sum();
    let fits = whole <= usize::from(line.width);
    for (view, digit, name, action) in View::TABS {
        let name = if fits { name } else { short_tab(name) };
        let here = state.nav.here().tab() == view;
        let (text, token) = if here {
            (format!("[{digit} {name}]"), Token::Accent)
        } else {
            (format!(" {digit} {name} "), Token::Muted)
        };
        let used = put(look, buf, x, line.y, line.right().saturating_sub(x), &text, look.style(token));
        look.zones.add(Rect::new(x, line.y, used, 1), Spot::Action(action));
        x += used + 1;
    }
}

fn short_tab(name: &'static str) -> &'static str {
    match name {
        "Data & evals" => "Data",
        "Readiness" => "Ready",
        name => name,
    }
}

/// The filter of the list, and how much of the list it leaves.
pub fn filter_line(look: &Look<'_>, buf: &mut Buffer, line: Rect, state: &State, note: &str) {
    let editing = if let Some(Overlay::Filter(l)) = &state.overlay { Some(l) } else { None };
    let used = put_right(look, buf, line.x + 20, line.right() - 1, line.y, note, look.style(Token::Muted));
    let room = line.width.saturating_sub(used + 4);
    let x = line.x + 1;
    if let Some(edited) = editing {
        let (before, after) = edited.split();
        let before = tail(&before, usize::from(room).saturating_sub(14));
        let x = x + put_all(look, buf, x, line.y, room, &[(PROMPT, Token::Accent), (&before, Token::Text)]);
        let under = after.chars().next().unwrap_or(' ').to_string();
        let cursor = look.style(Token::Text).add_modifier(ratatui::style::Modifier::REVERSED);
        let x = x + put(look, buf, x, line.y, 2, &under, cursor);
        put(look, buf, x, line.y, 12, &after.chars().skip(1).collect::<String>(), look.style(Token::Text));
    } else {
        let text = screen::filter_text(state);
        let (text, token) = if text.is_empty() { ("none (/)", Token::Muted) } else { (text, Token::Text) };
        put_all(look, buf, x, line.y, room, &[(PROMPT, Token::Muted), (text, token)]);
    }
}

/// Where the filter cannot be read, and why, under the line while it is typed.
pub fn filter_error(look: &Look<'_>, buf: &mut Buffer, line: Rect, state: &State) {
    let Some(Overlay::Filter(edited)) = &state.overlay else { return };
    let Err(why) = Query::parse(&edited.text()) else { return };
    if line.is_empty() {
        return;
    }
    let begin = line.x + 1 + u16::try_from(format::width(&look.spell(PROMPT))).unwrap_or(0);
    let most = line.right().saturating_sub(u16::try_from(why.what.len()).unwrap_or(0) + 4).max(begin);
    let at = begin.saturating_add(u16::try_from(why.at).unwrap_or(u16::MAX)).min(most);
    for x in line.x..line.right() {
        buf[(x, line.y)].reset();
    }
    let arrow = if look.glyphs.ascii { "^" } else { "▴" };
    put_all(
        look,
        buf,
        at,
        line.y,
        line.right() - at,
        &[(arrow, Token::Warn), (" ", Token::Text), (&why.what, Token::Warn)],
    );
}

/// What stands before the filter.
const PROMPT: &str = "filter ▸ ";

/// The end of a text that is too long for its place, where the cursor is.
fn tail(text: &str, columns: usize) -> String {
    let mut kept: Vec<char> = Vec::new();
    for c in text.chars().rev() {
        if kept.len() >= columns {
            break;
        }
        kept.push(c);
    }
    kept.into_iter().rev().collect()
}

/// What the room must say before anything else: a lost agent, a broken file.
pub fn banners(state: &State) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(why) = &state.control.down {
        let since = state.control.at.map(|at| format!(" since {}", format::clock(at))).unwrap_or_default();
        let wait = crate::tui::update::retry_at(state).seconds_since(state.now).ceil().max(0.0);
        lines.push(format!("NO AGENT{since}: {why}"));
        lines.push(format!("Showing last known values, marked ~. Next try in {wait:.0} s (r now)."));
    } else if let Some(why) = &state.events.down {
        lines.push(format!("No live hints ({why}); looking every 5 s instead."));
    }
    lines.extend(state.in_past().map(|at| {
        format!(
            "AS OF {}, {} ago: this is the past, nothing can be changed.",
            show::moment(at),
            format::age(state.now, at)
        )
    }));
    lines.extend(state.banners.iter().cloned());
    lines.truncate(4);
    lines
}
