//! After a way back: quality as it climbs, what the router's counts prove, and what can be done next. It opens by itself.

pub mod view;

use crate::base::{Fault, Timestamp};
use crate::capability::rollout::{Recovery, ServiceView};
use crate::tui::action::Action;
use crate::tui::ask::{self, Topic};
use crate::tui::msg::{Effect, Page, Want};
use crate::tui::overlay::picker::Item;
use crate::tui::remote::{RequestId, Slot};
use crate::tui::screen::{copy_list, give, open, watch};
use crate::tui::state::State;

/// How often the counts are looked at, microseconds.
const LOOK_US: i64 = 1_000_000;

#[derive(Debug, Default)]
pub struct RecoveryScreen {
    pub service: String,
    pub view: Slot<ServiceView>,
}

impl RecoveryScreen {
    pub fn open(service: &str) -> Self {
        Self { service: service.to_owned(), ..Self::default() }
    }

    pub fn known(&self) -> Option<&ServiceView> {
        self.view.value().filter(|v| v.standing.service.name == self.service)
    }

    pub fn recovery(&self) -> Option<&Recovery> {
        self.known()?.recovery.as_ref()
    }

    pub fn due_at(&self) -> Option<Timestamp> {
        self.view.due_every(LOOK_US)
    }

    pub fn why_not(&self, action: Action, now: Timestamp) -> Option<String> {
        if !matches!(action, Action::Undo) && !action.opens_sheet() {
            return None;
        }
        let Some(view) = self.known() else { return Some("the service is not known yet".into()) };
        match (action, &view.recovery) {
            (Action::Undo, None) => Some(format!("nothing of {} was taken back", self.service)),
            (Action::Undo, Some(r)) if r.undo_until() <= now => {
                Some(format!("the ten minutes are over: a rollout brings v{} again", r.turn.from))
            }
            (Action::Undo, Some(r)) if view.standing.stable != Some(r.turn.to) || view.standing.candidate.is_some() => {
                Some(format!("{} has moved on since", self.service))
            }
            (Action::Undo, Some(_)) => None,
            _ => super::rollouts::why_not_of(&view.standing, action),
        }
    }
}

pub fn act(state: &mut State, action: Action, _: &mut Vec<Effect>) {
    let service = state.recovery.service.clone();
    match action {
        Action::Undo => ask::open(state, &Topic::UndoRollback { service }),
        Action::ForbidSheet => ask::open(state, &Topic::Forbid { service }),
        Action::RollbackSheet => ask::open(state, &Topic::RollbackService { service }),
        Action::CopyMenu => {
            let mut commands =
                vec![format!("opsroom service show {service}"), format!("opsroom rollback {service} --undo")];
            commands.extend(incident(state).map(|id| format!("opsroom incident postmortem {id}")));
            let items = commands.into_iter().map(|c| Item::copies("command", c));
            open(state, copy_list(items.collect()));
        }
        _ => {}
    }
}

/// The newest incident of this service that is open.
pub fn incident(state: &State) -> Option<i64> {
    let all = state.fleet.open.value()?;
    all.iter().filter(|i| i.service == state.recovery.service).map(|i| i.id).max()
}

pub fn demand(state: &mut State, effects: &mut Vec<Effect>) {
    let (now, frozen) = (state.now, state.frozen);
    super::rollouts::demand_rows(state, effects);
    let of = watch::Of {
        service: state.recovery.service.clone(),
        window: watch::window(state.window),
        to: None,
        as_of: None,
        metric: None,
    };
    watch::demand(state, of, effects);
    let slot = &mut state.recovery.view;
    if slot.asks_every(LOOK_US, now, frozen) {
        let want = Want::Service { name: state.recovery.service.clone(), as_of: None };
        effects.push(Effect::Load(slot.ask(&mut state.ids, now), want));
    }
}

pub fn loaded(state: &mut State, id: RequestId, reply: &Result<Page, Fault>) {
    let now = state.now;
    give(&mut state.recovery.view, id, reply, now, |p| match p {
        Page::Service(view) => Some((**view).clone()),
        _ => None,
    });
}
