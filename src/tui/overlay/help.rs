//! The help: every key of the screen below, out of the keymap, with what it does and why it cannot now.

use crate::tui::action::{Action, Group};
use crate::tui::state::State;

/// One line of the help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub keys: String,
    pub help: &'static str,
    pub why_not: Option<String>,
}

/// The headings and their lines, for the screen that is open.
pub fn sections(state: &State) -> Vec<(&'static str, Vec<Entry>)> {
    let contexts = state.contexts();
    let mut actions: Vec<Action> = contexts.iter().flat_map(|c| state.keys.actions_of(c)).collect();
    actions.sort_unstable();
    actions.dedup();
    [(Group::Act, "ACT"), (Group::Look, "LOOK"), (Group::Move, "MOVE"), (Group::App, "ROOM")]
        .into_iter()
        .map(|(group, heading)| {
            let entries = actions
                .iter()
                .filter(|a| a.group() == group)
                .map(|a| Entry {
                    keys: state.keys.keys_of(&contexts, *a).join(" "),
                    help: a.help(),
                    why_not: state.why_not(*a),
                })
                .collect();
            (heading, entries)
        })
        .collect()
}
