//! The one owner of what the room knows and shows.

use std::collections::BTreeMap;

use super::action::Action;
use super::ask::Topic;
use super::glyph::Glyphs;
use super::key::Key;
use super::keymap::{Context, Keymap};
use super::model::{Run, Status};
pub use super::nav::{Nav, View};
use super::overlay::Overlay;
use super::remote::{RequestId, Slot};
use super::screen::audit::Audit;
use super::screen::compare::Compare;
use super::screen::cost::Cost;
use super::screen::data::Data;
use super::screen::fleet::Fleet;
use super::screen::incident::IncidentScreen;
use super::screen::live::Live;
use super::screen::readiness::Readiness;
use super::screen::recovery::RecoveryScreen;
use super::screen::registry::Registry;
use super::screen::rollouts::Rollouts;
use super::screen::run::RunDetail;
use super::screen::runs::{Brief, Runs};
use super::screen::unit_costs::UnitCosts;
use super::screen::watch::Watch;
use super::span::Span;
use super::undo::{Doing, Undo};
use super::views::SavedView;
use crate::base::Timestamp;

/// Whether the agent can be reached, and since when that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pulse {
    pub at: Option<Timestamp>,
    /// Why it is down; `None` while it is up.
    pub down: Option<String>,
    /// Failures in a row.
    pub failures: u32,
}

impl Pulse {
    pub fn beat(&mut self, now: Timestamp) {
        *self = Self { at: Some(now), down: None, failures: 0 };
    }

    pub fn fail(&mut self, why: &str) {
        self.down = Some(why.to_owned());
        self.failures = self.failures.saturating_add(1);
    }

    pub fn is_up(&self) -> bool {
        self.down.is_none() && self.at.is_some()
    }
}

/// A remark that goes away by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toast {
    pub text: String,
    pub bad: bool,
    pub until: Timestamp,
}

/// What is fixed when the room opens.
#[derive(Debug, Clone)]
pub struct Setup {
    pub keys: Keymap,
    pub glyphs: Glyphs,
    /// Random, so that idempotency keys of two sessions never meet.
    pub session: String,
    /// Why nothing may be changed in this session, where the person said so.
    pub read_only: Option<String>,
    /// What went wrong on the way here: a broken keymap or theme file.
    pub banners: Vec<String>,
    /// Whether clicks and the wheel are ours.
    pub mouse: bool,
    /// The name of the agent in use, and those that can be changed to.
    pub context: String,
    pub contexts: Vec<String>,
}

#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // each is a switch of its own
pub struct State {
    pub now: Timestamp,
    pub size: (u16, u16),
    pub keys: Keymap,
    pub glyphs: Glyphs,
    pub session: String,
    pub own_read_only: Option<String>,
    /// The name of the agent in use, and those that can be changed to.
    pub context: String,
    pub contexts: Vec<String>,
    /// The window of time that lists look at; `None` is all.
    pub window: Option<Span>,
    /// Commands of the palette, the newest first.
    pub recent: Vec<String>,
    pub status: Slot<Status>,
    /// Can I act.
    pub control: Pulse,
    /// Can I see.
    pub events: Pulse,
    pub nav: Nav,
    pub runs: Runs,
    pub run: RunDetail,
    pub compare: Compare,
    pub registry: Registry,
    pub audit: Audit,
    pub data: Data,
    pub rollouts: Rollouts,
    pub fleet: Fleet,
    pub incident: IncidentScreen,
    pub recovery: RecoveryScreen,
    pub live: Live,
    /// The service in full that Fleet, Incident and Live show.
    pub watch: Watch,
    /// A session was taken up: the room stands where somebody left it.
    pub restored: bool,
    pub past: super::past::Past,
    pub cost: Cost,
    pub unit_costs: UnitCosts,
    pub readiness: Readiness,
    pub overlay: Option<Overlay>,
    pub toast: Option<Toast>,
    /// Changes that were sent and not answered yet.
    pub doing: BTreeMap<RequestId, Doing>,
    pub undo: Option<Undo>,
    /// What the gates say of the move on the open sheet.
    pub gates: super::ask::gates::Asked,
    /// A sheet that waits for the registry to be loaded.
    pub sheet_wanted: Option<Topic>,
    /// Saved views of the runs.
    pub views: Vec<SavedView>,
    pub banners: Vec<String>,
    /// The first key of a sequence, and when it came.
    pub prefix: Option<(Key, Timestamp)>,
    pub zoom: bool,
    pub frozen: bool,
    pub mouse: bool,
    /// Whether the terminal is in front, as far as it tells.
    pub focused: bool,
    /// When the cursor last moved; what follows the cursor is shown once it rests.
    pub moved: Option<Timestamp>,
    pub quit_asked: Option<Timestamp>,
    pub ids: RequestId,
    pub sheets: u64,
    pub status_asked: Timestamp,
}

