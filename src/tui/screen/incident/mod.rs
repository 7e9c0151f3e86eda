//! One incident: what, what changed, which input, which slice, and what can be done, on one screen.

pub mod view;

use std::time::Duration;

use crate::base::{Fault, Timestamp};
use crate::capability::Command;
use crate::capability::fleet::Watched;
use crate::capability::monitoring::incident::{Command as Incidents, Incident};
use crate::capability::wire::IncidentView;
use crate::tui::action::Action;
use crate::tui::ask::{self, Back, Topic};
use crate::tui::export::{Form, Job, What};
use crate::tui::model::Change;
use crate::tui::msg::{Effect, Page, Want};
use crate::tui::overlay::picker::Item;
use crate::tui::overlay::prompt::Prompted;
use crate::tui::overlay::{Choice, Overlay, Picker, Prompt};
use crate::tui::remote::{RequestId, Slot};
use crate::tui::screen::{copy_list, give, list, open, watch};
use crate::tui::state::{State, View};
use crate::tui::undo;

/// The panes, in the order of Tab: the order in which a tired person asks.
pub const WHAT: usize = 0;
pub const CHANGED: usize = 1;
pub const INPUT: usize = 2;
pub const SLICE: usize = 3;
pub const NOTES: usize = 4;
pub const PANES: usize = 5;

/// So much before it opened is shown.
const BEFORE: Duration = Duration::from_mins(30);
const AFTER: Duration = Duration::from_mins(10);
/// Silences that are offered, minutes.
const SILENCES: [u64; 4] = [15, 30, 60, 240];

#[derive(Debug, Default)]
pub struct IncidentScreen {
    pub id: i64,
    pub view: Slot<IncidentView>,
    pub pane: usize,
    pub cursors: [usize; PANES],
    /// The version whose inputs and slices are shown; the worst without one.
    pub arm: Option<String>,
}

impl IncidentScreen {
    pub fn open(id: i64) -> Self {
        Self { id, ..Self::default() }
    }

    pub fn known(&self) -> Option<&IncidentView> {
        self.view.value().filter(|v| v.incident.id == self.id)
    }

    pub fn due_at(&self) -> Option<Timestamp> {
        self.view.due_at()
    }

    pub fn why_not(&self, action: Action) -> Option<String> {
        let Some(view) = self.known() else {
            return (action.changes() || action == Action::Open).then(|| "the incident is not known yet".into());
        };
        why_not_on(&view.incident, action)
    }
}

/// Why an action on this incident cannot be done.
pub fn why_not_on(incident: &Incident, action: Action) -> Option<String> {
    let closed = !incident.is_open() && matches!(action, Action::Ack | Action::Silence | Action::Assign);
    if closed {
        return Some("it is closed".into());
    }
    match action {
        Action::Mark | Action::MarkRange | Action::MarkInvert | Action::SortPick | Action::SortReverse => {
            Some("this screen has one order".into())
        }
        _ => None,
    }
}

/// Acknowledges, or asks how long to be silent.
pub fn decide(state: &mut State, incident: &Incident, action: Action, effects: &mut Vec<Effect>) {
    match action {
        Action::Ack => {
            let change = Change::Decide(vec![Command::Incidents(Incidents::AckIncident { id: incident.id })]);
            undo::at_once(state, change, None, format!("INC-{} is yours", incident.id), Back::Never, effects);
        }
        Action::Silence => {
            let item = |minutes: u64| {
                let words = crate::base::show::length(Duration::from_mins(minutes));
                Item::new(format!("tell nobody for {words}"), "", Choice::Silence(incident.id, minutes))
            };
            let title = format!("SILENCE  INC-{}", incident.id);
            state.overlay = Some(Overlay::Picker(Picker::new(&title, SILENCES.map(item).into())));
        }
        _ => {}
    }
}

/// Nobody is told for so many minutes.
pub fn silence(state: &mut State, id: i64, minutes: u64, effects: &mut Vec<Effect>) {
    let until = state.now.plus(Duration::from_mins(minutes));
    let change = Change::Decide(vec![Command::Incidents(Incidents::SilenceIncident { id, until })]);
    let said = format!("INC-{id}: nobody is told until {}", crate::base::show::clock(until));
    undo::at_once(state, change, None, said, Back::Never, effects);
}

