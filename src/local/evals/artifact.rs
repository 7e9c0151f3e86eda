//! Fetching a version's artifact to this machine, kept by digest, and digested anew: evidence is about these bytes.

use std::path::{Path, PathBuf};

use futures::StreamExt;
use tokio::io::AsyncWriteExt;

use crate::base::{Fault, fault::Result};
use crate::capability::registry::ModelVersion;
use crate::client::Client;

/// The folder, and the digest of what lies in it.
///
/// # Errors
/// `Invalid` when the artifact lies elsewhere, `Conflict` when what came is not what was registered, `Unavailable`.
pub(super) async fn fetch(client: &Client, version: &ModelVersion, cache: &Path) -> Result<(PathBuf, String)> {
    let Some(frozen) = &version.doc.artifact else {
        return Err(Fault::invalid(format!("the artifact of {} v{} is not kept here", version.model, version.version))
            .why(format!("it lies at {}", version.doc.source))
            .next("write the command without {artifact}, or use an endpoint"));
    };
    let hex = frozen.digest.strip_prefix("blake3:").unwrap_or(&frozen.digest);
    let folder = cache.join("artifacts").join(hex);
    if folder.is_dir() {
        // Someone may have written into it.
        if digest(&folder)? == frozen.digest {
            return Ok((folder, frozen.digest.clone()));
        }
        std::fs::remove_dir_all(&folder).map_err(|e| problem(&folder, &e))?;
    }
    let coming = cache.join("artifacts").join(format!("{hex}.{}", crate::base::id::uuid7()));
    std::fs::create_dir_all(&coming).map_err(|e| problem(&coming, &e))?;
    for (path, below) in client.artifact_tree(&frozen.path).await? {
        let to = coming.join(&below);
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent).map_err(|e| problem(parent, &e))?;
        }
        let mut file = tokio::fs::File::create(&to).await.map_err(|e| problem(&to, &e))?;
        let mut bytes = client.artifact_at(&path).await?;
        while let Some(part) = bytes.next().await {
            file.write_all(&part?).await.map_err(|e| problem(&to, &e))?;
        }
        file.flush().await.map_err(|e| problem(&to, &e))?;
    }
    let found = digest(&coming)?;
    if found != frozen.digest {
        let _ = std::fs::remove_dir_all(&coming);
        return Err(Fault::conflict(format!(
            "what came is not the artifact of {} v{}",
            version.model, version.version
        ))
        .why(format!("registered is {}, here is {found}", frozen.digest))
        .next("the artifact store may be damaged: see `opsroom audit verify`"));
    }
    match std::fs::rename(&coming, &folder) {
        // Another one was quicker.
        Err(_) if folder.is_dir() => drop(std::fs::remove_dir_all(&coming)),
        other => other.map_err(|e| problem(&folder, &e))?,
    }
    Ok((folder, found))
}

fn problem(path: &Path, e: &std::io::Error) -> Fault {
    Fault::unavailable(format!("cannot write {}", path.display()))
        .why(e.to_string())
        .next("free space, or mend its rights")
}

/// As the registry digests: BLAKE3 over the sorted list of (path, size, digest of bytes).
fn digest(folder: &Path) -> Result<String> {
    let mut files = Vec::new();
    let mut folders = vec![(folder.to_owned(), String::new())];
    while let Some((folder, below)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|e| problem(&folder, &e))? {
            let entry = entry.map_err(|e| problem(&folder, &e))?;
            let name = format!("{below}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                folders.push((entry.path(), format!("{name}/")));
            } else {
                files.push((name, entry.path()));
            }
        }
    }
    files.sort();
    let mut whole = blake3::Hasher::new();
    for (name, path) in files {
        let mut hasher = blake3::Hasher::new();
        let mut file = std::fs::File::open(&path).map_err(|e| problem(&path, &e))?;
        let size = std::io::copy(&mut file, &mut hasher).map_err(|e| problem(&path, &e))?;
        whole.update(format!("{name}\0{size}\0{}\n", hasher.finalize().to_hex()).as_bytes());
    }
    Ok(format!("blake3:{}", whole.finalize().to_hex()))
}
