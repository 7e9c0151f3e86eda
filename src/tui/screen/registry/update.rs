//! What happens on the screen of the registry.

use super::{MODELS, PANES, Registry, VERSIONS};
use crate::base::Fault;
use crate::tui::action::Action;
use crate::tui::ask::{self, Topic};
use crate::tui::model::Stage;
use crate::tui::msg::{Effect, Page, Want};
use crate::tui::overlay::Choice;
use crate::tui::overlay::picker::Item;
use crate::tui::query::Query;
use crate::tui::remote::RequestId;
use crate::tui::screen::{copy_list, give, list, open};
use crate::tui::state::{State, View};

pub fn act(state: &mut State, action: Action, effects: &mut Vec<Effect>) {
    let page = usize::from(state.size.1 / 3);
    let registry = &mut state.registry;
    if let Some(pane) = list::next_pane(action, registry.pane, PANES) {
        registry.pane = pane;
        return;
    }
    if move_cursor(registry, action, page) {
        return;
    }
    match action {
        Action::ColPrev | Action::ColNext if registry.pane == MODELS => turn_stage(registry, action == Action::ColNext),
        Action::Open if registry.pane == MODELS => registry.pane = VERSIONS,
        Action::Open => {
            if let Some(run) = registry.version().and_then(|v| v.run.clone()) {
                state.go(View::Run(run), effects);
            } else {
                state.say("this version names no run it came from");
            }
        }
        Action::PromoteSheet => promote(state),
        Action::RollbackSheet => roll_back(state),
        Action::CopyMenu => pick_copy(state),
        _ => {}
    }
}

fn move_cursor(registry: &mut Registry, action: Action, page: usize) -> bool {
    let focus = registry.pane;
    let (cursor, len) = match focus {
        MODELS => (registry.cursor, registry.shown().len()),
        VERSIONS => (registry.version, registry.current().map_or(0, |m| m.versions.len())),
        _ => (registry.scrolls[focus], 10_000),
    };
    let Some(to) = list::moved(action, cursor, len, page) else { return false };
    match focus {
        MODELS => {
            if to != registry.cursor {
                registry.version = 0;
            }
            registry.cursor = to;
            registry.selected = registry.current().map(|m| m.name.clone());
        }
        VERSIONS => registry.version = to,
        _ => registry.scrolls[focus] = to,
    }
    true
}

/// Left and right walk the stages, and the version pane follows to the newest version there.
fn turn_stage(registry: &mut Registry, right: bool) {
    let last = Stage::ALL.len() - 1;
    registry.stage = if right { (registry.stage + 1).min(last) } else { registry.stage.saturating_sub(1) };
    let stage = Stage::ALL[registry.stage];
    if let Some(at) = registry.current().and_then(|m| m.versions.iter().position(|v| v.stage == stage)) {
        registry.version = at;
    }
}

/// The sheet for the next stage up; left and right choose another one on it.
fn promote(state: &mut State) {
    let (Some(model), Some(version)) = (state.registry.current(), state.registry.version()) else { return };
    let to = match version.stage {
        Stage::Dev | Stage::Archived => Stage::Staging,
        Stage::Staging => Stage::Prod,
        Stage::Prod => Stage::Archived,
    };
    let topic = Topic::Stage { model: model.name.clone(), version: version.number, to };
    ask::open(state, &topic);
}

fn roll_back(state: &mut State) {
    let Some(model) = state.registry.current().map(|m| m.name.clone()) else { return };
    ask::open(state, &Topic::Rollback { model });
}

pub fn set_filter(state: &mut State, text: &str, query: Query) {
    text.clone_into(&mut state.registry.filter_text);
    state.registry.filter = query;
    follow(&mut state.registry);
}

pub fn demand(state: &mut State, effects: &mut Vec<Effect>) {
    let slot = &mut state.registry.models;
    if slot.is_unasked() || (slot.due(state.now) && !state.frozen) {
        effects.push(Effect::Load(slot.ask(&mut state.ids, state.now), Want::Models));
    }
}

pub fn loaded(state: &mut State, id: RequestId, reply: &Result<Page, Fault>) {
    let version = state.registry.version().map(|v| v.number);
    if give(&mut state.registry.models, id, reply, state.now, |p| {
        if let Page::Models(m) = p { Some(m.clone()) } else { None }
    }) {
        follow(&mut state.registry);
        let at = version.and_then(|n| state.registry.current()?.versions.iter().position(|v| v.number == n));
        state.registry.version = at.unwrap_or(0);
    }
}

/// Keeps the cursor on the selected model when models came or went.
fn follow(registry: &mut Registry) {
    let shown = registry.shown();
    let found = registry.selected.as_ref().and_then(|name| shown.iter().position(|m| m.name == *name));
    let cursor = found.unwrap_or(registry.cursor).min(shown.len().saturating_sub(1));
    let selected = shown.get(cursor).map(|m| m.name.clone());
    registry.cursor = cursor;
    registry.selected = selected;
    let versions = registry.current().map_or(0, |m| m.versions.len());
    registry.version = registry.version.min(versions.saturating_sub(1));
}

fn pick_copy(state: &mut State) {
    let Some(model) = state.registry.current() else { return };
    let mut items = vec![Item::new("model name", "", Choice::Copy(model.name.clone()))];
    if let Some(v) = state.registry.version() {
        let uri = format!("models:/{}/{}", model.name, v.number);
        items.insert(0, Item::new("model URI", uri.clone(), Choice::Copy(uri)));
        items.push(Item::new(
            "command line",
            "",
            Choice::Copy(format!("opsroom model show {} {}", model.name, v.number)),
        ));
        items.push(Item::new("artifact source", "", Choice::Copy(v.source.clone())));
        items.extend(v.digest.clone().map(|d| Item::new("digest", "", Choice::Copy(d))));
        items.extend(v.run.clone().map(|r| Item::new("run id", "", Choice::Copy(r))));
    }
    open(state, copy_list(items));
}
