//! Model servers that the agent starts: where each answers, and how it does. Facts, written by whoever supervises them;
//! what is decided stands in the service.

use serde::{Deserialize, Serialize};

use super::standing::Standing;
use crate::base::Timestamp;

/// Starts in a row without getting ready after which a version counts as one that cannot be started.
pub const ATTEMPTS_MAX: u32 = 3;

/// One version's server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    pub service: String,
    pub version: u32,
    /// `http://127.0.0.1:PORT`; the port stays over restarts.
    pub url: String,
    pub state: ServerState,
    /// Of the process that leads its group; 0 while none runs.
    pub pid: u32,
    /// When that process began, in the kernel's ticks since boot: a number that was given again is another process.
    pub pid_began: u64,
    /// What it was started with; another launch command starts another process.
    pub command: Vec<String>,
    pub since: Timestamp,
    /// When it was first ready.
    #[serde(default)]
    pub ready_at: Option<Timestamp>,
    /// Starts in a row that did not get ready, or did not stay.
    pub attempts: u32,
    /// Why it is not ready, in words; how it ended last.
    #[serde(default)]
    pub why: String,
    pub log: String,
}

/// How a server stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerState {
    /// Started, and not ready yet.
    Starting,
    Ready,
    /// It ended, and is started again after a while.
    Waiting,
}

impl ServerState {
    pub fn words(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Waiting => "waiting to be started again",
        }
    }
}

impl Server {
    /// It answered once: its address stays in the table while it is started anew, on the same port.
    pub fn was_ready(&self) -> bool {
        self.ready_at.is_some()
    }

    /// It was started often enough to say that it does not work.
    pub fn is_hopeless(&self) -> bool {
        self.state != ServerState::Ready && self.attempts >= ATTEMPTS_MAX
    }
}

impl Standing {
    /// Versions that are to be kept running: those that answer, and the one before, which is kept warm.
    pub fn wanted_servers(&self) -> Vec<u32> {
        let mut all: Vec<u32> =
            [self.stable, self.candidate.as_ref().map(|r| r.version), self.previous].into_iter().flatten().collect();
        all.retain(|v| self.service.launches(*v));
        all.dedup();
        all
    }
}
