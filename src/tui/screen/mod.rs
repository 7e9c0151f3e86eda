//! The screens, and how the frame speaks to the one that is open.

pub mod audit;
pub mod compare;
pub mod cost;
pub mod curves;
pub mod data;
pub mod fleet;
pub mod incident;
pub mod lines;
pub mod list;
pub mod live;
pub mod plot;
pub mod readiness;
pub mod recovery;
pub mod registry;
pub mod rollouts;
pub mod run;
pub mod runs;
pub mod unit_costs;
pub mod watch;

use super::action::Action;
use super::msg::{Effect, Page};
use super::overlay::Choice;
use super::overlay::picker::Item;
use super::query::Query;
use super::remote::{RequestId, Slot};
use super::span::Span;
use super::state::{State, View};
use super::{dispatch, overlay::Overlay, verb};
use crate::base::Fault;

/// Does what only the open screen knows how to do.
pub fn act(state: &mut State, action: Action, effects: &mut Vec<Effect>) {
    match state.nav.here() {
        View::Fleet => fleet::act(state, action, effects),
        View::Incident(_) => incident::act(state, action, effects),
        View::Recovery(_) => recovery::act(state, action, effects),
        View::Live => live::act(state, action, effects),
        View::Runs => runs::act(state, action, effects),
        View::Run(_) => run::act(state, action, effects),
        View::Compare(_) => compare::act(state, action, effects),
        View::Registry => registry::act(state, action, effects),
        View::Rollouts => rollouts::act(state, action, effects),
        View::Cost => cost::act(state, action, effects),
        View::Readiness => readiness::act(state, action, effects),
        View::Audit => audit::act(state, action, effects),
        View::Data => data::act(state, action, effects),
        View::Versus { .. } => registry::versus::act(state, action, effects),
    }
}

/// Asks for what the open screen lacks.
pub fn demand(state: &mut State, effects: &mut Vec<Effect>) {
    fleet::demand_open(state, effects);
    match state.nav.here() {
        View::Fleet => fleet::demand(state, effects),
        View::Incident(_) => incident::demand(state, effects),
        View::Recovery(_) => recovery::demand(state, effects),
        View::Live => live::demand(state, effects),
        View::Runs => runs::demand(state, effects),
        View::Run(_) => run::demand(state, effects),
        View::Compare(_) => compare::demand(state, effects),
        View::Registry | View::Versus { .. } => {
            registry::demand(state, effects);
            // A model that is served goes back by its service.
            rollouts::demand(state, effects);
        }
        View::Rollouts => rollouts::demand(state, effects),
        View::Cost => cost::demand(state, effects),
        View::Readiness => readiness::demand(state, effects),
        View::Audit => audit::demand(state, effects),
        View::Data => data::demand(state, effects),
    }
}

/// Gives a reply to the slot that waits for it; a reply nobody waits for is dropped. Returns what must be said aloud.
pub fn loaded(
    state: &mut State,
    id: RequestId,
    reply: &Result<Page, Fault>,
    effects: &mut Vec<Effect>,
) -> Option<String> {
    fleet::loaded(state, id, reply, effects);
    incident::loaded(state, id, reply);
    watch::loaded(state, id, reply);
    recovery::loaded(state, id, reply);
    runs::loaded(state, id, reply);
    run::loaded(state, id, reply);
    compare::loaded(state, id, reply);
    registry::loaded(state, id, reply);
    data::loaded(state, id, reply);
    rollouts::loaded(state, id, reply);
    cost::loaded(state, id, reply);
    unit_costs::loaded(state, id, reply);
    readiness::loaded(state, id, reply);
    audit::loaded(state, id, reply)
}

/// Hands a reply to `slot` if it is the one it waits for.
pub(super) fn give<T: Clone>(
    slot: &mut Slot<T>,
    id: RequestId,
    reply: &Result<Page, Fault>,
    now: crate::base::Timestamp,
    pick: impl Fn(&Page) -> Option<T>,
) -> bool {
    if !slot.wants(id) {
        return false;
    }
    let reply = reply
        .as_ref()
        .map_err(Clone::clone)
        .and_then(|p| pick(p).ok_or_else(|| Fault::bug("the agent answered another question")));
    slot.take(id, reply, now)
}

