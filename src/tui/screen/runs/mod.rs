//! Runs: which experiment is best, and is it stuck. A live table, the chart of one metric, and what the selected run is.

mod brief;
mod columns;
pub mod filter;
pub mod groups;
mod pick;
pub mod saved;
mod table;
mod update;
pub mod view;

use std::collections::{BTreeMap, BTreeSet};

pub use brief::Brief;
pub use columns::Column;
pub use groups::{Grouped, Line};
pub use saved::ViewChoice;
pub use update::{act, demand, group_by, loaded, question, set_filter, set_order, show_experiment, sort_by, targets};

use serde::{Deserialize, Serialize};

use super::curves::Curves;
use crate::base::Timestamp;
use crate::tui::action::Action;
use crate::tui::model::{Experiment, Run, Window};
use crate::tui::msg::RunOrder;
use crate::tui::query::Query;
use crate::tui::remote::Slot;

/// Along which axis a curve runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Axis {
    #[default]
    Step,
    /// Time since the run began.
    Elapsed,
    Clock,
}

impl Axis {
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Step => Self::Elapsed,
            Self::Elapsed => Self::Clock,
            Self::Clock => Self::Step,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Elapsed => "elapsed",
            Self::Clock => "clock",
        }
    }
}

/// How charts are drawn, on every screen with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ChartLook {
    /// Index into [`EMA`].
    pub ema: usize,
    pub log: bool,
    pub axis: Axis,
}

/// Weights of the moving average that `[` and `]` step through.
pub const EMA: [f64; 6] = [0.0, 0.5, 0.7, 0.9, 0.95, 0.99];

impl ChartLook {
    /// Whether the action was about the look of charts.
    pub fn act(&mut self, action: Action) -> bool {
        match action {
            Action::EmaLess => self.ema = self.ema.saturating_sub(1),
            Action::EmaMore => self.ema = (self.ema + 1).min(EMA.len() - 1),
            Action::LogY => self.log = !self.log,
            Action::Axis => self.axis = self.axis.next(),
            _ => return false,
        }
        true
    }

    /// `EMA 0.90 · x step · log off`.
    pub fn words(self) -> String {
        let ema = if self.ema == 0 { "EMA off".to_owned() } else { format!("EMA {:.2}", EMA[self.ema]) };
        format!("{ema} · x {} · log {}", self.axis.name(), if self.log { "on" } else { "off" })
    }
}

/// Runs charted at once; marks beyond it are not drawn.
pub const CHARTED_MAX: usize = 6;
/// Rows asked for around the cursor.
pub const WINDOW: usize = 300;

/// The panes, in the order of Tab.
pub const TABLE: usize = 0;
pub const CHART: usize = 1;
pub const DETAIL: usize = 2;

#[derive(Debug)]
pub struct Runs {
    pub page: Slot<Window<Run>>,
    pub experiments: Slot<Vec<Experiment>>,
    pub experiment: Option<Experiment>,
    pub filter: Query,
    pub filter_text: String,
    pub order: RunOrder,
    pub descending: bool,
    pub cursor: usize,
    /// The run under the cursor: it stays under it when rows move.
    pub selected: Option<String>,
    pub marks: BTreeSet<String>,
    /// What was last known of marked runs: they may lie outside of the rows that are loaded.
    pub marked: BTreeMap<String, Brief>,
    pub range_from: Option<usize>,
    pub grouped: Grouped,
    /// Deleted runs instead of active ones.
    pub deleted: bool,
    /// When the room was last left: what began or ended since then is new. Kept with the session.
    pub last_look: Option<Timestamp>,
    /// `None`: chosen by what the runs have.
    pub columns: Option<Vec<Column>>,
    pub metric: Option<String>,
    pub look: ChartLook,
    pub pane: usize,
    pub detail_scroll: usize,
    /// Where the chart is read, as a share of its width.
    pub probe: Option<f64>,
    pub sparks: Curves,
    pub charts: Curves,
}

impl Default for Runs {
    fn default() -> Self {
        Self {
            page: Slot::default(),
            experiments: Slot::default(),
            experiment: None,
            filter: Query::default(),
            filter_text: String::new(),
            order: RunOrder::Started,
            descending: true,
            cursor: 0,
            selected: None,
            marks: BTreeSet::new(),
            marked: BTreeMap::new(),
            range_from: None,
            grouped: Grouped::default(),
            deleted: false,
            last_look: None,
            columns: None,
            metric: None,
            look: ChartLook::default(),
            pane: TABLE,
            detail_scroll: 0,
            probe: None,
            sparks: Curves::new(24),
            charts: Curves::new(320),
        }
    }
}

impl Runs {
    pub fn rows(&self) -> &[Run] {
        self.page.value().map_or(&[], |w| w.rows.as_slice())
    }

    pub fn total(&self) -> usize {
        self.page.value().map_or(0, |w| w.total)
    }

    pub fn row_of(&self, id: &str) -> Option<&Run> {
        self.loaded_rows().find(|r| r.id == id)
    }

    pub fn current(&self) -> Option<&Run> {
        self.run_at(self.cursor)
    }

