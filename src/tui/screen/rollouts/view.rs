//! The picture of services and rollouts: who answers which share, step by step, and what the judge says.

use std::cmp::Ordering;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{GUARDS, HISTORY, PANES, Rollouts, SERVICES};
use crate::base::{Timestamp, show};
use crate::capability::rollout::judge::{Advice, Finding, Judgement};
use crate::capability::rollout::service::percent;
use crate::capability::rollout::{Recovery, Rollout, Service, ServiceView, Standing, State as Standing_, Traffic};
use crate::tui::format;
use crate::tui::remote::Remote;
use crate::tui::screen::runs::view::failed;
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::table::{Cell, Col, Row, rows, table};
use crate::tui::widget::{Look, Scroll, put, put_all};

pub fn panes(state: &State, body: Rect) -> [Option<Rect>; PANES] {
    let focus = state.rollouts.pane;
    let mut at = [None; PANES];
    if state.zoom || body.width < 80 || body.height < 16 {
        at[focus] = Some(body);
        return at;
    }
    let services = u16::try_from(state.rollouts.shown().len()).unwrap_or(0).clamp(1, body.height / 5) + 3;
    let way = if body.height >= 30 { 7 } else { 5 };
    let rest = body.height - services - way;
    let history = (rest / 3).max(4);
    at[SERVICES] = Some(Rect { height: services, ..body });
    let guards = body.y + services + way;
    at[GUARDS] = Some(Rect { y: guards, height: rest - history, ..body });
    at[HISTORY] = Some(Rect { y: guards + rest - history, height: history, ..body });
    at
}

pub fn view(look: &Look<'_>, buf: &mut Buffer, body: Rect, state: &State, scroll: &mut Scroll) {
    let at = panes(state, body);
    if let Some(area) = at[SERVICES] {
        services(look, buf, area, state, scroll);
    }
    if let (Some(top), Some(below)) = (at[SERVICES], at[GUARDS]) {
        way(look, buf, Rect { y: top.bottom(), height: below.y - top.bottom(), ..body }, state);
    }
    if let Some(area) = at[GUARDS] {
        guards(look, buf, area, state);
    }
    if let Some(area) = at[HISTORY] {
        history(look, buf, area, state);
    }
}

fn services(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, scroll: &mut Scroll) {
    let rollouts = &state.rollouts;
    let shown = rollouts.shown();
    let note = format!("{} {}", shown.len(), if shown.len() == 1 { "service" } else { "services" });
    let inner = pane(look, buf, area, rollouts.pane == SERVICES, "SERVICES", &note);
    if let Remote::Failed(fault) = &rollouts.rows.remote {
        return failed(look, buf, inner, fault);
    }
    if shown.is_empty() {
        let text = if rollouts.rows.value().is_none() { "loading…" } else { "No service yet." };
        return empty(
            look,
            buf,
            inner,
            &[
                (text, Token::Text),
                ("", Token::Text),
                ("A service is a model behind the router: write [service.NAME] into a file, then", Token::Muted),
                ("opsroom apply service.toml        (config/service.toml shows all of it)", Token::Muted),
            ],
        );
    }
    let columns = [
        Col::left("SERVICE", 12, 0).grows(14),
        Col::left("MODEL", 10, 3).grows(10),
        Col::left("STABLE", 6, 0),
        Col::left("BEFORE", 6, 4),
        Col::left("CANDIDATE", 9, 0),
        Col::right("SHARE", 7, 0),
        Col::left("STATE", 9, 0),
        Col::left("SINCE", 10, 2),
        Col::left("WHY", 12, 5).grows(40),
    ];
    let stale = rollouts.rows.remote.is_stale();
    let rows = rows(scroll, "services", inner, (rollouts.cursor, true), &shown, |s| cells(s, state.then(), stale));
    table(look, buf, inner, &columns, rows, rollouts.pane == SERVICES);
}

fn cells(s: &Standing, now: Timestamp, stale: bool) -> Vec<Cell<'_>> {
    let version = |v: Option<u32>| v.map_or("-".to_owned(), |v| format!("v{v}"));
    let on = s.candidate.as_ref();
    let (word, token) = on.map_or(("steady", Token::Muted), state_of);
    let (tilde, token) = if stale { ("~", Token::Unknown) } else { ("", token) };
    vec![
        Cell::id(s.service.name.as_str()),
        Cell::muted(s.service.model.as_str()),
        Cell::new(format!("{tilde}{}", version(s.stable)), if stale { Token::Unknown } else { Token::Ok }),
        Cell::muted(version(s.previous)),
        Cell::text(version(on.map(|r| r.version))),
        Cell::text(on.map_or("-".to_owned(), |r| format!("{} %", percent(r.weight)))),
        Cell::new(format!("{tilde}{word}"), token),
        Cell::muted(on.map_or("-".to_owned(), |r| format::moment(now, r.started))),
        Cell::muted(on.map_or("", |r| if r.why.is_empty() { &r.reason } else { &r.why })),
    ]
}