/// The filter of the open screen, as it was typed.
pub fn filter_text(state: &State) -> &str {
    match state.nav.here() {
        View::Fleet => &state.fleet.filter_text,
        View::Live => &state.live.filter_text,
        // An incident is shown as a whole.
        View::Incident(_) | View::Recovery(_) => "",
        View::Runs => &state.runs.filter_text,
        View::Rollouts => &state.rollouts.filter_text,
        View::Cost => &state.cost.filter_text,
        View::Readiness => &state.readiness.filter_text,
        View::Audit => &state.audit.filter_text,
        View::Data => &state.data.filter_text,
        View::Registry => &state.registry.filter_text,
        View::Run(_) => &state.run.filter_text,
        View::Compare(_) => &state.compare.filter_text,
        // Two versions have no filter of their own.
        View::Versus { .. } => "",
    }
}

pub fn set_filter(state: &mut State, text: &str, query: Query, effects: &mut Vec<Effect>) {
    match state.nav.here() {
        View::Fleet => fleet::set_filter(state, text, query),
        View::Live => live::set_filter(state, text, query),
        View::Runs => runs::set_filter(state, text, query),
        View::Rollouts => rollouts::set_filter(state, text, query),
        View::Cost => cost::set_filter(state, text, query),
        View::Readiness => readiness::set_filter(state, text, query),
        View::Audit => audit::set_filter(state, text, query),
        View::Data => data::set_filter(state, text, query),
        View::Registry => registry::set_filter(state, text, query),
        View::Run(_) => run::set_filter(state, text, query),
        View::Compare(_) => compare::set_filter(state, text, query),
        View::Versus { .. } | View::Incident(_) | View::Recovery(_) => {}
    }
    demand(state, effects);
}

/// The runs that an action is about: the marked ones or the one under the cursor; on a run's own screen that run.
pub fn targets(state: &State) -> Vec<String> {
    match state.nav.here() {
        View::Run(id) => vec![id.clone()],
        View::Cost => state.cost.run().into_iter().collect(),
        View::Compare(_) => state.compare.current().map(|r| r.id.clone()).into_iter().collect(),
        _ => runs::targets(&state.runs),
    }
}

/// What can be made of the focused pane, and why not.
pub fn pick_export(state: &mut State) {
    use super::export::{Form, chart, table};
    let named = table(state).map(|(name, _)| name);
    let table_item = |form: Form| Item {
        why_not: named.is_none().then(|| "this pane has no table yet".to_owned()),
        ..Item::new(format!("table as {}", form.words()), named.clone().unwrap_or_default(), Choice::Export(form))
    };
    let drawn = chart(state).filter(|(_, c)| c.lines.iter().any(|l| l.points.len() > 1)).map(|(name, _)| name);
    let chart_item = |form: Form| Item {
        why_not: drawn.is_none().then(|| "no curve is drawn on this screen".to_owned()),
        ..Item::new(format!("chart as {}", form.words()), drawn.clone().unwrap_or_default(), Choice::Export(form))
    };
    let items = Form::TABLES.map(table_item).into_iter().chain(Form::CHARTS.map(chart_item)).collect();
    open(state, super::overlay::Picker::new("EXPORT", items));
}

/// The service that the cursor is on.
pub fn service_here(state: &State) -> Option<String> {
    match state.nav.here() {
        View::Fleet => state.fleet.current().map(|r| r.service.clone()),
        View::Incident(_) => state.incident.known().map(|v| v.incident.service.clone()),
        View::Recovery(service) => Some(service.clone()),
        View::Live => live::service(state).map(ToOwned::to_owned),
        View::Rollouts => state.rollouts.current().map(|s| s.service.name.clone()),
        _ => None,
    }
}

/// Takes the marks away; whether there were any.
pub fn clear_marks(state: &mut State) -> bool {
    if matches!(state.nav.here(), View::Run(_)) {
        return !std::mem::take(&mut state.run.marks).is_empty();
    }
    if *state.nav.here() == View::Data {
        return data::clear(&mut state.data);
    }
    if *state.nav.here() == View::Registry {
        return registry::clear(state);
    }
    let had = *state.nav.here() == View::Runs && !state.runs.marks.is_empty();
    if had {
        state.runs.marks.clear();
    }
    had
}

