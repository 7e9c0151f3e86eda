//! A run in few words, for lists of what an action is about.

use super::filter;
use crate::base::Timestamp;
use crate::tui::model::{Run, RunStatus};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brief {
    pub id: String,
    pub name: String,
    /// `None`: not known here.
    pub status: Option<RunStatus>,
    pub started: Option<Timestamp>,
}

impl Brief {
    pub fn of(run: &Run) -> Self {
        let (id, name) = (run.id.clone(), run.name.clone());
        Self { id, name, status: Some(run.status), started: Some(run.started) }
    }

    pub fn unknown(id: &str) -> Self {
        Self { id: id.to_owned(), name: id.to_owned(), status: None, started: None }
    }

    /// How it stands, as the table says it.
    pub fn word(&self) -> &'static str {
        self.status.map_or("not loaded here", filter::word)
    }
}
