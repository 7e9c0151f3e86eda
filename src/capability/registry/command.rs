//! What one may decide about registered models and their versions.

use serde::{Deserialize, Serialize};

use super::types::{Stage, VersionDoc};
use crate::base::Timestamp;

/// What an imported version brings along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Its number; refused when taken.
    pub version: u32,
    pub stage: Stage,
    pub created: Timestamp,
}

/// Every change of the registry.
#[allow(clippy::large_enum_variant)] // few exist at a time, and a box would show in every match
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Command {
    CreateModel {
        model: String,
        #[serde(default)]
        description: String,
        #[serde(default)]
        tags: Vec<(String, String)>,
    },
    RenameModel {
        model: String,
        to: String,
    },
    DescribeModel {
        model: String,
        description: String,
    },
    /// `value` absent: removes the tag.
    TagModel {
        model: String,
        key: String,
        #[serde(default)]
        value: Option<String>,
    },
    DeleteModel {
        model: String,
    },
    /// Digests and freezes the artifact tree behind `doc.source`. Makes the model when `create` is set and it is new.
    RegisterVersion {
        model: String,
        #[serde(default)]
        create: bool,
        /// Kept from where it comes, when an import brings it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        import: Option<Imported>,
        #[serde(flatten)]
        doc: VersionDoc,
    },
    /// At most one version of a model is prod: a second archives the first.
    SetStage {
        model: String,
        version: u32,
        stage: Stage,
        /// Archives all others of that stage too (staging; for prod it is always so).
        #[serde(default)]
        archive_others: bool,
    },
    /// `version` absent: removes the alias.
    SetAlias {
        model: String,
        alias: String,
        #[serde(default)]
        version: Option<u32>,
    },
    DescribeVersion {
        model: String,
        version: u32,
        description: String,
    },
    /// `value` absent: removes the tag.
    TagVersion {
        model: String,
        version: u32,
        key: String,
        #[serde(default)]
        value: Option<String>,
    },
    DeleteVersion {
        model: String,
        version: u32,
    },
}

impl Command {
    /// Kebab name, as `audit` and the command line show it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CreateModel { .. } => "create-model",
            Self::RenameModel { .. } => "rename-model",
            Self::DescribeModel { .. } => "describe-model",
            Self::TagModel { .. } => "tag-model",
            Self::DeleteModel { .. } => "delete-model",
            Self::RegisterVersion { .. } => "register-version",
            Self::SetStage { .. } => "set-stage",
            Self::SetAlias { .. } => "set-alias",
            Self::DescribeVersion { .. } => "describe-version",
            Self::TagVersion { .. } => "tag-version",
            Self::DeleteVersion { .. } => "delete-version",
        }
    }

    /// One sentence of help.
    pub fn help(&self) -> &'static str {
        match self {
            Self::CreateModel { .. } => "Makes a registered model without versions.",
            Self::RenameModel { .. } => "Gives a registered model another name.",
            Self::DescribeModel { .. } => "Sets the description of a registered model.",
            Self::TagModel { .. } => "Sets or removes a tag of a registered model.",
            Self::DeleteModel { .. } => "Removes a registered model with all its versions.",
            Self::RegisterVersion { .. } => "Registers a version and freezes its artifacts.",
            Self::SetStage { .. } => "Moves a version to another stage.",
            Self::SetAlias { .. } => "Points an alias at a version, or removes it.",
            Self::DescribeVersion { .. } => "Sets the description of a version.",
            Self::TagVersion { .. } => "Sets or removes a tag of a version.",
            Self::DeleteVersion { .. } => "Removes a version.",
        }
    }

    pub fn model(&self) -> &str {
        match self {
            Self::CreateModel { model, .. }
            | Self::RenameModel { model, .. }
            | Self::DescribeModel { model, .. }
            | Self::TagModel { model, .. }
            | Self::DeleteModel { model }
            | Self::RegisterVersion { model, .. }
            | Self::SetStage { model, .. }
            | Self::SetAlias { model, .. }
            | Self::DescribeVersion { model, .. }
            | Self::TagVersion { model, .. }
            | Self::DeleteVersion { model, .. } => model,
        }
    }

    pub fn version(&self) -> Option<u32> {
        match self {
            Self::SetStage { version, .. }
            | Self::DescribeVersion { version, .. }
            | Self::TagVersion { version, .. }
            | Self::DeleteVersion { version, .. } => Some(*version),
            Self::SetAlias { version, .. } => *version,
            _ => None,
        }
    }

    /// What it is about, for people.
    pub fn target(&self) -> String {
        match self.version() {
            Some(v) => format!("{} v{v}", self.model()),
            None => self.model().to_owned(),
        }
    }
}
