//! What the agent remembers of scripts that log at this moment. All of it can be lost: a restart begins anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::console::Assembled;
use super::signed::Key;
use crate::base::Timestamp;
use crate::base::id::RunId;
use crate::capability::tracking::wandb::Summary;

/// Runs with a script at work.
#[derive(Default)]
pub struct Live {
    runs: Mutex<HashMap<RunId, Arc<Script>>>,
    pub(super) key: OnceCell<Key>,
}

/// One of them. Its requests are taken one after the other.
pub(super) struct Script {
    heard: Mutex<Timestamp>,
    pub turn: tokio::sync::Mutex<Turn>,
}

/// What a request leaves to the next one.
#[derive(Default)]
pub(super) struct Turn {
    pub summary: Summary,
    pub console: Assembled,
}

impl Live {
    /// A sign of life.
    pub(super) fn heard(&self, run: RunId, now: Timestamp) -> Arc<Script> {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let script = runs
            .entry(run)
            .or_insert_with(|| Arc::new(Script { heard: Mutex::new(now), turn: tokio::sync::Mutex::default() }));
        *script.heard.lock().unwrap_or_else(PoisonError::into_inner) = now;
        script.clone()
    }

    /// When a run's script was heard of last, by this agent.
    pub fn last_heard(&self, run: RunId) -> Option<Timestamp> {
        let script = self.runs.lock().unwrap_or_else(PoisonError::into_inner).get(&run).cloned();
        script.map(|s| *s.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Its script has ended.
    pub fn ended(&self, run: RunId) {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
    }
}
