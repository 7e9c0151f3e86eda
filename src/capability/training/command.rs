//! What one may decide about training: that a run was repeated, and what came of it.

use serde::{Deserialize, Serialize};

use super::Cause;
use crate::base::id::RunId;

/// The only way to a grade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Command {
    /// The agent holds both runs against each other and keeps what it finds.
    GradeRun { run: RunId, rerun: RunId },
    /// Nothing could be run; `causes` say why.
    CannotRepeat { run: RunId, causes: Vec<Cause> },
}

impl Command {
    /// Kebab name, as `audit` and the command line show it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::GradeRun { .. } => "grade-run",
            Self::CannotRepeat { .. } => "cannot-repeat",
        }
    }

    /// One sentence of help.
    pub fn help(&self) -> &'static str {
        match self {
            Self::GradeRun { .. } => "Compares a run with its repetition and keeps the grade.",
            Self::CannotRepeat { .. } => "Keeps why a run cannot be repeated.",
        }
    }

    pub fn run(&self) -> RunId {
        match self {
            Self::GradeRun { run, .. } | Self::CannotRepeat { run, .. } => *run,
        }
    }

    /// What it is about, for people.
    pub fn target(&self) -> String {
        format!("run {}", self.run())
    }
}
