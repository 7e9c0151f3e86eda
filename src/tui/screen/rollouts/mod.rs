//! Rollouts: services, the version that answers, the one on its way, what the judge says of it, and what went before.

pub mod view;

use crate::base::{Fault, Timestamp};
use crate::capability::rollout::{Rollout, ServiceView, Standing};
use crate::tui::action::Action;
use crate::tui::ask::{self, Topic};
use crate::tui::msg::{Effect, Page, Want};
use crate::tui::overlay::picker::Item;
use crate::tui::query::{Held, Query};
use crate::tui::remote::{RequestId, Slot};
use crate::tui::screen::{copy_list, give, list, open};
use crate::tui::state::{State, View};

/// The panes, in the order of Tab.
pub const SERVICES: usize = 0;
pub const GUARDS: usize = 1;
pub const HISTORY: usize = 2;
pub const PANES: usize = 3;

/// How often what goes on is looked at, microseconds: counts come without a hint.
const LOOK_US: i64 = 2_000_000;

#[derive(Debug, Default)]
pub struct Rollouts {
    pub rows: Slot<Vec<Standing>>,
    /// The service under the cursor in full.
    pub view: Slot<ServiceView>,
    /// Which service `view` is about.
    pub of: String,
    pub cursor: usize,
    pub pane: usize,
    pub scrolls: [usize; PANES],
    pub filter: Query,
    pub filter_text: String,
}

impl Rollouts {
    pub fn shown(&self) -> Vec<&Standing> {
        let held = |s: &Standing, field: Option<&str>| match field {
            Some("model") => Held::Text(s.service.model.clone()),
            Some("state") => Held::Text(s.candidate.as_ref().map_or("steady", |r| r.state.words()).to_owned()),
            _ => Held::Text(format!("{} {}", s.service.name, s.service.model)),
        };
        let all = self.rows.value().map_or(&[][..], Vec::as_slice);
        all.iter().filter(|s| self.filter.matches(|field| held(s, field))).collect()
    }

    pub fn current(&self) -> Option<&Standing> {
        self.shown().get(self.cursor).copied()
    }

    pub fn going(&self) -> Option<&Rollout> {
        self.current()?.candidate.as_ref()
    }

    /// The service in full, if that is what was loaded last.
    pub fn full(&self) -> Option<&ServiceView> {
        self.view.value().filter(|v| self.current().is_some_and(|s| s.service.name == v.standing.service.name))
    }

    /// The service that serves a model.
    pub fn serving(&self, model: &str) -> Option<&Standing> {
        let all = self.rows.value().map_or(&[][..], Vec::as_slice);
        all.iter().find(|s| s.service.model == model && s.stable.is_some())
    }

    pub fn touch(&mut self) {
        self.rows.touch();
        self.view.touch();
    }

    pub fn stale(&mut self, why: &str) {
        self.rows.remote.stale(why);
        self.view.remote.stale(why);
    }

    pub fn due_at(&self) -> Option<Timestamp> {
        let view = if self.going().is_some() { self.view.due_every(LOOK_US) } else { self.view.due_at() };
        [view, self.rows.due_at()].into_iter().flatten().min()
    }

    pub fn why_not(&self, action: Action) -> Option<String> {
        let Some(current) = self.current() else {
            let needs = action.opens_sheet() || matches!(action, Action::CopyMenu | Action::Open);
            return needs.then(|| "no service here: apply a file with [service.NAME]".into());
        };
        match action {
            Action::Mark | Action::MarkRange | Action::MarkInvert | Action::SortPick | Action::SortReverse => {
                Some("services have one order".into())
            }
            _ => why_not_of(current, action),
        }
    }
}

/// Why an action cannot be done on a service.
pub fn why_not_of(current: &Standing, action: Action) -> Option<String> {
    match action {
        Action::StartSheet if current.candidate.is_some() => Some("a rollout goes on; 0 drops it".into()),
        Action::WeightSheet | Action::HoldSheet | Action::DropSheet | Action::PromoteSheet
            if current.candidate.is_none() =>
        {
            Some("no rollout goes on; C in Rollouts starts one".into())
        }
        Action::RollbackSheet if current.candidate.is_none() && current.previous.is_none() => {
            Some("no version answered before this one".into())
        }
        _ => None,
    }
}

