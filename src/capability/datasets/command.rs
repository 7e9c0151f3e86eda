//! What one may decide about datasets.

use serde::{Deserialize, Serialize};

use super::VersionDoc;

/// Every change of the datasets.
#[allow(clippy::large_enum_variant)] // few exist at a time, and a box would show in every match
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Command {
    /// Commits a manifest whose chunks are stored. The newest version again is no new version.
    AddVersion {
        dataset: String,
        #[serde(flatten)]
        doc: VersionDoc,
    },
}

impl Command {
    /// Kebab name, as `audit` and the command line show it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AddVersion { .. } => "add-dataset-version",
        }
    }

    /// One sentence of help.
    pub fn help(&self) -> &'static str {
        match self {
            Self::AddVersion { .. } => "Adds a version of a dataset.",
        }
    }

    pub fn dataset(&self) -> &str {
        match self {
            Self::AddVersion { dataset, .. } => dataset,
        }
    }

    /// What it is about, for people.
    pub fn target(&self) -> String {
        format!("dataset {}", self.dataset())
    }
}