/// What was typed for an incident.
pub fn typed(state: &mut State, id: i64, what: Typed, text: &str, effects: &mut Vec<Effect>) {
    let text = text.trim();
    if text.is_empty() {
        return state.warn("nothing was written");
    }
    let (command, said) = match what {
        Typed::Note => (Incidents::NoteIncident { id, text: text.to_owned() }, format!("noted on INC-{id}")),
        Typed::Owner => (Incidents::AssignIncident { id, to: text.to_owned() }, format!("INC-{id} is with {text}")),
    };
    undo::at_once(state, Change::Decide(vec![Command::Incidents(command)]), None, said, Back::Never, effects);
}

/// What a line on an incident is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typed {
    Note,
    Owner,
}

/// The version whose inputs and slices are looked at.
pub fn arm(state: &State) -> Option<&Watched> {
    let view = state.incident.known()?;
    watch::arm(state.watch.about(&view.incident.service)?, state.incident.arm.as_deref())
}

pub fn act(state: &mut State, action: Action, effects: &mut Vec<Effect>) {
    let page = usize::from(state.size.1 / 3);
    let pane = state.incident.pane;
    if let Some(pane) = list::next_pane(action, pane, PANES) {
        state.incident.pane = pane;
        return;
    }
    let len = match (pane, state.incident.known()) {
        (WHAT, Some(v)) => v.incident.alerts.len(),
        (CHANGED, Some(v)) => v.suspects.len(),
        (NOTES, Some(v)) => v.incident.notes.len(),
        (INPUT, _) => arm(state).map_or(0, |v| v.drift.columns.len()),
        (SLICE, _) => arm(state).map_or(0, |v| v.quality.slices.len()),
        _ => 0,
    };
    if let Some(to) = list::moved(action, state.incident.cursors[pane], len, page) {
        state.incident.cursors[pane] = to;
        return;
    }
    let Some(incident) = state.incident.known().map(|v| v.incident.clone()) else { return };
    let service = incident.service.clone();
    match action {
        Action::Open => explain(state, effects),
        Action::Ack | Action::Silence => decide(state, &incident, action, effects),
        Action::NoteEdit => prompt(state, incident.id, Typed::Note),
        Action::Assign => prompt(state, incident.id, Typed::Owner),
        Action::Watch => {
            let change = Change::Decide(vec![Command::Incidents(Incidents::WatchIncident { id: incident.id })]);
            let said = format!("INC-{}: who follows it has changed", incident.id);
            undo::at_once(state, change, None, said, Back::Never, effects);
        }
        Action::PostMortem => post_mortem(state, effects),
        Action::Arm => super::live::next_arm(state, &service, |s| &mut s.incident.arm),
        Action::RollbackSheet => {
            let model = state.watch.about(&service).and_then(|p| p.model.clone());
            let topic = super::rollouts::way_back(state, &service, model.as_deref());
            with_reason(state, &topic);
        }
        Action::DropSheet => with_reason(state, &Topic::DropRollout { service }),
        Action::WeightSheet => with_reason(state, &Topic::Weight { service }),
        Action::ForbidSheet => with_reason(state, &Topic::Forbid { service }),
        Action::HoldSheet => with_reason(state, &Topic::Hold { service }),
        Action::PromoteSheet => ask::open(state, &Topic::FinishRollout { service }),
        Action::CopyMenu => {
            let id = incident.id;
            let shown = format!("opsroom incident {id}");
            let report = format!("opsroom incident postmortem {id}");
            let headline = crate::capability::monitoring::incident::headline(&incident);
            let items = [("headline", headline), ("command", shown), ("post-mortem", report)];
            open(state, copy_list(items.map(|(label, text)| Item::copies(label, text)).into()));
        }
        _ => {}
    }
}

/// The draft of the post-mortem as a file, as `opsroom incident postmortem` prints it.
fn post_mortem(state: &State, effects: &mut Vec<Effect>) {
    let Some(view) = state.incident.known() else { return };
    let text = crate::capability::monitoring::incident::post_mortem(&view.incident, &view.suspects, state.now);
    let name = format!("opsroom-INC-{}-post-mortem", view.incident.id);
    effects.push(Effect::Export(Box::new(Job { name, form: Form::Markdown, what: What::Text(text) })));
}

