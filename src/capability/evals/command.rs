//! What one may decide about evals: which suites there are, and that a result is evidence.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Suite;

/// What ran, as the one who ran it reports it. Metrics are computed from the examples, not taken from here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub suite: String,
    pub model: String,
    pub version: u32,
    /// Digest of the artifact that was evaluated, as found where it ran.
    pub subject: String,
    /// Digest of the data's bytes.
    pub data_digest: String,
    /// Digests of what was uploaded before.
    pub truth: String,
    pub predicted: String,
    /// Milliseconds of each request (of each row, for commands that say so).
    #[serde(default)]
    pub latencies_ms: Vec<f64>,
    /// Seconds from the first to the last prediction.
    pub seconds: f64,
    /// What the suite's own command printed.
    #[serde(default)]
    pub custom: BTreeMap<String, f64>,
    pub how: String,
}

/// Every change of evals.
#[allow(clippy::large_enum_variant)] // few exist at a time
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Command {
    /// Writes a suite, in place of the one of that name.
    SetSuite {
        suite: Suite,
    },
    RemoveSuite {
        name: String,
    },
    /// Keeps a result as evidence.
    RecordEval {
        report: Report,
    },
}

impl Command {
    /// Kebab name, as `audit` and the command line show it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SetSuite { .. } => "set-suite",
            Self::RemoveSuite { .. } => "remove-suite",
            Self::RecordEval { .. } => "record-eval",
        }
    }

    /// One sentence of help.
    pub fn help(&self) -> &'static str {
        match self {
            Self::SetSuite { .. } => "Writes an eval suite.",
            Self::RemoveSuite { .. } => "Removes an eval suite; its results stay.",
            Self::RecordEval { .. } => "Keeps the result of an eval as evidence.",
        }
    }

    /// What it is about, for people.
    pub fn target(&self) -> String {
        match self {
            Self::SetSuite { suite } => format!("suite {}", suite.name),
            Self::RemoveSuite { name } => format!("suite {name}"),
            Self::RecordEval { report } => format!("{} v{}", report.model, report.version),
        }
    }

    /// Whoever runs a suite runs the commands in it.
    pub fn runs_programs(&self) -> bool {
        matches!(self, Self::SetSuite { suite } if suite.command.is_some() || suite.custom.is_some())
    }
}
