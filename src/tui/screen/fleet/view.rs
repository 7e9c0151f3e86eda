//! The picture of the fleet.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{CHART, INCIDENTS, PANES, SERVICES, TIMELINE};
use crate::base::Timestamp;
use crate::capability::fleet::{Fleet as Page, Row as Service};
use crate::capability::monitoring::incident::Incident;
use crate::capability::registry::Stage;
use crate::tui::format;
use crate::tui::remote::Remote;
use crate::tui::screen::runs::view::failed;
use crate::tui::screen::unit_costs::UnitCosts;
use crate::tui::screen::watch::words::{self, Freshness, freshness};
use crate::tui::screen::watch::{curve, window};
use crate::tui::span::Span;
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::table::{Cell, Col, rows, table};
use crate::tui::widget::{Look, Scroll, put_all, put_right};

/// Incidents that are shown without scrolling.
const INCIDENT_ROWS: u16 = 5;
/// Events that were not taken are spoken of for so long.
const LATELY_S: f64 = 3600.0;

pub fn panes(state: &State, body: Rect) -> [Option<Rect>; PANES] {
    let focus = state.fleet.pane;
    let mut at = [None; PANES];
    if state.zoom || body.width < 80 || body.height < 16 {
        at[focus] = Some(body);
        return at;
    }
    let wrong = u16::try_from(state.fleet.incidents().len()).unwrap_or(0).clamp(1, INCIDENT_ROWS.min(body.height / 5));
    let top = wrong + if body.height >= 30 && !state.fleet.incidents().is_empty() { 4 } else { 3 };
    let foot = if body.height >= 30 { 13 } else { 6 };
    at[INCIDENTS] = Some(Rect { height: top, ..body });
    at[SERVICES] = Some(Rect { y: body.y + top, height: body.height - top - foot, ..body });
    let bottom = Rect { y: body.bottom() - foot, height: foot, ..body };
    if body.width >= 100 {
        at[CHART] = Some(Rect { width: body.width / 2, ..bottom });
        at[TIMELINE] = Some(Rect { x: body.x + body.width / 2, width: body.width - body.width / 2, ..bottom });
    } else {
        at[if focus == CHART { CHART } else { TIMELINE }] = Some(bottom);
    }
    at
}

pub fn view(look: &Look<'_>, buf: &mut Buffer, body: Rect, state: &State, scroll: &mut Scroll) {
    let at = panes(state, body);
    if let Some(area) = at[INCIDENTS] {
        incidents(look, buf, area, state, scroll);
    }
    if let Some(area) = at[SERVICES] {
        services(look, buf, area, state, scroll);
    }
    if let Some(area) = at[CHART] {
        chart(look, buf, area, state);
    }
    if let Some(area) = at[TIMELINE] {
        timeline(look, buf, area, state);
    }
}

