//! What the screens show, free of how it is stored or sent.

pub mod data;
pub mod evals;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::Timestamp;
use crate::capability::Command;
pub use crate::capability::registry::Stage;
pub use crate::capability::tracking::RunStatus;
use crate::capability::tracking::health::{Health, Sign, health};
use crate::capability::training::{Capture, Comparison};

/// Who answers, and as whom we speak to it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The agent's own name for what it serves, as the badge shows it: `prod`, `staging`, `local`.
    pub context: String,
    pub user: String,
    pub role: String,
    /// Where the agent listens for training scripts; shown where nothing has been logged yet.
    pub tracking_uri: String,
    /// Where the router takes requests; empty while there is none.
    #[serde(default)]
    pub router: String,
    /// Why nothing may be changed from here; `None` when it may.
    pub read_only: Option<String>,
}

/// A metric's value now.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latest {
    pub value: f64,
    pub step: i64,
    pub at: Timestamp,
    /// Points logged so far.
    pub count: u64,
}

/// Data that a run read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    pub name: String,
    pub digest: String,
    pub context: String,
    /// Where it came from, as the client says it; may be empty.
    pub source: String,
}

/// What a captured run stood on, and what its last repetition said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    pub capture: Option<Capture>,
    pub comparison: Option<Comparison>,
}

/// One run with all but its histories.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub id: String,
    pub name: String,
    pub experiment: String,
    pub status: RunStatus,
    pub user: String,
    pub started: Timestamp,
    pub ended: Option<Timestamp>,
    pub params: BTreeMap<String, String>,
    pub metrics: BTreeMap<String, Latest>,
    pub tags: BTreeMap<String, String>,
    pub inputs: Vec<Input>,
    /// Ids of the models that it logged.
    pub models: Vec<String>,
    pub artifact_uri: String,
    /// The machine that it goes on, and how busy that is: `gpu-13: GPU 94%`.
    #[serde(default)]
    pub host: Option<String>,
}

impl Run {
    /// The furthest step any metric has reached.
    pub fn step(&self) -> Option<i64> {
        self.metrics.values().map(|m| m.step).max()
    }

    /// When it last logged a metric.
    pub fn last_logged(&self) -> Option<Timestamp> {
        self.metrics.values().map(|m| m.at).max()
    }

    /// How it does beyond its status.
    pub fn health(&self, now: Timestamp) -> Health {
        let sign = |key, m: &Latest| Sign { key, value: m.value, step: m.step, at: m.at, count: m.count };
        let signs = self.metrics.iter().map(|(key, m)| sign(key.as_str(), m));
        health(self.status, self.started, now, signs)
    }

    pub fn is_live(&self) -> bool {
        self.status == RunStatus::Running
    }

    pub fn seconds(&self, now: Timestamp) -> f64 {
        self.ended.unwrap_or(now).seconds_since(self.started)
    }

    pub fn note(&self) -> &str {
        self.tags.get("mlflow.note.content").map_or("", |n| n.lines().next().unwrap_or_default())
    }
}

/// A stretch of a long list, and how long the list is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window<T> {
    pub offset: usize,
    pub total: usize,
    pub rows: Vec<T>,
}

impl<T> Window<T> {
    pub fn get(&self, index: usize) -> Option<&T> {
        index.checked_sub(self.offset).and_then(|i| self.rows.get(i))
    }
}

impl<T> Default for Window<T> {
    fn default() -> Self {
        Self { offset: 0, total: 0, rows: Vec::new() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experiment {
    pub id: String,
    pub name: String,
}

/// One point of a metric's history.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub step: i64,
    pub at: Timestamp,
    pub value: f64,
}

/// A thinned history that keeps each stretch's extremes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    pub run: String,
    pub key: String,
    pub points: Vec<Point>,
    /// Points of the whole history that are NaN or infinite.
    pub not_finite: u64,
}

/// A model that a run logged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Logged {
    pub id: String,
    pub name: String,
    /// As the client says it; often empty.
    pub kind: String,
    pub status: String,
    pub metrics: Vec<(String, f64)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    pub path: String,
    pub is_dir: bool,
    pub size: Option<u64>,
}

/// The beginning of an artifact, as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    pub path: String,
    pub text: String,
    /// What was left out or why there is nothing to read.
    pub note: String,
}

/// A model in the overview: which versions stand in which stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    pub name: String,
    pub description: String,
    /// Grows with every change; a Command built on an older one is refused.
    pub generation: i64,
    pub versions: Vec<Version>,
    pub tags: BTreeMap<String, String>,
    /// Changes of stages and aliases, newest first.
    pub history: Vec<Event>,
}