    /// Something may have changed: it is loaded again when its turn comes.
    pub fn touch(&mut self) {
        self.page.touch();
        self.grouped.touch();
    }

    /// The question changed: what is under way no longer counts.
    pub fn reload(&mut self) {
        self.page.renew();
        self.grouped.renew();
    }

    /// The agent is gone: what is known stays, marked as what it is.
    pub fn stale(&mut self, why: &str) {
        self.page.remote.stale(why);
        self.grouped.groups.remote.stale(why);
        self.grouped.open.values_mut().for_each(|slot| slot.remote.stale(why));
    }

    /// When something waits for time alone to be loaded again.
    pub fn due_at(&self) -> Option<Timestamp> {
        let open = self.grouped.open.values().filter_map(Slot::due_at);
        let groups = self.grouped.by.as_ref().and_then(|_| self.grouped.groups.due_at());
        open.chain(groups).chain(self.page.due_at()).min()
    }

    /// Whether a run began or ended since the room was last left.
    pub fn is_new(&self, run: &Run) -> bool {
        self.last_look.is_some_and(|at| run.started > at || run.ended.is_some_and(|e| e > at))
    }

    pub fn live(&self) -> usize {
        self.rows().iter().filter(|r| r.is_live()).count()
    }

    /// The metric on the chart: the chosen one, else the first that the columns show.
    pub fn charted_metric(&self) -> Option<String> {
        self.metric.clone().or_else(|| {
            self.shown_columns().into_iter().find_map(|c| if let Column::Metric(key) = c { Some(key) } else { None })
        })
    }

    /// The runs on the chart: the marked ones, else the one under the cursor.
    pub fn charted(&self) -> Vec<&Run> {
        if self.marks.is_empty() {
            let group = self.group_here().map_or(&[][..], |g| self.rows_of_group(&g.value));
            return self.current().into_iter().chain(group).take(CHARTED_MAX).collect();
        }
        let mut seen = BTreeSet::new();
        self.loaded_rows().filter(|r| self.marks.contains(&r.id) && seen.insert(&r.id)).take(CHARTED_MAX).collect()
    }

    /// The runs that a comparison would show: the marked ones, and where one alone is marked the one under the cursor.
    pub fn compared(&self) -> Vec<String> {
        let alone = (self.marks.len() == 1).then(|| self.current().map(|r| r.id.clone())).flatten();
        let mut ids: Vec<String> = self.marks.iter().cloned().chain(alone).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    pub fn shown_columns(&self) -> Vec<Column> {
        self.columns.clone().unwrap_or_else(|| columns::automatic(self.rows(), self.experiment.is_none()))
    }

    pub fn toggle_column(&mut self, column: &Column) {
        let mut shown = self.shown_columns();
        match shown.iter().position(|c| c == column) {
            Some(at) => {
                shown.remove(at);
            }
            None => shown.push(column.clone()),
        }
        shown.sort_by_key(Column::rank);
        // Another metric may have to be averaged.
        self.grouped.groups.touch();
        self.columns = Some(shown);
    }

    /// What is known of the runs that an action is about.
    fn meant(&self) -> impl Iterator<Item = Brief> {
        let of = |id: String| {
            let known = self.row_of(&id).map(Brief::of).or_else(|| self.marked.get(&id).cloned());
            known.unwrap_or_else(|| Brief::unknown(&id))
        };
        targets(self).into_iter().map(of)
    }

    pub fn why_not(&self, action: Action) -> Option<String> {
        let none = self.current().is_none();
        match action {
            Action::StopSheet if !self.meant().any(|b| b.status.is_none_or(|s| !s.is_over())) => {
                Some("no run that goes on is meant".into())
            }
            Action::DeleteSheet if self.deleted => Some("these are deleted; B shows the active runs".into()),
            Action::RestoreSheet if !self.deleted => Some("these are not deleted; B shows the deleted runs".into()),
            Action::RegisterSheet | Action::StopSheet if self.deleted => {
                Some("these runs are deleted; U brings them back".into())
            }
            Action::Mark if self.group_here().is_some() => None,
            Action::Open if self.group_here().is_some() => None,
            Action::NoteEdit | Action::TagEdit | Action::DeleteSheet | Action::RestoreSheet
                if none && self.marks.is_empty() =>
            {
                Some("no run here".into())
            }
            Action::RegisterSheet if self.marks.len() > 1 => Some("one run at a time becomes a version".into()),
            Action::Open
            | Action::RegisterSheet
            | Action::Mark
            | Action::MarkRange
            | Action::MarkInvert
            | Action::CopyMenu
                if none =>
            {
                Some("no run here".into())
            }
            Action::Compare if self.compared().len() < 2 => Some("mark 2 to 20 runs with Space first".into()),
            Action::Compare if self.compared().len() > super::compare::RUNS_MAX => {
                Some(format!("{} runs are marked, 20 at most can be compared", self.marks.len()))
            }
            Action::Metric | Action::EmaMore | Action::EmaLess | Action::LogY | Action::Axis
                if self.charted_metric().is_none() =>
            {
                Some("no run here has a metric".into())
            }
            _ => None,
        }
    }
}
