//! The help: every key of the screen below, out of the keymap, with what it does and why it cannot now.

use super::Overlay;
use crate::tui::action::{Action, Group};
use crate::tui::fuzzy::Typed;
use crate::tui::state::State;

/// One line of the help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub action: Action,
    pub keys: String,
    pub help: &'static str,
    pub why_not: Option<String>,
}

/// The headings and their lines, for the screen that is open, as far as they fit what was typed.
pub fn sections(state: &State) -> Vec<(&'static str, Vec<Entry>)> {
    let typed = if let Some(Overlay::Help { find, .. }) = &state.overlay { find.text() } else { String::new() };
    let find = Typed::new(&typed);
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
                    action: *a,
                    keys: state.keys.keys_of(&contexts, *a).join(" "),
                    help: a.help(),
                    why_not: state.why_not(*a),
                })
                .filter(|e| find.score(&format!("{} {}", e.keys, e.help)).is_some())
                .collect();
            (heading, entries)
        })
        .filter(|(_, entries): &(_, Vec<Entry>)| !entries.is_empty())
        .collect()
}
