//! The files that a version stands on.

use super::types::{ModelVersion, VersionFile};
use crate::base::{Fault, fault::Result};
use crate::capability::tracking::Artifacts;

/// Bytes of a version up to which its files are digested one by one when a reader asks for it.
pub const DIGEST_BYTES_MAX: u64 = 1 << 30;

/// Every file of a version, by path. With `digests` each file's BLAKE3, unless the tree is larger than
/// [`DIGEST_BYTES_MAX`]: then sizes must do.
///
/// # Errors
/// `NotFound` when its artifact is not kept here; `Unavailable`.
pub async fn files(artifacts: &Artifacts, version: &ModelVersion, digests: bool) -> Result<Vec<VersionFile>> {
    let folder = folder(version)?;
    let tree = artifacts.tree(folder).await?;
    let digests = digests && tree.iter().map(|(_, size)| size).sum::<u64>() <= DIGEST_BYTES_MAX;
    let mut files = Vec::with_capacity(tree.len());
    for (path, size) in tree {
        let digest = if digests { Some(artifacts.digest_of(&format!("{folder}/{path}")).await?) } else { None };
        files.push(VersionFile { path, size, digest });
    }
    Ok(files)
}

/// Where a file of a version lies in the artifact store.
///
/// # Errors
/// `NotFound` when its artifact is not kept here, `Invalid` for the path.
pub fn file_path(version: &ModelVersion, path: &str) -> Result<String> {
    let below = crate::db::blobs::clean_path(path.trim_matches('/'))?;
    if below.is_empty() {
        return Err(Fault::invalid("which file?").next("name its path, as the list of files does"));
    }
    Ok(format!("{}/{below}", folder(version)?))
}

fn folder(version: &ModelVersion) -> Result<&str> {
    version.doc.artifact.as_ref().map(|a| a.path.as_str()).ok_or_else(|| {
        Fault::not_found(format!("the files of {} v{} are not kept here", version.model, version.version))
            .why(format!("its source is {}", version.doc.source))
    })
}