fn incidents(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, scroll: &mut Scroll) {
    let fleet = &state.fleet;
    let here = fleet.pane == INCIDENTS;
    let inner =
        pane(look, buf, area, here, "INCIDENTS", if area.width >= 100 { "↵ open · A ack · m silence" } else { "" });
    let all = fleet.incidents();
    if all.is_empty() {
        let (text, token) = match &fleet.page.remote {
            Remote::Fresh(..) => (
                "Nothing is wrong that a rule watches. Rules are written as [[alert]], `opsroom apply` takes them.",
                Token::Muted,
            ),
            Remote::Stale(..) => ("~ nothing was wrong when the agent was last heard", Token::Unknown),
            _ => ("loading…", Token::Muted),
        };
        put_all(look, buf, inner.x + 1, inner.y, inner.width.saturating_sub(2), &[(text, token)]);
        return;
    }
    // Where there is little room, whoever looks after it stands beside the state, and what is wrong is told in full.
    let narrow = area.width < 100;
    let mut columns = vec![
        Col::left("SEV", 4, 0),
        Col::right("AGE", 4, 0),
        Col::left("SERVICE", 12, 0).grows(if narrow { 2 } else { 6 }),
        Col::left("WHAT", 24, 0).grows(40),
    ];
    if narrow {
        columns.push(Col::left("STATE", 10, 0));
    } else {
        columns.extend([Col::left("SINCE", 9, 5), Col::left("OWNER", 8, 3), Col::left("STATE", 6, 0)]);
    }
    let stale = fleet.page.remote.is_stale();
    let foot = u16::from(inner.height > 3);
    let list = Rect { height: inner.height.saturating_sub(foot), ..inner };
    let cells = |incident| incident_cells(look, incident, state.then(), stale, narrow);
    let rows = rows(scroll, "incidents", list, (fleet.incident, here), all, cells);
    table(look, buf, list, &columns, rows, here);
    if foot > 0 {
        let count = |f: &dyn Fn(&Incident) -> bool| all.iter().filter(|i| f(i)).count();
        let silent = count(&|i| i.is_open() && i.is_silent(state.then()));
        let text = format!(
            "{} open · {silent} silenced · {} closed within a day",
            count(&|i| i.is_open()) - silent,
            count(&|i| !i.is_open())
        );
        put_all(look, buf, inner.x + 1, inner.bottom() - 1, inner.width.saturating_sub(2), &[(&text, Token::Muted)]);
    }
}

fn incident_cells<'a>(look: &Look<'_>, i: &'a Incident, now: Timestamp, stale: bool, narrow: bool) -> Vec<Cell<'a>> {
    let (sign, token) = words::severity(look.glyphs, i.severity);
    let token = if i.is_open() { token } else { Token::Muted };
    let (state, state_token) = words::state(i, now);
    let tilde = if stale { "~" } else { "" };
    let owner = i.owner.clone();
    let state_token = if stale { Token::Unknown } else { state_token };
    let mut cells = vec![
        Cell::new(format!("{sign} {}", i.severity), token),
        Cell::text(format::age(now, i.opened)),
        Cell::id(i.service.as_str()),
        Cell::text(words::what(i)),
    ];
    if narrow {
        let owner = owner.map_or(String::new(), |who| format!(" {who}"));
        cells.push(Cell::new(format!("{tilde}{state}{owner}"), state_token));
    } else {
        cells.push(Cell::muted(format::clock(i.opened)));
        cells.push(Cell::muted(owner.unwrap_or_else(|| "-".to_owned())));
        cells.push(Cell::new(format!("{tilde}{state}"), state_token));
    }
    cells
}

fn services(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, scroll: &mut Scroll) {
    let fleet = &state.fleet;
    let shown = fleet.shown();
    let all = fleet.page.value().map_or(0, |p| p.services.len());
    let title = format!("SERVICES {}/{all}", shown.len());
    // What was shed lately is missing in every figure below.
    let shed = fleet.page.value().and_then(|page| lost(page, state.then()));
    let note = if shed.is_some() { "" } else { "the worst first · / filter" };
    let inner = pane(look, buf, area, fleet.pane == SERVICES, &title, note);
    if let Some(text) = &shed {
        let from = area.x + 5 + u16::try_from(title.len()).unwrap_or(0);
        put_all(look, buf, from, area.y, area.right().saturating_sub(from + 1), &[(text, Token::Warn)]);
    }
    if let Remote::Failed(fault) = &fleet.page.remote {
        return failed(look, buf, inner, fault);
    }
    if shown.is_empty() {
        return teach(look, buf, inner, state);
    }
    let span = Span::parse(&format!("{}s", window(state.window))).map_or(String::new(), |s| s.to_string());
    let cells_of_curve = if inner.width >= 130 { 15 } else { 9 };
    let columns = [
        Col::left("SERVICE", 14, 0).grows(8),
        Col::left("STAGE", 7, 7),
        Col::left("VER", 5, 0).grows(2),
        Col::left("CANARY", 7, 1).grows(2),
        Col::left("METRIC", 8, 6),
        Col::right("QUALITY", 9, 0),
        Col::left(span, cells_of_curve, 1),
        Col::right("DRIFT", 7, 0),
        Col::right("P99 ms", 6, 2),
        Col::right("RPS", 6, 4),
        Col::right("ERR %", 5, 3),
        Col::right("PER 1K", 8, 5),
        Col::left("LAST CHANGE", 12, 1).grows(5),
    ];
    let stale = fleet.page.remote.is_stale();
    let seconds = fleet.page.value().map_or(1.0, |p| p.window.to.seconds_since(p.window.from)).max(1.0);
    let rows = rows(scroll, "fleet", inner, (fleet.cursor(), true), &shown, |row| {
        cells(look, row, state.then(), seconds, stale, usize::from(cells_of_curve), &state.unit_costs)
    });
    table(look, buf, inner, &columns, rows, fleet.pane == SERVICES);
}

