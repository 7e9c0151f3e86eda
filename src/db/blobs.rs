//! Bytes by path: artifacts and dataset blobs, on a local disk or in S3, behind one interface.

use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};

use crate::base::{Fault, Timestamp, fault::Result};

/// Where blobs are kept.
#[derive(Debug, Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    /// Key prefix inside a bucket; empty on disk.
    prefix: String,
    /// `Some` on a local disk.
    root: Option<PathBuf>,
    shown: String,
}

/// One entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Base name.
    pub name: String,
    pub is_dir: bool,
    /// Bytes; 0 for a folder.
    pub size: u64,
}

/// A file with its age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aged {
    pub path: String,
    pub bytes: u64,
    pub written: Timestamp,
}

/// Bytes of an object from `start` on, with its whole size.
pub struct Content {
    pub size: u64,
    pub range: std::ops::Range<u64>,
    pub stream: BoxStream<'static, std::io::Result<Bytes>>,
}

impl Content {
    /// All of it.
    ///
    /// # Errors
    /// `Unavailable` when the store breaks off.
    pub async fn bytes(self) -> Result<Vec<u8>> {
        use futures::StreamExt;
        let length = self.range.end.saturating_sub(self.range.start);
        let mut all = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        let mut stream = self.stream;
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|e| Fault::unavailable("the artifact store broke off").why(e.to_string()))?;
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }
}

/// A part is at least this large in S3 (the last one excepted).
const PART_BYTES: usize = 8 << 20;

/// The folder that the store keeps to itself: nothing in it is anyone's artifact.
pub const HIDDEN: &str = ".opsroom";

/// A path in the hidden folder.
pub fn hidden(path: &str) -> String {
    format!("{HIDDEN}/{path}")
}

impl Blobs {
    /// `s3://bucket/prefix` (with the usual `AWS_*` variables) or a folder, which is made when missing.
    ///
    /// # Errors
    /// `Unavailable` when the place cannot be opened.
    pub fn open(place: &str) -> Result<Self> {
        if let Some(rest) = place.strip_prefix("s3://") {
            // TLS needs its provider before the first client; whoever set one before set the same.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let store = AmazonS3Builder::from_env()
                .with_bucket_name(bucket)
                .build()
                .map_err(|e| Fault::unavailable(format!("cannot open {place}")).why(e.to_string()))?;
            let prefix = prefix.trim_matches('/').to_owned();
            return Ok(Self { store: Arc::new(store), prefix, root: None, shown: place.to_owned() });
        }
        let folder = FsPath::new(place.strip_prefix("file://").unwrap_or(place));
        let problem =
            |e: String| Fault::unavailable(format!("cannot open the artifact folder {}", folder.display())).why(e);
        std::fs::create_dir_all(folder).map_err(|e| problem(e.to_string()))?;
        let root = folder.canonicalize().map_err(|e| problem(e.to_string()))?;
        let store = LocalFileSystem::new_with_prefix(&root).map_err(|e| problem(e.to_string()))?;
        // As with the store: what was acknowledged survives power loss.
        let store = store.with_automatic_cleanup(true).with_fsync(true);
        Ok(Self { store: Arc::new(store), prefix: String::new(), shown: root.display().to_string(), root: Some(root) })
    }

    /// The place, as one may show it.
    pub fn place(&self) -> &str {
        &self.shown
    }

    /// The folder on disk, if this is one.
    pub fn root(&self) -> Option<&FsPath> {
        self.root.as_deref()
    }

    /// The key of a path that has passed [`clean_path`].
    fn key(&self, path: &str) -> Result<Path> {
        let full = match (self.prefix.is_empty(), path.is_empty()) {
            (true, _) => path.to_owned(),
            (false, true) => self.prefix.clone(),
            (false, false) => format!("{}/{path}", self.prefix),
        };
        Path::parse(&full).map_err(|e| Fault::invalid(format!("Invalid path: {path}")).why(e.to_string()))
    }

    /// Starts an upload that becomes visible as a whole, or not at all.
    ///
    /// # Errors
    /// `Invalid` for a path, `Unavailable` for the place.
    pub fn upload(&self, path: &str) -> Result<Upload> {
        let key = self.key(path)?;
        Ok(Upload { store: self.store.clone(), key, buffer: Vec::new(), multipart: None, path: path.to_owned() })
    }

    /// # Errors
    /// As [`Self::upload`].
    pub async fn put(&self, path: &str, bytes: Bytes) -> Result<()> {
        self.store.put(&self.key(path)?, PutPayload::from_bytes(bytes)).await.map_err(|e| fault(path, &e))?;
        Ok(())
    }

