//! Hints: what may have changed. They carry no data, so a lost or doubled one does no harm: whoever hears one reads again.

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::base::id::{ExperimentId, RunId};

/// Something that may have changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "what", content = "id")]
pub enum Hint {
    Experiment(ExperimentId),
    Run(RunId),
    Model(String),
    Audit,
    Dataset(String),
    Incidents,
    Hosts,
    /// Services, their versions and weights, and what they answered.
    Rollouts,
    /// The listener fell behind: anything may have changed.
    Everything,
}

const HINTS_MAX: usize = 1024;

/// Where hints are heard.
#[derive(Debug, Clone)]
pub struct Hints(broadcast::Sender<Hint>);

impl Default for Hints {
    fn default() -> Self {
        Self(broadcast::channel(HINTS_MAX).0)
    }
}

impl Hints {
    pub fn give(&self, hint: Hint) {
        // Nobody listening is fine.
        let _ = self.0.send(hint);
    }

    pub fn listen(&self) -> broadcast::Receiver<Hint> {
        self.0.subscribe()
    }
}