/// What was not taken of late, because more came than could be counted.
fn lost(page: &Page, now: Timestamp) -> Option<String> {
    let shed = page.shed;
    let last = shed.last.filter(|at| now.seconds_since(*at) < LATELY_S)?;
    let events = (shed.events > 0).then(|| format!("{} events", format::count(shed.events)));
    let bodies = (shed.bodies > 0).then(|| format!("{} requests", format::count(shed.bodies)));
    let what: Vec<String> = events.into_iter().chain(bodies).collect();
    Some(format!(" {} not taken, last {} ago ", what.join(" and "), format::age(now, last)))
}

fn teach(look: &Look<'_>, buf: &mut Buffer, inner: Rect, state: &State) {
    if state.fleet.page.value().is_none() {
        return empty(look, buf, inner, &[("loading…", Token::Muted)]);
    }
    if !state.fleet.filter_text.is_empty() {
        return empty(look, buf, inner, &[("No service fits the filter; Esc takes it away.", Token::Muted)]);
    }
    let address = state.status.value().map_or("http://127.0.0.1:6270", |s| s.tracking_uri.as_str());
    let post = format!(
        "curl {address}/api/v1/predictions -d '[{{\"id\":\"1\",\"service\":\"delay\",\"version\":\"3\",\"prediction\":1,\"score\":0.8}}]'"
    );
    empty(
        look,
        buf,
        inner,
        &[
            ("No service yet. There are two ways to one:", Token::Text),
            ("", Token::Text),
            ("a model behind the router: write [service.NAME] into a file, then `opsroom apply FILE`", Token::Muted),
            ("a model that answers elsewhere: send its predictions, and labels when they are known", Token::Muted),
            (&post, Token::Accent),
        ],
    );
}

fn cells<'a>(
    look: &Look<'_>,
    r: &'a Service,
    now: Timestamp,
    seconds: f64,
    stale: bool,
    curve: usize,
    costs: &UnitCosts,
) -> Vec<Cell<'a>> {
    let batch = r.batch.is_some();
    let fresh = if stale { Freshness::Stale } else { freshness(r.last, batch, now) };
    let (quality, token) = words::quality(look.glyphs, (r.quality, r.estimated), r.bound, r.raised, fresh);
    let (drift, drift_token) = words::drift(look.glyphs, r.drift.as_ref(), fresh);
    let canary = r.candidate.as_ref().map_or("-".to_owned(), |c| format!("v{} {}%", c.version, c.share));
    let rps = match (&r.batch, r.requests) {
        (Some(_), _) => "batch".to_owned(),
        (None, 0) => "-".to_owned(),
        (None, n) => rate(n as f64 / seconds),
    };
    let errors = if r.requests == 0 { "-".to_owned() } else { words::per_cent(r.errors as f64 / r.requests as f64) };
    let course: Vec<f64> = r.course.iter().map(|v| v.unwrap_or(f64::NAN)).collect();
    let spark = match fresh {
        Freshness::Never => "nothing came yet".to_owned(),
        _ if course.iter().all(|v| !v.is_finite()) && r.n > 0 => "no labels".to_owned(),
        _ => format::sparkline(&course, curve, look.glyphs.ramp),
    };
    let muted = fresh == Freshness::Stale;
    let plain = |text: String| Cell::new(text, if muted { Token::Unknown } else { Token::Text });
    let change = r.change.as_ref().map_or("-".to_owned(), |c| words::last_change(c, now));
    vec![
        Cell::id(r.service.as_str()),
        Cell::muted(r.stage.map_or("-", Stage::name)),
        Cell::text(r.version.clone().unwrap_or_else(|| "-".to_owned())),
        Cell::new(canary, if r.candidate.is_some() { Token::Series(3) } else { Token::Muted }),
        Cell::muted(r.metric.as_str()),
        Cell::new(quality, token),
        Cell::new(spark, if muted { Token::Unknown } else { Token::Info }),
        Cell::new(drift, drift_token),
        plain(r.p99_ms.map_or("-".to_owned(), |ms| format!("{ms:.1}"))),
        plain(rps),
        plain(errors),
        plain(r.version.as_deref().map_or("-".to_owned(), |v| costs.per_1k(&r.service, v))),
        Cell::muted(change),
    ]
}

