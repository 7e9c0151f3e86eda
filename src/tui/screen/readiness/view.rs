//! The picture of readiness: twelve rows with their evidence, the next step, habits that bite later, and the machine.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{CAPABILITIES, LATER, PANES};
use crate::local::doctor::{Report, State as Stands};
use crate::tui::remote::Remote;
use crate::tui::screen::lines::{self, Line, line};
use crate::tui::screen::runs::view::failed;
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::table::{Cell, Col, rows, table};
use crate::tui::widget::{Look, Scroll};

pub fn panes(state: &State, body: Rect) -> [Option<Rect>; PANES] {
    let mut at = [None; PANES];
    if state.zoom || body.width < 80 || body.height < 16 {
        at[state.readiness.pane] = Some(body);
        return at;
    }
    // Twelve rows with heading and frame where there is room for them.
    let upper = 15.min(body.height * 3 / 5);
    at[CAPABILITIES] = Some(Rect { height: upper, ..body });
    at[LATER] = Some(Rect { y: body.y + upper, height: body.height - upper, ..body });
    at
}

pub fn view(look: &Look<'_>, buf: &mut Buffer, body: Rect, state: &State, scroll: &mut Scroll) {
    let at = panes(state, body);
    if let Some(area) = at[CAPABILITIES] {
        capabilities(look, buf, area, state, scroll);
    }
    if let Some(area) = at[LATER] {
        let inner =
            pane(look, buf, area, state.readiness.pane == LATER, "NEXT, AND WHAT BITES LATER", "y copy the next step");
        if let Some(report) = state.readiness.page.value() {
            lines::draw(look, buf, inner, state.readiness.scroll, &told(look, state, report));
        }
    }
}

fn sign(look: &Look<'_>, stands: Stands) -> (&'static str, Token) {
    match stands {
        Stands::Good => (look.glyphs.ok, Token::Ok),
        Stands::Partly => ("!", Token::Warn),
        Stands::Missing => (look.glyphs.fail, Token::Crit),
        Stands::Unknown => ("?", Token::Unknown),
    }
}

/// Nothing is green that may no longer hold.
fn aged(state: &State, token: Token) -> Token {
    if state.readiness.page.remote.is_stale() { Token::Unknown } else { token }
}

fn capabilities(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, scroll: &mut Scroll) {
    let it = &state.readiness;
    let shown = it.shown();
    let good = shown.iter().filter(|c| c.state == Stands::Good).count();
    let note = format!("{good} of {} in place", shown.len());
    let inner = pane(look, buf, area, it.pane == CAPABILITIES, "CAPABILITIES", &note);
    if let Remote::Failed(fault) = &it.page.remote {
        return failed(look, buf, inner, fault);
    }
    if it.page.value().is_none() {
        return empty(look, buf, inner, &[("looking…", Token::Muted)]);
    }
    let columns = [
        Col::left("", 2, 0),
        Col::left("CAPABILITY", 22, 0),
        Col::left("STATE", 8, 3),
        Col::left("EVIDENCE", 30, 0).grows(60),
        Col::right("STEP", 4, 4),
    ];
    let rows = rows(scroll, "readiness", inner, (it.cursor, true), &shown, |c| {
        let (sign, token) = sign(look, c.state);
        vec![
            Cell::new(sign, aged(state, token)),
            Cell::text(&*c.name),
            Cell::new(c.state.word(), aged(state, token)),
            Cell::muted(c.evidence.as_str()),
            Cell::muted(c.step.to_string()),
        ]
    });
    table(look, buf, inner, &columns, rows, it.pane == CAPABILITIES);
}

fn told(look: &Look<'_>, state: &State, report: &Report) -> Vec<Line> {
    let mut all = Vec::new();
    if let Some(c) = state.readiness.current() {
        let next = if c.next.is_empty() { "nothing is to be done" } else { c.next.as_str() };
        all.push(line("evidence", format!("{}: {}", c.name, c.evidence), Token::Text));
        all.push(line("next", next, Token::Text));
    }
    match report.next() {
        Some(next) => all.push(line("pays first", format!("{}: {}", next.name, next.next), Token::Accent)),
        None => {
            all.push(line("pays first", "nothing; all that could be looked at is in place", aged(state, Token::Ok)));
        }
    }
    for finding in &report.findings {
        all.push(line("", "", Token::Text));
        all.push(line("bites later", finding.what.clone(), Token::Warn));
        all.extend(finding.places.iter().map(|p| line("", p.clone(), Token::Muted)));
        if finding.more > 0 {
            all.push(line("", format!("and {} more", finding.more), Token::Muted));
        }
        all.push(line("", finding.next.clone(), Token::Text));
    }
    all.push(line("", "", Token::Text));
    for check in &report.checks {
        let (sign, token) = sign(look, check.state);
        all.push(line(check.name.to_string(), format!("{sign} {}", check.found), aged(state, token)));
        if !check.next.is_empty() {
            all.push(line("", check.next.clone(), Token::Muted));
        }
    }
    all
}
