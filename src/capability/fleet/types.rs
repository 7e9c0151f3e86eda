//! What the fleet and a service's live page are made of.

use serde::{Deserialize, Serialize};

use crate::base::Timestamp;
use crate::capability::drift::{Course, VersionDrift};
use crate::capability::monitoring::counters::Shed;
use crate::capability::monitoring::incident::{Bound, Change, Incident};
use crate::capability::monitoring::quality::{Metric, Point, VersionQuality, Window};
use crate::capability::registry::Stage;

/// As what a version answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Stable,
    Candidate,
    /// It answers too, and nobody sees it.
    Shadow,
    /// Its predictions were told of by somebody else than our router.
    Told,
    /// It answers nobody any more.
    Past,
}

impl Role {
    pub fn words(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Candidate => "canary",
            Self::Shadow => "shadow",
            Self::Told => "told",
            Self::Past => "past",
        }
    }

    /// Whether callers see its answers.
    pub fn serves(self) -> bool {
        matches!(self, Self::Stable | Self::Candidate | Self::Told)
    }
}

/// All services at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fleet {
    pub window: Window,
    /// When it was put together.
    pub at: Timestamp,
    /// The worst first.
    pub services: Vec<Row>,
    /// Open ones, and those that closed within a day.
    pub incidents: Vec<Incident>,
    /// What was changed and raised within a day, the newest first.
    pub changes: Vec<Change>,
    /// Predictions and labels that were not taken.
    #[serde(default)]
    pub shed: Shed,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub service: String,
    pub model: Option<String>,
    /// Of the version that answers.
    pub stage: Option<Stage>,
    /// The version that answers; without a router, those that told.
    pub version: Option<String>,
    pub candidate: Option<Way>,
    /// What quality is measured by.
    pub metric: String,
    pub lower_is_better: bool,
    /// Where a rule says that it is bad.
    pub bound: Option<Bound>,
    /// A rule about that metric has raised an alert that stands: the window here is another one than the rule's, so its
    /// figure alone may still look well.
    #[serde(default)]
    pub raised: bool,
    /// Of all versions that callers see together.
    pub quality: Option<Metric>,
    /// Without labels.
    pub estimated: Option<Metric>,
    /// Quality over the window, in equal stretches; where there are no labels, the estimate.
    pub course: Vec<Option<f64>>,
    pub n: u64,
    pub labelled: u64,
    /// Seconds from answer to label: the median.
    pub label_delay: Option<f64>,
    pub arms: Vec<Arm>,
    /// The column and version that drifted most.
    pub drift: Option<Worst>,
    pub requests: u64,
    pub errors: u64,
    pub p99_ms: Option<f64>,
    /// The newest batch of a model that answers in batches.
    pub batch: Option<(String, Timestamp)>,
    /// Newest prediction or request.
    pub last: Option<Timestamp>,
    pub change: Option<Change>,
}

impl Row {
    /// What is wrong with its quality: beyond the bound over this window, or by the rule that watches it.
    pub fn complaint(&self) -> Option<String> {
        let broken = self.bound.zip(self.quality.or(self.estimated)).filter(|(bound, m)| bound.is_broken_by(m.value));
        match broken {
            Some((bound, _)) => Some(format!("bad {}", bound.shown())),
            None => self.raised.then(|| "an alert stands".to_owned()),
        }
    }
}

/// A version on its way to the callers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Way {
    pub version: u32,
    /// Per cent of the callers.
    pub share: f64,
    pub state: String,
}

/// One version of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    pub version: String,
    pub role: Role,
    pub n: u64,
    pub quality: Option<Metric>,
    pub drift: Option<Worst>,
    pub last: Timestamp,
}

/// The column that drifted most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Worst {
    pub version: String,
    pub column: String,
    pub psi: f64,
    pub limit: Option<f64>,
    pub n: u64,
    pub alarm: bool,
}

impl Worst {
    /// The worst of a version's columns, its score among them.
    pub(super) fn of(drift: &VersionDrift) -> Option<Self> {
        let all = drift.columns.iter().chain(&drift.score);
        let known = all.filter_map(|c| c.psi.map(|psi| (c, psi)));
        let (column, psi) = known
            .max_by(|a, b| (a.0.alarm, a.1).partial_cmp(&(b.0.alarm, b.1)).unwrap_or(std::cmp::Ordering::Equal))?;
        Some(Self {
            version: drift.version.clone(),
            column: column.name.clone(),
            psi,
            limit: column.limit,
            n: column.n,
            alarm: column.alarm,
        })
    }

    pub(super) fn worse(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if (other.alarm, other.psi) > (self.alarm, self.psi) => other,
            _ => self,
        }
    }
}

/// One service in full, in one window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Live {
    pub service: String,
    pub model: Option<String>,
    pub window: Window,
    /// When it was put together.
    pub at: Timestamp,
    /// Length of a stretch, seconds.
    pub step: u64,
    pub metric: String,
    pub lower_is_better: bool,
    pub bound: Option<Bound>,
    /// As in [`Row`].
    #[serde(default)]
    pub raised: bool,
    pub candidate: Option<Way>,
    /// Those that callers see first.
    pub versions: Vec<Watched>,
    /// What was changed about this service within the window and a day before it, the newest first.
    pub changes: Vec<Change>,
    /// When its newest prediction was made, in the window or before it.
    #[serde(default)]
    pub last: Option<Timestamp>,
    /// The newest batch of a model that answers in batches, and when it came.
    #[serde(default)]
    pub batch: Option<(String, Timestamp)>,
}

/// One version in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    pub version: String,
    pub role: Role,
    pub quality: VersionQuality,
    pub drift: VersionDrift,
    /// Quality, stretch by stretch.
    pub points: Vec<Point>,
    /// Drift, stretch by stretch, the column that drifts most first.
    pub courses: Vec<Course>,
}