/// What picking an item of a list does.
pub fn choose(state: &mut State, choice: Choice, effects: &mut Vec<Effect>) {
    match choice {
        Choice::Do(action) => dispatch::act(state, action, effects),
        Choice::Copy(text) => effects.push(Effect::Copy(text)),
        Choice::Export(form) => {
            let job = super::export::job(state, form);
            effects.extend(job.map(|job| Effect::Export(Box::new(job))));
        }
        Choice::CopyPane => effects.push(Effect::CopyPane),
        Choice::Window(window) => set_window(state, window),
        Choice::Command(text) => {
            if let Err(why) = verb::run(state, &text, effects) {
                state.warn(why);
            }
        }
        Choice::Silence(id, minutes) => incident::silence(state, id, minutes, effects),
        Choice::Go(view) => state.go(view, effects),
        Choice::SortRuns(order) => runs::sort_by(state, order),
        Choice::GroupRuns(by) => runs::group_by(state, by),
        Choice::View(choice) => runs::saved::choose(state, choice, effects),
        Choice::Column(column) => state.runs.toggle_column(&column),
        Choice::Experiment(experiment) => runs::show_experiment(state, experiment),
        Choice::Metric(key) => match state.nav.here() {
            View::Run(_) => state.run.metric = Some(key),
            View::Compare(_) => state.compare.metric = Some(key),
            View::Live => state.live.metric = Some(key),
            _ => state.runs.metric = Some(key),
        },
    }
}

/// Looks at another window of time; it travels to every list that has one.
pub fn set_window(state: &mut State, window: Option<Span>) {
    state.window = window;
    state.runs.page.renew();
    state.audit.page.renew();
    state.say(window.map_or("all time".to_owned(), |w| format!("the last {w}")));
}

/// The pane at a place of the screen gets the keyboard.
pub fn focus_at(state: &mut State, at: ratatui::layout::Position) {
    let (width, height) = state.size;
    let body = crate::tui::view::areas(state, ratatui::layout::Rect::new(0, 0, width, height)).body;
    let found = |panes: &[Option<ratatui::layout::Rect>]| panes.iter().position(|p| p.is_some_and(|p| p.contains(at)));
    match state.nav.here() {
        View::Fleet => state.fleet.pane = found(&fleet::view::panes(state, body)).unwrap_or(state.fleet.pane),
        View::Incident(_) => {
            state.incident.pane = found(&incident::view::panes(state, body)).unwrap_or(state.incident.pane);
        }
        View::Live => state.live.pane = found(&live::view::panes(state, body)).unwrap_or(state.live.pane),
        View::Runs => state.runs.pane = found(&runs::view::panes(state, body)).unwrap_or(state.runs.pane),
        View::Run(_) => state.run.pane = found(&run::view::panes(state, body)).unwrap_or(state.run.pane),
        View::Compare(_) => {
            state.compare.pane =
                found(&compare::view::panes(&state.compare, state.zoom, body)).unwrap_or(state.compare.pane);
        }
        View::Registry => {
            state.registry.pane = found(&registry::view::panes(state, body)).unwrap_or(state.registry.pane);
        }
        View::Data => state.data.pane = found(&data::view::panes(state, body)).unwrap_or(state.data.pane),
        View::Rollouts => {
            state.rollouts.pane = found(&rollouts::view::panes(state, body)).unwrap_or(state.rollouts.pane);
        }
        View::Cost => state.cost.pane = found(&cost::view::panes(state, body)).unwrap_or(state.cost.pane),
        View::Readiness => {
            state.readiness.pane = found(&readiness::view::panes(state, body)).unwrap_or(state.readiness.pane);
        }
        View::Audit => state.audit.pane = found(&audit::view::panes(state, body)).unwrap_or(state.audit.pane),
        View::Versus { .. } | View::Recovery(_) => {}
    }
}

/// Sorts by the column with this title, as a click on it asks.
pub fn sort_by_title(state: &mut State, title: &str) {
    let column = state.runs.shown_columns().into_iter().find(|c| c.title() == title);
    match (state.nav.here(), column) {
        (View::Runs, Some(column)) => runs::sort_by(state, column.order()),
        _ => state.say("this list has one order"),
    }
}

/// A list of what can be copied here; the text of the pane always can.
pub(super) fn copy_list(mut items: Vec<Item>) -> super::overlay::Picker {
    items.push(Item::new("text of this pane", "", Choice::CopyPane));
    super::overlay::Picker::new("COPY", items)
}

pub(super) fn open(state: &mut State, picker: super::overlay::Picker) {
    state.overlay = Some(Overlay::Picker(picker));
}
