//! The manifest of a version: every file with its digest and where its chunks lie. One JSON line a file, by path.

use serde::{Deserialize, Serialize};

use super::Digest;
use crate::base::{Fault, fault::Result};
use crate::db::blobs::clean_path;

/// What a version holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    /// The packs that its chunks lie in.
    pub packs: Vec<Digest>,
    /// By path.
    pub files: Vec<FileEntry>,
}

/// One file of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Below the version's root, with `/`.
    pub path: String,
    pub size: u64,
    /// Of its bytes.
    pub digest: Digest,
    pub executable: bool,
    /// In the order of its bytes; an empty file has none.
    pub chunks: Vec<Chunk>,
}

/// A piece of a file, and where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(Digest, u32, u32, u64)", into = "(Digest, u32, u32, u64)")]
pub struct Chunk {
    pub digest: Digest,
    /// Bytes.
    pub len: u32,
    /// Place in [`Manifest::packs`].
    pub pack: u32,
    /// Bytes from the pack's beginning.
    pub offset: u64,
}

impl From<(Digest, u32, u32, u64)> for Chunk {
    fn from((digest, len, pack, offset): (Digest, u32, u32, u64)) -> Self {
        Self { digest, len, pack, offset }
    }
}

impl From<Chunk> for (Digest, u32, u32, u64) {
    fn from(c: Chunk) -> Self {
        (c.digest, c.len, c.pack, c.offset)
    }
}

#[derive(Serialize, Deserialize)]
struct Head {
    /// Of this form of manifest.
    manifest: u32,
    packs: Vec<Digest>,
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    path: std::borrow::Cow<'a, str>,
    size: u64,
    digest: Digest,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    executable: bool,
    /// Pack and offset of a file that is one chunk, with the same digest and length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<(u32, u64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    chunks: Vec<Chunk>,
}

const FORM: u32 = 1;

impl Manifest {
    /// # Errors
    /// `Bug` when it cannot be written down.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let problem = |e: serde_json::Error| Fault::bug("manifest").why(e.to_string());
        let mut bytes = Vec::with_capacity(200 * (self.files.len() + 1));
        serde_json::to_writer(&mut bytes, &Head { manifest: FORM, packs: self.packs.clone() }).map_err(problem)?;
        bytes.push(b'\n');
        for file in &self.files {
            let one = matches!(file.chunks.as_slice(), [only] if only.digest == file.digest);
            let line = Line {
                path: file.path.as_str().into(),
                size: file.size,
                digest: file.digest,
                executable: file.executable,
                at: file.chunks.first().filter(|_| one).map(|c| (c.pack, c.offset)),
                chunks: if one { Vec::new() } else { file.chunks.clone() },
            };
            serde_json::to_writer(&mut bytes, &line).map_err(problem)?;
            bytes.push(b'\n');
        }
        Ok(bytes)
    }

    /// Reads and checks: paths in order and clean, chunks that add up to their files.
    ///
    /// # Errors
    /// `Invalid` naming the line.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let bad = |line: usize, why: String| Fault::invalid(format!("the manifest's line {line} is wrong")).why(why);
        let mut lines = bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty());
        let head: Head = serde_json::from_slice(lines.next().unwrap_or_default()).map_err(|e| bad(1, e.to_string()))?;
        if head.manifest != FORM {
            return Err(Fault::invalid(format!("a manifest of form {}, this opsroom reads {FORM}", head.manifest))
                .next("use a newer opsroom"));
        }
        let mut files: Vec<FileEntry> = Vec::new();
        for (n, line) in (2..).zip(lines) {
            let line: Line<'_> = serde_json::from_slice(line).map_err(|e| bad(n, e.to_string()))?;
            let file = line.entry(head.packs.len()).map_err(|why| bad(n, why))?;
            if files.last().is_some_and(|last| last.path >= file.path) {
                return Err(bad(n, format!("{:?} is out of order", file.path)));
            }
            files.push(file);
        }
        Ok(Self { packs: head.packs, files })
    }

    /// BLAKE3 over (path, size, digest of bytes) of every file: what a version is known by, as `blake3:<hex>`.
    pub fn tree_digest(&self) -> String {
        tree_digest(self.files.iter().map(|f| (f.path.as_str(), f.size, f.digest)))
    }

    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|f| f.size).sum()
    }

    pub fn file(&self, path: &str) -> Option<&FileEntry> {
        self.files.binary_search_by(|f| f.path.as_str().cmp(path)).ok().map(|i| &self.files[i])
    }
}

