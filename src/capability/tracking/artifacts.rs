//! Artifacts: bytes beneath a run or a logged model, until a registered version freezes them.

use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::sync::RwLock;

use super::store;
use crate::base::{Fault, Kind, fault::Result};
use crate::db::blobs::{Blobs, Content, Entry, HIDDEN, Upload, clean_path};
use crate::db::{Db, Tx};

/// The artifact store with its frozen folders.
#[derive(Clone)]
pub struct Artifacts {
    blobs: Blobs,
    /// Prefix and why. A write holds this for reading while it becomes visible, so that nothing slips in behind a freeze.
    frozen: Arc<RwLock<Vec<(String, String)>>>,
}

/// What a folder held when it was digested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeDigest {
    /// BLAKE3 over the sorted list of (path, size, digest of bytes), as `blake3:<hex>`.
    pub digest: String,
    pub files: u64,
    pub bytes: u64,
}

impl Artifacts {
    /// # Errors
    /// `Unavailable` when the store cannot be read.
    pub async fn open(db: &Db, blobs: Blobs) -> Result<Self> {
        let frozen = store::frozen(db.read()).await?;
        Ok(Self { blobs, frozen: Arc::new(RwLock::new(frozen)) })
    }

    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// Writes a file as a whole or not at all.
    ///
    /// # Errors
    /// `Invalid` for the path, `Refused` beneath a frozen folder, `Unavailable` when the disk or the sender fails.
    pub async fn put<E: std::fmt::Display>(
        &self,
        path: &str,
        body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<()> {
        let path = self.writable(path).await?;
        let upload = write_all(self.blobs.upload(&path)?, body).await?;
        let frozen = self.frozen.read().await;
        if let Err(fault) = refuse_frozen(&frozen, &path) {
            drop(frozen);
            upload.abort().await;
            return Err(fault);
        }
        upload.finish().await
    }

    /// A path that may be written now.
    pub(super) async fn writable(&self, path: &str) -> Result<String> {
        let path = visible(path)?;
        if path.is_empty() {
            return Err(Fault::invalid("Invalid path: an artifact needs a name"));
        }
        refuse_frozen(&self.frozen.read().await, &path)?;
        Ok(path)
    }

    /// Bytes of a file.
    ///
    /// # Errors
    /// `Invalid` for the path or a folder, `NotFound`.
    pub async fn size(&self, path: &str) -> Result<u64> {
        let path = visible(path)?;
        match self.blobs.size(&path).await {
            Err(fault) if fault.kind == Kind::NotFound && !self.blobs.list(&path).await?.is_empty() => {
                Err(Fault::invalid(format!("Artifact path refers to a directory, not a file: '{path}'")))
            }
            other => other,
        }
    }

    /// # Errors
    /// `Invalid` for the path, `NotFound`.
    pub async fn get(&self, path: &str, range: Option<object_store::GetRange>) -> Result<Content> {
        self.blobs.get(&visible(path)?, range).await
    }

    /// # Errors
    /// `Invalid` for the path.
    pub async fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        let mut entries = self.blobs.list(&visible(folder)?).await?;
        entries.retain(|e| e.name != HIDDEN);
        Ok(entries)
    }

    /// Removes a file or a tree; missing is fine.
    ///
    /// # Errors
    /// `Invalid` for the path, `Refused` when it holds or lies beneath a frozen folder.
    pub async fn delete(&self, path: &str) -> Result<()> {
        let path = visible(path)?;
        if path.is_empty() {
            return Err(Fault::invalid("Invalid path: the root cannot be deleted"));
        }
        let frozen = self.frozen.read().await;
        refuse_frozen(&frozen, &path)?;
        if let Some((prefix, why)) = frozen.iter().find(|(prefix, _)| beneath(prefix, &path)) {
            return Err(is_frozen(prefix, why));
        }
        self.blobs.delete(&path).await
    }

    /// Freezes a folder from now on: waits for writes that are becoming visible, refuses the later ones.
    pub async fn freeze(&self, prefix: &str, why: &str) {
        let mut frozen = self.frozen.write().await;
        if !frozen.iter().any(|(p, _)| p == prefix) {
            frozen.push((prefix.to_owned(), why.to_owned()));
        }
    }

    /// Takes a freeze back that was not committed, or whose version is gone.
    pub async fn thaw(&self, prefix: &str) {
        self.frozen.write().await.retain(|(p, _)| p != prefix);
    }

    pub async fn is_frozen(&self, prefix: &str) -> bool {
        self.frozen.read().await.iter().any(|(p, _)| p == prefix)
    }

    /// Records the freeze in a command's transaction.
    ///
    /// # Errors
    /// The store's.
    pub async fn record_freeze(tx: &mut Tx, prefix: &str, why: &str) -> Result<()> {
        store::freeze(tx, prefix, why).await
    }

