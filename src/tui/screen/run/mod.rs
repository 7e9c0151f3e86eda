//! One run: its metrics with their curves, params, tags, data and artifacts.

mod files;
mod lists;
mod origin;
mod tiles;
mod update;
pub mod view;

use std::collections::{BTreeMap, BTreeSet};

pub use update::{act, demand, loaded, set_filter};

use super::curves::Curves;
use super::runs::ChartLook;
use crate::base::Timestamp;
use crate::capability::tracking::rules::is_library_tag;
use crate::capability::training::{CAPTURED_TAG, GRADE_TAG, STDOUT};
use crate::tui::action::Action;
use crate::tui::model::{Artifact, Latest, Logged, Origin, Preview, Run};
use crate::tui::query::{Held, Query};
use crate::tui::remote::Slot;

/// The panes, in the order of Tab.
pub const METRICS: usize = 0;
pub const CHART: usize = 1;
pub const PARAMS: usize = 2;
pub const TAGS: usize = 3;
pub const INPUTS: usize = 4;
pub const MODELS: usize = 5;
pub const CONSOLE: usize = 6;
pub const ARTIFACTS: usize = 7;
pub const ORIGIN: usize = 8;
pub const PANES: usize = 9;
/// Those that share one place on the screen.
pub const SHARED: [usize; 5] = [TAGS, INPUTS, MODELS, CONSOLE, ORIGIN];

/// Where training scripts and launchers leave what they printed.
const CONSOLES: [&str; 9] = [
    STDOUT,
    "logs/console.log",
    "console.log",
    "output.log",
    "logs/output.log",
    "stdout.log",
    "logs/stdout.log",
    "train.log",
    "logs/train.log",
];
/// The folders among them.
pub const LOGS: [&str; 2] = ["logs", "opsroom"];
/// Lines that the capture may be scrolled down; drawing stops at its end.
const ORIGIN_LINES_MAX: usize = 1_000;

#[derive(Debug)]
pub struct RunDetail {
    pub id: String,
    pub row: Slot<Run>,
    pub metric: Option<String>,
    /// Metrics drawn into one chart.
    pub marks: BTreeSet<String>,
    pub look: ChartLook,
    pub pane: usize,
    pub cursors: [usize; PANES],
    pub probe: Option<f64>,
    pub sparks: Curves,
    pub charts: Curves,
    /// Listings by directory; the root is the empty path. A directory that is open and not here is being asked for.
    pub listings: BTreeMap<String, Vec<Artifact>>,
    pub open_dirs: Vec<String>,
    pub listing: Slot<Vec<Artifact>>,
    pub listing_path: Option<String>,
    pub preview: Slot<Preview>,
    pub preview_path: Option<String>,
    /// The first column on screen, where the preview is a table.
    pub preview_column: usize,
    pub console: Slot<Preview>,
    pub models: Slot<Vec<Logged>>,
    pub origin: Slot<Origin>,
    /// All metrics in small charts instead of one chart.
    pub multiples: bool,
    /// Which of the panes that share a place is on screen.
    pub shared: usize,
    /// Narrows metrics, params and tags by name.
    pub filter: Query,
    pub filter_text: String,
}

impl Default for RunDetail {
    fn default() -> Self {
        Self {
            id: String::new(),
            row: Slot::default(),
            metric: None,
            marks: BTreeSet::new(),
            look: ChartLook::default(),
            pane: METRICS,
            // The console is read from its end.
            cursors: std::array::from_fn(|pane| if pane == CONSOLE { usize::MAX } else { 0 }),
            probe: None,
            sparks: Curves::new(24),
            charts: Curves::new(480),
            listings: BTreeMap::new(),
            open_dirs: vec![String::new()],
            listing: Slot::default(),
            listing_path: None,
            preview: Slot::default(),
            preview_path: None,
            preview_column: 0,
            console: Slot::default(),
            models: Slot::default(),
            origin: Slot::default(),
            multiples: false,
            shared: TAGS,
            filter: Query::default(),
            filter_text: String::new(),
        }
    }
}

impl RunDetail {
    /// Opens on what the list already knows, so that the first frame has something to show.
    pub fn open(id: String, known: Option<Run>, now: Timestamp) -> Self {
        let mut detail = Self { id, ..Self::default() };
        if let Some(run) = known {
            detail.row.remote = crate::tui::remote::Remote::Fresh(run, now);
        }
        detail
    }

    fn fits(&self, name: &str) -> bool {
        self.filter.matches(|field| if field.is_none() { Held::Text(name.to_owned()) } else { Held::Missing })
    }

    /// Metrics by name; the machine's own figures last.
    pub fn metrics(&self) -> Vec<(&String, &Latest)> {
        let mut metrics: Vec<_> =
            self.row.value().map(|r| r.metrics.iter().filter(|(k, _)| self.fits(k)).collect()).unwrap_or_default();
        metrics.sort_by_key(|(k, _)| k.starts_with("system/"));
        metrics
    }

