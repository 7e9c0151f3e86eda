//! What a foreign store holds, in our own words, whatever form it had there.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;

use crate::base::Timestamp;
use crate::capability::registry::Stage;
use crate::capability::tracking::points::Point;
use crate::capability::tracking::{LoggedModel, Run};

/// Something that could not be read; the rest was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    pub place: String,
    pub why: String,
}

impl Damage {
    pub fn new(place: impl Display, why: impl Display) -> Self {
        Self { place: format!("{place}"), why: format!("{why}") }
    }
}

/// A run: its id, and where it lies in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunKey {
    pub id: String,
    pub folder: PathBuf,
}

#[derive(Debug, Clone, Default)]
pub struct Experiment {
    /// Its number there.
    pub id: u64,
    pub name: String,
    pub created: Option<Timestamp>,
    pub deleted: bool,
    pub tags: BTreeMap<String, String>,
    /// Empty for a database.
    pub folder: PathBuf,
    pub runs: Vec<RunKey>,
    /// Ids of logged models.
    pub models: Vec<String>,
}

/// A run with all it logged. Its experiment is still the number that it had there.
#[derive(Debug, Clone)]
pub struct TakenRun {
    pub run: Run,
    pub series: BTreeMap<String, Vec<Point>>,
    pub artifacts: Artifacts,
}

#[derive(Debug, Clone)]
pub struct TakenModel {
    pub model: LoggedModel,
    pub artifacts: Artifacts,
}

/// Where artifacts lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Artifacts {
    /// A folder of this machine.
    Here(PathBuf),
    /// A store that clients reach by themselves.
    Elsewhere(String),
    None,
}

/// A registered model with its versions.
#[derive(Debug, Clone, Default)]
pub struct Registered {
    pub name: String,
    pub description: String,
    pub tags: BTreeMap<String, String>,
    pub aliases: BTreeMap<String, u32>,
    /// Oldest first.
    pub versions: Vec<Version>,
}

#[derive(Debug, Clone)]
pub struct Version {
    pub number: u32,
    pub created: Timestamp,
    pub stage: Stage,
    pub description: String,
    pub source: String,
    pub run_id: Option<String>,
    pub run_link: String,
    pub user: String,
    pub tags: BTreeMap<String, String>,
}