fn state_of(r: &Rollout) -> (&'static str, Token) {
    match r.state {
        Standing_::Running if r.shadow => ("shadow", Token::Info),
        Standing_::Running => ("running", Token::Accent),
        Standing_::Held => ("HELD", Token::Warn),
        Standing_::Promoted => ("promoted", Token::Ok),
        Standing_::Dropped => ("dropped", Token::Crit),
    }
}

/// The steps of the plan, and the callers' shares as bars.
fn way(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State) {
    let rollouts = &state.rollouts;
    let Some(current) = rollouts.current() else { return };
    let stable = current.stable.map_or("no version".to_owned(), |v| format!("v{v}"));
    let Some(on) = &current.candidate else {
        let inner = pane(look, buf, area, false, &format!("{stable} answers everybody"), "C start a rollout");
        let before = current
            .previous
            .map_or("nothing answered before it".to_owned(), |v| format!("before it: v{v}, R goes back"));
        let full = rollouts.full();
        let back = full.and_then(|v| v.recovery.as_ref()).map(|r| taken_back(look, state.then(), r));
        let odd = full.and_then(ServiceView::difference);
        let servers = full.map_or(&[][..], |v| v.servers.as_slice());
        let servers: Vec<String> = servers.iter().map(|s| format!("v{} {}", s.version, s.state.words())).collect();
        let servers = if servers.is_empty() { String::new() } else { format!("servers: {}", servers.join(", ")) };
        let address = state.status.value().map_or("", |s| s.router.as_str());
        let lines =
            [(before, Token::Muted), (way_in(&current.service, address), Token::Muted), (servers, Token::Muted)];
        let awaited = current.awaited.as_ref().map(|a| match (&a.failed, a.command.as_slice()) {
            (Some(why), _) => (format!("{} v{} was not deployed: {why}", look.glyphs.fail, a.version), Token::Crit),
            (None, []) => (format!("! v{} is awaited: deploy it, then opsroom deployed", a.version), Token::Warn),
            (None, line) => (format!("! v{} is awaited; deploy it with: {}", a.version, line.join(" ")), Token::Warn),
        });
        let odd = odd.map(|words| (format!("! {words}"), Token::Warn));
        let envoy = full.into_iter().flat_map(|v| carried(look, v));
        let first = [awaited, odd].into_iter().flatten().chain(envoy).chain(back.into_iter().flatten());
        let lines = first.chain(lines).filter(|(text, _)| !text.is_empty());
        for (y, (text, token)) in (inner.y..inner.bottom()).zip(lines) {
            let text = format::cut(&text, usize::from(inner.width.saturating_sub(2)), look.glyphs.ellipsis);
            put(look, buf, inner.x + 1, y, inner.width.saturating_sub(2), &text, look.style(token));
        }
        return;
    };
    let (word, token) = state_of(on);
    let steps = &current.service.rollout.steps;
    let title = format!("{stable} → v{}", on.version);
    let note = format!("step {} of {} · {word}", (on.step + 1).min(steps.len()), steps.len());
    let inner = pane(look, buf, area, false, &title, &note);
    let mut pieces: Vec<(String, Token)> = Vec::new();
    for (i, step) in steps.iter().enumerate() {
        let (sign, token) = match i.cmp(&on.step) {
            Ordering::Less => (look.glyphs.ok.to_owned(), Token::Ok),
            Ordering::Equal => (format!("{} {word}", look.glyphs.cursor), token),
            Ordering::Greater => (look.glyphs.dot.to_owned(), Token::Muted),
        };
        let time = show::length(std::time::Duration::from_secs(step.seconds));
        let asks = if step.requests > 0 { format!("{time}, {} requests", step.requests) } else { time };
        pieces.push((format!("{} % {sign} ", percent(step.weight)), token));
        pieces.push((format!("({asks})   "), Token::Muted));
    }
    pieces.push(("100 % prod".to_owned(), Token::Muted));
    let parts: Vec<(&str, Token)> = pieces.iter().map(|(t, token)| (t.as_str(), *token)).collect();
    put_all(look, buf, inner.x + 1, inner.y, inner.width.saturating_sub(2), &parts);
    let share = percent(on.weight);
    let bars = [(stable, 100.0 - share, Token::Ok), (format!("v{}", on.version), share, Token::Accent)];
    let first = inner.y + if inner.height >= 5 { 2 } else { 1 };
    for (y, (name, share, token)) in (first..inner.bottom()).zip(&bars) {
        let room = inner.width.saturating_sub(20);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and the pane's width
        let full = (f64::from(room) * share / 100.0).round() as u16;
        let bar: String = (0..full).map(|_| look.glyphs.ramp.last().copied().unwrap_or('#')).collect();
        let label = format!("{name:<6} ");
        let value = format!(" {share} %");
        let parts = [(label.as_str(), Token::Text), (bar.as_str(), *token), (value.as_str(), Token::Text)];
        put_all(look, buf, inner.x + 1, y, inner.width.saturating_sub(2), &parts);
    }
    let below = first + 2;
    let envoy = rollouts.full().into_iter().flat_map(|v| carried(look, v));
    for (y, (text, token)) in (below..inner.bottom()).zip(envoy) {
        let text = format::cut(&text, usize::from(inner.width.saturating_sub(2)), look.glyphs.ellipsis);
        put(look, buf, inner.x + 1, y, inner.width.saturating_sub(2), &text, look.style(token));
    }
}