/// A stage or alias that began or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub at: Timestamp,
    pub version: u32,
    pub what: Happened,
    pub by: String,
    pub reason: String,
    /// Number of the audit record, where it is known.
    pub audit: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Happened {
    Stage(Stage),
    Deleted,
    Alias(String),
    AliasGone(String),
}

/// What is known of a version from its files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Card {
    pub model: String,
    pub version: u32,
    pub files: Vec<CardFile>,
    /// Columns that go in and come out, as the model's own file says.
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub flavors: Vec<String>,
    /// The page that lies beside the model for its readers.
    pub readme: String,
    /// Why there are no files.
    pub note: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardFile {
    pub path: String,
    pub size: u64,
    pub digest: Option<String>,
}

impl Model {
    /// Versions in `stage`, newest first.
    pub fn in_stage(&self, stage: Stage) -> impl Iterator<Item = &Version> {
        self.versions.iter().filter(move |v| v.stage == stage)
    }

    pub fn version(&self, number: u32) -> Option<&Version> {
        self.versions.iter().find(|v| v.number == number)
    }

    /// The version that was in prod before the one that is: where a rollback leads.
    pub fn before_prod(&self) -> Option<&Version> {
        let now = self.in_stage(Stage::Prod).next()?;
        let when_in_prod = |v: &Version| v.moves.iter().filter(|m| m.stage == Some(Stage::Prod)).map(|m| m.at).max();
        self.versions
            .iter()
            .filter(|v| v.number != now.number)
            .filter_map(|v| Some((when_in_prod(v)?, v)))
            .max_by_key(|(at, _)| *at)
            .map(|(_, v)| v)
    }
}

/// A registered version. `versions` of a model come newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    pub number: u32,
    pub stage: Stage,
    pub aliases: Vec<String>,
    pub run: Option<String>,
    pub run_name: Option<String>,
    pub source: String,
    pub digest: Option<String>,
    pub size: Option<u64>,
    pub files: Option<u64>,
    pub created: Timestamp,
    pub by: String,
    pub description: String,
    pub inputs: Vec<Input>,
    /// Of the run that it came from.
    pub params: BTreeMap<String, String>,
    pub metrics: BTreeMap<String, f64>,
    pub tags: BTreeMap<String, String>,
    /// Moves between stages, newest first.
    pub moves: Vec<Move>,
}

/// One change of stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    pub at: Timestamp,
    pub stage: Option<Stage>,
    pub by: String,
    pub reason: String,
}

/// One record of the audit trail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub seq: i64,
    pub at: Timestamp,
    pub actor: String,
    pub verified: bool,
    pub via: String,
    pub action: String,
    pub target: String,
    pub from: String,
    pub to: String,
    pub ok: bool,
    /// `ok`, or why it was refused.
    pub result: String,
    pub reason: String,
    pub before: serde_json::Value,
    pub after: serde_json::Value,
    /// Of the model after it, where it changed one.
    pub generation: Option<u64>,
    pub idempotency_key: Option<String>,
    pub previous: String,
    pub digest: String,
    /// What it was about, where that can be gone to.
    pub link: Option<Link>,
    /// Its texts were erased; the chain holds without them.
    pub erased: bool,
}

/// A thing that a record was about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Link {
    Model { name: String, version: Option<u32> },
    Run(String),
}

/// What checking the chain found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub records: u64,
    /// The first bad record and what is wrong with it.
    pub broken: Option<String>,
    pub first_bad: Option<i64>,
    /// Records whose texts were erased.
    pub erased: i64,
    /// Signed heads that were compared.
    pub heads: usize,
}

/// A change, asked for on a sheet or small enough to be made at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// Decisions, performed and recorded in this order; the first refusal ends them.
    Decide(Vec<Command>),
    /// Marks runs as killed and asks their scripts to stop.
    Stop { runs: Vec<String> },
    /// Tags by run; `None` removes one. They are logged, not decided: the trail does not hold them.
    Tag(BTreeMap<String, Tags>),
}

/// Tags to set, or with `None` to remove.
pub type Tags = BTreeMap<String, Option<String>>;

/// A change with everything the agent needs to accept, refuse, or recognise it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    pub change: Change,
    pub reason: String,
    /// Of the model, where one is changed.
    pub generation: Option<i64>,
    pub idempotency_key: String,
    pub dry_run: bool,
}

/// What the agent did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub said: String,
    pub audit: Option<i64>,
    /// The version that came to be.
    pub version: Option<u32>,
}