    pub fn params(&self) -> Vec<(&String, &String)> {
        self.row.value().map(|r| r.params.iter().filter(|(k, _)| self.fits(k)).collect()).unwrap_or_default()
    }

    /// Data first, then the person's own tags, then those of the client library.
    pub fn facts(&self) -> Vec<(String, String)> {
        let Some(run) = self.row.value() else { return Vec::new() };
        let inputs = run.inputs.iter().map(|i| {
            let role = if i.context.is_empty() { "data".to_owned() } else { format!("data {}", i.context) };
            (role, format!("{} {}", i.name, i.digest))
        });
        let own = run.tags.iter().filter(|(k, _)| !is_library_tag(k));
        let library = run.tags.iter().filter(|(k, _)| is_library_tag(k));
        inputs.chain(own.chain(library).map(|(k, v)| (k.clone(), v.clone()))).filter(|(k, _)| self.fits(k)).collect()
    }

    /// Whether there is anything in a pane; Tab passes by those without.
    pub fn has(&self, pane: usize) -> bool {
        let run = self.row.value();
        match pane {
            INPUTS => run.is_some_and(|r| !r.inputs.is_empty()),
            MODELS => run.is_some_and(|r| !r.models.is_empty()),
            CONSOLE => self.console_path().is_some(),
            ORIGIN => run.is_some_and(|r| r.tags.contains_key(CAPTURED_TAG) || r.tags.contains_key(GRADE_TAG)),
            _ => true,
        }
    }

    /// The artifact that holds what the run printed.
    pub fn console_path(&self) -> Option<&'static str> {
        let known = |path: &str| {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            self.listings.get(folder).is_some_and(|l| l.iter().any(|a| a.path == path && !a.is_dir))
        };
        CONSOLES.into_iter().find(|path| known(path))
    }

    /// The open part of the artifact tree: depth and entry.
    pub fn tree(&self) -> Vec<(usize, &Artifact)> {
        let mut rows = Vec::new();
        self.walk("", 0, &mut rows);
        rows
    }

    fn walk<'a>(&'a self, dir: &str, depth: usize, rows: &mut Vec<(usize, &'a Artifact)>) {
        for entry in self.listings.get(dir).map_or(&[][..], Vec::as_slice) {
            rows.push((depth, entry));
            if entry.is_dir && depth < 32 && self.open_dirs.contains(&entry.path) {
                self.walk(&entry.path, depth + 1, rows);
            }
        }
    }

    /// The metric on the chart: the chosen one, else the one under the cursor.
    pub fn charted_metric(&self) -> Option<String> {
        let chosen = self.metric.clone().filter(|m| self.row.value().is_some_and(|r| r.metrics.contains_key(m)));
        chosen.or_else(|| self.metrics().get(self.cursors[METRICS]).map(|(k, _)| (*k).clone()))
    }

    /// The metrics on the chart: the marked ones, else one.
    pub fn charted(&self) -> Vec<String> {
        let Some(run) = self.row.value() else { return Vec::new() };
        let marked: Vec<String> = self.marks.iter().filter(|k| run.metrics.contains_key(*k)).cloned().collect();
        if marked.is_empty() { self.charted_metric().into_iter().collect() } else { marked }
    }

    pub fn why_not(&self, action: Action) -> Option<String> {
        match action {
            Action::Metric | Action::EmaMore | Action::EmaLess | Action::LogY | Action::Axis
                if self.metrics().is_empty() =>
            {
                Some("this run has no metric".into())
            }
            Action::Mark if self.pane <= CHART && !self.metrics().is_empty() => None,
            Action::Multiples if self.metrics().is_empty() => Some("this run has no metric".into()),
            Action::Mark
            | Action::MarkRange
            | Action::MarkInvert
            | Action::SortPick
            | Action::SortReverse
            | Action::Columns => Some("one run has no list to do that to".into()),
            _ => None,
        }
    }

    /// Rows of the pane that has the focus.
    pub fn len_of(&self, pane: usize) -> usize {
        match pane {
            METRICS => self.metrics().len(),
            PARAMS => self.params().len(),
            TAGS => self.facts().len(),
            INPUTS => self.row.value().map_or(0, |r| r.inputs.len()),
            MODELS => self.models.value().map_or(0, Vec::len),
            ORIGIN => ORIGIN_LINES_MAX,
            CONSOLE => self.console.value().map_or(0, |p| p.text.lines().count()),
            ARTIFACTS if self.preview_path.is_some() => self.preview.value().map_or(0, |p| p.text.lines().count()),
            ARTIFACTS => self.tree().len(),
            _ => 0,
        }
    }
}