/// Where its callers send their requests.
fn way_in(service: &Service, router: &str) -> String {
    let address = match service.traffic {
        Traffic::Router if router.is_empty() => "ROUTER",
        Traffic::Router => router,
        Traffic::Envoy => "ENVOY",
        Traffic::External => return "its traffic is carried by the team's own deployment".to_owned(),
    };
    format!("POST {address}/{}/…", service.name)
}

/// What the team's Envoys say, where they carry the traffic.
fn carried(look: &Look<'_>, view: &ServiceView) -> Vec<(String, Token)> {
    let Some(envoy) = &view.envoy_status else { return Vec::new() };
    let (glyph, token) = match (&envoy.problem, envoy.confirmed) {
        (Some(_), _) => (look.glyphs.fail, Token::Crit),
        (None, Some(_)) => (look.glyphs.ok, Token::Ok),
        (None, None) => ("?", Token::Unknown),
    };
    let otherwise = view.standing.service.splits_otherwise().map(|words| (format!("! {words}"), Token::Warn));
    std::iter::once((format!("{glyph} {}", envoy.words()), token)).chain(otherwise).collect()
}

/// What the counts prove of the newest way back.
fn taken_back(look: &Look<'_>, now: Timestamp, r: &Recovery) -> [(String, Token); 2] {
    let (turn, when) = (&r.turn, format::moment(now, r.turn.at));
    let last = match r.last_after_ms() {
        None => "it answered nobody".to_owned(),
        Some(ms) if ms <= 0.0 => "last answer before that".to_owned(),
        Some(ms) => format!("last answer +{ms:.0} ms"),
    };
    let what = format!("{} v{} taken back {when} by {}: {}", look.glyphs.ok, turn.from, turn.by, turn.reason);
    let proof = format!("  {last} · it gave {}, {} failed · v{} gave {} since", r.answered, r.failed, turn.to, r.since);
    [(what, Token::Ok), (proof, Token::Text)]
}

fn advice(look: &Look<'_>, advice: Advice) -> (String, Token) {
    let (glyph, token) = match advice {
        Advice::Continue | Advice::Promote => (look.glyphs.ok, Token::Ok),
        Advice::RollBack => (look.glyphs.fail, Token::Crit),
        Advice::Hold => ("!", Token::Warn),
        Advice::NotEnoughData => ("?", Token::Unknown),
    };
    (format!("{glyph} {}", advice.words()), token)
}

