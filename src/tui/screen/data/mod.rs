//! Data: every version of every dataset, its training profile, what changed between two, and who read it.

mod changes;
mod columns;
pub mod evals;
mod update;
pub mod view;

pub use columns::share;
pub use update::{act, clear, demand, loaded, set_filter};

use crate::capability::datasets::profile::{Profile, TableProfile};
use crate::capability::datasets::{Diff, PinnedRun};
use crate::tui::action::Action;
use crate::tui::model::data::{DataRow, ModelUse, VersionId};
use crate::tui::query::{Held, Query};
use crate::tui::remote::Slot;

/// The panes, in the order of Tab.
pub const VERSIONS: usize = 0;
pub const PROFILE: usize = 1;
pub const ABOUT: usize = 2;
pub const READERS: usize = 3;
pub const PANES: usize = 4;

#[derive(Debug, Default)]
pub struct Data {
    pub rows: Slot<Vec<DataRow>>,
    pub filter: Query,
    pub filter_text: String,
    /// The row under the cursor, by [`DataRow::id`].
    pub selected: Option<String>,
    pub cursor: usize,
    /// At most two versions to compare, in the order of marking.
    pub marks: Vec<VersionId>,
    pub pane: usize,
    /// Cursors and scroll offsets of the panes below the list.
    pub cursors: [usize; PANES],
    pub profile: Slot<Option<Profile>>,
    pub profile_of: Option<VersionId>,
    /// Which table of the profile.
    pub table: usize,
    /// The two versions that are compared now.
    pub between: Option<(VersionId, VersionId)>,
    pub diff: Slot<Diff>,
    /// Suites and results instead of datasets.
    pub shows_evals: bool,
    pub evals: evals::Evals,
}

/// Who read a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader<'a> {
    Model(&'a ModelUse),
    Run(&'a PinnedRun),
}

impl Data {
    /// The rows that fit the filter.
    pub fn shown(&self) -> Vec<&DataRow> {
        let all = self.rows.value().map_or(&[][..], Vec::as_slice);
        all.iter().filter(|r| self.filter.matches(|field| held(r, field))).collect()
    }

    pub fn current(&self) -> Option<&DataRow> {
        self.shown().get(self.cursor).copied()
    }

    /// Models first, they are fewer.
    pub fn readers(&self) -> Vec<Reader<'_>> {
        let Some(row) = self.current() else { return Vec::new() };
        row.models.iter().map(Reader::Model).chain(row.runs().iter().map(Reader::Run)).collect()
    }

    /// The table whose columns are shown, of the version under the cursor.
    pub fn table(&self) -> Option<&TableProfile> {
        let profile = self.profile.value()?.as_ref()?;
        profile.tables.get(self.table)
    }

    /// Everything may have changed; what failed is asked for again.
    pub fn touch(&mut self) {
        self.rows.touch();
        self.profile.touch();
        self.diff.touch();
        self.evals.measured.touch();
    }

    /// The agent does not answer.
    pub fn stale(&mut self, why: &str) {
        self.rows.remote.stale(why);
        self.profile.remote.stale(why);
        self.diff.remote.stale(why);
        self.evals.measured.remote.stale(why);
    }

    /// Which two versions `d` compares: the marked ones, else the one under the cursor with the marked one or with the
    /// version before it; the older first.
    ///
    /// # Errors
    /// A sentence that says which two versions to mark.
    pub fn pair(&self) -> Result<(VersionId, VersionId), String> {
        let here = self.current().and_then(DataRow::version);
        let (a, b) = match (self.marks.as_slice(), here) {
            ([a, b, ..], _) => (a.clone(), b.clone()),
            (_, None) => return Err("no version is kept here; opsroom data add PATH makes one".into()),
            ([a], Some(b)) if *a != b => (a.clone(), b),
            (_, Some(b)) => {
                let before = self.before(&b).ok_or_else(|| {
                    format!("{b} is the first version; mark (Space) another version to compare it with")
                })?;
                (before, b)
            }
        };
        Ok(if a.dataset == b.dataset && a.version > b.version { (b, a) } else { (a, b) })
    }

    /// The version of the same dataset that came before.
    fn before(&self, of: &VersionId) -> Option<VersionId> {
        let all = self.rows.value().map_or(&[][..], Vec::as_slice);
        all.iter().filter_map(DataRow::version).find(|v| v.dataset == of.dataset && v.version < of.version)
    }

    pub fn why_not(&self, action: Action) -> Option<String> {
        match action {
            Action::DataDiff | Action::Mark if self.shows_evals => Some("v shows the datasets".into()),
            Action::Open if self.shows_evals => None,
            Action::CopyMenu if self.shows_evals && self.evals.current(&self.filter).is_none() => {
                Some("no result here".into())
            }
            Action::CopyMenu if self.shows_evals => None,
            Action::DataDiff if self.between.is_some() => None,
            Action::DataDiff => self.pair().err(),
            Action::Mark if self.current().and_then(DataRow::version).is_none() => {
                Some("only versions whose bytes are here can be compared".into())
            }
            Action::Open | Action::CopyMenu if self.current().is_none() => Some("no dataset here".into()),
            Action::MarkRange | Action::MarkInvert => Some("two versions are marked one by one, with Space".into()),
            Action::SortPick | Action::SortReverse | Action::Columns => {
                Some("datasets have one order: by name, the newest version first".into())
            }
            _ => None,
        }
    }
}

#[allow(clippy::cast_precision_loss)] // counts and sizes, for a comparison
fn held(row: &DataRow, field: Option<&str>) -> Held {
    let number = |n: Option<u64>| n.map_or(Held::Missing, |n| Held::Number(n as f64));
    match field {
        None | Some("name" | "dataset") => Held::Text(row.dataset.clone()),
        Some("version") => number(row.kept().map(|v| u64::from(v.version.version))),
        Some("digest") => Held::Text(row.digest().to_owned()),
        Some("by" | "user") => row.doc().map_or(Held::Missing, |d| Held::Text(d.user.clone())),
        Some("source") => row.doc().map_or(Held::Missing, |d| Held::Text(d.source.clone())),
        Some("files") => number(row.doc().map(|d| d.files)),
        Some("bytes") => number(row.doc().map(|d| d.bytes)),
        Some("rows") => number(row.rows()),
        Some("columns") => number(row.columns()),
        Some("runs") => Held::Number(row.runs().len() as f64),
        Some("model") => {
            Held::Text(row.models.iter().map(|m| format!("{} v{}", m.model, m.version)).collect::<Vec<_>>().join(" "))
        }
        Some(_) => Held::Missing,
    }
}