impl State {
    pub fn new(setup: Setup, size: (u16, u16), now: Timestamp) -> Self {
        Self {
            now,
            size,
            keys: setup.keys,
            glyphs: setup.glyphs,
            session: setup.session,
            own_read_only: setup.read_only,
            context: setup.context,
            contexts: setup.contexts,
            window: None,
            recent: Vec::new(),
            status: Slot::default(),
            control: Pulse::default(),
            events: Pulse::default(),
            nav: Nav { stack: vec![View::Runs], last: None },
            runs: Runs::default(),
            run: RunDetail::default(),
            compare: Compare::default(),
            registry: Registry::default(),
            audit: Audit::default(),
            data: Data::default(),
            rollouts: Rollouts::default(),
            fleet: Fleet::default(),
            incident: IncidentScreen::default(),
            recovery: RecoveryScreen::default(),
            live: Live::default(),
            watch: Watch::default(),
            restored: false,
            past: super::past::Past::default(),
            cost: Cost::default(),
            unit_costs: UnitCosts::default(),
            readiness: Readiness::default(),
            overlay: None,
            toast: None,
            doing: BTreeMap::new(),
            undo: None,
            gates: super::ask::gates::Asked::default(),
            sheet_wanted: None,
            views: Vec::new(),
            banners: setup.banners,
            prefix: None,
            zoom: false,
            frozen: false,
            mouse: setup.mouse,
            focused: true,
            moved: None,
            quit_asked: None,
            ids: 0,
            sheets: 0,
            status_asked: Timestamp(i64::MIN / 2),
        }
    }

    /// Where keys are looked up now.
    pub fn contexts(&self) -> Vec<Context> {
        match self.overlay {
            Some(Overlay::Sheet(_)) => vec!["modal.sheet"],
            _ if self.in_past().is_some() => vec!["modal.replay", self.nav.here().context(), "global"],
            _ => vec![self.nav.here().context(), "global"],
        }
    }

    /// Why nothing may be changed from here, if so.
    pub fn read_only(&self) -> Option<String> {
        self.own_read_only.clone().or_else(|| self.status.value().and_then(|s| s.read_only.clone()))
    }

    /// Why an action cannot be done now; the same answer for the footer, the help, the palette and the key itself.
    pub fn why_not(&self, action: Action) -> Option<String> {
        if action == Action::Undo
            && !matches!(self.nav.here(), View::Recovery(_))
            && let Some(why) = super::undo::why_not(self)
        {
            return Some(why);
        }
        if let Some(why) = super::past::why_not(self, action) {
            return Some(why);
        }
        if action.changes() {
            if let Some(why) = self.read_only() {
                return Some(why);
            }
            if let Some(why) = &self.control.down {
                return Some(format!("the agent cannot be reached: {why}"));
            }
        }
        match self.nav.here() {
            View::Fleet => self.fleet.why_not(action).or_else(|| {
                let service = &self.fleet.current()?.service;
                super::screen::rollouts::why_not_on(self, service, action)
            }),
            View::Incident(_) => self.incident.why_not(action).or_else(|| {
                let service = &self.incident.known()?.incident.service;
                super::screen::rollouts::why_not_on(self, service, action)
            }),
            View::Recovery(_) => self.recovery.why_not(action, self.now),
            View::Live => super::screen::live::why_not(self, action),
            View::Runs => self.runs.why_not(action),
            View::Run(_) => self.run.why_not(action),
            View::Compare(_) => self.compare.why_not(action, &self.registry),
            View::Registry => self.registry.why_not(action),
            View::Rollouts => self.rollouts.why_not(action),
            View::Cost => self.cost.why_not(action),
            View::Readiness => self.readiness.why_not(action),
            View::Audit => self.audit.why_not(action),
            View::Data => self.data.why_not(action),
            View::Versus { .. } => super::screen::registry::versus::why_not(&self.registry, action),
        }
    }

