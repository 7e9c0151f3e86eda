//! Adding a version: scan, profile, send what is missing, then one command commits it.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::scan::changed;
use super::walk::Stat;
use super::{Cache, Progress, Scanned, ScannedFile, scan, upload};
use crate::base::{Fault, Kind, fault::Result};
use crate::capability::datasets::profile::Profile;
use crate::capability::datasets::{Command, DatasetView, TableSummary, VersionDoc, check_name};
use crate::client::Client;
use crate::local::table;

/// What to add.
#[derive(Debug, Clone)]
pub struct Add<'a> {
    pub path: &'a Path,
    /// `None`: the path's own name.
    pub name: Option<String>,
    pub description: String,
    /// Whether tables among the files are profiled.
    pub profile: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Added {
    pub dataset: String,
    pub version: u32,
    pub digest: String,
    pub files: u64,
    pub bytes: u64,
    /// Bytes that the store wrote for it.
    pub bytes_stored: u64,
    /// The newest version held the same.
    pub unchanged: bool,
    pub tables: Vec<TableSummary>,
    /// What stood in the way of a profile; the files are added all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// How far an addition came.
pub enum Ready {
    /// The newest version is the same; nothing is left to do.
    Same(Added),
    /// All bytes are stored; this command makes them a version.
    New(Box<Command>, Added),
}

/// Brings a path's bytes into the store and answers with the command that makes them a version.
///
/// # Errors
/// As [`scan()`]; `Invalid` for a ragged table; `Unavailable`.
pub async fn add(client: &Client, what: &Add<'_>, cache: &Cache, progress: Progress<'_>) -> Result<Ready> {
    let scanned = Arc::new(tokio::task::block_in_place(|| scan(what.path, cache, progress))?);
    let name = what.name.clone().map_or_else(|| name_of(&scanned), Ok)?;
    check_name(&name)?;
    let known = match client.dataset(&name).await {
        Err(fault) if fault.kind == Kind::NotFound => None,
        other => Some(other?),
    };
    let digest = scanned.tree_digest();
    let newest = known.as_ref().and_then(|d| d.versions.first()).map(|v| &v.version);
    if let Some(same) = newest.filter(|v| v.doc.digest == digest) {
        return Ok(Ready::Same(Added {
            version: same.version,
            tables: same.doc.tables.clone(),
            unchanged: true,
            ..told(&scanned, name, digest)
        }));
    }
    let (profile, notes) = profile(client, what, &scanned, known.as_ref(), progress).await?;
    let sent = upload::upload(client, &scanned, progress).await?;
    let manifest = client.put_manifest(sent.places.manifest(&scanned)?.encode()?).await?;
    let mut bytes_stored = sent.bytes + if manifest.known { 0 } else { manifest.bytes };
    let mut doc = VersionDoc {
        digest: digest.clone(),
        manifest: manifest.name,
        files: scanned.files.len() as u64,
        bytes: scanned.bytes(),
        source: scanned.root.display().to_string(),
        host: host(),
        one_file: scanned.one_file,
        description: what.description.clone(),
        ..VersionDoc::default()
    };
    if let Some(profile) = profile {
        doc.tables = profile.tables.iter().map(summary).collect();
        let text = serde_json::to_vec(&profile).map_err(|e| Fault::bug("profile").why(e.to_string()))?;
        let stored = client.put_profile(text).await?;
        bytes_stored += if stored.known { 0 } else { stored.bytes };
        doc.profile = Some(stored.name);
    }
    doc.bytes_stored = bytes_stored;
    let told = Added { tables: doc.tables.clone(), bytes_stored, notes, ..told(&scanned, name.clone(), digest) };
    Ok(Ready::New(Box::new(Command::AddVersion { dataset: name, doc }), told))
}

fn told(scanned: &Scanned, dataset: String, digest: String) -> Added {
    Added {
        dataset,
        version: 0,
        digest,
        files: scanned.files.len() as u64,
        bytes: scanned.bytes(),
        bytes_stored: 0,
        unchanged: false,
        tables: Vec::new(),
        notes: Vec::new(),
    }
}

fn name_of(scanned: &Scanned) -> Result<String> {
    let name = if scanned.one_file { scanned.root.file_stem() } else { scanned.root.file_name() };
    name.and_then(|n| n.to_str()).map(ToOwned::to_owned).ok_or_else(|| {
        Fault::invalid(format!("{} gives no name", scanned.root.display())).next("name the dataset with --name")
    })
}

/// The name of this machine.
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The profile of the tables among the files, counted in the first version's bins as well.
async fn profile(
    client: &Client,
    what: &Add<'_>,
    scanned: &Scanned,
    known: Option<&DatasetView>,
    progress: Progress<'_>,
) -> Result<(Option<Profile>, Vec<String>)> {
    if !what.profile {
        return Ok((None, Vec::new()));
    }
    let tables = table::find(&scanned.files);
    if tables.is_empty() {
        return Ok((None, Vec::new()));
    }
    let first = known.and_then(|d| d.versions.iter().rev().find(|v| v.version.doc.profile.is_some()));
    let baseline = match first {
        None => None,
        Some(v) => Some((v.version.version, client.profile(&v.version.dataset, v.version.version).await?)),
    };
    let (profile, notes) = tokio::task::block_in_place(|| {
        let counted = table::profile(&tables, baseline.as_ref(), progress);
        // What was counted has to be what was digested; a table that cannot be read may be one that is being written.
        still(&scanned.files)?;
        counted
    })?;
    Ok((Some(profile).filter(|p| !p.tables.is_empty()), notes))
}

/// No table changed since it was digested.
fn still(files: &[ScannedFile]) -> Result<()> {
    let moved = files
        .iter()
        .filter(|f| table::is_one(f))
        .find(|f| !std::fs::metadata(&f.at).is_ok_and(|about| Stat::of(&about) == f.stat));
    moved.map_or(Ok(()), |file| Err(changed(&file.at)))
}

fn summary(table: &crate::capability::datasets::profile::TableProfile) -> TableSummary {
    TableSummary {
        path: table.files.first().cloned().unwrap_or_default(),
        files: table.files.len() as u64,
        rows: table.rows,
        columns: table.columns.len() as u64,
    }
}
