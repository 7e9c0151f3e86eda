//! What is in place and what pays next: the twelve capabilities with their evidence, the habits that bite later, and the
//! machine that the caller sits at. It looks and changes nothing.

mod evidence;
mod git;
mod look;
mod notebooks;
mod place;
mod readiness;
mod repository;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use evidence::{Evidence, gather};
pub use look::look;
pub use place::{Surroundings, machine, reachable};
pub use readiness::readiness;
pub use repository::repository;

/// How well something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Good,
    Partly,
    Missing,
    /// It could not be looked at.
    Unknown,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "in place",
            Self::Partly => "partly",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }

    pub fn sign(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Partly => "!",
            Self::Missing => "✗",
            Self::Unknown => "?",
        }
    }
}

/// One of the twelve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capability {
    pub name: Cow<'static, str>,
    pub state: State,
    /// What was seen, in words and numbers.
    pub evidence: String,
    /// What to do next; empty when nothing is to be done.
    pub next: String,
    /// 1 is what pays first.
    pub step: u8,
}

/// Something about the machine, the terminal or the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    pub name: Cow<'static, str>,
    pub state: State,
    pub found: String,
    pub next: String,
}

impl Check {
    fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self { name: name.into(), state: State::Good, found: found.into(), next: String::new() }
    }

    fn with(name: &'static str, state: State, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { name: name.into(), state, found: found.into(), next: next.into() }
    }
}

/// A habit that bites later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub what: String,
    /// Where: files, versions; at most a few, and how many more.
    pub places: Vec<String>,
    pub more: usize,
    pub next: String,
}

/// How many places a finding names.
const PLACES_MAX: usize = 5;

impl Finding {
    /// `None` when there is nothing to tell.
    fn of(what: impl Into<String>, mut places: Vec<String>, next: impl Into<String>) -> Option<Self> {
        if places.is_empty() {
            return None;
        }
        let more = places.len().saturating_sub(PLACES_MAX);
        places.truncate(PLACES_MAX);
        Some(Self { what: what.into(), places, more, next: next.into() })
    }
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub capabilities: Vec<Capability>,
    pub findings: Vec<Finding>,
    pub checks: Vec<Check>,
}

impl Report {
    /// What pays next: the first capability in the order that pays which is not in place.
    pub fn next(&self) -> Option<&Capability> {
        let open = self.capabilities.iter().filter(|c| matches!(c.state, State::Missing | State::Partly));
        open.min_by_key(|c| (c.step, c.state == State::Partly))
    }
}
