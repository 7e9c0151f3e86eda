//! Time travel: the places that show decisions and counters, as they stood at a moment. The past is never mistaken for now: a banner
//! says it, ages are told from then, nothing in it can be changed, and whoever goes to a place that shows only now leaves it.

use std::collections::BTreeSet;

use super::action::Action;
use super::msg::Effect;
use super::overlay::prompt::Prompted;
use super::overlay::{Overlay, Prompt};
use super::query::moment;
use super::remote::Slot;
use super::screen;
use super::state::{State, View};
use crate::base::Timestamp;
use crate::tui::format;

const MINUTE_US: i64 = 60_000_000;
/// Moments that are remembered to go from one to the next.
const EVENTS_MAX: usize = 1000;

/// What is seen as of a moment, if not now.
#[derive(Debug, Default)]
pub struct Past {
    pub at: Option<Timestamp>,
    /// When something was changed or raised, as far as the room has seen it.
    pub events: BTreeSet<Timestamp>,
}

/// Whether a place can show the past.
pub fn shows(view: &View) -> bool {
    match view {
        View::Fleet
        | View::Incident(_)
        | View::Live
        | View::Rollouts
        | View::Registry
        | View::Versus { .. }
        | View::Cost
        | View::Audit => true,
        View::Recovery(_) | View::Runs | View::Run(_) | View::Compare(_) | View::Readiness | View::Data => false,
    }
}

/// Why an action cannot be done, as far as time has to do with it.
pub fn why_not(state: &State, action: Action) -> Option<String> {
    let here = state.nav.here();
    match action {
        Action::AsOf if !shows(here) => {
            Some("this place shows now; Fleet, Registry, Live, Rollouts, Cost and Audit show the past".to_owned())
        }
        _ if action.changes() => {
            let at = state.in_past()?;
            Some(format!("this is the past, as of {}; T or Esc returns to now", format::full(at)))
        }
        _ => None,
    }
}

/// The line for a moment, prefilled with the one that is shown.
pub fn ask(state: &mut State) {
    let text =
        state.in_past().or_else(|| screen::registry::event_here(state)).map_or(String::new(), |at| at.to_string());
    let hint = "20m, 3d, 2026-11-20 or 2026-11-20T14:00Z; an empty line is now";
    let title = match state.nav.here() {
        View::Registry => "THE REGISTRY AS OF",
        _ => "AS OF",
    };
    state.overlay = Some(Overlay::Prompt(Prompt::new(title, hint, &text, Prompted::AsOf)));
}

/// What was typed; an empty text is now.
pub fn typed(state: &mut State, text: &str, effects: &mut Vec<Effect>) {
    let at = match text.trim() {
        "" | "now" => None,
        text => match moment(text, state.now) {
            None => return state.warn(format!("not a time: {text}; write 20m, 2026-11-20 or 2026-11-20T14:00Z")),
            Some(at) if at > state.now => return state.warn("that moment is still to come"),
            Some(at) => Some(at),
        },
    };
    set(state, at);
    screen::demand(state, effects);
}

/// Stands at a moment; `None` is now. Nothing that was loaded for another moment stays.
pub fn set(state: &mut State, at: Option<Timestamp>) {
    remember(state);
    state.past.at = at;
    screen::registry::travel(state, at);
    state.fleet.page = Slot::default();
    state.watch = screen::watch::Watch::default();
    state.incident.view = Slot::default();
    state.rollouts.rows = Slot::default();
    state.rollouts.view = Slot::default();
    state.audit.page = Slot::default();
    state.cost.page = Slot::default();
    state.unit_costs = screen::unit_costs::UnitCosts::default();
}

/// Esc, or a place that shows only now. Whether it was the past.
pub fn leave(state: &mut State) -> bool {
    if state.past.at.is_none() {
        return false;
    }
    set(state, None);
    state.say("back to now");
    true
}

/// What the room has seen so far becomes a tick to go to.
fn remember(state: &mut State) {
    let mut seen: Vec<Timestamp> = Vec::new();
    if let Some(page) = state.fleet.page.value() {
        seen.extend(page.changes.iter().map(|c| c.at));
        seen.extend(page.incidents.iter().flat_map(|i| std::iter::once(i.opened).chain(i.closed)));
    }
    if let Some(all) = state.fleet.open.value() {
        seen.extend(all.iter().flat_map(|i| std::iter::once(i.opened).chain(i.closed)));
    }
    if let Some(page) = state.watch.page.value() {
        seen.extend(page.changes.iter().map(|c| c.at));
    }
    if let Some(models) = state.registry.models.value() {
        seen.extend(models.iter().flat_map(|m| &m.history).map(|e| e.at));
    }
    if let Some(page) = state.audit.page.value() {
        seen.extend(page.rows.iter().map(|r| r.at));
    }
    state.past.events.extend(seen);
    while state.past.events.len() > EVENTS_MAX {
        state.past.events.pop_first();
    }
}

/// A step in time.
pub fn step(state: &mut State, action: Action, effects: &mut Vec<Effect>) {
    let Some(at) = state.past.at else { return };
    remember(state);
    let by = |minutes: i64| Timestamp(at.0 + minutes * MINUTE_US);
    let to = match action {
        Action::PastBack => by(-1),
        Action::PastForward => by(1),
        Action::PastBackFar => by(-15),
        Action::PastForwardFar => by(15),
        // A change shows from the moment after it.
        Action::EventPrev => match state.past.events.range(..Timestamp(at.0 - 1)).next_back().copied() {
            Some(event) => Timestamp(event.0 + 1),
            None => return state.warn("nothing that the room knows of happened before"),
        },
        Action::EventNext => match state.past.events.range(Timestamp(at.0 + 1)..).next().copied() {
            Some(event) => Timestamp(event.0 + 1),
            None => return state.warn("nothing that the room knows of happened between then and now"),
        },
        _ => state.now,
    };
    if to.0 < 0 {
        return;
    }
    if to >= state.now {
        leave(state);
    } else {
        set(state, Some(to));
    }
    screen::demand(state, effects);
}

impl State {
    /// The past moment that the open screen shows.
    pub fn in_past(&self) -> Option<Timestamp> {
        self.past.at.filter(|_| shows(self.nav.here()))
    }

    /// From when ages on the open screen are told.
    pub fn then(&self) -> Timestamp {
        self.in_past().unwrap_or(self.now)
    }
}
