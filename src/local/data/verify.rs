//! Holding a version against its digests: in the store, pack by pack, or in a folder where it was checked out.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use futures::{StreamExt, TryStreamExt};
use serde::Serialize;

use super::scan::scan;
use super::{Cache, Progress, Step};
use crate::base::fault::Result;
use crate::capability::datasets::{Digest, Manifest};
use crate::client::Client;

/// What is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    pub path: String,
    pub why: String,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    pub dataset: String,
    pub version: u32,
    pub ok: bool,
    pub files: u64,
    pub bytes: u64,
    pub damaged: Vec<Damage>,
}

/// Checks every byte of a version in the store.
///
/// # Errors
/// `NotFound`, `Unavailable`; damage is in the answer.
pub async fn verify(client: &Client, name: &str, version: u32, progress: Progress<'_>) -> Result<Verified> {
    const PACKS_AT_ONCE: usize = 2;
    let manifest = client.manifest(name, version).await?;
    let total = manifest.packs.len() as u64;
    let mut checks = futures::stream::iter(manifest.packs.iter().enumerate())
        .map(async |(nth, pack)| client.check_pack(pack).await.map(|check| (nth, check)))
        .buffer_unordered(PACKS_AT_ONCE);
    let mut bad: HashMap<usize, String> = HashMap::new();
    let mut bad_chunks: HashSet<Digest> = HashSet::new();
    let mut done = 0;
    while let Some((nth, check)) = checks.try_next().await? {
        done += 1;
        progress(Step::Check, done, total);
        bad_chunks.extend(check.damaged);
        bad.extend(check.unreadable.map(|why| (nth, why)));
    }
    let damage = |file: &crate::capability::datasets::FileEntry| {
        let gone = file.chunks.iter().find_map(|c| bad.get(&(c.pack as usize)));
        let why = if let Some(why) = gone {
            format!("its pack cannot be read: {why}")
        } else {
            let mut at = 0;
            let first = file.chunks.iter().find(|c| {
                let damaged = bad_chunks.contains(&c.digest);
                at += if damaged { 0 } else { u64::from(c.len) };
                damaged
            })?;
            format!("the {} bytes from byte {at} on are not what they were", first.len)
        };
        Some(Damage { path: file.path.clone(), why })
    };
    let damaged: Vec<Damage> = manifest.files.iter().filter_map(damage).collect();
    Ok(verified(name, version, &manifest, damaged))
}

fn verified(name: &str, version: u32, manifest: &Manifest, damaged: Vec<Damage>) -> Verified {
    Verified {
        dataset: name.to_owned(),
        version,
        ok: damaged.is_empty(),
        files: manifest.files.len() as u64,
        bytes: manifest.bytes(),
        damaged,
    }
}

/// Holds a path of this machine against a version: what is missing, differs, or is too much.
///
/// # Errors
/// As [`scan`].
pub fn verify_at(
    name: &str,
    version: u32,
    manifest: &Manifest,
    at: &Path,
    cache: &Cache,
    progress: Progress<'_>,
) -> Result<Verified> {
    let found = scan(at, cache, progress)?;
    let mut there: HashMap<&str, Digest> = found.files.iter().map(|f| (f.path.as_str(), f.digest)).collect();
    // A single file may bear any name.
    if let ([file], true) = (manifest.files.as_slice(), found.one_file)
        && let Some(only) = found.files.first()
    {
        there = HashMap::from([(file.path.as_str(), only.digest)]);
    }
    let mut damaged = Vec::new();
    for file in &manifest.files {
        let why = match there.remove(file.path.as_str()) {
            Some(digest) if digest == file.digest => continue,
            Some(_) => "its bytes differ",
            None => "it is not there",
        };
        damaged.push(Damage { path: file.path.clone(), why: why.to_owned() });
    }
    let mut extra: Vec<&str> = there.into_keys().collect();
    extra.sort_unstable();
    damaged.extend(
        extra.into_iter().map(|p| Damage { path: p.to_owned(), why: "the version has no such file".to_owned() }),
    );
    Ok(verified(name, version, manifest, damaged))
}
