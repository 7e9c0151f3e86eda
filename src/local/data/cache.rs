//! What was digested before: a file a tree, read and written as a whole. An entry holds for a file whose size, times
//! and inode are the same. What changed just before the scan is left out, for a later change may bear the same time.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::scan::ScannedFile;
use super::walk::Stat;
use crate::base::{Fault, fault::Result};
use crate::capability::datasets::Digest;

/// The folder of the caches.
#[derive(Debug, Clone)]
pub struct Cache(PathBuf);

const MAGIC: &[u8] = b"opsroom stat cache 1\n";
/// A file's times may lie this much behind the clock on a file system with coarse ones.
const SETTLED_NANOS: i64 = 50_000_000;
/// Where times are whole seconds (old file systems, some network ones).
const SETTLED_COARSE_NANOS: i64 = 2_500_000_000;

impl Cache {
    /// `folder` is made when something is kept.
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    fn place(&self, root: &Path) -> PathBuf {
        let name = blake3::hash(root.as_os_str().as_encoded_bytes()).to_hex();
        self.0.join(format!("{}.tree", &name.as_str()[..32]))
    }

    /// What is known of a tree, by path; nothing when the cache cannot be read.
    pub fn load(&self, root: &Path) -> Vec<ScannedFile> {
        std::fs::read(self.place(root)).ok().and_then(|bytes| decode(&bytes)).map_or_else(Vec::new, |(_, files)| files)
    }

    /// Keeps what a scan found that began at `began`, nanoseconds since 1970.
    ///
    /// # Errors
    /// `Unavailable` when the folder cannot be written.
    pub fn keep(&self, root: &Path, files: &[ScannedFile], began: i64) -> Result<()> {
        let settled = |s: &Stat| {
            let coarse = s.changed % 1_000_000_000 == 0;
            s.changed.max(s.modified) < began - if coarse { SETTLED_COARSE_NANOS } else { SETTLED_NANOS }
        };
        let bytes = encode(root, files.iter().filter(|f| settled(&f.stat)));
        let place = self.place(root);
        let write = || {
            std::fs::create_dir_all(&self.0)?;
            let partial = place.with_extension(format!("{}.part", std::process::id()));
            std::fs::File::create(&partial).and_then(|mut file| file.write_all(&bytes))?;
            std::fs::rename(&partial, &place)
        };
        write().map_err(|e: std::io::Error| {
            Fault::unavailable(format!("cannot keep digests in {}", self.0.display())).why(e.to_string())
        })
    }

    /// Files of this machine that held these bytes when they were last scanned, and still have the same stat.
    pub fn holders(&self, wanted: impl Fn(&Digest) -> bool) -> std::collections::HashMap<Digest, PathBuf> {
        let mut holders = std::collections::HashMap::new();
        let trees = std::fs::read_dir(&self.0).into_iter().flatten().flatten().map(|e| e.path());
        for tree in trees.filter(|p| p.extension().is_some_and(|e| e == "tree")) {
            let Some((root, files)) = std::fs::read(&tree).ok().and_then(|bytes| decode(&bytes)) else { continue };
            for file in files.into_iter().filter(|f| wanted(&f.digest)) {
                let path = if root.is_dir() { root.join(&file.path) } else { root.clone() };
                if std::fs::metadata(&path).is_ok_and(|about| Stat::of(&about) == file.stat) {
                    holders.entry(file.digest).or_insert(path);
                }
            }
        }
        holders
    }
}

fn encode<'a>(root: &Path, files: impl Iterator<Item = &'a ScannedFile>) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    let text = |out: &mut Vec<u8>, bytes: &[u8]| {
        out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(bytes);
    };
    text(&mut out, root.as_os_str().as_encoded_bytes());
    for file in files {
        text(&mut out, file.path.as_bytes());
        out.extend_from_slice(&file.stat.size.to_le_bytes());
        out.extend_from_slice(&file.stat.modified.to_le_bytes());
        out.extend_from_slice(&file.stat.changed.to_le_bytes());
        out.extend_from_slice(&file.stat.inode.to_le_bytes());
        out.push(u8::from(file.stat.executable));
        out.extend_from_slice(&file.digest.0);
        out.extend_from_slice(&u32::try_from(file.chunks.len()).unwrap_or(u32::MAX).to_le_bytes());
        for (digest, len) in &file.chunks {
            out.extend_from_slice(&digest.0);
            out.extend_from_slice(&len.to_le_bytes());
        }
    }
    out
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<Vec<u8>> {
        let len = u32::from_le_bytes(self.array()?) as usize;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(text.to_vec())
    }

    fn file(&mut self) -> Option<ScannedFile> {
        let path = String::from_utf8(self.text()?).ok()?;
        let stat = Stat {
            size: self.number()?,
            modified: i64::from_le_bytes(self.array()?),
            changed: i64::from_le_bytes(self.array()?),
            inode: self.number()?,
            executable: self.array::<1>()? == [1],
        };
        let digest = Digest(self.array()?);
        let chunks = u32::from_le_bytes(self.array()?);
        // Bounded by what is there, whatever the number says.
        let chunks = (0..chunks).map(|_| Some((Digest(self.array()?), u32::from_le_bytes(self.array()?))));
        Some(ScannedFile { path, at: PathBuf::new(), stat, digest, chunks: chunks.collect::<Option<_>>()? })
    }
}

/// `None` when it is not a cache of this form, or cut short.
fn decode(bytes: &[u8]) -> Option<(PathBuf, Vec<ScannedFile>)> {
    use std::os::unix::ffi::OsStringExt;
    let mut reader = Reader(bytes.strip_prefix(MAGIC)?);
    let root = PathBuf::from(std::ffi::OsString::from_vec(reader.text()?));
    let mut files = Vec::new();
    while !reader.0.is_empty() {
        files.push(reader.file()?);
    }
    Some((root, files))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, changed: i64) -> ScannedFile {
        ScannedFile {
            path: path.to_owned(),
            at: PathBuf::new(),
            stat: Stat { size: 3, modified: 1, changed, inode: 9, executable: true },
            digest: Digest::of(path.as_bytes()),
            chunks: vec![(Digest::of(b"x"), 2), (Digest::of(b"y"), 1)],
        }
    }

    #[test]
    fn what_is_settled_is_kept_and_the_rest_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("deep"));
        let root = Path::new("/some/tree");
        assert!(cache.load(root).is_empty());
        let (old, young) = (file("a", 1_000_000_001), file("b", 9_999_999_999));
        cache.keep(root, &[old.clone(), young], 10_000_000_000).unwrap();
        assert_eq!(cache.load(root), [old]);
        let place = cache.place(root);
        let whole = std::fs::read(&place).unwrap();
        std::fs::write(&place, &whole[..whole.len() - 1]).unwrap();
        assert!(cache.load(root).is_empty(), "a cut cache is none");
    }
}
