//! Writing a version into a folder: what is there already stays, what this machine has elsewhere is cloned (reflink) or
//! hard linked, the rest comes from the store. A file appears whole or not at all.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::scan::{Scanned, scan};
use super::{Cache, Progress, Step};
use crate::base::{Fault, Kind, fault::Result};
use crate::capability::datasets::{Digest, FileEntry, Manifest};
use crate::client::Client;

/// How to check out.
#[derive(Debug, Clone, Copy)]
pub struct Checkout<'a> {
    pub to: &'a Path,
    /// Whether a version that is one file becomes `to` itself.
    pub as_file: bool,
    /// Whether files that differ are overwritten.
    pub force: bool,
    /// Whether files may be hard links to others of this machine: no copy, but writing into one writes into both.
    pub hard_link: bool,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct CheckedOut {
    pub files: u64,
    pub bytes: u64,
    /// Files that were there already.
    pub kept: u64,
    /// Clones and hard links of files elsewhere on this machine.
    pub linked: u64,
    /// Files written from the store.
    pub written: u64,
}

/// Bytes asked for at once.
const RANGE_BYTES_MAX: u64 = 16 << 20;

/// # Errors
/// `Conflict` when other files are in the way, `Unavailable` when bytes are damaged or the disk is full.
pub async fn checkout(
    client: &Client,
    manifest: &Manifest,
    how: Checkout<'_>,
    cache: &Cache,
    progress: Progress<'_>,
) -> Result<CheckedOut> {
    let place = |file: &FileEntry| if how.as_file { how.to.to_owned() } else { how.to.join(&file.path) };
    let there = tokio::task::block_in_place(|| present(how.to, how.as_file, cache, progress))?;
    let mut done = CheckedOut { files: manifest.files.len() as u64, bytes: manifest.bytes(), ..CheckedOut::default() };
    let mut wanted = Vec::new();
    for file in &manifest.files {
        match there.get(if how.as_file { "" } else { file.path.as_str() }) {
            Some(digest) if *digest == file.digest => done.kept += 1,
            Some(_) if !how.force => {
                return Err(Fault::conflict(format!("{} is there and differs", place(file).display()))
                    .why("nothing was overwritten")
                    .next("check out elsewhere, or overwrite with --force"));
            }
            _ => wanted.push(file),
        }
    }
    let total = wanted.len() as u64;
    let needed: std::collections::HashSet<Digest> = wanted.iter().map(|f| f.digest).collect();
    let holders = tokio::task::block_in_place(|| cache.holders(|d| needed.contains(d)));
    let mut from_store = Vec::new();
    for file in wanted {
        let linked = holders.get(&file.digest).is_some_and(|h| link(h, &place(file), file, how.hard_link));
        if linked {
            done.linked += 1;
            progress(Step::Write, done.linked, total);
        } else {
            from_store.push(file);
        }
    }
    for group in groups(&from_store) {
        let chunks = fetch(client, manifest, group).await?;
        tokio::task::block_in_place(|| group.iter().try_for_each(|file| write(&place(file), file, &chunks)))?;
        done.written += group.len() as u64;
        progress(Step::Write, done.linked + done.written, total);
    }
    Ok(done)
}

/// Digests of what lies there now, by path below it; of a file, under the empty path.
fn present(to: &Path, as_file: bool, cache: &Cache, progress: Progress<'_>) -> Result<HashMap<String, Digest>> {
    match fs::metadata(to) {
        Err(_) => Ok(HashMap::new()),
        Ok(about) if about.is_dir() == as_file => {
            let (is, should) = if as_file { ("folder", "file") } else { ("file", "folder") };
            Err(Fault::conflict(format!("{} is a {is}, a {should} is to be there", to.display()))
                .next("name another place"))
        }
        Ok(_) => match scan(to, cache, progress) {
            Ok(Scanned { files, .. }) => {
                Ok(files.into_iter().map(|f| (if as_file { String::new() } else { f.path }, f.digest)).collect())
            }
            // An empty folder is as good as none.
            Err(fault) if fault.kind == Kind::Invalid && fault.what.starts_with("there is no file") => {
                Ok(HashMap::new())
            }
            Err(fault) => Err(fault),
        },
    }
}