    /// # Errors
    /// `NotFound` when there is no such object.
    pub async fn size(&self, path: &str) -> Result<u64> {
        Ok(self.store.head(&self.key(path)?).await.map_err(|e| fault(path, &e))?.size)
    }

    /// A range (`None`: all) of an object.
    ///
    /// # Errors
    /// `NotFound` when there is no such object.
    pub async fn get(&self, path: &str, range: Option<GetRange>) -> Result<Content> {
        let options = GetOptions { range, ..GetOptions::default() };
        let got = self.store.get_opts(&self.key(path)?, options).await.map_err(|e| fault(path, &e))?;
        let (size, range) = (got.meta.size, got.range.clone());
        let stream = got.into_stream().map_err(std::io::Error::other).boxed();
        Ok(Content { size, range, stream })
    }

    /// All of a small object.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn read(&self, path: &str) -> Result<Bytes> {
        let got = self.store.get(&self.key(path)?).await.map_err(|e| fault(path, &e))?;
        got.bytes().await.map_err(|e| fault(path, &e))
    }

    /// Direct children of a folder, by name. Empty for a missing folder and for a file.
    ///
    /// # Errors
    /// `Unavailable` when the place does not answer.
    pub async fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        let key = self.key(folder)?;
        let found = self.store.list_with_delimiter(Some(&key)).await.map_err(|e| fault(folder, &e))?;
        let name = |p: &Path| p.filename().unwrap_or_default().to_owned();
        let folders = found.common_prefixes.iter().map(|p| Entry { name: name(p), is_dir: true, size: 0 });
        let files = found.objects.iter().map(|o| Entry { name: name(&o.location), is_dir: false, size: o.size });
        let mut entries: Vec<_> = folders.chain(files).filter(|e| !e.name.is_empty()).collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Every file beneath a folder: path relative to it, and size; by path.
    ///
    /// # Errors
    /// `Unavailable` when the place does not answer.
    pub async fn tree(&self, folder: &str) -> Result<Vec<(String, u64)>> {
        let key = self.key(folder)?;
        let mut files: Vec<(String, u64)> = self
            .store
            .list(Some(&key))
            .map_ok(|o| {
                let below = o
                    .location
                    .prefix_match(&key)
                    .map(|parts| parts.map(|p| p.as_ref().to_owned()).collect::<Vec<_>>().join("/"));
                (below.unwrap_or_default(), o.size)
            })
            .try_collect()
            .await
            .map_err(|e| fault(folder, &e))?;
        files.retain(|(path, _)| !path.is_empty());
        files.sort();
        Ok(files)
    }

    /// Every file of the store with its size and when it was written.
    ///
    /// # Errors
    /// `Unavailable` when the place does not answer.
    pub async fn aged(&self) -> Result<Vec<Aged>> {
        let root = self.key("")?;
        let mut files: Vec<Aged> = self
            .store
            .list(Some(&root))
            .map_ok(|o| {
                let below = o.location.prefix_match(&root);
                let parts = below.map(|parts| parts.map(|p| p.as_ref().to_owned()).collect::<Vec<_>>().join("/"));
                let written = Timestamp(o.last_modified.timestamp_micros());
                Aged { path: parts.unwrap_or_default(), bytes: o.size, written }
            })
            .try_collect()
            .await
            .map_err(|e| fault("", &e))?;
        files.retain(|f| !f.path.is_empty());
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// Removes a file, or everything beneath a folder. Missing is fine.
    ///
    /// # Errors
    /// `Unavailable` when the place does not answer.
    pub async fn delete(&self, path: &str) -> Result<()> {
        let key = self.key(path)?;
        let below: Vec<Path> =
            self.store.list(Some(&key)).map_ok(|o| o.location).try_collect().await.map_err(|e| fault(path, &e))?;
        for location in below.iter().chain(std::iter::once(&key)) {
            match self.store.delete(location).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                // A folder on disk that is empty now.
                Err(_) if self.root.is_some() && location == &key => {}
                Err(e) => return Err(fault(path, &e)),
            }
        }
        Ok(())
    }
}

/// An upload under way; dropped unfinished, nothing of it stays visible.
pub struct Upload {
    store: Arc<dyn ObjectStore>,
    key: Path,
    path: String,
    buffer: Vec<u8>,
    multipart: Option<Box<dyn MultipartUpload>>,
}

