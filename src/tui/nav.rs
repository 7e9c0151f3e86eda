//! Where one stands: places with a tab, details on top of them, and the way between.

use std::mem::discriminant;

use serde::{Deserialize, Serialize};

use super::action::Action;
use super::keymap::Context;
use super::msg::Effect;
use super::screen::compare::Compare;
use super::screen::incident::IncidentScreen;
use super::screen::recovery::RecoveryScreen;
use super::screen::run::RunDetail;
use super::state::State;

/// A screen to stand on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum View {
    /// Incidents and services.
    Fleet,
    Incident(i64),
    /// What became of the newest way back of a service.
    Recovery(String),
    /// One service in full.
    Live,
    Runs,
    Run(String),
    /// Runs side by side, by id.
    Compare(Vec<String>),
    Registry,
    Audit,
    /// Services, and versions on their way to their callers.
    Rollouts,
    /// What predictions, versions and runs come to.
    Cost,
    /// What is in place, and what pays next.
    Readiness,
    /// Datasets, and what versions were measured on.
    Data,
    /// Two versions of a model, older number first.
    Versus {
        model: String,
        old: u32,
        new: u32,
    },
}

impl View {
    /// The places with a tab: its digit, its name, its action.
    pub const TABS: [(Self, char, &'static str, Action); 9] = [
        (Self::Fleet, '1', "Fleet", Action::PlaceFleet),
        (Self::Runs, '2', "Runs", Action::PlaceRuns),
        (Self::Registry, '3', "Registry", Action::PlaceRegistry),
        (Self::Live, '4', "Live", Action::PlaceLive),
        (Self::Rollouts, '5', "Rollouts", Action::PlaceRollouts),
        (Self::Cost, '6', "Cost", Action::PlaceCost),
        (Self::Audit, '7', "Audit", Action::PlaceAudit),
        (Self::Data, '8', "Data & evals", Action::PlaceData),
        (Self::Readiness, '9', "Readiness", Action::PlaceReadiness),
    ];

    pub fn context(&self) -> Context {
        match self {
            Self::Fleet => "screen.fleet",
            Self::Incident(_) => "screen.incident",
            Self::Recovery(_) => "screen.recovery",
            Self::Live => "screen.live",
            Self::Runs => "screen.runs",
            Self::Run(_) => "screen.run",
            Self::Compare(_) => "screen.compare",
            Self::Registry | Self::Versus { .. } => "screen.registry",
            Self::Rollouts => "screen.rollouts",
            Self::Cost => "screen.cost",
            Self::Readiness => "screen.readiness",
            Self::Audit => "screen.audit",
            Self::Data => "screen.data",
        }
    }

    /// The tab under which it stands.
    #[must_use]
    pub fn tab(&self) -> Self {
        match self {
            Self::Run(_) | Self::Compare(_) => Self::Runs,
            Self::Versus { .. } => Self::Registry,
            Self::Incident(_) => Self::Fleet,
            Self::Recovery(_) => Self::Rollouts,
            other => other.clone(),
        }
    }
}

/// The stack of screens, like a browser's: in with Enter, out with Esc.
#[derive(Debug, Clone)]
pub struct Nav {
    pub stack: Vec<View>,
    pub last: Option<View>,
}

impl Nav {
    pub fn here(&self) -> &View {
        self.stack.last().unwrap_or(&View::Runs)
    }

    /// A place replaces all there was, a detail lies on top of it.
    fn push(&mut self, view: View) {
        if view.tab() == view {
            self.stack.clear();
        }
        // From one incident or recovery to another nothing piles up.
        if matches!(view, View::Incident(_) | View::Recovery(_)) {
            self.stack.retain(|v| discriminant(v) != discriminant(&view));
            if self.stack.is_empty() {
                self.stack.push(view.tab());
            }
        }
        self.stack.push(view);
    }
}

impl State {
    /// Goes to a screen: a place replaces the stack, a detail lies on top of it.
    pub fn go(&mut self, view: View, effects: &mut Vec<Effect>) {
        if *self.nav.here() == view {
            return;
        }
        self.enter(view);
        super::update::demand(self, effects);
    }

    /// Stands on a screen, without asking for what it shows.
    pub fn enter(&mut self, view: View) {
        self.zoom = false;
        if !super::past::shows(&view) {
            super::past::leave(self);
        }
        self.nav.last = Some(self.nav.here().clone());
        match &view {
            View::Run(id) => self.run = RunDetail::open(id.clone(), self.runs.row_of(id).cloned(), self.now),
            // What was chosen for these runs before is still meant.
            View::Compare(ids) if self.compare.ids != *ids => {
                self.compare = Compare::open(ids.clone(), &self.runs, self.now);
            }
            View::Incident(id) if self.incident.id != *id => self.incident = IncidentScreen::open(*id),
            View::Recovery(service) if self.recovery.service != *service => {
                self.recovery = RecoveryScreen::open(service);
            }
            View::Versus { .. } => self.registry.versus_scroll = 0,
            _ => {}
        }
        self.nav.push(view);
    }

    /// Begins at another screen than the first.
    pub fn open_at(&mut self, view: View) -> Vec<Effect> {
        self.fleet.arrives = false;
        if matches!(view, View::Incident(_)) {
            self.nav.stack = vec![View::Fleet];
        }
        let mut effects = Vec::new();
        self.go(view, &mut effects);
        effects
    }
}
