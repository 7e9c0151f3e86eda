//! Fleet: what is wrong, and what runs. Incidents first, then the worst service, then what was changed.

pub mod view;

use std::collections::BTreeSet;

use crate::base::{Fault, Timestamp};
use crate::capability::fleet::{Fleet as Page_, Row};
use crate::capability::monitoring::incident::Incident;
use crate::capability::registry::Stage;
use crate::tui::action::Action;
use crate::tui::ask;
use crate::tui::msg::{Effect, Page, Want};
use crate::tui::overlay::picker::Item;
use crate::tui::query::{Held, Query};
use crate::tui::remote::{RequestId, Slot};
use crate::tui::screen::{copy_list, give, incident, list, open, watch};
use crate::tui::state::{State, View};

/// The panes, in the order of Tab.
pub const INCIDENTS: usize = 0;
pub const SERVICES: usize = 1;
pub const CHART: usize = 2;
pub const TIMELINE: usize = 3;
pub const PANES: usize = 4;

#[derive(Debug)]
pub struct Fleet {
    pub page: Slot<Page_>,
    /// What `page` was asked for: seconds, and as of when.
    asked: (u64, Option<Timestamp>),
    /// By name: rows move with their badness, and the cursor stays on its service.
    pub selected: Option<String>,
    pub incident: usize,
    pub pane: usize,
    pub scroll: usize,
    pub filter: Query,
    pub filter_text: String,
    /// Incidents that are open, whatever screen is shown.
    pub open: Slot<Vec<Incident>>,
    /// Those that were told of already.
    told: Option<BTreeSet<i64>>,
    /// The room was just opened and nobody pressed a key: it may still go where it is needed.
    pub arrives: bool,
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            page: Slot::default(),
            asked: (0, None),
            selected: None,
            incident: 0,
            pane: SERVICES,
            scroll: 0,
            filter: Query::default(),
            filter_text: String::new(),
            open: Slot::default(),
            told: None,
            arrives: true,
        }
    }
}

impl Fleet {
    pub fn shown(&self) -> Vec<&Row> {
        let held = |r: &Row, field: Option<&str>| match field {
            Some("model") => Held::Text(r.model.clone().unwrap_or_default()),
            Some("version") => Held::Text(r.version.clone().unwrap_or_default()),
            Some("stage") => Held::Text(r.stage.map_or("", Stage::name).to_owned()),
            _ => Held::Text(r.service.clone()),
        };
        let all = self.page.value().map_or(&[][..], |p| p.services.as_slice());
        all.iter().filter(|r| self.filter.matches(|field| held(r, field))).collect()
    }

    /// Where the cursor is among the shown ones.
    pub fn cursor(&self) -> usize {
        let shown = self.shown();
        self.selected.as_ref().and_then(|name| shown.iter().position(|r| r.service == *name)).unwrap_or(0)
    }

    pub fn current(&self) -> Option<&Row> {
        self.shown().get(self.cursor()).copied()
    }

    /// Open ones, and those that closed within a day.
    pub fn incidents(&self) -> &[Incident] {
        self.page.value().map_or(&[], |p| p.incidents.as_slice())
    }

    /// How many incidents are open, as far as that is known.
    pub fn open_count(&self) -> Option<usize> {
        self.open.value().map(|all| all.iter().filter(|i| i.is_open()).count())
    }

    /// The incident that an action is about.
    pub fn incident_here(&self) -> Option<&Incident> {
        if self.pane == INCIDENTS {
            return self.incidents().get(self.incident);
        }
        let service = &self.current()?.service;
        self.incidents().iter().find(|i| i.is_open() && i.service == *service)
    }

    pub fn touch(&mut self) {
        self.page.touch();
        self.open.touch();
    }

    pub fn stale(&mut self, why: &str) {
        self.page.remote.stale(why);
        self.open.remote.stale(why);
    }

    pub fn due_at(&self) -> Option<Timestamp> {
        self.page.due_every(watch::LOOK_US)
    }

    pub fn why_not(&self, action: Action) -> Option<String> {
        match action {
            Action::Ack | Action::Silence => match self.incident_here() {
                None => Some("no incident here".into()),
                Some(i) => incident::why_not_on(i, action),
            },
            Action::Open if self.pane == INCIDENTS && self.incidents().is_empty() => Some("nothing is wrong".into()),
            Action::Open | Action::CopyMenu | Action::RollbackSheet if self.current().is_none() => {
                Some("no service here: apply a file with [service.NAME]".into())
            }
            Action::RollbackSheet if self.current().is_some_and(|r| r.stage.is_none() && r.model.is_none()) => {
                Some("its predictions name no model, so nothing can go back".into())
            }
            Action::Mark | Action::MarkRange | Action::MarkInvert => Some("services are not marked".into()),
            Action::SortPick | Action::SortReverse => Some("the worst comes first".into()),
            _ => None,
        }
    }
}

