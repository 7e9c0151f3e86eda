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
    /// A record to go to once it is known where it stands.
    pub wanted: Option<i64>,
}

/// What the last check of the chain says of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Holds,
    /// The first that does not hold.
    Bad,
    /// After the first bad one: nothing vouches for it.
    Doubtful,
    /// Newer than the check.
    Newer,
}

impl Audit {
    pub fn current(&self) -> Option<&Record> {
        self.page.value().and_then(|w| w.get(self.cursor))
    }

    /// How a record stood when the chain was last checked; `None` when it was not.
    pub fn standing(&self, seq: i64) -> Option<Standing> {
        let verdict = self.verdict.value()?;
        Some(match verdict.first_bad {
            Some(bad) if seq == bad => Standing::Bad,
            Some(bad) if seq > bad => Standing::Doubtful,
            Some(_) => Standing::Holds,
            None if u64::try_from(seq).is_ok_and(|s| s > verdict.records) => Standing::Newer,
            None => Standing::Holds,
        })
    }

    /// Shows a record by its number, without a filter that could hide it. Numbers have no gap.
    pub fn go_to(&mut self, seq: i64) {
        self.filter = Query::default();
        self.filter_text.clear();
        self.pane = EVENTS;
        self.scrolls = [0; PANES];
        self.wanted = Some(seq);
        self.page.renew();
    }

    pub fn total(&self) -> usize {
        self.page.value().map_or(0, |w| w.total)
    }

    pub fn why_not(&self, action: Action) -> Option<String> {
        match action {
            Action::VerifyChain if self.verdict.is_waiting() => Some("the chain is being verified".into()),
            Action::CopyMenu | Action::Diff if self.current().is_none() => Some("no record here".into()),
            Action::OpenLink => match self.current() {
                None => Some("no record here".into()),
                Some(r) if r.link.is_none() => Some("this record is about neither a model nor a run".into()),
                Some(_) => None,
            },
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
