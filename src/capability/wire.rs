//! Wire types that belong to no room.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::id::{ExperimentId, RunId};
use crate::base::{Fault, Timestamp};
use crate::capability::access::Role;
use crate::capability::gates::Decision;
use crate::capability::monitoring::counters::Shed;
use crate::capability::monitoring::incident::{Incident, Suspect};
use crate::capability::tracking::Run;
use crate::capability::tracking::points::Point;
use crate::capability::tracking::wandb::Progress;

/// What became of the router's requests: every one is counted, not every one becomes a prediction event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TapCounts {
    pub kept: u64,
    /// The queue was full, or the body too long.
    pub dropped: u64,
    /// Not what the service's protocol says.
    pub unreadable: u64,
}

/// How an agent does, and who it takes the caller for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    /// `http://HOST:PORT`.
    pub address: String,
    pub socket: String,
    /// Without secrets.
    pub store: String,
    pub artifacts: String,
    /// What the room's badge says.
    pub badge: String,
    pub pid: u32,
    pub started: Timestamp,
    /// The agent's clock.
    pub now: Timestamp,
    pub actor: String,
    pub verified: bool,
    pub role: Role,
    pub experiments: usize,
    pub runs: usize,
    /// Runs going on.
    pub running: usize,
    /// Writes waiting for the store at this moment.
    pub writes_queued: usize,
    /// Metric points that are journalled but not yet in chunks.
    pub unfolded_points: usize,
    #[serde(default)]
    pub tap: TapCounts,
    #[serde(default)]
    pub shed: Shed,
    /// Where the router takes requests; empty while there is none.
    #[serde(default)]
    pub router: String,
}

/// A file or folder among a run's artifacts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactEntry {
    /// Relative to the run's root.
    pub path: String,
    pub is_dir: bool,
    /// Bytes; 0 for a folder.
    pub size: u64,
}

/// An experiment as an import brings it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImportExperiment {
    pub name: String,
    /// Kept when free here.
    #[serde(default)]
    pub id: Option<ExperimentId>,
    #[serde(default)]
    pub artifact_location: Option<String>,
    #[serde(default)]
    pub created: Option<Timestamp>,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A run with its metrics' whole history, as an import brings it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImportRun {
    pub run: Run,
    #[serde(default)]
    pub series: BTreeMap<String, Vec<Point>>,
}

/// A run of W&B's that was announced from a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WandbRun {
    pub id: RunId,
    /// It was not here before.
    pub inserted: bool,
    pub artifact_uri: String,
    /// How far its lines are here.
    pub progress: Progress,
}

/// Where a backup goes: an absolute path on the agent's host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupRequest {
    pub to: String,
}

/// One line of a backup's progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "step")]
pub enum BackupStep {
    /// The store is being copied.
    Store,
    /// Artifact files copied.
    Artifacts { done: u64, of: u64 },
    /// The end. `digest` is the store's.
    Done { files: u64, bytes: u64, digest: String },
    /// The end: the backup is not whole.
    Failed { fault: Fault },
}

/// A table of the store and its columns: name, and integer, real, text, bytes or truth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportTable {
    pub name: String,
    pub columns: Vec<(String, String)>,
}

/// A file of the artifact store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportFile {
    pub path: String,
    pub bytes: u64,
}

/// What was restored, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// When the backup was made.
    pub made: Timestamp,
    /// Without secrets.
    pub store: String,
    pub artifacts: String,
    /// Artifact files.
    pub files: u64,
    pub bytes: u64,
}

/// Where bytes that were sent can be found again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uploaded {
    pub digest: String,
}

/// A decision that was kept, and whether judging it anew from its evidence comes out the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    #[serde(flatten)]
    pub decision: Decision,
    pub same: bool,
}

/// An incident with what may have caused it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncidentView {
    #[serde(flatten)]
    pub incident: Incident,
    /// The likeliest first.
    pub suspects: Vec<Suspect>,
    /// Drafted for what is done about it.
    pub reason: String,
}
