//! Cost: what services, versions and runs came to, budgets with their forecast, and what to do about it.

mod below;
mod budgets;
mod rows;
pub mod view;

use crate::base::money::Micro;
use crate::base::{Fault, Timestamp};
use crate::capability::cost::{Advice, Asked, By, CostReport, Parts, Row};
use crate::tui::action::Action;
use crate::tui::ask::{self, Topic};
use crate::tui::msg::{Effect, Page, Want};
use crate::tui::overlay::Choice;
use crate::tui::overlay::picker::Item;
use crate::tui::query::{Held, Query};
use crate::tui::remote::{RequestId, Slot};
use crate::tui::screen::{copy_list, give, list, open};
use crate::tui::span::Span;
use crate::tui::state::{State, View};

/// The panes, in the order of Tab.
pub const ROWS: usize = 0;
pub const ADVICE: usize = 1;
pub const PANES: usize = 2;

/// Counts come without a hint: the bill is made anew now and then, microseconds.
const LOOK_US: i64 = 20_000_000;
/// Days of the chart.
const DAYS: u32 = 30;

#[derive(Debug, Default)]
pub struct Cost {
    pub page: Slot<CostReport>,
    /// What `page` was asked for.
    asked: Option<(By, Option<Span>, Option<Timestamp>)>,
    pub by: By,
    pub cursor: usize,
    pub advice: usize,
    pub pane: usize,
    pub filter: Query,
    pub filter_text: String,
}

impl Cost {
    pub fn report(&self) -> Option<&CostReport> {
        self.page.value()
    }

    /// Rows that pass the filter. Training stands among services as one row, as their bill does.
    pub fn shown(&self) -> Vec<Row> {
        let Some(report) = self.report() else { return Vec::new() };
        let mut rows: Vec<Row> = report.rows.clone();
        if report.by == By::Service && report.parts.training > Micro(0) {
            let total = report.parts.training;
            let parts = Parts { training: total, ..Parts::default() };
            let row =
                Row { what: "training".into(), kind: "train".into(), total: Some(total), parts, ..Row::default() };
            rows.push(row);
            rows.sort_by_key(|r| std::cmp::Reverse(r.total));
        }
        let held = |r: &Row, field: Option<&str>| match field {
            Some("kind") => Held::Text(r.kind.clone()),
            Some("owner") => Held::Text(r.owner.clone().unwrap_or_default()),
            _ => Held::Text(r.what.clone()),
        };
        rows.retain(|r| self.filter.matches(|field| held(r, field)));
        rows
    }

    pub fn current(&self) -> Option<Row> {
        self.shown().into_iter().nth(self.cursor)
    }

    pub fn advised(&self) -> Option<&Advice> {
        self.report()?.advice.get(self.advice)
    }

    /// The run that a key is about.
    pub fn run(&self) -> Option<String> {
        let id = match self.pane {
            ADVICE => self.advised()?.run,
            _ => self.current()?.run,
        };
        id.map(|id| id.to_string())
    }

    pub fn touch(&mut self) {
        self.page.touch();
    }

    pub fn stale(&mut self, why: &str) {
        self.page.remote.stale(why);
    }

    pub fn due_at(&self) -> Option<Timestamp> {
        self.page.due_every(LOOK_US)
    }

    pub fn why_not(&self, action: Action) -> Option<String> {
        match action {
            Action::StopSheet if self.run().is_none() => Some("no run here; b shows what each run cost".into()),
            Action::Open | Action::CopyMenu if self.current().is_none() && self.advised().is_none() => {
                Some("nothing was served and nothing ran in this window".into())
            }
            Action::Mark | Action::MarkRange | Action::MarkInvert | Action::SortPick | Action::SortReverse => {
                Some("what cost most stands first".into())
            }
            _ => None,
        }
    }
}

pub fn act(state: &mut State, action: Action, effects: &mut Vec<Effect>) {
    let page = usize::from(state.size.1 / 2);
    let cost = &mut state.cost;
    if let Some(pane) = list::next_pane(action, cost.pane, PANES) {
        cost.pane = pane;
        return;
    }
    let rows = cost.shown().len();
    let (cursor, len) = match cost.pane {
        ADVICE => {
            let len = cost.report().map_or(0, |r| r.advice.len());
            (&mut cost.advice, len)
        }
        _ => (&mut cost.cursor, rows),
    };
    if let Some(to) = list::moved(action, *cursor, len, page) {
        *cursor = to;
        return;
    }
    match action {
        Action::CostBy => {
            cost.by = match cost.by {
                By::Service => By::Version,
                By::Version => By::Slice,
                By::Slice => By::Run,
                By::Run => By::Service,
            };
            cost.cursor = 0;
        }
        Action::StopSheet => {
            if let Some(run) = cost.run() {
                ask::open(state, &Topic::StopRuns(vec![run]));
            }
        }
        Action::Open => {
            if let Some(run) = cost.run() {
                state.go(View::Run(run), effects);
            }
        }
        Action::CopyMenu => {
            let line = command(state);
            let mut items = vec![Item::new("command", line.clone(), Choice::Copy(line))];
            if let Some(row) = state.cost.current() {
                items.insert(0, Item::new("name", row.what.clone(), Choice::Copy(row.what)));
            }
            if let Some(advice) = state.cost.advised() {
                items.push(Item::new("what to do", advice.next.clone(), Choice::Copy(advice.next.clone())));
            }
            open(state, copy_list(items));
        }
        _ => {}
    }
}

/// The line that tells the same.
pub fn command(state: &State) -> String {
    let by = match state.cost.by {
        By::Service => "service",
        By::Version => "version",
        By::Slice => "slice",
        By::Run => "run",
    };
    let past = state.in_past();
    let since = match (state.window, past) {
        (None, _) => String::new(),
        (Some(w), None) => format!(" --since {w}"),
        (Some(w), Some(at)) => format!(" --since {}", w.since(at)),
    };
    let as_of = past.map_or(String::new(), |at| format!(" --as-of {at}"));
    format!("opsroom cost --by {by}{since}{as_of}")
}

pub fn set_filter(state: &mut State, text: &str, query: Query) {
    text.clone_into(&mut state.cost.filter_text);
    state.cost.filter = query;
    state.cost.cursor = 0;
}

pub fn demand(state: &mut State, effects: &mut Vec<Effect>) {
    let (now, past) = (state.now, state.past.at);
    let frozen = state.frozen || past.is_some();
    let cost = &mut state.cost;
    let wanted = (cost.by, state.window, past);
    if cost.asked != Some(wanted) {
        cost.asked = Some(wanted);
        cost.page.renew();
    }
    if cost.page.asks_every(LOOK_US, now, frozen) {
        let since = state.window.map(|w| w.since(past.unwrap_or(now)));
        let asked = Asked { by: cost.by, since, to: None, days: DAYS, as_of: past };
        effects.push(Effect::Load(cost.page.ask(&mut state.ids, now), Want::Cost(asked)));
    }
}

pub fn loaded(state: &mut State, id: RequestId, reply: &Result<Page, Fault>) {
    let (now, cost) = (state.now, &mut state.cost);
    if give(&mut cost.page, id, reply, now, |p| if let Page::Cost(r) = p { Some((**r).clone()) } else { None }) {
        cost.cursor = cost.cursor.min(cost.shown().len().saturating_sub(1));
        cost.advice = cost.advice.min(cost.report().map_or(0, |r| r.advice.len()).saturating_sub(1));
    }
}