pub fn act(state: &mut State, action: Action, effects: &mut Vec<Effect>) {
    let page = usize::from(state.size.1 / 2);
    let fleet = &mut state.fleet;
    if let Some(pane) = list::next_pane(action, fleet.pane, PANES) {
        fleet.pane = pane;
        return;
    }
    match fleet.pane {
        INCIDENTS => {
            if let Some(to) = list::moved(action, fleet.incident, fleet.incidents().len(), page) {
                fleet.incident = to;
                return;
            }
        }
        TIMELINE => {
            let len = fleet.page.value().map_or(0, |p| p.changes.len());
            if let Some(to) = list::moved(action, fleet.scroll, len, page) {
                fleet.scroll = to;
                return;
            }
        }
        _ => {
            let shown = fleet.shown();
            if let Some(to) = list::moved(action, fleet.cursor(), shown.len(), page) {
                fleet.selected = shown.get(to).map(|r| r.service.clone());
                return;
            }
        }
    }
    match action {
        Action::Open if fleet.pane == INCIDENTS => {
            if let Some(id) = fleet.incident_here().map(|i| i.id) {
                state.go(View::Incident(id), effects);
            }
        }
        Action::Open => {
            if let Some(service) = fleet.current().map(|r| r.service.clone()) {
                state.live.scope(service);
                state.go(View::Live, effects);
            }
        }
        Action::Ack | Action::Silence => {
            if let Some(i) = fleet.incident_here().cloned() {
                incident::decide(state, &i, action, effects);
            }
        }
        Action::RollbackSheet => {
            if let Some((service, model)) = fleet.current().map(|r| (r.service.clone(), r.model.clone())) {
                let topic = super::rollouts::way_back(state, &service, model.as_deref());
                ask::open(state, &topic);
            }
        }
        Action::CopyMenu => {
            let Some(service) = fleet.current().map(|r| r.service.clone()) else { return };
            let shown = format!("opsroom quality {}", ask::shell_word(&service));
            open(state, copy_list(vec![Item::copies("name", service), Item::copies("command", shown)]));
        }
        _ => {}
    }
}

pub fn set_filter(state: &mut State, text: &str, query: Query) {
    text.clone_into(&mut state.fleet.filter_text);
    state.fleet.filter = query;
}

/// Asks for the overview, and for the service under the cursor in full.
pub fn demand(state: &mut State, effects: &mut Vec<Effect>) {
    overview(state, effects);
    super::unit_costs::demand(state, effects);
    super::rollouts::demand_rows(state, effects);
    if state.is_moving() {
        return;
    }
    if let Some(service) = state.fleet.current().map(|r| r.service.clone()) {
        let (window, as_of) = (watch::window(state.window), state.past.at);
        let of = watch::Of { service, window, to: as_of, as_of, metric: None };
        watch::demand(state, of, effects);
    }
}

pub fn overview(state: &mut State, effects: &mut Vec<Effect>) {
    let (now, window, as_of) = (state.now, watch::window(state.window), state.past.at);
    let fleet = &mut state.fleet;
    if fleet.asked != (window, as_of) {
        fleet.page.renew();
        fleet.asked = (window, as_of);
    }
    // The past does not go on.
    if fleet.page.asks_every(watch::LOOK_US, now, state.frozen || as_of.is_some()) {
        effects.push(Effect::Load(fleet.page.ask(&mut state.ids, now), Want::Fleet { window, as_of }));
    }
}

/// Whatever is shown: incidents are heard of everywhere.
pub fn demand_open(state: &mut State, effects: &mut Vec<Effect>) {
    let (now, fleet) = (state.now, &mut state.fleet);
    if fleet.open.asks(now, false) {
        effects.push(Effect::Load(fleet.open.ask(&mut state.ids, now), Want::Incidents));
    }
    if state.fleet.arrives {
        overview(state, effects);
    }
}

pub fn loaded(state: &mut State, id: RequestId, reply: &Result<Page, Fault>, effects: &mut Vec<Effect>) {
    let now = state.now;
    let fleet = &mut state.fleet;
    if give(&mut fleet.open, id, reply, now, |p| if let Page::Incidents(all) = p { Some(all.clone()) } else { None }) {
        told(state, effects);
        return;
    }
    if give(&mut fleet.page, id, reply, now, |p| if let Page::Fleet(f) = p { Some((**f).clone()) } else { None }) {
        fleet.incident = fleet.incident.min(fleet.incidents().len().saturating_sub(1));
        if fleet.selected.is_none() {
            fleet.selected = fleet.shown().first().map(|r| r.service.clone());
        }
        arrive(state, effects);
    }
}

/// A room that was just opened goes where it is needed: to Fleet while something is wrong, and where nobody left it elsewhere.
fn arrive(state: &mut State, effects: &mut Vec<Effect>) {
    if !std::mem::take(&mut state.fleet.arrives) {
        return;
    }
    let Some(page) = state.fleet.page.value() else { return };
    let wrong = page.incidents.iter().any(Incident::is_open);
    let fresh = state.nav.stack == [View::Runs] && !state.restored;
    if (wrong || (fresh && !page.services.is_empty())) && !matches!(state.nav.here(), View::Fleet | View::Incident(_)) {
        state.fleet.pane = if wrong { INCIDENTS } else { SERVICES };
        state.go(View::Fleet, effects);
        state.nav.last = None;
    }
}

/// An incident that was not there before is told aloud.
fn told(state: &mut State, effects: &mut Vec<Effect>) {
    let Some(all) = state.fleet.open.value() else { return };
    let open: BTreeSet<i64> = all.iter().filter(|i| i.is_open()).map(|i| i.id).collect();
    let Some(before) = state.fleet.told.replace(open.clone()) else { return };
    let fresh = all.iter().filter(|i| open.contains(&i.id) && !before.contains(&i.id));
    let closed: Vec<String> = all
        .iter()
        .filter(|i| !i.is_open() && before.contains(&i.id))
        .map(|i| format!("INC-{} closed: {}", i.id, i.service))
        .collect();
    let news: Vec<(u8, String)> = fresh
        .filter(|i| !i.is_silent(state.now))
        .map(|i| (i.severity, crate::capability::monitoring::incident::headline(i)))
        .collect();
    if let Some((severity, text)) = news.into_iter().min() {
        state.warn(format!("{text}   1 Fleet, i incident"));
        if severity <= 2 && !state.focused {
            effects.push(Effect::Notify(text));
        }
    } else if let Some(text) = closed.into_iter().next() {
        state.say(text.clone());
        if !state.focused {
            effects.push(Effect::Notify(text));
        }
    }
}
