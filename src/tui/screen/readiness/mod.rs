//! Readiness: the twelve capabilities as they stand, what bites later, and what pays next.

pub mod view;

use crate::base::{Fault, Timestamp};
use crate::local::doctor::{Capability, Report};
use crate::tui::action::Action;
use crate::tui::msg::{Effect, Page, Want};
use crate::tui::overlay::picker::Item;
use crate::tui::query::{Held, Query};
use crate::tui::remote::{RequestId, Slot};
use crate::tui::screen::{copy_list, give, list, open};
use crate::tui::state::State;

/// The panes, in the order of Tab.
pub const CAPABILITIES: usize = 0;
pub const LATER: usize = 1;
pub const PANES: usize = 2;

/// It comes without a hint: how often it is looked at anew, microseconds.
const LOOK_US: i64 = 30_000_000;

#[derive(Debug, Default)]
pub struct Readiness {
    pub page: Slot<Report>,
    pub cursor: usize,
    pub scroll: usize,
    pub pane: usize,
    pub filter: Query,
    pub filter_text: String,
}

impl Readiness {
    pub fn shown(&self) -> Vec<&Capability> {
        let held = |c: &Capability, field: Option<&str>| match field {
            Some("state") => Held::Text(c.state.word().to_owned()),
            _ => Held::Text(format!("{} {}", c.name, c.evidence)),
        };
        let all = self.page.value().map_or(&[][..], |r| r.capabilities.as_slice());
        all.iter().filter(|c| self.filter.matches(|field| held(c, field))).collect()
    }

    pub fn current(&self) -> Option<&Capability> {
        self.shown().get(self.cursor).copied()
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
            Action::CopyMenu if self.current().is_none() => Some("nothing here yet".into()),
            Action::Mark | Action::MarkRange | Action::MarkInvert | Action::SortPick | Action::SortReverse => {
                Some("what pays first stands first".into())
            }
            _ => None,
        }
    }
}

pub fn act(state: &mut State, action: Action, _: &mut Vec<Effect>) {
    let page = usize::from(state.size.1 / 2);
    let it = &mut state.readiness;
    if let Some(pane) = list::next_pane(action, it.pane, PANES) {
        it.pane = pane;
        return;
    }
    let len = it.shown().len();
    if it.pane == CAPABILITIES {
        if let Some(to) = list::moved(action, it.cursor, len, page) {
            it.cursor = to;
            return;
        }
    } else if let Some(to) = list::moved(action, it.scroll, 200, page) {
        it.scroll = to;
        return;
    }
    match action {
        Action::Open => it.pane = LATER,
        Action::CopyMenu => {
            let Some(c) = it.current() else { return };
            let next = c.next.clone();
            // What stands between back quotes is a line to type.
            let line = next.split('`').nth(1).unwrap_or_default().to_owned();
            let mut items = vec![Item::copies("next step", next)];
            if !line.is_empty() {
                items.insert(0, Item::copies("command", line));
            }
            open(state, copy_list(items));
        }
        _ => {}
    }
}

pub fn set_filter(state: &mut State, text: &str, query: Query) {
    text.clone_into(&mut state.readiness.filter_text);
    state.readiness.filter = query;
    state.readiness.cursor = 0;
}

pub fn demand(state: &mut State, effects: &mut Vec<Effect>) {
    let (now, frozen) = (state.now, state.frozen);
    let it = &mut state.readiness;
    if it.page.asks_every(LOOK_US, now, frozen) {
        effects.push(Effect::Load(it.page.ask(&mut state.ids, now), Want::Readiness));
    }
}

pub fn loaded(state: &mut State, id: RequestId, reply: &Result<Page, Fault>) {
    let (now, it) = (state.now, &mut state.readiness);
    if give(&mut it.page, id, reply, now, |p| if let Page::Readiness(r) = p { Some((**r).clone()) } else { None }) {
        it.cursor = it.cursor.min(it.shown().len().saturating_sub(1));
    }
}
