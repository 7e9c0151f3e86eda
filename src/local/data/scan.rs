//! Digests of a tree: what the cache knows is a look-up, the rest is read on all cores.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::walk::{Folder, Found, Stat, unreadable, walk};
use super::{Cache, Progress, Step, cut};
use crate::base::clock::{Stopwatch, SystemClock};
use crate::base::{Clock, Fault, fault::Result};
use crate::capability::datasets::pack::CHUNK_BYTES_MAX;
use crate::capability::datasets::{Digest, manifest};

/// A file with its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannedFile {
    /// Below the root, with `/`.
    pub path: String,
    pub at: PathBuf,
    pub stat: Stat,
    pub digest: Digest,
    /// Digest and length of each, in order; an empty file has none.
    pub chunks: Vec<(Digest, u32)>,
}

/// A tree with its digests.
#[derive(Debug, Clone, Default)]
pub struct Scanned {
    pub root: PathBuf,
    /// Whether the root is one file.
    pub one_file: bool,
    /// By path.
    pub files: Vec<ScannedFile>,
    /// Files that had to be read.
    pub read: usize,
}

impl Scanned {
    /// As a version's, see `Manifest::tree_digest`.
    pub fn tree_digest(&self) -> String {
        manifest::tree_digest(self.files.iter().map(|f| (f.path.as_str(), f.stat.size, f.digest)))
    }

    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|f| f.stat.size).sum()
    }
}

/// What one thread takes at once: so many files, or files of so many bytes.
const BATCH_FILES: usize = 64;
const BATCH_BYTES: u64 = 4 << 20;
/// How often digests are kept while a scan goes on.
const KEEP_EVERY: Duration = Duration::from_secs(5);

/// Digests everything below a path.
///
/// # Errors
/// As `walk`; `Conflict` naming a file that changed while it was read.
pub fn scan(path: &Path, cache: &Cache, progress: Progress<'_>) -> Result<Scanned> {
    let root = std::fs::canonicalize(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Fault::not_found(format!("nothing at {}", path.display())),
        _ => unreadable(path, &e),
    })?;
    let began = SystemClock.now().0.saturating_mul(1000);
    let found = walk(&root)?;
    if found.is_empty() {
        return Err(
            Fault::invalid(format!("there is no file in {}", root.display())).next("name a path that holds data")
        );
    }
    let known = join(&found, cache.load(&root));
    let known_count = known.iter().flatten().count();
    let keep = |files: &[ScannedFile]| {
        if let Err(fault) = cache.keep(&root, files, began) {
            tracing::debug!("{fault}");
        }
    };
    let (files, read) = digest_all(&found, known, progress, &keep)?;
    let one_file = files.len() == 1 && root.is_file();
    // A second look at an unchanged tree writes nothing.
    if read > 0 || known_count != files.len() {
        cache.keep(&root, &files, began)?;
    }
    Ok(Scanned { root, one_file, files, read })
}

/// What the cache knows of each file; both are sorted by path.
fn join(found: &[Found], known: Vec<ScannedFile>) -> Vec<Option<ScannedFile>> {
    let mut known = known.into_iter().peekable();
    found
        .iter()
        .map(|file| {
            while known.peek().is_some_and(|k| k.path < file.path) {
                known.next();
            }
            known.next_if(|k| k.path == file.path)
        })
        .collect()
}

type Slots = Vec<Mutex<Vec<ScannedFile>>>;
/// Files, and what the cache knew of each.
type Batch<'a> = (&'a [Found], Mutex<&'a mut [Option<ScannedFile>]>);