impl Upload {
    /// # Errors
    /// `Unavailable` when the place refuses.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < PART_BYTES {
            return Ok(());
        }
        if self.multipart.is_none() {
            self.multipart = Some(self.store.put_multipart(&self.key).await.map_err(|e| fault(&self.path, &e))?);
        }
        self.send_part().await
    }

    async fn send_part(&mut self) -> Result<()> {
        let part = std::mem::take(&mut self.buffer);
        if let Some(upload) = &mut self.multipart {
            upload.put_part(PutPayload::from(part)).await.map_err(|e| fault(&self.path, &e))?;
        }
        Ok(())
    }

    /// Makes it visible.
    ///
    /// # Errors
    /// `Unavailable` when the place refuses; then nothing is visible.
    pub async fn finish(mut self) -> Result<()> {
        if self.multipart.is_none() {
            let payload = PutPayload::from(std::mem::take(&mut self.buffer));
            self.store.put(&self.key, payload).await.map_err(|e| fault(&self.path, &e))?;
            return Ok(());
        }
        if !self.buffer.is_empty() {
            self.send_part().await?;
        }
        if let Some(mut upload) = self.multipart.take() {
            upload.complete().await.map_err(|e| fault(&self.path, &e))?;
        }
        Ok(())
    }

    /// Throws away what was sent.
    pub async fn abort(mut self) {
        if let Some(mut upload) = self.multipart.take()
            && let Err(e) = upload.abort().await
        {
            tracing::warn!("abort of upload {}: {e}", self.path);
        }
    }
}

/// A path relative to the root: no `..`, no `.`, no empty part, no backslash, not absolute, nothing a file system
/// would read differently.
///
/// # Errors
/// `Invalid` with `MLflow`'s words, "Invalid path".
pub fn clean_path(path: &str) -> Result<String> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let bad = |part: &str| part.is_empty() || part == "." || part == ".." || part.len() > 255;
    let harmful = path.contains('\\') || path.contains('\0') || path.contains("%2e%2e") || path.len() > 4096;
    if !path.is_empty() && (harmful || path.split('/').any(bad) || path.as_bytes().get(1) == Some(&b':')) {
        return Err(Fault::invalid(format!("Invalid path: {path:?}"))
            .why("an artifact path is relative, without '..', '.', '\\' or empty parts"));
    }
    Ok(path.to_owned())
}

fn fault(path: &str, e: &object_store::Error) -> Fault {
    let text = e.to_string();
    match e {
        object_store::Error::NotFound { .. } => Fault::not_found(format!("No such artifact: {path}")),
        object_store::Error::InvalidPath { .. } => Fault::invalid(format!("Invalid path: {path}")).why(text),
        _ if text.contains("No space left") => Fault::unavailable("the artifact disk is full; nothing was written")
            .why(text)
            .next("free space and send it again"),
        _ if text.contains("File name too long") => Fault::invalid(format!("Invalid path: {path} has too long a name")),
        _ if text.contains("Is a directory") => Fault::invalid(format!("Invalid path: {path} is a folder")),
        _ if text.contains("Not a directory") => Fault::invalid(format!("Invalid path: {path} lies beneath a file")),
        _ => Fault::unavailable(format!("artifact {path}")).why(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leaves_its_root() {
        for bad in ["..", "../a", "a/../b", "/etc/passwd", "a//b", "a/./b", "a\\..\\b", "C:/x", "a\0b"] {
            assert!(clean_path(bad).is_err(), "{bad:?}");
        }
        for good in ["", "a", "a/b.txt", "dir one/ü#1", "a/..b/c..", "a/"] {
            assert!(clean_path(good).is_ok(), "{good:?}");
        }
    }

    #[tokio::test]
    async fn upload_list_read_delete() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&dir.path().to_string_lossy()).unwrap();
        blobs.put("1/a b/ü#1.txt", Bytes::from_static(b"hello")).await.unwrap();
        let mut large = blobs.upload("1/large").unwrap();
        for _ in 0..5 {
            large.write(&vec![7; 4 << 20]).await.unwrap();
        }
        assert_eq!(blobs.list("1").await.unwrap().len(), 1, "an unfinished upload is not visible");
        large.finish().await.unwrap();
        let names: Vec<_> = blobs.list("1").await.unwrap().into_iter().map(|e| (e.name, e.is_dir, e.size)).collect();
        assert_eq!(names, [("a b".to_owned(), true, 0), ("large".to_owned(), false, 20 << 20)]);
        assert_eq!(&blobs.read("1/a b/ü#1.txt").await.unwrap()[..], b"hello");
        assert_eq!(blobs.tree("1").await.unwrap()[0], ("a b/ü#1.txt".to_owned(), 5));
        assert!(blobs.list("1/large").await.unwrap().is_empty(), "a file has no entries");
        blobs.delete("1").await.unwrap();
        assert!(blobs.tree("").await.unwrap().is_empty());
    }
}
