//! Bytes of datasets in the blob store: packs of chunks, manifests and profiles, each under the digest of what it holds.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use object_store::GetRange;

use super::manifest::Manifest;
use super::pack::{Index, PACK_BYTES_MAX};
use super::profile::Profile;
use super::types::{Located, PackCheck, Stored, VersionDoc};
use super::{Digest, store};
use crate::base::{Fault, Kind, fault::Result};
use crate::db::blobs::{Blobs, Content, hidden};
use crate::db::{Db, Pool, Source};

fn place(kind: &str, name: &Digest) -> String {
    let name = name.to_string();
    hidden(&format!("data/{kind}/{}/{name}", &name[..2]))
}

/// Takes a pack in: every chunk is held against its digest first.
///
/// # Errors
/// `Invalid` when it is no whole pack or a chunk is not what its digest says; then nothing is kept.
pub async fn put_pack(db: &Db, blobs: &Blobs, pack: Bytes) -> Result<Stored> {
    if pack.len() > PACK_BYTES_MAX {
        return Err(Fault::invalid(format!("a pack of {} bytes, at most {PACK_BYTES_MAX} are taken", pack.len())));
    }
    let bytes = pack.len() as u64;
    let checked = pack.clone();
    let index = tokio::task::spawn_blocking(move || {
        let index = Index::of(&checked)?;
        match index.damaged(&checked).first() {
            None => Ok(index),
            Some(chunk) => Err(Fault::invalid(format!("chunk {chunk} of the pack is not what its digest says"))
                .why("the file changed while it was added, or the line is faulty")
                .next("add it again")),
        }
    })
    .await
    .map_err(|e| Fault::bug("the check of a pack broke off").why(e.to_string()))??;
    let name = index.name();
    if store::pack(db.read(), &name).await?.is_some() {
        return Ok(Stored { name, bytes, known: true });
    }
    blobs.put(&place("packs", &name), pack).await?;
    // The row last: what the table names is there.
    let mut turn = db.turn().await;
    store::put_pack(&mut turn, &name, bytes, &index).await?;
    Ok(Stored { name, bytes, known: false })
}

/// Which of these chunks the store has, and where.
///
/// # Errors
/// The store's.
pub async fn locate(pool: &Pool, wanted: &[Digest]) -> Result<Located> {
    let mut open: HashMap<Digest, u32> = (0..).zip(wanted).map(|(i, d)| (*d, i)).collect();
    let mut located = Located::default();
    store::packs(pool, |name, index| {
        let place = u32::try_from(located.packs.len()).unwrap_or(u32::MAX);
        let before = located.chunks.len();
        for (digest, offset, _) in index.chunks() {
            if let Some(nth) = open.remove(&digest) {
                located.chunks.push((nth, place, offset));
            }
        }
        if located.chunks.len() > before {
            located.packs.push(name);
        }
        !open.is_empty()
    })
    .await?;
    Ok(located)
}

/// Takes a manifest in: whatever it names has to be here.
///
/// # Errors
/// `Invalid` naming the line or the file that is wrong.
pub async fn put_manifest(db: &Db, blobs: &Blobs, bytes: Bytes) -> Result<Stored> {
    let manifest = Manifest::decode(&bytes)?;
    check_chunks(db.read(), &manifest).await?;
    put(blobs, "manifests", bytes).await
}

async fn check_chunks(pool: &Pool, manifest: &Manifest) -> Result<()> {
    let mut packs: Vec<HashMap<u64, (Digest, u32)>> = Vec::with_capacity(manifest.packs.len());
    for name in &manifest.packs {
        let index = store::pack(pool, name).await?.ok_or_else(|| {
            Fault::invalid(format!("the manifest names pack {name}, which is not here")).next("add the data again")
        })?;
        packs.push(index.chunks().map(|(digest, offset, len)| (offset, (digest, len))).collect());
    }
    for file in &manifest.files {
        let there = |c: &super::Chunk| packs[c.pack as usize].get(&c.offset) == Some(&(c.digest, c.len));
        // An empty chunk shares its offset with the one behind it; it holds nothing to find.
        if let Some(chunk) = file.chunks.iter().find(|c| c.len > 0 && !there(c)) {
            return Err(Fault::invalid(format!(
                "chunk {} of {} is not where the manifest says",
                chunk.digest, file.path
            ))
            .next("add the data again"));
        }
    }
    Ok(())
}

/// Takes a training profile in.
///
/// # Errors
/// `Invalid` when it cannot be read.
pub async fn put_profile(blobs: &Blobs, bytes: Bytes) -> Result<Stored> {
    serde_json::from_slice::<Profile>(&bytes).map_err(|e| Fault::invalid("this is no profile").why(e.to_string()))?;
    put(blobs, "profiles", bytes).await
}

async fn put(blobs: &Blobs, kind: &str, bytes: Bytes) -> Result<Stored> {
    let (name, length) = (Digest::of(&bytes), bytes.len() as u64);
    let path = place(kind, &name);
    let known = blobs.size(&path).await.is_ok_and(|size| size == length);
    if !known {
        blobs.put(&path, bytes).await?;
    }
    Ok(Stored { name, bytes: length, known })
}

