//! What a sheet asks, as plain data. Each change has one constructor in a file of its own; the sheet itself knows none of them.
//!
//! A new change is: a [`Topic`], a constructor that makes an [`Ask`] of it from the state, and its line in [`make`].

mod approve;
mod delete;
pub mod gates;
mod register;
mod stage;
mod stop;
mod traffic;
pub mod waive;

pub use register::sources_of;

use super::model::{Change, Stage};
use super::overlay::{Overlay, Sheet};
use super::remote::Remote;
use super::state::{State, View};
use crate::capability::gates::Verdict;

/// Fewest characters of a reason that touches production.
pub const PROD_REASON_CHARS: usize = 10;
/// Targets that can be confirmed without their number typed.
pub const BATCH_FREE_MAX: usize = 3;

/// What is to be asked about. From it a sheet can be made again, when what it speaks of has moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// Moves a version; another stage can be chosen on the sheet.
    Stage {
        model: String,
        version: u32,
        to: Stage,
    },
    /// Brings back the version that was in prod before.
    Rollback {
        model: String,
    },
    /// Gives one's word for a version.
    Approve {
        model: String,
        version: u32,
        stage: Stage,
    },
    /// Lets a gate pass for a while.
    Waive {
        model: String,
        version: u32,
        stage: Stage,
    },
    /// Makes a version of what a run logged.
    Register {
        model: String,
        run: String,
    },
    /// A version begins to answer a part of a service's callers.
    StartRollout {
        service: String,
    },
    Weight {
        service: String,
    },
    /// Holds a rollout, or lets a held one go on.
    Hold {
        service: String,
    },
    DropRollout {
        service: String,
    },
    FinishRollout {
        service: String,
    },
    RollbackService {
        service: String,
    },
    /// Takes a rollback or drop back.
    UndoRollback {
        service: String,
    },
    Forbid {
        service: String,
    },
    /// Ends runs.
    StopRuns(Vec<String>),
    DeleteRuns(Vec<String>),
    RestoreRuns(Vec<String>),
}

impl Topic {
    /// Whether it can only be asked with the registry before one's eyes.
    fn needs_models(&self, state: &State) -> bool {
        match self {
            Self::Stage { .. }
            | Self::Rollback { .. }
            | Self::Approve { .. }
            | Self::Waive { .. }
            | Self::Register { .. } => true,
            // Any version of the model can be started there, not only those that have an address.
            Self::StartRollout { service } => traffic::launches(state, service),
            _ => false,
        }
    }
}

/// The question of a sheet.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    pub topic: Topic,
    pub title: String,
    /// What it is about, label and text: from, run, …
    pub subject: Vec<(String, String)>,
    /// What can be chosen with left and right; at least one.
    pub ways: Vec<Way>,
    pub chosen: usize,
    /// What the question stands on. When one of these moves, the difference is shown and the question asked again.
    pub facts: Vec<(String, String)>,
    /// The agent refuses when the model has moved past it.
    pub generation: Option<i64>,
}

impl Ask {
    /// The screen that shows what comes of it.
    pub fn then(&self) -> Option<View> {
        match &self.topic {
            Topic::RollbackService { service } | Topic::DropRollout { service } => {
                Some(View::Recovery(service.clone()))
            }
            _ => None,
        }
    }
}

/// One thing that can be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Way {
    /// Beside "to".
    pub name: String,
    /// What follows from it, in numbers where there are some; every target of a batch is a line.
    pub impact: Vec<String>,
    /// One-key reasons.
    pub reasons: [&'static str; 4],
    pub reason_chars_min: usize,
    /// A word to be typed first, where the risk rises or many are meant.
    pub word: Option<String>,
    /// What speaks for and against it, with the verdict; `None` where there is none (yet).
    pub evidence: Vec<(Option<Verdict>, String)>,
    /// Why this cannot be done now.
    pub lacks: Option<String>,

    /// On the confirming key: `move to prod`.
    pub verb: String,
    /// The command line that does the same, without the reason.
    pub cli: String,
    pub change: Change,
    pub back: Back,
}

impl Way {
    /// Whether gates stand in the way.
    pub fn is_refused(&self) -> bool {
        self.lacks.is_some() && self.evidence.iter().any(|(v, _)| v.is_some_and(|v| v != Verdict::Pass))
    }
}

/// How a change is taken back.
#[derive(Debug, Clone, PartialEq)]
pub enum Back {
    Never,
    /// At once, for what is small.
    Change(Change),
    /// Through a sheet of its own.
    Sheet(Topic),
    /// The version that came to be is archived, through a sheet.
    ArchiveNew {
        model: String,
    },
}

impl Ask {
    pub fn way(&self) -> &Way {
        // A constructor gives at least one way, and turning stays among them.
        &self.ways[self.chosen.min(self.ways.len() - 1)]
    }