/// Requests a second.
fn rate(per_second: f64) -> String {
    #[allow(clippy::cast_possible_truncation)] // rounded, and a rate
    match per_second {
        r if r >= 100.0 => format::short_count(r.round() as i64),
        r if r >= 10.0 => format!("{r:.0}"),
        r if r >= 0.1 => format!("{r:.1}"),
        r => format!("{r:.2}"),
    }
}

fn chart(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State) {
    let here = state.fleet.pane == CHART;
    let Some(row) = state.fleet.current() else {
        let inner = pane(look, buf, area, here, "QUALITY", "");
        return empty(look, buf, inner, &[("no service", Token::Muted)]);
    };
    let bound = row.bound.map_or(String::new(), |b| format!("bad {}", b.shown()));
    let inner = pane(look, buf, area, here, &format!("{}  {}", row.service, row.metric), &bound);
    match state.watch.about(&row.service) {
        Some(page) => {
            let tight = Rect { height: inner.height.saturating_sub(1), ..inner };
            curve::draw(look, buf, tight, page, None, state.watch.page.remote.is_stale());
            let labels = labels(row);
            put_right(
                look,
                buf,
                inner.x,
                inner.right().saturating_sub(1),
                inner.bottom() - 1,
                &labels,
                look.style(Token::Muted),
            );
        }
        None => empty(look, buf, inner, &[("asking the agent…", Token::Muted)]),
    }
}

/// How many labels there are, and how late they come.
fn labels(row: &Service) -> String {
    if row.n == 0 {
        return "nothing came in this window".to_owned();
    }
    let share = words::per_cent(row.labelled as f64 / row.n as f64);
    let lag = row.label_delay.map_or(String::new(), |s| format!(", they lag {}", format::rough_span(s)));
    format!("{share} % labelled{lag}   n={}", format::count(row.n))
}

fn timeline(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State) {
    let fleet = &state.fleet;
    let inner = pane(look, buf, area, fleet.pane == TIMELINE, "TIMELINE", "7 audit");
    let all = fleet.page.value().map_or(&[][..], |p| p.changes.as_slice());
    if all.is_empty() {
        return empty(look, buf, inner, &[("Nothing was changed or raised within a day.", Token::Muted)]);
    }
    let skip = fleet.scroll.min(all.len().saturating_sub(usize::from(inner.height)));
    for (y, change) in (inner.y..inner.bottom()).zip(all.iter().skip(skip)) {
        let (sign, text, token) = words::event(look.glyphs, change);
        let time = format!("{} ", format::moment(state.then(), change.at));
        let sign = format!("{sign:<2} ");
        put_all(
            look,
            buf,
            inner.x + 1,
            y,
            inner.width.saturating_sub(2),
            &[(&time, Token::Muted), (&sign, token), (&text, Token::Text)],
        );
    }
}
