//! What happens on the screen of the registry.

use super::{CARD, MODELS, PANES, Registry, TIMELINE, VERSIONS, Wanted, gates};
use crate::base::{Fault, Timestamp};
use crate::tui::action::Action;
use crate::tui::ask::{self, Topic};
use crate::tui::format;
use crate::tui::model::{Card, Stage};
use crate::tui::msg::{Effect, Page, Want};
use crate::tui::overlay::picker::Item;
use crate::tui::overlay::{Choice, Picker};
use crate::tui::query::Query;
use crate::tui::remote::{RequestId, Slot};
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
        Action::Open => enter(state, effects),
        Action::Mark => mark(registry),
        Action::Diff => diff(state, effects),
        Action::PromoteSheet => promote(state),
        Action::ArchiveSheet => stage_sheet(state, Stage::Archived),
        Action::RollbackSheet => roll_back(state),
        Action::OpenLink => {
            if let Some(uri) = registry.uri() {
                effects.push(Effect::Copy(uri));
            }
        }
        Action::ApproveSheet => approve(state),
        Action::WaiveSheet => waive(state),
        Action::CopyMenu => pick_copy(state),
        _ => {}
    }
}

/// Enter goes one deeper: model, version, card, run; a change in the timeline leads to its audit record.
fn enter(state: &mut State, effects: &mut Vec<Effect>) {
    let registry = &mut state.registry;
    match registry.pane {
        MODELS => registry.pane = VERSIONS,
        VERSIONS => registry.pane = CARD,
        TIMELINE => match registry.event().map(|e| e.audit) {
            Some(Some(seq)) => {
                state.audit.go_to(seq);
                state.go(View::Audit, effects);
            }
            Some(None) => state.say("this change was recorded before entries named their audit record"),
            None => {}
        },
        _ => match registry.version().map(|v| v.run.clone()) {
            Some(Some(run)) => state.go(View::Run(run), effects),
            Some(None) => state.say("this version names no run that it came from"),
            None => {}
        },
    }
}

fn move_cursor(registry: &mut Registry, action: Action, page: usize) -> bool {
    let focus = registry.pane;
    let (cursor, len) = match focus {
        MODELS => (registry.cursor, registry.shown().len()),
        VERSIONS => (registry.version, registry.current().map_or(0, |m| m.versions.len())),
        TIMELINE => (registry.scrolls[TIMELINE], registry.current().map_or(0, |m| m.history.len())),
        _ => (registry.scrolls[focus], 10_000),
    };
    let Some(to) = list::moved(action, cursor, len, page) else { return false };
    match focus {
        MODELS => {
            if to != registry.cursor {
                registry.version = 0;
                registry.marks.clear();
                registry.scrolls = [0; PANES];
            }
            registry.cursor = to;
            registry.selected = registry.current().map(|m| m.name.clone());
        }
        VERSIONS => {
            registry.version = to;
            registry.scrolls[CARD] = 0;
        }
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
        registry.scrolls[CARD] = 0;
    }
}

/// At most two marks: a third takes the place of the older one.
fn mark(registry: &mut Registry) {
    let Some(number) = registry.version().map(|v| v.number) else { return };
    if registry.marks.contains(&number) {
        registry.marks.retain(|m| *m != number);
    } else {
        if registry.marks.len() == 2 {
            registry.marks.remove(0);
        }
        registry.marks.push(number);
    }
    let last = registry.current().map_or(0, |m| m.versions.len()).saturating_sub(1);
    registry.version = (registry.version + 1).min(last);
}

/// The two that are marked, else the one under the cursor with another one to choose: prod at first.
fn diff(state: &mut State, effects: &mut Vec<Effect>) {
    let registry = &state.registry;
    let (Some(model), Some(here)) = (registry.current(), registry.version()) else { return };
    if let [a, b] = registry.marks.as_slice() {
        let view = View::Versus { model: model.name.clone(), old: *a.min(b), new: *a.max(b) };
        return state.go(view, effects);
    }
    let before = model.versions.iter().find(|v| v.number < here.number);
    let first = model.in_stage(Stage::Prod).find(|v| v.number != here.number).or(before).map(|v| v.number);
    let items = model
        .versions
        .iter()
        .filter(|v| v.number != here.number)
        .map(|v| {
            let view = View::Versus {
                model: model.name.clone(),
                old: v.number.min(here.number),
                new: v.number.max(here.number),
            };
            Item::new(format!("v{}  {}", v.number, v.stage.name()), v.aliases.join(" "), Choice::Go(view))
        })
        .collect();
    let title = format!("WHAT DIFFERS BETWEEN v{} AND", here.number);
    let is_first = |c: &Choice| matches!(c, Choice::Go(View::Versus { old, new, .. }) if first.is_some_and(|f| *old == f || *new == f));
    open(state, Picker::new(&title, items).at(is_first));
}

