//! Registry: which version stands in which stage, and why.

mod update;
pub mod view;

pub use update::{act, demand, loaded, set_filter};

use crate::tui::action::Action;
use crate::tui::model::{Model, Stage, Version};
use crate::tui::query::{Held, Query};
use crate::tui::remote::Slot;

/// The panes, in the order of Tab.
pub const MODELS: usize = 0;
pub const VERSIONS: usize = 1;
pub const LINEAGE: usize = 2;
pub const HISTORY: usize = 3;
pub const PANES: usize = 4;

#[derive(Debug, Default)]
pub struct Registry {
    pub models: Slot<Vec<Model>>,
    pub filter: Query,
    pub filter_text: String,
    pub selected: Option<String>,
    pub cursor: usize,
    pub version: usize,
    /// The stage under the column cursor; choosing it jumps to its newest version.
    pub stage: usize,
    pub pane: usize,
    pub scrolls: [usize; PANES],
}

impl Registry {
    /// The models that fit the filter.
    pub fn shown(&self) -> Vec<&Model> {
        let all = self.models.value().map_or(&[][..], Vec::as_slice);
        all.iter().filter(|m| self.filter.matches(|field| held(m, field))).collect()
    }

    pub fn current(&self) -> Option<&Model> {
        self.shown().get(self.cursor).copied()
    }

    pub fn version(&self) -> Option<&Version> {
        self.current()?.versions.get(self.version)
    }

    /// The version that was in prod before the one that is: where a rollback leads.
    pub fn before_prod(&self) -> Option<&Version> {
        self.current()?.before_prod()
    }

    pub fn why_not(&self, action: Action) -> Option<String> {
        match action {
            Action::NoteEdit | Action::TagEdit | Action::AliasEdit if self.version().is_none() => {
                Some("no version here".into())
            }
            Action::PromoteSheet if self.version().is_none() => Some("no version here".into()),
            Action::RollbackSheet => match (self.current(), self.before_prod()) {
                (None, _) => Some("no model here".into()),
                (Some(m), _) if m.in_stage(Stage::Prod).next().is_none() => {
                    Some(format!("{} has no version in prod", m.name))
                }
                (Some(m), None) => Some(format!("no other version of {} was ever in prod", m.name)),
                _ => None,
            },
            Action::Open | Action::CopyMenu if self.current().is_none() => Some("no model here".into()),
            Action::Mark
            | Action::MarkRange
            | Action::MarkInvert
            | Action::SortPick
            | Action::SortReverse
            | Action::Columns => Some("models have no marks and one order".into()),
            _ => None,
        }
    }
}

fn held(model: &Model, field: Option<&str>) -> Held {
    let stage =
        |s: Stage| Held::Text(model.in_stage(s).map(|v| format!("v{}", v.number)).collect::<Vec<_>>().join(" "));
    match field {
        None | Some("name" | "model") => Held::Text(model.name.clone()),
        Some("dev") => stage(Stage::Dev),
        Some("staging") => stage(Stage::Staging),
        Some("prod") => stage(Stage::Prod),
        Some("archived") => stage(Stage::Archived),
        #[allow(clippy::cast_precision_loss)] // a count
        Some("versions") => Held::Number(model.versions.len() as f64),
        Some(key) => {
            model.tags.get(key.strip_prefix("tag.").unwrap_or(key)).map_or(Held::Missing, |v| Held::Text(v.clone()))
        }
    }
}
