//! What is under way, and how the last change is taken back: the small ones at once for some seconds, the others through a
//! sheet of their own.

use super::ask::{self, Back};
use super::model::{Change, Envelope, Outcome, Stage};
use super::msg::Effect;
use super::remote::RequestId;
use super::state::{State, View};
use crate::base::{Fault, Timestamp};

/// Microseconds in which a small change is taken back by one key.
const AT_ONCE_US: i64 = 10_000_000;
/// Microseconds in which the inverse of a sheet's change is offered.
const BY_SHEET_US: i64 = 600_000_000;

/// A change that was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Doing {
    /// What to say when it is done; `None` leaves it to the agent's words.
    pub said: Option<String>,
    pub back: Back,
    /// The screen that opens by itself when it is done.
    pub then: Option<View>,
}

/// The last change that can be taken back.
#[derive(Debug, Clone, PartialEq)]
pub struct Undo {
    pub what: String,
    pub back: Back,
    pub until: Timestamp,
}

/// Sends a small change without a sheet.
pub fn at_once(
    state: &mut State,
    change: Change,
    generation: Option<i64>,
    said: String,
    back: Back,
    effects: &mut Vec<Effect>,
) {
    state.ids += 1;
    let envelope = Envelope {
        change,
        reason: String::new(),
        generation,
        idempotency_key: format!("tui-{}-s{}", state.session, state.ids),
        dry_run: false,
    };
    state.doing.insert(state.ids, Doing { said: Some(said), back, then: None });
    effects.push(Effect::Perform(state.ids, envelope));
}

/// Tells what came of a change, and remembers how it is taken back.
pub fn told(state: &mut State, id: RequestId, answer: &Result<Outcome, Fault>, effects: &mut Vec<Effect>) {
    let doing = state.doing.remove(&id);
    let outcome = match answer {
        Ok(outcome) => outcome,
        Err(fault) => return state.warn(fault.to_string()),
    };
    let audit = outcome.audit.map_or(String::new(), |n| format!("  audit #{n}"));
    let Some(doing) = doing else { return state.say(format!("{}{audit}", outcome.said)) };
    if let Some(view) = doing.then {
        state.go(view, effects);
    }
    let what = doing.said.unwrap_or_else(|| outcome.said.clone());
    let back = match doing.back {
        Back::ArchiveNew { model } => outcome
            .version
            .map_or(Back::Never, |version| Back::Sheet(ask::Topic::Stage { model, version, to: Stage::Archived })),
        other => other,
    };
    let (hint, lasts) = match &back {
        Back::Change(_) => ("   u undo (10 s)", AT_ONCE_US),
        Back::Sheet(_) => ("   u undo…", BY_SHEET_US),
        _ => ("", 0),
    };
    state.say(format!("{what}{audit}{hint}"));
    if let (Back::Change(_), Some(toast)) = (&back, &mut state.toast) {
        toast.until = Timestamp(state.now.0 + AT_ONCE_US);
    }
    let until = Timestamp(state.now.0 + lasts);
    state.undo = (lasts > 0).then_some(Undo { what, back, until });
}

/// Why there is nothing to take back.
pub fn why_not(state: &State) -> Option<String> {
    match &state.undo {
        None => Some("nothing was changed from here that can be taken back".into()),
        Some(undo) if undo.until <= state.now => Some(format!("too long ago: {}", undo.what)),
        Some(_) => None,
    }
}

/// Takes the last change back.
pub fn act(state: &mut State, effects: &mut Vec<Effect>) {
    let Some(undo) = state.undo.take() else { return };
    match undo.back {
        Back::Change(change) => at_once(state, change, None, format!("undone: {}", undo.what), Back::Never, effects),
        Back::Sheet(topic) => {
            // The offer stands until it is taken: a sheet that is left changes nothing.
            state.undo = Some(Undo { back: Back::Sheet(topic.clone()), ..undo });
            ask::open(state, &topic);
        }
        Back::Never | Back::ArchiveNew { .. } => {}
    }
}
