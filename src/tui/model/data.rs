//! Datasets as the room shows them: a row for every version, and for what runs logged that is no version here.

use serde::{Deserialize, Serialize};

use super::Stage;
use crate::capability::datasets::{LoggedDataset, PinnedRun, VersionDoc, VersionView};

/// A version of a dataset, with who read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataRow {
    pub dataset: String,
    pub what: DataKind,
    /// Registered versions whose run read it.
    pub models: Vec<ModelUse>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum DataKind {
    /// Its bytes are kept here.
    Kept(Box<VersionView>),
    /// Runs speak of it; no bytes of it are here.
    Logged(LoggedDataset),
}

/// A model's version that was made from some data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelUse {
    pub model: String,
    pub version: u32,
    pub stage: Stage,
}

/// A version by its dataset's name and its number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VersionId {
    pub dataset: String,
    pub version: u32,
}

impl std::fmt::Display for VersionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.dataset, self.version)
    }
}

impl DataRow {
    pub fn kept(&self) -> Option<&VersionView> {
        match &self.what {
            DataKind::Kept(view) => Some(view),
            DataKind::Logged(_) => None,
        }
    }

    pub fn doc(&self) -> Option<&VersionDoc> {
        self.kept().map(|v| &v.version.doc)
    }

    pub fn version(&self) -> Option<VersionId> {
        self.kept().map(|v| VersionId { dataset: self.dataset.clone(), version: v.version.version })
    }

    /// By what it is found again after a reload.
    pub fn id(&self) -> String {
        match &self.what {
            DataKind::Kept(v) => format!("{}@{}", self.dataset, v.version.version),
            DataKind::Logged(l) => format!("{}:{}", self.dataset, l.digest),
        }
    }

    pub fn digest(&self) -> &str {
        match &self.what {
            DataKind::Kept(v) => &v.version.doc.digest,
            DataKind::Logged(l) => &l.digest,
        }
    }

    pub fn runs(&self) -> &[PinnedRun] {
        match &self.what {
            DataKind::Kept(v) => &v.runs,
            DataKind::Logged(l) => &l.runs,
        }
    }

    /// Rows of all its tables; `None` without one.
    pub fn rows(&self) -> Option<u64> {
        let tables = &self.doc()?.tables;
        (!tables.is_empty()).then(|| tables.iter().map(|t| t.rows).sum())
    }

    /// Columns of all its tables; `None` without one.
    pub fn columns(&self) -> Option<u64> {
        let tables = &self.doc()?.tables;
        (!tables.is_empty()).then(|| tables.iter().map(|t| t.columns).sum())
    }
}
