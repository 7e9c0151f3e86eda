//! What a command about datasets does: checked before its transaction, written within it.

use super::command::Command;
use super::types::{DatasetVersion, VersionDoc};
use super::{Digest, store, stored};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::db::blobs::Blobs;
use crate::db::{Source, Tx};

/// What a preparation found out: the figures are those of the manifest, whoever sent the command.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub command: Command,
    /// Packs that its manifest names.
    packs: Vec<Digest>,
}

/// What a command did.
#[derive(Debug, Clone, Default)]
pub struct Applied {
    pub from: String,
    pub to: String,
    pub version: u32,
}

const NAME_CHARS_MAX: usize = 250;

/// Reads what the command names, before its transaction begins.
///
/// # Errors
/// `Invalid` for a name, or when manifest and digest do not fit.
pub async fn prepare(blobs: &Blobs, command: &Command) -> Result<Prepared> {
    let Command::AddVersion { dataset, doc } = command;
    check_name(dataset)?;
    let manifest = stored::read_manifest(blobs, &doc.manifest).await?;
    if manifest.tree_digest() != doc.digest {
        return Err(Fault::invalid("the manifest is not of this digest").next("add the data again"));
    }
    if manifest.files.is_empty() {
        return Err(Fault::invalid("a version needs a file at least").next("name a path that holds files"));
    }
    stored::read_profile(blobs, doc).await?;
    let doc = VersionDoc { files: manifest.files.len() as u64, bytes: manifest.bytes(), ..doc.clone() };
    Ok(Prepared { command: Command::AddVersion { dataset: dataset.clone(), doc }, packs: manifest.packs })
}

/// Writes the version. The newest version again is no new version.
///
/// # Errors
/// The store's.
pub async fn apply(tx: &mut Tx, prepared: &Prepared, actor: &str, now: Timestamp) -> Result<Applied> {
    let Command::AddVersion { dataset, doc } = &prepared.command;
    let newest = store::versions(Source::Tx(tx), Some(dataset)).await?.into_iter().next();
    let from = newest.as_ref().map_or_else(|| "none".to_owned(), |v| format!("v{}", v.version));
    if let Some(same) = newest.filter(|v| v.doc.digest == doc.digest) {
        return Ok(Applied { from, to: "unchanged".to_owned(), version: same.version });
    }
    for pack in &prepared.packs {
        // Packs that nothing refers to are collected from time to time.
        if !store::has_pack(tx, pack).await? {
            return Err(Fault::conflict(format!("pack {pack} was collected meanwhile")).next("add the data again"));
        }
    }
    let version = store::next_version(tx, dataset, now).await?;
    let doc = VersionDoc { user: actor.to_owned(), ..doc.clone() };
    store::put_version(tx, &DatasetVersion { dataset: dataset.clone(), version, created: now, doc }).await?;
    Ok(Applied { from, to: format!("v{version}"), version })
}

/// A name that can be told apart from a version (`NAME@3`) and a path.
///
/// # Errors
/// `Invalid`.
pub fn check_name(name: &str) -> Result<()> {
    let odd = name.trim() != name || name.chars().any(|c| c.is_control() || "@/\\:".contains(c));
    if name.is_empty() || odd || name.starts_with('-') || name.chars().count() > NAME_CHARS_MAX {
        return Err(Fault::invalid(format!("not a dataset's name: {name:?}"))
            .why(format!("it has 1 to {NAME_CHARS_MAX} characters and none of @ / \\ :"))
            .next("give another with --name"));
    }
    Ok(())
}