async fn read(blobs: &Blobs, kind: &str, name: &Digest) -> Result<Bytes> {
    let bytes = blobs.read(&place(kind, name)).await.map_err(|fault| match fault.kind {
        Kind::NotFound => damaged(kind, name, "it is not there any more"),
        _ => fault,
    })?;
    if Digest::of(&bytes) != *name {
        return Err(damaged(kind, name, "its bytes are not what they were"));
    }
    Ok(bytes)
}

fn damaged(kind: &str, name: &Digest, why: &str) -> Fault {
    Fault::unavailable(format!("{} is damaged", place(kind, name))).why(why).next("restore the last backup")
}

/// A manifest as it was stored, checked against its digest.
///
/// # Errors
/// `Unavailable` when it is damaged.
pub async fn manifest_bytes(blobs: &Blobs, name: &Digest) -> Result<Bytes> {
    read(blobs, "manifests", name).await
}

/// # Errors
/// As [`manifest_bytes`].
pub async fn read_manifest(blobs: &Blobs, name: &Digest) -> Result<Manifest> {
    Manifest::decode(&manifest_bytes(blobs, name).await?)
}

/// A profile as it was stored, checked against its digest.
///
/// # Errors
/// `Unavailable` when it is damaged.
pub async fn profile_bytes(blobs: &Blobs, name: &Digest) -> Result<Bytes> {
    read(blobs, "profiles", name).await
}

/// The training profile of a version; `None` when it has no table.
///
/// # Errors
/// As [`profile_bytes`].
pub async fn read_profile(blobs: &Blobs, version: &VersionDoc) -> Result<Option<Profile>> {
    let Some(name) = &version.profile else { return Ok(None) };
    let bytes = profile_bytes(blobs, name).await?;
    let profile = serde_json::from_slice(&bytes).map_err(|e| damaged("profiles", name, &e.to_string()))?;
    Ok(Some(profile))
}

/// A range of a pack's bytes.
///
/// # Errors
/// `NotFound`, `Invalid` for a range outside of it.
pub async fn pack_bytes(blobs: &Blobs, name: &Digest, range: std::ops::Range<u64>) -> Result<Content> {
    if range.is_empty() {
        return Err(Fault::invalid("an empty range of a pack"));
    }
    blobs.get(&place("packs", name), Some(GetRange::Bounded(range))).await
}

/// Reads a whole pack and holds every chunk against its digest.
///
/// # Errors
/// The store's; what is wrong with the pack itself is in the answer.
pub async fn check_pack(pool: &Pool, blobs: &Blobs, name: &Digest) -> Result<PackCheck> {
    let index = store::pack(pool, name).await?.ok_or_else(|| Fault::not_found(format!("no pack {name}")))?;
    let pack = match blobs.read(&place("packs", name)).await {
        Ok(pack) => pack,
        Err(fault) => return Ok(PackCheck { unreadable: Some(fault.to_string()), ..PackCheck::default() }),
    };
    let bytes = pack.len() as u64;
    let damaged = tokio::task::spawn_blocking(move || index.damaged(&pack))
        .await
        .map_err(|e| Fault::bug("the check of a pack broke off").why(e.to_string()))?;
    Ok(PackCheck { bytes, damaged, unreadable: None })
}

/// What versions refer to, and the folder of all that is stored: for whoever collects the rest.
#[derive(Debug, Default)]
pub struct Referenced {
    /// Files in the artifact store: packs, manifests and profiles.
    pub paths: HashSet<String>,
}

/// Beneath this lie all packs, manifests and profiles.
pub fn folder() -> String {
    hidden("data")
}

/// All that some version stands on.
///
/// # Errors
/// The store's: with one manifest unread, nothing is known to be without use.
pub async fn referenced(pool: &Pool, blobs: &Blobs) -> Result<Referenced> {
    let mut known = Referenced::default();
    for version in store::versions(Source::Pool(pool), None).await? {
        known.paths.insert(place("manifests", &version.doc.manifest));
        known.paths.extend(version.doc.profile.map(|p| place("profiles", &p)));
        let manifest = read_manifest(blobs, &version.doc.manifest).await?;
        known.paths.extend(manifest.packs.iter().map(|p| place("packs", p)));
    }
    Ok(known)
}

/// Forgets a file of [`folder`] that no version refers to, then removes it: what the table names is there.
///
/// # Errors
/// The store's.
pub async fn remove(db: &Db, blobs: &Blobs, path: &str) -> Result<()> {
    if path.starts_with(&hidden("data/packs/"))
        && let Some(name) = path.rsplit('/').next().and_then(|n| n.parse::<Digest>().ok())
    {
        let mut tx = db.begin().await?;
        store::remove_pack(&mut tx, &name).await?;
        tx.commit().await?;
    }
    blobs.delete(path).await
}
