//! Audit: who did what, why, and whether the chain still holds.

mod update;
pub mod view;

pub use update::{act, demand, loaded, set_filter};

use crate::tui::action::Action;
use crate::tui::model::{Record, Verdict, Window};
use crate::tui::query::Query;
use crate::tui::remote::Slot;

/// The panes, in the order of Tab.
pub const EVENTS: usize = 0;
pub const DETAIL: usize = 1;
pub const CHANGE: usize = 2;
pub const PANES: usize = 3;
/// Records asked for around the cursor.
pub const WINDOW: usize = 300;

#[derive(Debug, Default)]
pub struct Audit {
    pub page: Slot<Window<Record>>,
    pub verdict: Slot<Verdict>,
    pub filter: Query,
    pub filter_text: String,
    pub cursor: usize,
    /// The record under the cursor; `None` follows the newest.
    pub selected: Option<i64>,
    pub pane: usize,
    pub scrolls: [usize; PANES],
}

impl Audit {
    pub fn current(&self) -> Option<&Record> {
        self.page.value().and_then(|w| w.get(self.cursor))
    }

    pub fn total(&self) -> usize {
        self.page.value().map_or(0, |w| w.total)
    }

    pub fn why_not(&self, action: Action) -> Option<String> {
        match action {
            Action::VerifyChain if self.verdict.is_waiting() => Some("the chain is being verified".into()),
            Action::CopyMenu if self.current().is_none() => Some("no record here".into()),
            Action::Mark
            | Action::MarkRange
            | Action::MarkInvert
            | Action::SortPick
            | Action::SortReverse
            | Action::Columns => Some("the trail has one order, the newest first".into()),
            _ => None,
        }
    }
}
