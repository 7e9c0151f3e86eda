//! Runs side by side: metrics against a base and graded by luck, what was set differently, and their curves.

mod config;
mod table;
mod update;
pub mod view;

use std::collections::BTreeMap;

pub use update::{act, demand, loaded, set_filter};

use super::curves::Curves;
use super::registry::Registry;
use super::runs::{ChartLook, Runs};
use crate::base::Timestamp;
use crate::capability::tracking::compare::{
    Better, Comparison, Dataset, Measured, Noises, Setting, Subject, Surroundings, UNCAPTURED, compare,
};
use crate::tui::action::Action;
use crate::tui::model::{Run, RunStatus, Version};
use crate::tui::query::{Held, Query};
use crate::tui::remote::{Remote, Slot};

/// More cannot be read side by side.
pub const RUNS_MAX: usize = 20;

/// The panes, in the order of Tab.
pub const METRICS: usize = 0;
pub const CHART: usize = 1;
pub const CONFIG: usize = 2;
pub const PANES: usize = 3;

#[derive(Debug)]
pub struct Compare {
    pub ids: Vec<String>,
    pub rows: Slot<Vec<Run>>,
    pub noise: Slot<Noises>,
    /// What captured runs stood on, by id.
    pub around: Slot<BTreeMap<String, Surroundings>>,
    /// The id of the run that the others are measured against.
    pub base: Option<String>,
    /// What is compared now; made anew when runs, noise, base or directions change.
    pub result: Option<Comparison>,
    /// Which way metrics are better, where the person said so.
    pub better: BTreeMap<String, Better>,
    pub relative: bool,
    /// Leaves out what all runs have in common.
    pub only_differing: bool,
    pub metric: Option<String>,
    pub look: ChartLook,
    pub pane: usize,
    pub cursors: [usize; PANES],
    /// Which run the cursor is on, counted as they stand on the screen: the base first.
    pub column: usize,
    /// Whether the person chose that; until then the cursor goes to the winner.
    pub steered: bool,
    pub probe: Option<f64>,
    pub charts: Curves,
    pub filter: Query,
    pub filter_text: String,
}

impl Default for Compare {
    fn default() -> Self {
        Self {
            ids: Vec::new(),
            rows: Slot::default(),
            noise: Slot::default(),
            around: Slot::default(),
            base: None,
            result: None,
            better: BTreeMap::new(),
            relative: false,
            only_differing: true,
            metric: None,
            look: ChartLook::default(),
            pane: METRICS,
            cursors: [0; PANES],
            column: 1,
            steered: false,
            probe: None,
            charts: Curves::new(320),
            filter: Query::default(),
            filter_text: String::new(),
        }
    }
}

impl Compare {
    /// Opens on what the list already knows, so that the first frame has something to show.
    pub fn open(ids: Vec<String>, list: &Runs, now: Timestamp) -> Self {
        let known: Vec<Run> = ids.iter().filter_map(|id| list.row_of(id).cloned()).collect();
        let mut opened = Self { look: list.look, ids, ..Self::default() };
        if known.len() == opened.ids.len() {
            opened.rows.remote = Remote::Fresh(known, now);
            opened.compute();
        }
        opened
    }

    pub fn runs(&self) -> &[Run] {
        self.rows.value().map_or(&[], Vec::as_slice)
    }

    /// Compares anew. Nobody has to choose a base to begin with: it is the run that began first.
    pub fn compute(&mut self) {
        let runs = self.rows.value().map_or(&[][..], Vec::as_slice);
        let chosen = self.base.as_ref().and_then(|id| runs.iter().position(|r| r.id == *id));
        let oldest = || runs.iter().enumerate().min_by_key(|(_, r)| r.started).map(|(i, _)| i);
        let Some(base) = chosen.or_else(oldest) else {
            self.result = None;
            return;
        };
        let nowhere = BTreeMap::new();
        let around = self.around.value().unwrap_or(&nowhere);
        let subjects: Vec<Subject<'_>> = runs.iter().map(|run| subject(run).within(around)).collect();
        let none = Noises::new();
        let noises = self.noise.value().unwrap_or(&none);
        let result = compare(&subjects, base, noises, &self.better);
        self.base = runs.get(base).map(|r| r.id.clone());
        self.result = Some(result);
    }

