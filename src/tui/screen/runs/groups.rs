//! Runs in groups: the lines that the table then has, and what is known of the runs of a group that is open.

use std::collections::BTreeMap;

use super::Runs;
use crate::capability::tracking::wandb::{GROUP_TAG, JOB_TYPE_TAG, SWEEP_TAG};
use crate::capability::tracking::{GroupBy, RunGroup, RunGroups};
use crate::tui::model::{Run, Window};
use crate::tui::msg::RunOrder;
use crate::tui::remote::Slot;

/// Runs of one group that are loaded when it opens.
pub const GROUP_ROWS: usize = 200;

/// How runs are put together, and what is known of that.
#[derive(Debug, Default)]
pub struct Grouped {
    pub by: Option<GroupBy>,
    pub groups: Slot<RunGroups>,
    /// Runs of the groups that are open, by the group's value.
    pub open: BTreeMap<Option<String>, Slot<Window<Run>>>,
    /// The group under the cursor, where no run is.
    pub selected: Option<Option<String>>,
}

/// A line of the table.
#[derive(Debug, Clone, Copy)]
pub enum Line<'a> {
    Group {
        group: &'a RunGroup,
        is_open: bool,
    },
    Run(&'a Run),
    /// Not loaded (yet), with a remark where there is one.
    Missing(&'static str),
}

impl Grouped {
    /// The question changed: what is known no longer counts.
    pub fn renew(&mut self) {
        self.groups.renew();
        self.open.values_mut().for_each(Slot::renew);
    }

    pub fn touch(&mut self) {
        self.groups.touch();
        self.open.values_mut().for_each(Slot::touch);
    }

    pub fn put_together(&mut self, by: Option<GroupBy>) {
        *self = Self { by, ..Self::default() };
    }

    /// Opens a group, or closes it.
    pub fn toggle(&mut self, value: &Option<String>) {
        if self.open.remove(value).is_none() {
            self.open.insert(value.clone(), Slot::default());
        }
    }

    /// The groups in the order of the table: by the mean of the metric that runs are sorted by, by name, or by the newest
    /// run; else as the agent orders them.
    fn ordered(&self, order: &RunOrder, descending: bool) -> Vec<&RunGroup> {
        let mut groups: Vec<&RunGroup> = self.groups.value().map(|g| g.groups.iter().collect()).unwrap_or_default();
        match order {
            RunOrder::Metric(key) => groups.sort_by(|a, b| {
                let mean = |g: &RunGroup| g.metrics.get(key).filter(|s| s.n > 0).map(|s| s.mean);
                match (mean(a), mean(b)) {
                    (Some(x), Some(y)) if descending => y.total_cmp(&x),
                    (Some(x), Some(y)) => x.total_cmp(&y),
                    (x, y) => y.is_some().cmp(&x.is_some()),
                }
            }),
            RunOrder::Name => {
                groups.sort_by(|a, b| if descending { b.label.cmp(&a.label) } else { a.label.cmp(&b.label) });
            }
            _ => {}
        }
        groups
    }
}

impl Runs {
    /// The lines of the table while runs are in groups.
    pub fn lines(&self) -> Vec<Line<'_>> {
        let mut lines = Vec::new();
        for group in self.grouped.ordered(&self.order, self.descending) {
            let open = self.grouped.open.get(&group.value);
            lines.push(Line::Group { group, is_open: open.is_some() });
            let Some(slot) = open else { continue };
            match slot.value() {
                Some(window) => {
                    lines.extend(window.rows.iter().map(Line::Run));
                    if window.total > window.rows.len() {
                        lines.push(Line::Missing("… and more: filter by this value to see all"));
                    }
                }
                None => lines.push(Line::Missing("asking the agent…")),
            }
        }
        lines
    }

    pub fn is_grouped(&self) -> bool {
        self.grouped.by.is_some()
    }

    /// Lines that the cursor can stand on.
    pub fn len(&self) -> usize {
        if self.is_grouped() { self.lines().len() } else { self.total() }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The run on a line, if one stands there and is loaded.
    pub fn run_at(&self, line: usize) -> Option<&Run> {
        if !self.is_grouped() {
            return self.page.value().and_then(|w| w.get(line));
        }
        match self.lines().get(line) {
            Some(Line::Run(run)) => Some(run),
            _ => None,
        }
    }

    /// The runs on these lines that are loaded.
    pub fn runs_on(&self, lines: std::ops::Range<usize>) -> Vec<&Run> {
        if !self.is_grouped() {
            return lines.filter_map(|i| self.run_at(i)).collect();
        }
        let wanted = self.lines().into_iter().skip(lines.start).take(lines.len());
        wanted.filter_map(|l| if let Line::Run(run) = l { Some(run) } else { None }).collect()
    }

    /// The metrics among the shown columns, and the one that is charted or sorted by.
    pub fn shown_metrics(&self) -> Vec<String> {
        let sorted = if let RunOrder::Metric(key) = &self.order { Some(key.clone()) } else { None };
        let shown = self.shown_columns().into_iter().filter_map(|c| match c {
            super::Column::Metric(key) => Some(key),
            _ => None,
        });
        let mut keys: Vec<String> = shown.chain(sorted).chain(self.charted_metric()).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    /// The group whose line the cursor is on.
    pub fn group_here(&self) -> Option<&RunGroup> {
        if !self.is_grouped() {
            return None;
        }
        match self.lines().get(self.cursor) {
            Some(Line::Group { group, .. }) => Some(group),
            _ => None,
        }
    }

    /// All runs that are loaded: the page, and the groups that are open.
    pub fn loaded_rows(&self) -> impl Iterator<Item = &Run> {
        let open = self.grouped.open.values().filter_map(Slot::value).flat_map(|w| &w.rows);
        self.rows().iter().chain(open)
    }

    /// The loaded runs of a group.
    pub fn rows_of_group(&self, value: &Option<String>) -> &[Run] {
        self.grouped.open.get(value).and_then(Slot::value).map_or(&[], |w| w.rows.as_slice())
    }
}

/// How the grouping is called on the screen.
pub fn name(by: &GroupBy) -> String {
    match by {
        GroupBy::Experiment => "experiment".to_owned(),
        GroupBy::Parent => "parent run".to_owned(),
        GroupBy::Param(key) => key.clone(),
        GroupBy::Tag(key) => {
            FAMILIES.iter().find(|(tag, _)| tag == key).map_or_else(|| key.clone(), |f| f.1.to_owned())
        }
    }
}

/// Tags by which W&B's clients put runs together, and what they are called.
pub const FAMILIES: [(&str, &str); 3] = [(SWEEP_TAG, "sweep"), (GROUP_TAG, "W&B group"), (JOB_TYPE_TAG, "job type")];