/// Files of some megabytes together.
fn groups<'a>(files: &'a [&'a FileEntry]) -> Vec<&'a [&'a FileEntry]> {
    const GROUP_BYTES: u64 = 64 << 20;
    let mut groups = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (i, file) in files.iter().enumerate() {
        bytes += file.size;
        if bytes >= GROUP_BYTES {
            groups.push(&files[begin..=i]);
            (begin, bytes) = (i + 1, 0);
        }
    }
    if begin < files.len() {
        groups.push(&files[begin..]);
    }
    groups
}

type Chunks = HashMap<Digest, bytes::Bytes>;

/// The chunks of some files. Neighbours in a pack come together.
async fn fetch(client: &Client, manifest: &Manifest, files: &[&FileEntry]) -> Result<Chunks> {
    let mut by_pack: BTreeMap<u32, BTreeMap<u64, (Digest, u32)>> = BTreeMap::new();
    for chunk in files.iter().flat_map(|f| &f.chunks) {
        by_pack.entry(chunk.pack).or_default().insert(chunk.offset, (chunk.digest, chunk.len));
    }
    let mut chunks = Chunks::new();
    for (pack, wanted) in by_pack {
        let name = &manifest.packs[pack as usize];
        let wanted: Vec<(u64, Digest, u32)> = wanted.into_iter().map(|(o, (d, l))| (o, d, l)).collect();
        let mut first = 0;
        while first < wanted.len() {
            let begin = wanted[first].0;
            let mut last = first;
            let end_of = |i: usize| wanted[i].0 + u64::from(wanted[i].2);
            while last + 1 < wanted.len()
                && wanted[last + 1].0 == end_of(last)
                && end_of(last + 1) - begin <= RANGE_BYTES_MAX
            {
                last += 1;
            }
            let bytes = client.pack_bytes(name, begin..end_of(last)).await?;
            for (offset, digest, len) in &wanted[first..=last] {
                let at = usize::try_from(offset - begin).unwrap_or(usize::MAX);
                let end = at.saturating_add(*len as usize);
                let piece = if end <= bytes.len() { bytes.slice(at..end) } else { bytes::Bytes::new() };
                chunks.insert(*digest, piece);
            }
            first = last + 1;
        }
    }
    Ok(chunks)
}

/// Writes a file beside its place and moves it there.
fn write(to: &Path, file: &FileEntry, chunks: &Chunks) -> Result<()> {
    let problem = |e: std::io::Error| Fault::unavailable(format!("cannot write {}", to.display())).why(e.to_string());
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(problem)?;
    }
    let partial = partial(to);
    let written = (|| {
        let mut out = File::create(&partial).map_err(problem)?;
        for chunk in &file.chunks {
            let bytes = chunks.get(&chunk.digest).ok_or_else(|| Fault::bug("a chunk was not fetched"))?;
            if Digest::of(bytes) != chunk.digest {
                return Err(Fault::unavailable(format!("{} is damaged in the store", file.path))
                    .why(format!("chunk {} is not what its digest says", chunk.digest))
                    .next("see `opsroom data verify`, and restore the last backup"));
            }
            out.write_all(bytes).map_err(problem)?;
        }
        set_executable(&out, file.executable).map_err(problem)?;
        fs::rename(&partial, to).map_err(problem)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written
}

fn partial(to: &Path) -> PathBuf {
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    to.with_file_name(name)
}

fn set_executable(file: &File, executable: bool) -> std::io::Result<()> {
    if !executable {
        return Ok(());
    }
    let mode = file.metadata()?.permissions().mode();
    file.set_permissions(fs::Permissions::from_mode(mode | (mode & 0o444) >> 2))
}

/// Clones or links a file of this machine that holds the same; `false` when that is not possible here.
fn link(holder: &Path, to: &Path, file: &FileEntry, hard: bool) -> bool {
    let partial = partial(to);
    let attempt = || -> std::io::Result<()> {
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        if hard && fs::hard_link(holder, &partial).is_ok() {
            return fs::rename(&partial, to);
        }
        clone(holder, &partial)?;
        set_executable(&File::open(&partial)?, file.executable)?;
        fs::rename(&partial, to)
    };
    let done = attempt().is_ok();
    if !done {
        let _ = fs::remove_file(&partial);
    }
    done
}

/// A copy that shares its blocks until one side is written to.
#[cfg(target_os = "linux")]
fn clone(from: &Path, to: &Path) -> std::io::Result<()> {
    let (from, to) = (File::open(from)?, File::create(to)?);
    Ok(rustix::fs::ioctl_ficlone(&to, &from)?)
}

#[cfg(not(target_os = "linux"))]
fn clone(_: &Path, _: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}