    pub fn say(&mut self, text: impl Into<String>) {
        self.toast = Some(Toast { text: text.into(), bad: false, until: Timestamp(self.now.0 + 4_000_000) });
    }

    pub fn warn(&mut self, text: impl Into<String>) {
        self.toast = Some(Toast { text: text.into(), bad: true, until: Timestamp(self.now.0 + 7_000_000) });
    }

    /// A run, if any screen knows it.
    pub fn run_known(&self, id: &str) -> Option<&Run> {
        let open = self.run.row.value().filter(|r| r.id == id);
        let compared = self.compare.runs().iter().find(|r| r.id == id);
        self.runs.row_of(id).or(open).or(compared)
    }

    /// What is known of a run, for a list of targets.
    pub fn brief(&self, id: &str) -> Brief {
        let known = self.run_known(id).map(Brief::of);
        known.or_else(|| self.runs.marked.get(id).cloned()).unwrap_or_else(|| Brief::unknown(id))
    }

    pub fn sheet(&self) -> Option<&super::overlay::Sheet> {
        match &self.overlay {
            Some(Overlay::Sheet(sheet)) => Some(sheet),
            _ => None,
        }
    }

    /// Another agent takes the place of the one in use: nothing of the old one is left, least of all its marks.
    pub fn exchange(&mut self, context: String, read_only: Option<String>) {
        let setup = Setup {
            keys: std::mem::take(&mut self.keys),
            glyphs: self.glyphs,
            session: self.session.clone(),
            read_only,
            banners: std::mem::take(&mut self.banners),
            mouse: self.mouse,
            context,
            contexts: std::mem::take(&mut self.contexts),
        };
        // Numbers of questions go on, so that no answer of the old agent is taken for one of the new.
        let (ids, sheets, recent, focused) = (self.ids, self.sheets, std::mem::take(&mut self.recent), self.focused);
        *self = Self { recent, focused, ids, sheets, ..Self::new(setup, self.size, self.now) };
    }

    /// Whether the cursor is on its way: the panes that follow it wait until it rests, so that a move costs little.
    pub fn is_moving(&self) -> bool {
        self.overlay.is_none() && self.moved.is_some_and(|at| self.now.0 - at.0 < REST_US)
    }

    /// When something on the screen changes by itself, beside the clock's seconds.
    pub fn deadline(&self) -> Option<Timestamp> {
        let sheet = self.sheet().and_then(|s| s.due_at(self.now));
        let popup = self.prefix.map(|(_, at)| Timestamp(at.0 + PREFIX_POPUP_US)).filter(|at| *at > self.now);
        // What is due was asked for by the last update, or is held still: it waits for no time.
        let slots = super::update::due_times(self).into_iter().filter(|at| *at > self.now);
        let rest = self.moved.map(|at| Timestamp(at.0 + REST_US)).filter(|at| *at > self.now);
        [sheet, popup, rest, self.toast.as_ref().map(|t| t.until)].into_iter().flatten().chain(slots).min()
    }
}

/// How long the cursor must have stood still before what follows it is drawn, microseconds.
pub const REST_US: i64 = 150_000;
/// How long a first key waits before the room shows what may follow.
pub const PREFIX_POPUP_US: i64 = 400_000;