fn digest_all(
    found: &[Found],
    mut known: Vec<Option<ScannedFile>>,
    progress: Progress<'_>,
    keep: &(dyn Fn(&[ScannedFile]) + Sync),
) -> Result<(Vec<ScannedFile>, usize)> {
    let batches = batches(found, &mut known);
    let slots: Slots = batches.iter().map(|_| Mutex::default()).collect();
    let (next, done, read) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicUsize::new(0));
    let total: u64 = found.iter().map(|f| f.stat.size).sum();
    let advance = |bytes: u64| progress(Step::Digest, done.fetch_add(bytes, Ordering::Relaxed) + bytes, total);
    let (failed, stop) = (Mutex::new(None), AtomicBool::new(false));
    let kept = Mutex::new(Stopwatch::start());
    // Whoever is interrupted finds again what was digested until then; what is not reached yet stays known.
    let keep_so_far = || {
        let Ok(mut kept) = kept.try_lock() else { return };
        if kept.elapsed() < KEEP_EVERY || read.load(Ordering::Relaxed) == 0 {
            return;
        }
        let of_batch = |(slot, (_, known)): (&Mutex<Vec<ScannedFile>>, &Batch<'_>)| {
            let done = slot.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match known.try_lock() {
                Ok(known) if done.is_empty() => known.iter().flatten().cloned().collect(),
                _ => done,
            }
        };
        keep(&slots.iter().zip(&batches).flat_map(of_batch).collect::<Vec<_>>());
        *kept = Stopwatch::start();
    };
    let work = || {
        let (mut buffer, mut folder) = (Vec::new(), Folder::default());
        while !stop.load(Ordering::Relaxed) {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            let Some((files, known)) = batches.get(nth) else { break };
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            let mut out = Vec::with_capacity(files.len());
            let mut small = 0;
            for (file, known) in files.iter().zip(known.iter_mut()) {
                match digest_one(file, known.take(), (&mut folder, &mut buffer), &read, &advance) {
                    Ok((scanned, told)) => {
                        small += scanned.stat.size - told;
                        out.push(scanned);
                    }
                    Err(fault) => {
                        stop.store(true, Ordering::Relaxed);
                        failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(fault);
                        return;
                    }
                }
            }
            advance(small);
            *slots[nth].lock().unwrap_or_else(PoisonError::into_inner) = out;
            drop(known);
            keep_so_far();
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        (1..threads).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    if let Some(fault) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(fault);
    }
    let files = slots.into_iter().flat_map(|s| s.into_inner().unwrap_or_else(PoisonError::into_inner)).collect();
    Ok((files, read.into_inner()))
}

fn batches<'a>(mut found: &'a [Found], mut known: &'a mut [Option<ScannedFile>]) -> Vec<Batch<'a>> {
    let mut batches = Vec::with_capacity(found.len() / BATCH_FILES + 1);
    while !found.is_empty() {
        let mut bytes = 0;
        let fits = |file: &&Found| {
            let first = bytes == 0;
            bytes += file.stat.size;
            first || bytes <= BATCH_BYTES
        };
        let len = found.iter().take(BATCH_FILES).take_while(fits).count();
        let (files, rest) = found.split_at(len);
        let (of_files, others) = known.split_at_mut(len);
        batches.push((files, Mutex::new(of_files)));
        (found, known) = (rest, others);
    }
    batches
}

/// The file with its digest, and how many of its bytes `advance` has heard of.
fn digest_one(
    found: &Found,
    known: Option<ScannedFile>,
    (folder, buffer): (&mut Folder, &mut Vec<u8>),
    read: &AtomicUsize,
    advance: &dyn Fn(u64),
) -> Result<(ScannedFile, u64)> {
    let problem = |e: std::io::Error| unreadable(&found.at, &e);
    let stat = found.stat;
    if let Some(known) = known.filter(|k| k.stat == stat) {
        return Ok((ScannedFile { at: found.at.clone(), ..known }, 0));
    }
    read.fetch_add(1, Ordering::Relaxed);
    let mut file = folder.open(&found.at).map_err(problem)?;
    let large = stat.size > CHUNK_BYTES_MAX as u64;
    let (digest, chunks) = if large {
        cut::cut(&mut file, advance).map_err(problem)?
    } else {
        buffer.clear();
        read_into(&mut file, stat.size, buffer).map_err(problem)?;
        let digest = Digest::of(buffer);
        let len = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        (digest, if buffer.is_empty() { Vec::new() } else { vec![(digest, len)] })
    };
    let length: u64 = chunks.iter().map(|(_, len)| u64::from(*len)).sum();
    // Since the walk: a change before the reading or during it shows.
    if Stat::of(&file.metadata().map_err(problem)?) != stat || length != stat.size {
        return Err(changed(&found.at));
    }
    let told = if large { length } else { 0 };
    Ok((ScannedFile { path: found.path.clone(), at: found.at.clone(), stat, digest, chunks }, told))
}

/// Appends so many bytes from where the file stands, fewer at its end: no memory is cleared that is written to next, and
/// a small file takes one call. Growth shows in its stat.
pub(super) fn read_into(file: &mut File, bytes: u64, buffer: &mut Vec<u8>) -> std::io::Result<usize> {
    // With room to spare: at the brim the library would look for the end with a read of its own.
    buffer.reserve(usize::try_from(bytes).unwrap_or(0).saturating_add(64));
    file.take(bytes).read_to_end(buffer)
}

/// "… changed while it was added".
pub(super) fn changed(path: &Path) -> Fault {
    Fault::conflict(format!("{} changed while it was added; nothing was added", path.display()))
        .why("a version holds what was there at one moment")
        .next("wait until nothing writes there and add again")
}
