//! Live: is the prediction still good, which input or slice moved.

pub mod heat;
pub mod slices;
pub mod view;

use crate::base::Timestamp;
use crate::capability::drift::ColumnDrift;
use crate::capability::fleet::Watched;
use crate::tui::action::Action;
use crate::tui::ask::{self, Topic};
use crate::tui::msg::Effect;
use crate::tui::overlay::picker::Item;
use crate::tui::overlay::{Choice, Overlay, Picker};
use crate::tui::query::{Held, Query};
use crate::tui::screen::{copy_list, list, open, watch};
use crate::tui::state::State;

/// The panes, in the order of Tab.
pub const QUALITY: usize = 0;
pub const TRAFFIC: usize = 1;
pub const HEAT: usize = 2;
pub const FEATURE: usize = 3;
pub const SLICES: usize = 4;
pub const PANES: usize = 5;

/// What of a column is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Test {
    #[default]
    Psi,
    Ks,
    Js,
    Wasserstein,
}

impl Test {
    pub fn words(self) -> &'static str {
        match self {
            Self::Psi => "psi",
            Self::Ks => "ks",
            Self::Js => "js",
            Self::Wasserstein => "w1",
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Psi => Self::Ks,
            Self::Ks => Self::Js,
            Self::Js => Self::Wasserstein,
            Self::Wasserstein => Self::Psi,
        }
    }
}

#[derive(Debug, Default)]
pub struct Live {
    /// Which service; the worst without one.
    pub service: Option<String>,
    /// Which version; all, and the worst for drift, without one.
    pub arm: Option<String>,
    /// Instead of the one that a rule watches.
    pub metric: Option<String>,
    pub pane: usize,
    pub cursors: [usize; PANES],
    pub test: Test,
    pub filter: Query,
    pub filter_text: String,
}

impl Live {
    /// Looks at a service; what was chosen for another one no longer holds.
    pub fn scope(&mut self, service: String) {
        if self.service.as_ref() != Some(&service) {
            *self = Self { service: Some(service), test: self.test, ..Self::default() };
        }
    }
}

/// The service that is looked at: the chosen one, else the first of the fleet.
pub fn service(state: &State) -> Option<&str> {
    let first = || state.fleet.page.value().and_then(|p| p.services.first()).map(|r| r.service.as_str());
    state.live.service.as_deref().or_else(first)
}

/// The version whose inputs and slices are looked at.
pub fn arm(state: &State) -> Option<&Watched> {
    watch::arm(state.watch.about(service(state)?)?, state.live.arm.as_deref())
}

/// Columns that are shown, as far as they fit the filter: the one that drifted most first.
pub fn features<'a>(state: &State, arm: &'a Watched) -> Vec<&'a ColumnDrift> {
    let fits = |name: &str| state.live.filter.matches(|_| Held::Text(name.to_owned()));
    let all = arm.drift.score.iter().chain(&arm.drift.labels).chain(&arm.drift.columns);
    let mut shown: Vec<&ColumnDrift> = all.filter(|c| fits(&c.name)).collect();
    let far = |c: &ColumnDrift| (c.alarm, c.psi.unwrap_or(-1.0));
    shown.sort_by(|a, b| far(b).partial_cmp(&far(a)).unwrap_or(std::cmp::Ordering::Equal));
    shown
}

pub fn why_not(state: &State, action: Action) -> Option<String> {
    let known = service(state).is_some();
    match action {
        Action::Mark | Action::MarkRange | Action::MarkInvert => Some("nothing is marked here".into()),
        Action::SortPick | Action::SortReverse => Some("what drifted most comes first".into()),
        Action::Open | Action::CopyMenu | Action::Arm | Action::Metric | Action::RollbackSheet | Action::DropSheet
            if !known =>
        {
            Some("no service yet: send predictions, or apply a file with [service.NAME]".into())
        }
        Action::Open | Action::Arm | Action::Metric if arm(state).is_none() => {
            Some("no prediction in this window".into())
        }
        _ => super::rollouts::why_not_on(state, service(state)?, action),
    }
}