    /// # Errors
    /// The store's.
    pub async fn record_thaw(tx: &mut Tx, prefix: &str) -> Result<()> {
        store::thaw(tx, prefix).await
    }

    /// Every file beneath a folder: path relative to it, and size.
    ///
    /// # Errors
    /// `Invalid` for the path, `Unavailable`.
    pub async fn tree(&self, folder: &str) -> Result<Vec<(String, u64)>> {
        self.blobs.tree(&visible(folder)?).await
    }

    /// BLAKE3 of a file's bytes, hexadecimal.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable` when it cannot be read to its end.
    pub async fn digest_of(&self, path: &str) -> Result<String> {
        let mut file = blake3::Hasher::new();
        let mut content = self.blobs.get(path, None).await?.stream;
        while let Some(bytes) = content.next().await {
            let bytes = bytes.map_err(|e| Fault::unavailable(format!("artifact {path}")).why(e.to_string()))?;
            file.update(&bytes);
        }
        Ok(file.finalize().to_hex().to_string())
    }

    /// Digests all files beneath a folder.
    ///
    /// # Errors
    /// `Unavailable` when a file cannot be read.
    pub async fn digest(&self, folder: &str) -> Result<TreeDigest> {
        let mut files = Vec::new();
        for (path, size) in self.blobs.tree(folder).await? {
            let full = if folder.is_empty() { path.clone() } else { format!("{folder}/{path}") };
            files.push((path, size, self.digest_of(&full).await?));
        }
        let digest = tree_digest(files.iter().map(|(path, size, digest)| (path.as_str(), *size, digest.as_str())));
        Ok(TreeDigest { digest, files: files.len() as u64, bytes: files.iter().map(|f| f.1).sum() })
    }
}

/// [`TreeDigest::digest`] of files by path, size and digest of their bytes, sorted by path.
pub fn tree_digest<'a>(files: impl Iterator<Item = (&'a str, u64, &'a str)>) -> String {
    let mut whole = blake3::Hasher::new();
    for (path, size, digest) in files {
        whole.update(format!("{path}\0{size}\0{digest}\n").as_bytes());
    }
    format!("blake3:{}", whole.finalize().to_hex())
}

/// The path in the artifact store behind a `mlflow-artifacts:` URI; `None` for other places.
pub fn path_of_uri(uri: &str) -> Option<String> {
    let rest = uri.strip_prefix("mlflow-artifacts:")?;
    let path = match rest.strip_prefix("//") {
        // Beside a host: mlflow-artifacts://HOST:PORT/path
        Some(with_host) => with_host.split_once('/').map_or("", |(_, path)| path),
        None => rest.trim_start_matches('/'),
    };
    clean_path(path).ok()
}

/// A clean path that is not among what the store keeps to itself.
fn visible(path: &str) -> Result<String> {
    let path = clean_path(path)?;
    if beneath(&path, HIDDEN) {
        return Err(Fault::invalid(format!("Invalid path: {HIDDEN} is the store's own")));
    }
    Ok(path)
}

/// Sends everything into an upload; when sender or disk fails, nothing of it stays.
pub(super) async fn write_all<E: std::fmt::Display>(
    mut upload: Upload,
    mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
) -> Result<Upload> {
    while let Some(bytes) = body.next().await {
        let written = match bytes {
            Ok(bytes) => upload.write(&bytes).await,
            Err(e) => Err(Fault::invalid("the upload broke off; nothing was written")
                .why(e.to_string())
                .next("send it again")),
        };
        if let Err(fault) = written {
            upload.abort().await;
            return Err(fault);
        }
    }
    Ok(upload)
}

fn beneath(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is_frozen(prefix: &str, why: &str) -> Fault {
    Fault::refused(format!("the artifacts beneath {prefix} are frozen"))
        .why(why.to_owned())
        .next("log to a new run or model and register that")
}

fn refuse_frozen(frozen: &[(String, String)], path: &str) -> Result<()> {
    match frozen.iter().find(|(prefix, _)| beneath(path, prefix)) {
        Some((prefix, why)) => Err(is_frozen(prefix, why)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifact_uris_of_ours() {
        assert_eq!(path_of_uri("mlflow-artifacts:/3/ab/artifacts").as_deref(), Some("3/ab/artifacts"));
        assert_eq!(path_of_uri("mlflow-artifacts://h:1/3/ab").as_deref(), Some("3/ab"));
        assert_eq!(path_of_uri("mlflow-artifacts:/../x"), None);
        assert_eq!(path_of_uri("s3://bucket/x"), None);
    }

    #[test]
    fn beneath_is_by_whole_parts() {
        assert!(beneath("a/b/c", "a/b"));
        assert!(beneath("a/b", "a/b"));
        assert!(!beneath("a/bc", "a/b"));
    }
}