pub fn act(state: &mut State, action: Action, effects: &mut Vec<Effect>) {
    let page = usize::from(state.size.1 / 2);
    let rollouts = &mut state.rollouts;
    if let Some(pane) = list::next_pane(action, rollouts.pane, PANES) {
        rollouts.pane = pane;
        return;
    }
    let len = rollouts.shown().len();
    if rollouts.pane == SERVICES {
        if let Some(to) = list::moved(action, rollouts.cursor, len, page) {
            rollouts.cursor = to;
            rollouts.scrolls = [0; PANES];
            return;
        }
    } else if let Some(to) = list::moved(action, rollouts.scrolls[rollouts.pane], 200, page) {
        rollouts.scrolls[rollouts.pane] = to;
        return;
    }
    let Some(service) = rollouts.current().map(|s| s.service.name.clone()) else { return };
    match action {
        // Where nothing is on its way there is nothing to judge; what became of the newest way back is of more use.
        Action::Open
            if rollouts.pane == SERVICES
                && rollouts.current().is_some_and(|s| s.candidate.is_none() && s.turned.is_some()) =>
        {
            state.go(View::Recovery(service), effects);
        }
        Action::Open => rollouts.pane = if rollouts.pane == SERVICES { GUARDS } else { HISTORY },
        Action::StartSheet => ask::open(state, &Topic::StartRollout { service }),
        Action::WeightSheet => ask::open(state, &Topic::Weight { service }),
        Action::HoldSheet => ask::open(state, &Topic::Hold { service }),
        Action::DropSheet => ask::open(state, &Topic::DropRollout { service }),
        Action::PromoteSheet => ask::open(state, &Topic::FinishRollout { service }),
        Action::RollbackSheet => ask::open(state, &Topic::RollbackService { service }),
        Action::ForbidSheet => ask::open(state, &Topic::Forbid { service }),
        Action::CopyMenu => {
            let shown = format!("opsroom service show {}", ask::shell_word(&service));
            open(state, copy_list(vec![Item::copies("name", service), Item::copies("command", shown)]));
        }
        _ => {}
    }
}

pub fn set_filter(state: &mut State, text: &str, query: Query) {
    text.clone_into(&mut state.rollouts.filter_text);
    state.rollouts.filter = query;
    state.rollouts.cursor = 0;
}

/// Services and what goes on: any screen that opens one of their sheets needs them.
pub fn demand_rows(state: &mut State, effects: &mut Vec<Effect>) {
    let (now, past) = (state.now, state.past.at);
    let frozen = state.frozen || past.is_some();
    let rows = &mut state.rollouts.rows;
    if rows.asks(now, frozen) {
        effects.push(Effect::Load(rows.ask(&mut state.ids, now), Want::Services { as_of: past }));
    }
}

/// The way back: of the service where it stands behind our router, else of its model's stage.
pub fn way_back(state: &State, service: &str, model: Option<&str>) -> Topic {
    let all = state.rollouts.rows.value().map_or(&[][..], Vec::as_slice);
    match (all.iter().any(|s| s.service.name == service), model) {
        (false, Some(model)) => Topic::Rollback { model: model.to_owned() },
        _ => Topic::RollbackService { service: service.to_owned() },
    }
}

/// `25 % on v43`, while something is on its way.
pub fn share_words(s: &Standing) -> Option<String> {
    let on = s.candidate.as_ref()?;
    Some(format!("{} % on v{}", crate::capability::rollout::service::percent(on.weight), on.version))
}

/// Why an action cannot be done on a service that another place shows.
pub fn why_not_on(state: &State, service: &str, action: Action) -> Option<String> {
    if !action.opens_sheet() {
        return None;
    }
    let Some(all) = state.rollouts.rows.value() else { return Some("what serves it is not known yet".into()) };
    match all.iter().find(|s| s.service.name == service) {
        // The stage of its model can go back all the same.
        None if action == Action::RollbackSheet => None,
        None => Some(format!("{service} does not stand behind our router: act where it is served")),
        Some(s) => why_not_of(s, action),
    }
}

pub fn demand(state: &mut State, effects: &mut Vec<Effect>) {
    demand_rows(state, effects);
    // The sheets that move callers say what either version costs.
    super::unit_costs::demand(state, effects);
    let (now, past) = (state.now, state.past.at);
    let frozen = state.frozen || past.is_some();
    let rollouts = &mut state.rollouts;
    let Some(name) = rollouts.current().map(|s| s.service.name.clone()) else { return };
    if rollouts.of != name {
        rollouts.of.clone_from(&name);
        rollouts.view = Slot::default();
    }
    // Counts come without a hint: while something goes on it is looked at again and again.
    let goes_on = rollouts.going().is_some();
    let view = &rollouts.view;
    let wanted = if goes_on { view.asks_every(LOOK_US, now, frozen) } else { view.asks(now, frozen) };
    if wanted {
        effects.push(Effect::Load(rollouts.view.ask(&mut state.ids, now), Want::Service { name, as_of: past }));
    }
}

pub fn loaded(state: &mut State, id: RequestId, reply: &Result<Page, Fault>) {
    let (now, rollouts) = (state.now, &mut state.rollouts);
    if give(&mut rollouts.rows, id, reply, now, |p| if let Page::Services(s) = p { Some(s.clone()) } else { None }) {
        rollouts.cursor = rollouts.cursor.min(rollouts.shown().len().saturating_sub(1));
    }
    give(&mut rollouts.view, id, reply, now, |p| if let Page::Service(v) = p { Some((**v).clone()) } else { None });
}