/// Opens the sheet with the reason that the incident drafts; it can be edited.
fn with_reason(state: &mut State, topic: &Topic) {
    let draft = state.incident.known().map(|v| v.reason.clone()).unwrap_or_default();
    ask::open(state, topic);
    if let Some(Overlay::Sheet(sheet)) = &mut state.overlay {
        sheet.draft(&draft);
    }
}

fn prompt(state: &mut State, id: i64, what: Typed) {
    let (title, hint) = match what {
        Typed::Note => (format!("NOTE  INC-{id}"), "what you saw or did"),
        Typed::Owner => (format!("OWNER  INC-{id}"), "who looks after it"),
    };
    state.overlay = Some(Overlay::Prompt(Prompt::new(title, hint, "", Prompted::Incident(id, what))));
}

/// Where the number under the cursor comes from; a suspect leads to its audit record.
fn explain(state: &mut State, effects: &mut Vec<Effect>) {
    let now = state.now;
    let Some(view) = state.incident.known() else { return };
    let cursor = state.incident.cursors[state.incident.pane];
    let page = state.watch.about(&view.incident.service);
    let explained = match state.incident.pane {
        WHAT => view.incident.alerts.get(cursor).map(|a| watch::explain::alert(a, now)),
        INPUT => {
            page.zip(arm(state)).and_then(|(p, v)| Some(watch::explain::drift(p, v, v.drift.columns.get(cursor)?, now)))
        }
        SLICE => page
            .zip(arm(state))
            .and_then(|(p, v)| Some(watch::explain::slice(p, v, v.quality.slices.get(cursor)?, now))),
        CHANGED => {
            if let Some(audit) = view.suspects.get(cursor).map(|s| s.change.audit) {
                state.audit.go_to(audit);
                state.go(View::Audit, effects);
            }
            None
        }
        _ => None,
    };
    if let Some(explained) = explained {
        state.overlay = Some(Overlay::Explain(explained));
    }
}

pub fn demand(state: &mut State, effects: &mut Vec<Effect>) {
    let View::Incident(id) = *state.nav.here() else { return };
    let (now, frozen) = (state.now, state.frozen);
    if state.incident.id != id {
        state.incident = IncidentScreen::open(id);
    }
    super::rollouts::demand_rows(state, effects);
    let slot = &mut state.incident.view;
    if slot.asks(now, frozen) {
        effects.push(Effect::Load(slot.ask(&mut state.ids, now), Want::Incident(id)));
    }
    let past = state.past.at;
    if let Some(of) = state.incident.known().map(|v| looked_at(&v.incident, past.unwrap_or(now))) {
        let of = watch::Of { to: past.or(of.to), as_of: past, ..of };
        watch::demand(state, of, effects);
    }
}

/// The service, from a while before it opened to now, or to a while after it closed.
fn looked_at(incident: &Incident, now: Timestamp) -> watch::Of {
    let to = incident.closed.map(|at| at.plus(AFTER)).filter(|at| *at < now);
    let from = incident.alerts.first().map_or(incident.opened, |a| a.alert.from).min(incident.opened).minus(BEFORE);
    // By quarters of an hour, so that the question stays the same while time goes on.
    let seconds = to.unwrap_or(now).seconds_since(from).max(3600.0) / 900.0;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a length of time
    let window = seconds.ceil() as u64 * 900;
    let to = to.map(|t| Timestamp((t.0 / 60_000_000 + 1) * 60_000_000));
    watch::Of { service: incident.service.clone(), window, to, as_of: None, metric: None }
}

pub fn loaded(state: &mut State, id: RequestId, reply: &Result<Page, Fault>) {
    let (now, past) = (state.now, state.past.at);
    let slot = &mut state.incident.view;
    give(slot, id, reply, now, |p| {
        let Page::Incident(view) = p else { return None };
        let mut view = (**view).clone();
        if let Some(at) = past {
            // One that had not begun is shown as it began.
            view.incident = view.incident.as_of(at.max(view.incident.opened))?;
            view.suspects.retain(|s| s.change.at <= at);
        }
        Some(view)
    });
}