pub fn act(state: &mut State, action: Action, _: &mut Vec<Effect>) {
    let page = usize::from(state.size.1 / 2);
    if let Some(pane) = list::next_pane(action, state.live.pane, PANES) {
        state.live.pane = pane;
        return;
    }
    // Bars follow the row of the heat map, so its cursor moves from there, too.
    let pane = if state.live.pane == FEATURE { HEAT } else { state.live.pane };
    let len = match (pane, arm(state)) {
        (HEAT, Some(v)) => features(state, v).len(),
        (SLICES, Some(v)) => v.quality.slices.len(),
        _ => 0,
    };
    if let Some(to) = list::moved(action, state.live.cursors[pane], len, page) {
        state.live.cursors[pane] = to;
        return;
    }
    let Some(service) = service(state).map(ToOwned::to_owned) else { return };
    match action {
        Action::Open => explain(state),
        Action::Arm => next_arm(state, &service, |s| &mut s.live.arm),
        Action::DriftTest => {
            state.live.test = state.live.test.next();
            state.say(format!("drift by {}", state.live.test.words()));
        }
        Action::Metric => pick_metric(state),
        Action::RollbackSheet => {
            let model = state.watch.about(&service).and_then(|p| p.model.clone());
            let topic = super::rollouts::way_back(state, &service, model.as_deref());
            ask::open(state, &topic);
        }
        Action::DropSheet => ask::open(state, &Topic::DropRollout { service }),
        Action::CopyMenu => {
            let Some(page) = state.watch.about(&service) else { return };
            let (quality, drift) =
                (watch::explain::query(page, "quality", None), watch::explain::query(page, "drift", None));
            let items = vec![
                Item::new("quality command", quality.clone(), Choice::Copy(quality)),
                Item::new("drift command", drift.clone(), Choice::Copy(drift)),
            ];
            open(state, copy_list(items));
        }
        _ => {}
    }
}

/// The next version, and after the last one all again.
pub fn next_arm(state: &mut State, service: &str, place: fn(&mut State) -> &mut Option<String>) {
    let Some(page) = state.watch.about(service) else { return };
    let names: Vec<String> = page.versions.iter().map(|v| v.version.clone()).collect();
    let now = place(state).clone();
    let next = match now.and_then(|n| names.iter().position(|v| *v == n)) {
        None => names.first().cloned(),
        Some(i) => names.get(i + 1).cloned(),
    };
    let said = next.as_ref().map_or("all versions".to_owned(), |v| watch::words::version(v));
    *place(state) = next;
    state.say(said);
}

fn pick_metric(state: &mut State) {
    let Some(v) = arm(state) else { return };
    let names: std::collections::BTreeSet<&String> =
        v.quality.metrics.keys().chain(v.quality.estimated.keys()).collect();
    let items = names.into_iter().map(|name| {
        let value =
            v.quality.metrics.get(name).map_or("without labels".to_owned(), |m| crate::base::show::metric(m.value));
        Item::new(name.clone(), value, Choice::Metric(name.clone()))
    });
    let picker = Picker::new("METRIC", items.collect());
    state.overlay = Some(Overlay::Picker(picker));
}

/// Where the number under the cursor comes from.
fn explain(state: &mut State) {
    let now = state.now;
    let Some(page) = service(state).and_then(|s| state.watch.about(s)) else { return };
    let Some(v) = arm(state) else { return };
    let live = &state.live;
    let explained = match live.pane {
        QUALITY => Some(watch::explain::quality(page, v, now)),
        TRAFFIC => Some(watch::explain::traffic(page, v, now)),
        SLICES => v.quality.slices.get(live.cursors[SLICES]).map(|s| watch::explain::slice(page, v, s, now)),
        _ => features(state, v).get(live.cursors[HEAT]).map(|c| watch::explain::drift(page, v, c, now)),
    };
    if let Some(explained) = explained {
        state.overlay = Some(Overlay::Explain(explained));
    }
}

pub fn set_filter(state: &mut State, text: &str, query: Query) {
    text.clone_into(&mut state.live.filter_text);
    state.live.filter = query;
    state.live.cursors[HEAT] = 0;
}

pub fn demand(state: &mut State, effects: &mut Vec<Effect>) {
    if state.live.service.is_none() {
        super::fleet::overview(state, effects);
    }
    super::rollouts::demand_rows(state, effects);
    let Some(service) = service(state).map(ToOwned::to_owned) else { return };
    let (window, as_of) = (watch::window(state.window), state.past.at);
    let of = watch::Of { service, window, to: as_of, as_of, metric: state.live.metric.clone() };
    watch::demand(state, of, effects);
    if state.is_moving() {
        return;
    }
    let wanted = arm(state).and_then(|v| {
        let column = features(state, v).get(state.live.cursors[HEAT])?.name.clone();
        Some((v.version.clone(), column))
    });
    if let Some((version, column)) = wanted {
        watch::demand_feature(state, &version, &column, effects);
    }
}

pub fn due_at(state: &State) -> Option<Timestamp> {
    let overview = state.fleet.due_at().filter(|_| state.live.service.is_none());
    [overview, state.watch.due_at()].into_iter().flatten().min()
}