fn guards(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State) {
    let rollouts: &Rollouts = &state.rollouts;
    let judged = rollouts.full().and_then(|v| v.judgement.as_ref());
    let note = judged.map_or(String::new(), |j| format!("{}: {}", j.advice.words(), j.why));
    let inner = pane(
        look,
        buf,
        area,
        rollouts.pane == GUARDS,
        "JUDGE",
        &format::cut(&note, usize::from(area.width.saturating_sub(16)), look.glyphs.ellipsis),
    );
    let Some(j) = judged else {
        let text = match rollouts.current() {
            None => "",
            Some(s) if s.candidate.is_some() => "loading…",
            Some(_) => "Nothing is on its way, so there is nothing to judge.",
        };
        return empty(look, buf, inner, &[(text, Token::Muted)]);
    };
    let used = arms(look, buf, inner, rollouts, j);
    let columns = [
        Col::left("SAYS", 17, 0),
        Col::left("GUARD", 12, 0),
        Col::right("LN E", 8, 3),
        Col::right("STOPS AT", 8, 3),
        Col::left("WHY", 20, 1).grows(70),
    ];
    let stale = rollouts.view.remote.is_stale();
    let rows = j.findings.iter().skip(rollouts.scrolls[GUARDS]).map(|f| finding(look, f, stale));
    let below = Rect { y: inner.y + used, height: inner.height.saturating_sub(used), ..inner };
    table(look, buf, below, &columns, rows, rollouts.pane == GUARDS);
}

fn finding<'a>(look: &Look<'_>, f: &'a Finding, stale: bool) -> Row<'a> {
    let (text, token) = advice(look, f.advice);
    let figure = |v: Option<f64>| v.map_or("-".to_owned(), format::number);
    let token = if stale { Token::Unknown } else { token };
    Row {
        cells: vec![
            Cell::new(if stale { format!("~{text}") } else { text }, token),
            Cell::text(f.guard.as_str()),
            Cell::text(figure(f.ln_e)),
            Cell::muted(figure(f.stops_at)),
            Cell::muted(f.why.as_str()),
        ],
        at_cursor: false,
        marked: false,
    }
}

/// Both versions side by side; answers the lines used.
fn arms(look: &Look<'_>, buf: &mut Buffer, area: Rect, rollouts: &Rollouts, j: &Judgement) -> u16 {
    if area.height < 8 {
        return 0;
    }
    let on = rollouts.going();
    let columns = [
        Col::left("VERSION", 9, 0),
        Col::right("REQUESTS", 10, 0),
        Col::right("ERRORS", 8, 0),
        Col::right("ERROR %", 8, 0),
        Col::right("P50 ms", 8, 0),
        Col::right("P99 ms", 8, 0),
    ];
    let names = [on.map(|r| r.against), on.map(|r| r.version)];
    let rows = names.into_iter().zip([&j.stable, &j.candidate]).map(|(version, sums)| {
        let ms = |v: Option<f64>| v.map_or("-".to_owned(), format::number);
        Row {
            cells: vec![
                Cell::text(version.map_or("-".to_owned(), |v| format!("v{v}"))),
                Cell::text(format::count(sums.requests)),
                Cell::text(format::count(sums.errors)),
                Cell::text(sums.error_rate().map_or("-".to_owned(), |r| format::number(r * 100.0))),
                Cell::text(ms(sums.p50_ms)),
                Cell::text(ms(sums.p99_ms)),
            ],
            at_cursor: false,
            marked: false,
        }
    });
    table(look, buf, Rect { height: 3, ..area }, &columns, rows, false);
    4
}

fn history(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State) {
    let rollouts = &state.rollouts;
    let inner = pane(look, buf, area, rollouts.pane == HISTORY, "ENDED ROLLOUTS", "7 full audit");
    let all = rollouts.full().map_or(&[][..], |v| v.history.as_slice());
    if all.is_empty() {
        return empty(look, buf, inner, &[("No rollout of this service has ended yet.", Token::Muted)]);
    }
    let columns = [
        Col::left("ENDED", 10, 0),
        Col::left("VERSION", 7, 0),
        Col::left("AGAINST", 7, 3),
        Col::left("HOW", 9, 0),
        Col::left("BY", 8, 2),
        Col::left("WHY", 20, 1).grows(80),
    ];
    let rows = all.iter().skip(rollouts.scrolls[HISTORY]).map(|r| {
        let (word, token) = state_of(r);
        Row {
            cells: vec![
                Cell::muted(r.ended.map_or("-".to_owned(), |t| format::moment(state.then(), t))),
                Cell::text(format!("v{}", r.version)),
                Cell::muted(format!("v{}", r.against)),
                Cell::new(word, token),
                Cell::muted(r.by.as_str()),
                Cell::muted(r.why.as_str()),
            ],
            at_cursor: false,
            marked: false,
        }
    });
    table(look, buf, inner, &columns, rows, rollouts.pane == HISTORY);
}