/// The sheet for the next stage up; left and right choose another one on it.
fn promote(state: &mut State) {
    let Some(version) = state.registry.version() else { return };
    let to = match version.stage {
        Stage::Dev | Stage::Archived => Stage::Staging,
        Stage::Staging => Stage::Prod,
        Stage::Prod => Stage::Archived,
    };
    stage_sheet(state, to);
}

fn stage_sheet(state: &mut State, to: Stage) {
    let (Some(model), Some(version)) = (state.registry.current(), state.registry.version()) else { return };
    let topic = Topic::Stage { model: model.name.clone(), version: version.number, to };
    ask::open(state, &topic);
}

/// The first approval that the version under the cursor waits for.
fn approve(state: &mut State) {
    let registry = &state.registry;
    let (Some(model), Some(version)) = (registry.current(), registry.version()) else { return };
    let Some(pending) = registry.gates.pending(&model.name, version.number).first().map(|p| p.stage) else { return };
    let topic = Topic::Approve { model: model.name.clone(), version: version.number, stage: pending };
    ask::open(state, &topic);
}

/// A gate before the stage that matters next.
fn waive(state: &mut State) {
    let registry = &state.registry;
    let Some((stage, _)) = registry.open_gates() else { return };
    let (Some(model), Some(version)) = (registry.current(), registry.version()) else { return };
    let topic = Topic::Waive { model: model.name.clone(), version: version.number, stage };
    ask::open(state, &topic);
}

fn roll_back(state: &mut State) {
    let Some(model) = state.registry.current().map(|m| m.name.clone()) else { return };
    ask::open(state, &Topic::Rollback { model });
}

/// The moment of the change under the timeline's cursor.
pub fn event_here(state: &State) -> Option<Timestamp> {
    let registry = &state.registry;
    let timeline = *state.nav.here() == View::Registry && registry.pane == TIMELINE;
    registry.event().filter(|_| timeline).map(|e| e.at)
}

/// Shows the registry as it stood at a moment.
pub fn travel(state: &mut State, at: Option<Timestamp>) {
    let registry = &mut state.registry;
    registry.as_of = at;
    registry.past = Slot::default();
    registry.marks.clear();
    registry.scrolls = [0; PANES];
    follow(registry);
}

/// One step back out of what lies over the list. Whether there was any.
pub fn clear(state: &mut State) -> bool {
    let had = !state.registry.marks.is_empty();
    state.registry.marks.clear();
    had
}

/// Goes to a version, without a filter or a past moment that could hide it.
pub fn go_to(state: &mut State, model: &str, version: Option<u32>, effects: &mut Vec<Effect>) {
    want(state, Wanted::Version { model: model.to_owned(), version }, effects);
}

/// Goes to the newest version that came from a run.
pub fn go_to_run(state: &mut State, run: &str, effects: &mut Vec<Effect>) {
    want(state, Wanted::OfRun(run.to_owned()), effects);
}

fn want(state: &mut State, wanted: Wanted, effects: &mut Vec<Effect>) {
    if state.past.at.is_some() {
        crate::tui::past::set(state, None);
    }
    let registry = &mut state.registry;
    registry.filter = Query::default();
    registry.filter_text.clear();
    registry.wanted = Some(wanted);
    if registry.models.value().is_some() {
        find_wanted(state);
    }
    state.go(View::Registry, effects);
}

fn find_wanted(state: &mut State) {
    let registry = &mut state.registry;
    let Some(wanted) = registry.wanted.take() else { return };
    let all = registry.models.value().map_or(&[][..], Vec::as_slice);
    let found = match &wanted {
        Wanted::Version { model, version } => all.iter().position(|m| m.name == *model).map(|at| {
            let number = version.and_then(|n| all[at].versions.iter().position(|v| v.number == n));
            (at, number.unwrap_or(0))
        }),
        Wanted::OfRun(run) => all
            .iter()
            .enumerate()
            .find_map(|(at, m)| Some((at, m.versions.iter().position(|v| v.run.as_ref() == Some(run))?))),
    };
    match found {
        Some((model, version)) => {
            let name = all[model].name.clone();
            registry.cursor = model;
            registry.version = version;
            registry.selected = Some(name);
            registry.pane = VERSIONS;
            registry.scrolls = [0; PANES];
        }
        None => state.warn(match wanted {
            Wanted::Version { model, .. } => format!("{model} is not in the registry any more"),
            Wanted::OfRun(_) => "no version came from this run; E on it registers one".to_owned(),
        }),
    }
}

pub fn set_filter(state: &mut State, text: &str, query: Query) {
    text.clone_into(&mut state.registry.filter_text);
    state.registry.filter = query;
    follow(&mut state.registry);
}