/// As [`Manifest::tree_digest`], of files sorted by path.
pub fn tree_digest<'a>(files: impl Iterator<Item = (&'a str, u64, Digest)>) -> String {
    use std::fmt::Write;
    let mut whole = blake3::Hasher::new();
    let mut line = String::new();
    for (path, size, digest) in files {
        line.clear();
        // Into a text nothing fails.
        let _ = writeln!(line, "{path}\0{size}\0{digest}");
        whole.update(line.as_bytes());
    }
    format!("blake3:{}", whole.finalize().to_hex())
}

impl Line<'_> {
    fn entry(self, packs: usize) -> Result<FileEntry, String> {
        let path = self.path.into_owned();
        if !well_formed(&path) {
            return Err(format!("{path:?} is no path inside of a dataset"));
        }
        let mut chunks = self.chunks;
        if let Some((pack, offset)) = self.at {
            let len = u32::try_from(self.size).map_err(|_| format!("{path}: one chunk of {} bytes", self.size))?;
            chunks = vec![Chunk { digest: self.digest, len, pack, offset }];
        }
        if chunks.iter().map(|c| u64::from(c.len)).sum::<u64>() != self.size {
            return Err(format!("the chunks of {path} do not add up to its {} bytes", self.size));
        }
        if chunks.iter().any(|c| c.pack as usize >= packs) {
            return Err(format!("{path} names a pack that is not listed"));
        }
        Ok(FileEntry { path, size: self.size, digest: self.digest, executable: self.executable, chunks })
    }
}

/// A path that stays inside of where the version is checked out.
pub fn well_formed(path: &str) -> bool {
    !path.is_empty() && !path.ends_with('/') && (clean_path(path).is_ok() || odd_but_safe(path))
}

/// Names that a file system takes and an artifact path does not: backslashes, a colon in second place.
fn odd_but_safe(path: &str) -> bool {
    !path.starts_with('/') && !path.contains('\0') && path.split('/').all(|p| !matches!(p, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Manifest {
        let chunk = |text: &str, len, offset| Chunk { digest: Digest::of(text.as_bytes()), len, pack: 0, offset };
        let file = |path: &str, size, digest, chunks| FileEntry {
            path: path.to_owned(),
            size,
            digest,
            executable: path.ends_with(".sh"),
            chunks,
        };
        Manifest {
            packs: vec![Digest::of(b"p")],
            files: vec![
                file("a\\b \n c", 3, Digest::of(b"abc"), vec![chunk("abc", 3, 0)]),
                file("empty", 0, Digest::of(b""), vec![]),
                file("large.sh", 10, Digest::of(b"x"), vec![chunk("1", 4, 3), chunk("2", 6, 7)]),
            ],
        }
    }

    #[test]
    fn a_manifest_survives_writing() {
        let manifest = sample();
        assert_eq!(Manifest::decode(&manifest.encode().unwrap()).unwrap(), manifest);
        assert_eq!(manifest.file("empty").map(|f| f.size), Some(0));
    }

    #[test]
    fn a_manifest_that_leads_astray_is_refused() {
        let spoil = |change: &dyn Fn(&mut Manifest)| {
            let mut manifest = sample();
            change(&mut manifest);
            Manifest::decode(&manifest.encode().unwrap())
        };
        for path in ["../x", "/x", "a/../b", "", "a//b", "z/"] {
            assert!(spoil(&|m| m.files[2].path = path.to_owned()).is_err(), "{path}");
        }
        assert!(spoil(&|m| m.files[2].size = 11).is_err());
        assert!(spoil(&|m| m.files[2].chunks[0].pack = 1).is_err());
        assert!(spoil(&|m| m.files.swap(0, 1)).is_err());
    }
}