    /// What is otherwise than in `old`: `v42: prod → archived`.
    pub fn moved_since(&self, old: &Self) -> Vec<String> {
        let value = |facts: &[(String, String)], name: &str| {
            facts.iter().find(|(n, _)| n == name).map_or_else(|| "-".to_owned(), |(_, v)| v.clone())
        };
        let mut names: Vec<&String> = old.facts.iter().chain(&self.facts).map(|(n, _)| n).collect();
        names.sort();
        names.dedup();
        names
            .into_iter()
            .map(|n| (n, value(&old.facts, n), value(&self.facts, n)))
            .filter(|(_, was, is)| was != is)
            .map(|(n, was, is)| format!("{n}: {was} → {is}"))
            .collect()
    }
}

/// The question for a topic as things stand now.
///
/// # Errors
/// Why there is nothing to ask, for people.
pub fn make(state: &State, topic: &Topic) -> Result<Ask, String> {
    match topic {
        Topic::Stage { model, version, to } => stage::change(state, model, *version, *to),
        Topic::Approve { model, version, stage } => approve::ask(state, model, *version, *stage),
        Topic::Waive { model, version, stage } => waive::ask(state, model, *version, *stage),
        Topic::Rollback { model } => stage::roll_back(state, model),
        Topic::Register { model, run } => register::ask(state, model, run),
        Topic::StartRollout { service } => traffic::start(state, service),
        Topic::Weight { service } => traffic::weight(state, service),
        Topic::Hold { service } => traffic::hold(state, service),
        Topic::DropRollout { service } => traffic::drop_it(state, service),
        Topic::FinishRollout { service } => traffic::finish(state, service),
        Topic::RollbackService { service } => traffic::roll_back(state, service),
        Topic::UndoRollback { service } => traffic::undo(state, service),
        Topic::Forbid { service } => traffic::forbid(state, service),
        Topic::StopRuns(runs) => stop::ask(state, runs),
        Topic::DeleteRuns(runs) => delete::ask(state, runs, true),
        Topic::RestoreRuns(runs) => delete::ask(state, runs, false),
    }
}

/// Opens the sheet for a topic, or says why not. Where the registry is not known yet, the sheet opens when it is.
pub fn open(state: &mut State, topic: &Topic) {
    if topic.needs_models(state) && state.registry.models.value().is_none() {
        state.sheet_wanted = Some(topic.clone());
        return state.say("loading the registry…");
    }
    match make(state, topic) {
        Ok(ask) => {
            state.sheets += 1;
            state.overlay = Some(Overlay::Sheet(Box::new(Sheet::new(state.sheets, &state.session, ask))));
        }
        Err(why) => state.warn(why),
    }
}

/// Whether a sheet that is open or wanted stands on the registry, which must then be kept fresh on any screen.
pub fn speaks_of_models(state: &State) -> bool {
    let open = state.sheet().map(|s| &s.ask.topic);
    open.into_iter().chain(&state.sheet_wanted).any(|topic| topic.needs_models(state))
}

/// Opens a sheet that waited for the registry, and shows an open one what has moved since it was made.
pub fn settle(state: &mut State) {
    if let Remote::Failed(fault) = &state.registry.models.remote
        && state.sheet_wanted.take().is_some()
    {
        let why = fault.to_string();
        return state.warn(why);
    }
    if state.overlay.is_none()
        && state.registry.models.value().is_some()
        && let Some(topic) = state.sheet_wanted.take()
    {
        // That it was being loaded is no longer true.
        state.toast = None;
        return open(state, &topic);
    }
    let Some(topic) = state.sheet().map(|s| s.ask.topic.clone()) else { return };
    let Ok(now) = make(state, &topic) else { return };
    if let Some(Overlay::Sheet(sheet)) = &mut state.overlay {
        sheet.refresh(now);
    }
}

/// A word of a command line, quoted where a shell would part it.
pub fn shell_word(text: &str) -> String {
    let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./@:=".contains(c));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// The word to be typed for a batch: its number, when it is more than a few.
fn batch_word(targets: usize) -> Option<String> {
    (targets > BATCH_FREE_MAX).then(|| targets.to_string())
}

fn fact(name: impl Into<String>, value: impl Into<String>) -> (String, String) {
    (name.into(), value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(shell_word("flight-delay"), "flight-delay");
        assert_eq!(shell_word("it's late"), "'it'\\''s late'");
        assert_eq!(shell_word(""), "''");
    }

    #[test]
    fn a_batch_needs_its_number_only_beyond_three() {
        assert_eq!(batch_word(3), None);
        assert_eq!(batch_word(4), Some("4".to_owned()));
    }
}
