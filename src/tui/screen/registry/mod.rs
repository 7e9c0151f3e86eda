//! Registry: which version stands in which stage, and why: now, or as it was at a past moment.

mod card;
mod difference;
pub mod gates;
mod timeline;
mod update;
pub mod versus;
pub mod view;

use std::collections::BTreeMap;

pub use update::{act, clear, demand, event_here, go_to, go_to_run, loaded, set_filter, travel};

use crate::base::Timestamp;
use crate::tui::action::Action;
use crate::tui::model::{Card, Event, Model, Stage, Version};
use crate::tui::query::{Held, Query};
use crate::tui::remote::Slot;

/// The panes, in the order of Tab.
pub const MODELS: usize = 0;
pub const VERSIONS: usize = 1;
pub const CARD: usize = 2;
pub const TIMELINE: usize = 3;
pub const GATES: usize = 4;
pub const PANES: usize = 5;

/// Cards that are remembered. What a version stands on is frozen, so a card never grows old.
const CARDS_MAX: usize = 64;

/// What to show once the registry is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    Version {
        model: String,
        version: Option<u32>,
    },
    /// The newest version that came from this run.
    OfRun(String),
}

#[derive(Debug, Default)]
pub struct Registry {
    pub models: Slot<Vec<Model>>,
    /// The moment that is shown instead of now.
    pub as_of: Option<Timestamp>,
    pub past: Slot<Vec<Model>>,
    pub filter: Query,
    pub filter_text: String,
    pub selected: Option<String>,
    pub cursor: usize,
    pub version: usize,
    /// The stage under the column cursor; choosing it jumps to its newest version.
    pub stage: usize,
    pub pane: usize,
    pub scrolls: [usize; PANES],
    /// Versions of the current model that are marked for a difference.
    pub marks: Vec<u32>,
    pub wanted: Option<Wanted>,
    /// By model and version; with digests once they were asked for.
    pub cards: BTreeMap<(String, u32), Card>,
    pub card: Slot<Card>,
    pub card_wanted: Option<(String, u32, bool)>,
    /// Why the newest card could not be had, and whose it is.
    pub card_failed: Option<(String, u32, String)>,
    /// The difference of two versions: how far it is scrolled, and whether what is the same shows too.
    pub versus_scroll: usize,
    pub versus_all: bool,
    pub gates: gates::Gates,
}

impl Registry {
    /// What is looked at: the registry now, or as it stood.
    pub fn listed(&self) -> &Slot<Vec<Model>> {
        if self.as_of.is_some() { &self.past } else { &self.models }
    }

    /// The models that fit the filter.
    pub fn shown(&self) -> Vec<&Model> {
        let all = self.listed().value().map_or(&[][..], Vec::as_slice);
        all.iter().filter(|m| self.filter.matches(|field| held(m, field))).collect()
    }

    /// The stage that matters next for the version under the cursor, and how many gates before it do not pass.
    pub fn open_gates(&self) -> Option<(Stage, usize)> {
        let (model, version) = self.current().zip(self.version())?;
        let stage = gates::next_stage(&self.gates, &model.name, version);
        let decision = self.gates.verdict(&model.name, version.number, stage)?;
        Some((stage, crate::tui::ask::waive::open_gates(decision).count()))
    }

    pub fn current(&self) -> Option<&Model> {
        self.shown().get(self.cursor).copied()
    }

    pub fn version(&self) -> Option<&Version> {
        self.current()?.versions.get(self.version)
    }

    /// The change under the cursor of the timeline.
    pub fn event(&self) -> Option<&Event> {
        self.current()?.history.get(self.scrolls[TIMELINE])
    }

    pub fn card_of(&self, model: &str, version: u32) -> Option<&Card> {
        self.cards.get(&(model.to_owned(), version))
    }

    /// Versions whose cards are needed, whether with digests: the one under the cursor.
    fn card_needed(&self) -> Option<(String, u32, bool)> {
        let (model, version) = (self.current()?, self.version()?);
        Some((model.name.clone(), version.number, false))
    }

    fn remember(&mut self, card: Card) {
        while self.cards.len() >= CARDS_MAX {
            self.cards.pop_first();
        }
        self.cards.insert((card.model.clone(), card.version), card);
    }

    /// The version that was in prod before the one that is: where a rollback leads.
    pub fn before_prod(&self) -> Option<&Version> {
        self.current()?.before_prod()
    }

    /// `models:/m@alias`, else `models:/m/3`: what a client loads.
    pub fn uri(&self) -> Option<String> {
        let (model, version) = (self.current()?, self.version()?);
        Some(match version.aliases.first() {
            Some(alias) => format!("models:/{}@{alias}", model.name),
            None => format!("models:/{}/{}", model.name, version.number),
        })
    }

    pub fn why_not(&self, action: Action) -> Option<String> {
        match action {
            Action::PromoteSheet
            | Action::OpenLink
            | Action::NoteEdit
            | Action::TagEdit
            | Action::AliasEdit
            | Action::ArchiveSheet
                if self.version().is_none() =>
            {
                Some("no version here".into())
            }
            Action::ArchiveSheet if self.version().is_some_and(|v| v.stage == Stage::Archived) => {
                Some("this version is archived already".into())
            }
            Action::Diff | Action::Mark if self.current().is_none_or(|m| m.versions.len() < 2) => {
                Some("a difference needs two versions".into())
            }
            Action::ApproveSheet => match self.current().zip(self.version()) {
                Some((m, v)) if self.gates.pending(&m.name, v.number).is_empty() => {
                    Some(format!("v{} waits for no approval", v.number))
                }
                Some(_) => None,
                None => Some("no version here".into()),
            },
            Action::WaiveSheet => match self.open_gates() {
                Some((_, 0)) => Some("every gate passes".into()),
                Some(_) => None,
                None => Some("the gates have not answered yet".into()),
            },
            Action::RollbackSheet => match (self.current(), self.before_prod()) {
                (None, _) => Some("no model here".into()),
                (Some(m), _) if m.in_stage(Stage::Prod).next().is_none() => {
                    Some(format!("{} has no version in prod", m.name))
                }
                (Some(m), None) => Some(format!("no other version of {} was ever in prod", m.name)),
                _ => None,
            },
            Action::Open | Action::CopyMenu if self.current().is_none() => Some("no model here".into()),
            Action::MarkRange | Action::MarkInvert => Some("mark two versions with Space, then d".into()),
            Action::SortPick | Action::SortReverse | Action::Columns => Some("models have one order".into()),
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
        Some("alias") => {
            let aliases = model.versions.iter().flat_map(|v| &v.aliases).cloned().collect::<Vec<_>>();
            Held::Text(aliases.join(" "))
        }
        #[allow(clippy::cast_precision_loss)] // a count
        Some("versions") => Held::Number(model.versions.len() as f64),
        Some(key) => {
            model.tags.get(key.strip_prefix("tag.").unwrap_or(key)).map_or(Held::Missing, |v| Held::Text(v.clone()))
        }
    }
}
