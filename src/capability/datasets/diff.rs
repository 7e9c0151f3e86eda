//! What is different between two versions: files by path and digest; for tables schema, rows and distributions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::profile::{Profile, TableChange, compare};
use super::{DatasetVersion, FileEntry, Manifest};

/// What is different.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diff {
    pub from: Named,
    pub to: Named,
    pub added: Vec<FileChange>,
    pub removed: Vec<FileChange>,
    pub changed: Vec<FileChange>,
    pub unchanged: u64,
    pub tables: Vec<TableChange>,
}

/// One of the two versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    pub dataset: String,
    pub version: u32,
    pub digest: String,
}

/// A file that is not the same in both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    pub path: String,
    /// Bytes before and after; `null` where there is no such file.
    pub bytes: (Option<u64>, Option<u64>),
}

/// Compares two versions; tables only where both have a profile.
pub fn diff(
    (a, from, x): (&DatasetVersion, &Manifest, Option<&Profile>),
    (b, to, y): (&DatasetVersion, &Manifest, Option<&Profile>),
) -> Diff {
    let named =
        |v: &DatasetVersion| Named { dataset: v.dataset.clone(), version: v.version, digest: v.doc.digest.clone() };
    let before: BTreeMap<&str, &FileEntry> = from.files.iter().map(|f| (f.path.as_str(), f)).collect();
    let mut diff = Diff {
        from: named(a),
        to: named(b),
        added: Vec::new(),
        removed: Vec::new(),
        changed: Vec::new(),
        unchanged: 0,
        tables: x.zip(y).map(|(x, y)| tables((a, x), (b, y))).unwrap_or_default(),
    };
    for file in &to.files {
        let change = |was: Option<u64>| FileChange { path: file.path.clone(), bytes: (was, Some(file.size)) };
        match before.get(file.path.as_str()) {
            None => diff.added.push(change(None)),
            Some(was) if was.digest == file.digest => diff.unchanged += 1,
            Some(was) => diff.changed.push(change(Some(was.size))),
        }
    }
    let gone = from.files.iter().filter(|f| to.file(&f.path).is_none());
    diff.removed = gone.map(|f| FileChange { path: f.path.clone(), bytes: (Some(f.size), None) }).collect();
    diff
}

/// Tables of both are paired by their first file, else in order.
fn tables((a, x): (&DatasetVersion, &Profile), (b, y): (&DatasetVersion, &Profile)) -> Vec<TableChange> {
    // Versions of other datasets have other numbers for the same bins: none are shared then.
    let from_version = if a.dataset == b.dataset { a.version } else { u32::MAX };
    let pair = |(nth, to): (usize, &super::profile::TableProfile)| {
        let from = x.tables.iter().find(|t| t.files.first() == to.files.first()).or_else(|| x.tables.get(nth))?;
        Some(compare(from, from_version, to, b.version))
    };
    let mut tables: Vec<TableChange> = y.tables.iter().enumerate().filter_map(pair).collect();
    if a.dataset != b.dataset {
        tables.iter_mut().flat_map(|t| &mut t.columns).for_each(|c| (c.psi, c.limit) = (None, None));
    }
    tables
}
