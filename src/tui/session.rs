//! What a session leaves behind for the next one on the same agent: place, scope, sort, columns, marks, filters, window.
//! Never an open sheet.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::model::Experiment;
use super::msg::RunOrder;
use super::query::Query;
use super::screen::runs::{ChartLook, Column};
use super::span::Span;
use super::state::{State, View};
use crate::base::Timestamp;
use crate::capability::tracking::GroupBy;

/// Commands of the palette that are remembered.
pub const RECENT_MAX: usize = 20;

/// One agent's part of the file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Session {
    pub stack: Vec<View>,
    pub experiment: Option<Experiment>,
    pub selected: Option<String>,
    pub order: Option<RunOrder>,
    pub descending: bool,
    pub columns: Option<Vec<Column>>,
    pub marks: BTreeSet<String>,
    pub metric: Option<String>,
    pub look: ChartLook,
    pub window: Option<Span>,
    /// What was typed, by screen.
    pub filters: BTreeMap<String, String>,
    pub model: Option<String>,
    /// The version of a dataset.
    pub dataset: Option<String>,
    /// The service that was looked at.
    pub service: Option<String>,
    pub recent: Vec<String>,
    pub group: Option<GroupBy>,
    /// When it was last kept: what began or ended since is new.
    pub left: Option<Timestamp>,
}

impl Session {
    pub fn of(state: &State) -> Self {
        let (runs, registry) = (&state.runs, &state.registry);
        let filters = [
            ("runs", &runs.filter_text),
            ("registry", &registry.filter_text),
            ("audit", &state.audit.filter_text),
            ("data", &state.data.filter_text),
            ("fleet", &state.fleet.filter_text),
        ];
        Self {
            stack: state.nav.stack.clone(),
            experiment: runs.experiment.clone(),
            selected: runs.selected.clone(),
            order: Some(runs.order.clone()),
            descending: runs.descending,
            columns: runs.columns.clone(),
            marks: runs.marks.clone(),
            metric: runs.metric.clone(),
            look: runs.look,
            window: state.window,
            filters: filters.into_iter().map(|(k, v)| (k.to_owned(), v.clone())).collect(),
            model: registry.selected.clone(),
            dataset: state.data.selected.clone(),
            service: state.live.service.clone().or_else(|| state.fleet.selected.clone()),
            recent: state.recent.clone(),
            group: runs.grouped.by.clone(),
            left: Some(state.now),
        }
    }

    /// Puts a room that was just opened to where this session was.
    pub fn restore(self, state: &mut State) {
        let filter = |screen: &str| {
            let text = self.filters.get(screen).cloned().unwrap_or_default();
            Query::parse(&text).map_or_else(|_| (String::new(), Query::default()), |query| (text, query))
        };
        let runs = &mut state.runs;
        (runs.filter_text, runs.filter) = filter("runs");
        (state.registry.filter_text, state.registry.filter) = filter("registry");
        (state.audit.filter_text, state.audit.filter) = filter("audit");
        (state.data.filter_text, state.data.filter) = filter("data");
        (state.fleet.filter_text, state.fleet.filter) = filter("fleet");
        state.fleet.selected = self.service.clone();
        state.live.service = self.service;
        state.restored = true;
        state.data.selected = self.dataset;
        runs.experiment = self.experiment;
        runs.selected = self.selected;
        if let Some(order) = self.order {
            (runs.order, runs.descending) = (order, self.descending);
        }
        runs.columns = self.columns;
        runs.marks = self.marks;
        runs.metric = self.metric;
        runs.look = self.look;
        runs.grouped.by = self.group;
        runs.last_look = self.left;
        state.registry.selected = self.model;
        state.window = self.window;
        state.recent = self.recent;
        state.recent.truncate(RECENT_MAX);
        for view in self.stack {
            if *state.nav.here() != view {
                state.enter(view);
            }
        }
        state.nav.last = None;
    }
}

/// The file with the sessions of all agents.
#[derive(Debug, Clone)]
pub struct Store {
    file: PathBuf,
}

impl Store {
    pub fn in_folder(state: &Path) -> Self {
        Self { file: state.join("session.json") }
    }

    fn read(&self) -> Result<BTreeMap<String, serde_json::Value>, String> {
        match std::fs::read_to_string(&self.file) {
            Ok(text) => serde_json::from_slice(text.as_bytes()).map_err(|e| format!("{}: {e}", self.file.display())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(e) => Err(format!("{}: {e}", self.file.display())),
        }
    }

    /// The last session on this agent, if there was one.
    ///
    /// # Errors
    /// A file that cannot be read, with its line.
    pub fn load(&self, context: &str) -> Result<Option<Session>, String> {
        let mut all = self.read()?;
        // One that another version wrote is left; it will be written anew.
        Ok(all.remove(context).and_then(|value| serde_json::from_value(value).ok()))
    }

    /// Keeps a session beside those of the other agents.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn save(&self, context: &str, session: &Session) -> Result<(), String> {
        let mut all = self.read().unwrap_or_default();
        all.insert(context.to_owned(), serde_json::to_value(session).map_err(|e| e.to_string())?);
        let text = serde_json::to_string_pretty(&all).map_err(|e| e.to_string())?;
        self.replace(&text).map_err(|e| format!("{}: {e}", self.file.display()))
    }

    /// Whole or not at all: a room that is killed while it writes loses no session.
    fn replace(&self, text: &str) -> std::io::Result<()> {
        if let Some(folder) = self.file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let beside = self.file.with_extension(format!("json.{}", std::process::id()));
        let mut out = std::fs::File::create(&beside)?;
        out.write_all(text.as_bytes())?;
        std::fs::rename(&beside, &self.file)
    }
}