pub fn demand(state: &mut State, effects: &mut Vec<Effect>) {
    let (now, frozen) = (state.now, state.frozen);
    let registry = &mut state.registry;
    if let Some(at) = registry.as_of.filter(|_| registry.past.is_unasked() || registry.past.due(now)) {
        effects.push(Effect::Load(registry.past.ask(&mut state.ids, now), Want::ModelsAt(at)));
    }
    let slot = &mut registry.models;
    if slot.asks(now, frozen) {
        effects.push(Effect::Load(slot.ask(&mut state.ids, now), Want::Models));
    }
    let needed = match state.nav.here() {
        View::Versus { model, old, new } => super::versus::card_needed(&state.registry, model, *old, *new),
        _ => state.registry.card_needed().filter(|(m, v, _)| state.registry.card_of(m, *v).is_none()),
    };
    let registry = &mut state.registry;
    let failed = |n: &(String, u32, bool)| registry.card_failed.as_ref().is_some_and(|f| f.0 == n.0 && f.1 == n.1);
    // One at a time: whoever runs through a list of versions asks for the one where they stop.
    if let Some(needed) = needed.filter(|n| !registry.card.is_waiting() && !failed(n)) {
        let (model, version, digests) = needed.clone();
        registry.card_wanted = Some(needed);
        effects.push(Effect::Load(registry.card.ask(&mut state.ids, now), Want::Card { model, version, digests }));
    }
    gates::demand(state, effects);
    crate::tui::screen::unit_costs::demand(state, effects);
}

pub fn loaded(state: &mut State, id: RequestId, reply: &Result<Page, Fault>) {
    let now = state.now;
    take_card(&mut state.registry, id, reply, now);
    gates::loaded(&mut state.registry.gates, id, reply, now);
    let version = state.registry.version().map(|v| v.number);
    let models = |p: &Page| if let Page::Models(m) = p { Some(m.clone()) } else { None };
    let present = give(&mut state.registry.models, id, reply, now, models);
    let past = give(&mut state.registry.past, id, reply, now, models);
    if present || past {
        follow(&mut state.registry);
        let at = version.and_then(|n| state.registry.current()?.versions.iter().position(|v| v.number == n));
        state.registry.version = at.unwrap_or(0);
    }
    if present {
        find_wanted(state);
    }
}

fn take_card(registry: &mut Registry, id: RequestId, reply: &Result<Page, Fault>, now: Timestamp) {
    if !registry.card.wants(id) {
        return;
    }
    let wanted = registry.card_wanted.take();
    give(&mut registry.card, id, reply, now, |p| if let Page::Card(c) = p { Some((**c).clone()) } else { None });
    match (reply, wanted) {
        (Ok(_), _) => {
            let card: Option<Card> = registry.card.value().cloned();
            card.into_iter().for_each(|c| registry.remember(c));
            registry.card_failed = None;
        }
        (Err(fault), Some((model, version, _))) => registry.card_failed = Some((model, version, fault.to_string())),
        (Err(_), None) => {}
    }
}

/// Keeps the cursor on the selected model when models came or went.
fn follow(registry: &mut Registry) {
    let shown = registry.shown();
    let found = registry.selected.as_ref().and_then(|name| shown.iter().position(|m| m.name == *name));
    let cursor = found.unwrap_or(registry.cursor).min(shown.len().saturating_sub(1));
    let selected = shown.get(cursor).map(|m| m.name.clone());
    registry.cursor = cursor;
    registry.selected = selected.or_else(|| registry.selected.take());
    let versions = registry.current().map_or(0, |m| m.versions.len());
    registry.version = registry.version.min(versions.saturating_sub(1));
    let events = registry.current().map_or(0, |m| m.history.len());
    registry.scrolls[TIMELINE] = registry.scrolls[TIMELINE].min(events.saturating_sub(1));
}

fn pick_copy(state: &mut State) {
    let Some(model) = state.registry.current() else { return };
    let mut items = vec![Item::new("model name", "", Choice::Copy(model.name.clone()))];
    if let Some(v) = state.registry.version() {
        let uri = format!("models:/{}/{}", model.name, v.number);
        let aliases = v.aliases.iter().map(|a| format!("models:/{}@{a}", model.name));
        let mut first: Vec<Item> =
            aliases.chain([uri]).map(|u| Item::new("model URI", u.clone(), Choice::Copy(u))).collect();
        first.append(&mut items);
        items = first;
        let name = ask::shell_word(&model.name);
        items.push(Item::new("command line", "", Choice::Copy(format!("opsroom model show {name} {}", v.number))));
        items.push(Item::new("artifact source", "", Choice::Copy(v.source.clone())));
        items.extend(v.digest.clone().map(|d| Item::new("digest", "", Choice::Copy(d))));
        items.extend(v.run.clone().map(|r| Item::new("run id", "", Choice::Copy(r))));
        let why = v.moves.first().map(|m| m.reason.clone()).unwrap_or_default();
        let row = [format!("v{}", v.number), v.stage.name().into(), v.by.clone(), format::full(v.created), why];
        items.push(Item::new("row", "tab-separated", Choice::Copy(row.join("\t"))));
    }
    open(state, copy_list(items));
}
