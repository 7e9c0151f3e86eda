//! What the registry speaks of: registered models, their versions, stages and aliases.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::Timestamp;
use crate::base::id::ModelId;

/// Where a version stands. `MLflow`'s None, Staging, Production and Archived map onto these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    #[default]
    Dev,
    Staging,
    Prod,
    Archived,
}

impl Stage {
    pub const ALL: [Self; 4] = [Self::Dev, Self::Staging, Self::Prod, Self::Archived];

    pub fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Staging => "staging",
            Self::Prod => "prod",
            Self::Archived => "archived",
        }
    }

    /// Our names and `MLflow`'s, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        match name.to_lowercase().as_str() {
            "dev" | "none" => Some(Self::Dev),
            "staging" => Some(Self::Staging),
            "prod" | "production" => Some(Self::Prod),
            "archived" => Some(Self::Archived),
            _ => None,
        }
    }
}

/// A name under which versions are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegisteredModel {
    pub name: String,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub description: String,
    pub tags: BTreeMap<String, String>,
    /// Grows with every change of the model, its versions or aliases.
    pub generation: i64,
    pub aliases: BTreeMap<String, u32>,
}

/// One version of a registered model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelVersion {
    pub model: String,
    pub version: u32,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub stage: Stage,
    #[serde(flatten)]
    pub doc: VersionDoc,
    /// Aliases that point here.
    #[serde(default)]
    pub aliases: Vec<String>,
}

/// What is kept of a version besides its place.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct VersionDoc {
    #[serde(default)]
    pub description: String,
    /// The URI that the registration named.
    #[serde(default)]
    pub source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    #[serde(default)]
    pub run_link: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_id: Option<ModelId>,
    /// Who registered it.
    #[serde(default)]
    pub user: String,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The frozen artifact tree, when it lies in opsroom's own artifact store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<FrozenArtifact>,
    /// Data that the run behind it read: (name, digest, context).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<DatasetRef>,
}

/// A dataset in a version's lineage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetRef {
    pub name: String,
    pub digest: String,
    #[serde(default)]
    pub context: String,
    /// Of the dataset of that name that is kept here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
}

impl DatasetRef {
    /// `flights@3` for a version that is kept here, else the name alone.
    pub fn shown(&self) -> String {
        self.version.map_or_else(|| self.name.clone(), |version| format!("{}@{version}", self.name))
    }
}

/// The artifact tree that a version stands on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrozenArtifact {
    /// Path in the artifact store.
    pub path: String,
    /// `blake3:<hex>` over paths, sizes and bytes.
    pub digest: String,
    pub files: u64,
    pub bytes: u64,
}

/// One file of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionFile {
    /// Relative to the version's folder.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of its bytes, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// A stage or alias that began to hold at a moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    pub seq: i64,
    pub at: Timestamp,
    pub model: String,
    pub version: u32,
    /// `stage` or `alias:NAME`.
    pub what: String,
    /// `None`: ended.
    pub value: Option<String>,
    pub actor: String,
    pub reason: String,
    /// Number of the audit record under which it changed, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<i64>,
}

/// A model with its versions (newest first): now, or at a past moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelView {
    #[serde(flatten)]
    pub model: RegisteredModel,
    pub versions: Vec<ModelVersion>,
    /// Newest first.
    #[serde(default)]
    pub history: Vec<HistoryEntry>,
    /// The past moment that this shows, if not now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
}

impl ModelView {
    pub fn version(&self, version: u32) -> Option<&ModelVersion> {
        self.versions.iter().find(|v| v.version == version)
    }

    pub fn in_stage(&self, stage: Stage) -> impl Iterator<Item = &ModelVersion> {
        self.versions.iter().filter(move |v| v.stage == stage)
    }
}
