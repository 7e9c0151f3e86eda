//! What data versioning speaks of: datasets, their versions, and the runs that read them.

use serde::{Deserialize, Serialize};

use super::Digest;
use crate::base::Timestamp;
use crate::base::id::RunId;

/// One version of a dataset. It never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetVersion {
    pub dataset: String,
    pub version: u32,
    pub created: Timestamp,
    #[serde(flatten)]
    pub doc: VersionDoc,
}

/// What is kept of a version.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct VersionDoc {
    /// `blake3:<hex>` over paths, sizes and digests of its files.
    pub digest: String,
    /// Name of the manifest in the blob store.
    pub manifest: Digest,
    pub files: u64,
    pub bytes: u64,
    /// What adding it wrote: chunks that were not there yet, and the manifest.
    pub bytes_stored: u64,
    /// The path that it was added from.
    #[serde(default)]
    pub source: String,
    /// The host of that path.
    #[serde(default)]
    pub host: String,
    /// Whether that path was one file, and not a folder.
    #[serde(default)]
    pub one_file: bool,
    /// Who added it.
    #[serde(default)]
    pub user: String,
    #[serde(default)]
    pub description: String,
    /// Tables among the files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableSummary>,
    /// Name of the training profile in the blob store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Digest>,
}

impl VersionDoc {
    /// The hexadecimal digits of its digest.
    pub fn hex(&self) -> &str {
        self.digest.strip_prefix("blake3:").unwrap_or(&self.digest)
    }

    /// Whether a digest that some client logged means this version: its first digits, eight at least.
    pub fn is_meant_by(&self, digest: &str) -> bool {
        let digest = digest.strip_prefix("blake3:").unwrap_or(digest);
        digest.len() >= 8 && self.hex().starts_with(&digest.to_ascii_lowercase())
    }
}

/// A table in short.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TableSummary {
    /// The file, or the first of several of one schema.
    pub path: String,
    pub files: u64,
    pub rows: u64,
    pub columns: u64,
}

/// A dataset with its versions, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetView {
    pub name: String,
    pub created: Timestamp,
    pub versions: Vec<VersionView>,
    /// What runs logged under this name and is no version of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logged: Vec<LoggedDataset>,
}

/// A version and the runs that read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionView {
    #[serde(flatten)]
    pub version: DatasetVersion,
    /// Newest first.
    #[serde(default)]
    pub runs: Vec<PinnedRun>,
}

/// A run that read a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedRun {
    pub run: RunId,
    pub name: String,
    /// training, evaluation, …
    #[serde(default)]
    pub context: String,
}

/// A dataset as runs logged it (`mlflow.log_input`), of which no bytes are kept here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedDataset {
    pub name: String,
    pub digest: String,
    pub source_type: String,
    pub source: String,
    pub runs: Vec<PinnedRun>,
}

/// Where chunks lie that the store has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Located {
    pub packs: Vec<Digest>,
    /// (place in the question, place in `packs`, offset), of those that are there.
    pub chunks: Vec<(u32, u32, u64)>,
}

/// What was stored under which name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    pub name: Digest,
    pub bytes: u64,
    /// It was there already.
    pub known: bool,
}

/// How a pack does.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PackCheck {
    pub bytes: u64,
    /// Chunks whose bytes are not what they were.
    pub damaged: Vec<Digest>,
    /// Why nothing of it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}
