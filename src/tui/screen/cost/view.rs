//! The picture of cost: budgets, what each day cost, who it was for, one of them in parts, and what to do.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{ADVICE, PANES, ROWS, below, budgets, rows};
use crate::base::money::{self, Micro};
use crate::capability::cost::CostReport;
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::{Look, Scroll};

/// Heights of the parts above and below the rows.
fn heights(body: Rect, state: &State) -> (u16, u16) {
    if body.height >= 32 { (9, 10 + machines(state)) } else { (5, 6) }
}

/// Lines of machines that are shown.
fn machines(state: &State) -> u16 {
    const SHOWN_MAX: usize = 4;
    u16::try_from(state.cost.report().map_or(0, |r| r.hosts.len()).min(SHOWN_MAX)).unwrap_or(0)
}

pub fn panes(state: &State, body: Rect) -> [Option<Rect>; PANES] {
    let mut at = [None; PANES];
    if state.zoom || body.width < 80 || body.height < 16 {
        at[state.cost.pane] = Some(body);
        return at;
    }
    let (top, bottom) = heights(body, state);
    let rows = body.height - top - bottom;
    at[ROWS] = Some(Rect { y: body.y + top, height: rows, ..body });
    let low = Rect { y: body.y + top + rows, height: bottom, ..body };
    at[ADVICE] = Some(if body.width >= 100 {
        let half = body.width / 2;
        Rect { x: low.x + half, width: body.width - half, ..low }
    } else {
        low
    });
    at
}

pub fn view(look: &Look<'_>, buf: &mut Buffer, body: Rect, state: &State, scroll: &mut Scroll) {
    let at = panes(state, body);
    let whole = at.iter().flatten().count() == PANES;
    if whole {
        let (top, bottom) = heights(body, state);
        let above = Rect { height: top, ..body };
        if body.width >= 100 {
            let left = body.width / 3;
            budgets::budgets(look, buf, Rect { width: left, ..above }, state);
            budgets::spend(look, buf, Rect { x: above.x + left, width: body.width - left, ..above }, state);
            let below = Rect { y: body.bottom() - bottom, width: body.width / 2, height: bottom, ..body };
            // Parts and machines share the left half where it is high enough for both.
            if machines(state) > 0 && bottom >= 10 {
                let height = machines(state) + 2;
                below::parts(look, buf, Rect { height: bottom - height, ..below }, state);
                below::hosts(look, buf, Rect { y: below.bottom() - height, height, ..below }, state);
            } else {
                below::parts(look, buf, below, state);
            }
        } else {
            budgets::budgets(look, buf, above, state);
        }
    }
    if let Some(area) = at[ROWS] {
        rows::rows(look, buf, area, state, scroll, whole && body.width >= 100);
    }
    if let Some(area) = at[ADVICE] {
        below::advice(look, buf, area, state, scroll);
    }
}

pub(super) fn shown(report: &CostReport, amount: Micro) -> String {
    // What is less than a hundredth of a cent is not nothing, and its digits say nothing either.
    if (1..100).contains(&amount.0) {
        return format!("<{}", money::shown(0.0001, &report.currency).trim_end_matches('0'));
    }
    money::shown(amount.units(), &report.currency)
}

/// What is stale is marked, and never green.
pub(super) fn aged(state: &State, token: Token) -> Token {
    if state.cost.page.remote.is_stale() { Token::Unknown } else { token }
}