    /// Puts the cursor on the winner, for promoting or registering it, unless it was put elsewhere.
    pub fn go_to_winner(&mut self) {
        let winner = self.result.as_ref().and_then(|r| r.verdict.winner);
        let place = winner.and_then(|w| self.order().iter().position(|i| *i == w));
        if let (Some(place), false) = (place, self.steered) {
            self.column = place;
        }
    }

    /// Places of the runs in the order of the screen: the base first, the others by when they began.
    pub fn order(&self) -> Vec<usize> {
        let Some(result) = &self.result else { return Vec::new() };
        let mut others: Vec<usize> = (0..result.runs.len()).filter(|i| *i != result.base).collect();
        others.sort_by_key(|i| self.runs().get(*i).map(|r| r.started));
        std::iter::once(result.base).chain(others).collect()
    }

    /// The run that the cursor is on.
    pub fn current(&self) -> Option<&Run> {
        let place = *self.order().get(self.column)?;
        self.runs().get(place)
    }

    fn fits(&self, name: &str) -> bool {
        self.filter.matches(|field| if field.is_none() { Held::Text(name.to_owned()) } else { Held::Missing })
    }

    /// The rows of the table of metrics.
    pub fn metrics(&self) -> Vec<&Measured> {
        let all = self.result.iter().flat_map(|r| &r.metrics);
        all.filter(|m| self.fits(&m.key) && (!self.only_differing || m.differs())).collect()
    }

    pub fn settings(&self) -> Vec<&Setting> {
        let all = self.result.iter().flat_map(|r| &r.settings);
        all.filter(|s| self.fits(&s.key) && (!self.only_differing || s.differs())).collect()
    }

    /// The metric on the chart: the chosen one, else the one under the cursor.
    pub fn charted_metric(&self) -> Option<String> {
        self.metric.clone().or_else(|| self.metrics().get(self.cursors[METRICS]).map(|m| m.key.clone()))
    }

    /// The registered version that came from the run under the cursor.
    pub fn version<'a>(&self, registry: &'a Registry) -> Option<(&'a str, &'a Version)> {
        let id = &self.current()?.id;
        let models = registry.models.value()?;
        models.iter().find_map(|m| m.versions.iter().find(|v| v.run.as_ref() == Some(id)).map(|v| (m.name.as_str(), v)))
    }

    pub fn why_not(&self, action: Action, registry: &Registry) -> Option<String> {
        match action {
            Action::Mark
            | Action::MarkRange
            | Action::MarkInvert
            | Action::SortPick
            | Action::SortReverse
            | Action::Columns => Some("the runs here are those marked on the list".into()),
            Action::Metric | Action::EmaMore | Action::EmaLess | Action::LogY | Action::Axis | Action::Better
                if self.metrics().is_empty() =>
            {
                Some("these runs have no metric here".into())
            }
            Action::Base if self.column == 0 => Some("the cursor is on the base: ←→ choose another run".into()),
            Action::PromoteSheet if self.version(registry).is_none() => {
                let name = self.current().map_or("this run", |r| r.name.as_str());
                Some(format!("no version is registered from {name}"))
            }
            _ => None,
        }
    }
}

/// A run of the screen as the rule wants it.
fn subject(run: &Run) -> Subject<'_> {
    Subject {
        id: &run.id,
        name: &run.name,
        experiment: &run.experiment,
        finished: run.status == RunStatus::Finished,
        params: &run.params,
        metrics: run.metrics.iter().map(|(k, m)| (k.as_str(), m.value)).collect(),
        tags: &run.tags,
        surroundings: &UNCAPTURED,
        inputs: run.inputs.iter().map(|i| Dataset { context: &i.context, name: &i.name, digest: &i.digest }).collect(),
    }
}
