//! Sending the chunks that the store has not: packed, two packs under way, each file held against its stat once more.

use std::collections::{HashMap, HashSet};
use std::io::{Seek, SeekFrom};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};

use super::scan::{Scanned, changed, read_into};
use super::walk::{Folder, Stat, unreadable};
use super::{Progress, Step};
use crate::base::spare::Spare;
use crate::base::{Fault, fault::Result};
use crate::capability::datasets::pack::{PACK_BYTES, Packer};
use crate::capability::datasets::{Chunk, Digest, FileEntry, Manifest};
use crate::client::Client;

/// Digests in one question to the store.
const LOCATE_MAX: usize = 500_000;
/// Packs under way at once.
const PACKS_AT_ONCE: usize = 2;

/// Where chunks lie.
#[derive(Debug, Default)]
pub(super) struct Places {
    packs: Vec<Digest>,
    of_pack: HashMap<Digest, u32>,
    chunks: HashMap<Digest, (u32, u64)>,
}

impl Places {
    fn pack(&mut self, name: Digest) -> u32 {
        *self.of_pack.entry(name).or_insert_with(|| {
            self.packs.push(name);
            u32::try_from(self.packs.len() - 1).unwrap_or(u32::MAX)
        })
    }
}

/// A chunk to be sent.
#[derive(Debug, Clone, Copy)]
struct Piece {
    file: usize,
    offset: u64,
    len: u32,
    digest: Digest,
}

/// What was sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub places: Places,
    /// Bytes that the store did not have.
    pub bytes: u64,
}

/// Sees to it that the store has every chunk.
///
/// # Errors
/// `Conflict` naming a file that changed since it was scanned, `Unavailable`.
pub(super) async fn upload(client: &Client, scanned: &Arc<Scanned>, progress: Progress<'_>) -> Result<Sent> {
    let mut sent = Sent::default();
    let all: Vec<Digest> = {
        let mut seen = HashSet::new();
        scanned.files.iter().flat_map(|f| &f.chunks).map(|(d, _)| *d).filter(|d| seen.insert(*d)).collect()
    };
    for asked in all.chunks(LOCATE_MAX) {
        let located = client.locate(asked).await?;
        let packs: Vec<u32> = located.packs.iter().map(|name| sent.places.pack(*name)).collect();
        for (nth, pack, offset) in located.chunks {
            let known = asked.get(nth as usize).zip(packs.get(pack as usize));
            let (digest, pack) = known.ok_or_else(|| Fault::bug("the agent located what was not asked for"))?;
            sent.places.chunks.insert(*digest, (*pack, offset));
        }
    }
    let groups = missing(scanned, &sent.places);
    let total: u64 = groups.iter().flatten().map(|p| u64::from(p.len)).sum();
    let mut done = 0;
    let spare = Spare::default();
    progress(Step::Send, 0, total);
    let packs = futures::stream::iter(groups.into_iter().map(|group| {
        let (scanned, spare) = (scanned.clone(), spare.clone());
        async move {
            let buffer = spare.take(PACK_BYTES + (PACK_BYTES >> 4));
            let packed = tokio::task::spawn_blocking(move || pack(&scanned, &group, buffer)).await;
            let (bytes, places) = packed.map_err(|e| Fault::bug("packing broke off").why(e.to_string()))??;
            let stored = client.put_pack(Bytes::from_owner(spare.lend(bytes))).await?;
            Ok::<_, Fault>((stored, places))
        }
    }));
    let mut packs = packs.buffer_unordered(PACKS_AT_ONCE);
    while let Some((stored, places)) = packs.try_next().await? {
        let pack = sent.places.pack(stored.name);
        for (digest, offset, len) in places {
            sent.places.chunks.insert(digest, (pack, offset));
            done += u64::from(len);
        }
        sent.bytes += if stored.known { 0 } else { stored.bytes };
        progress(Step::Send, done, total);
    }
    Ok(sent)
}

/// Chunks without a place, each once, in groups of a pack each.
fn missing(scanned: &Scanned, places: &Places) -> Vec<Vec<Piece>> {
    let mut groups: Vec<Vec<Piece>> = Vec::new();
    let (mut queued, mut room) = (HashSet::new(), 0_usize);
    for (nth, file) in scanned.files.iter().enumerate() {
        let mut offset = 0;
        for (digest, len) in &file.chunks {
            if !places.chunks.contains_key(digest) && queued.insert(*digest) {
                if room < *len as usize {
                    groups.push(Vec::new());
                    room = PACK_BYTES;
                }
                room -= *len as usize;
                if let Some(group) = groups.last_mut() {
                    group.push(Piece { file: nth, offset, len: *len, digest: *digest });
                }
            }
            offset += u64::from(*len);
        }
    }
    groups
}

type Packed = (Vec<u8>, Vec<(Digest, u64, u32)>);

fn pack(scanned: &Scanned, pieces: &[Piece], buffer: Vec<u8>) -> Result<Packed> {
    let mut packer = Packer::into_buffer(buffer);
    let mut folder = Folder::default();
    let mut places = Vec::with_capacity(pieces.len());
    for of_file in pieces.chunk_by(|a, b| a.file == b.file) {
        let entry = &scanned.files[of_file[0].file];
        let problem = |e: std::io::Error| unreadable(&entry.at, &e);
        let mut file = folder.open(&entry.at).map_err(problem)?;
        let mut at = 0;
        for piece in of_file {
            if at != piece.offset {
                file.seek(SeekFrom::Start(piece.offset)).map_err(problem)?;
            }
            let read = read_into(&mut file, u64::from(piece.len), packer.bytes_mut()).map_err(problem)?;
            if read != piece.len as usize {
                return Err(changed(&entry.at));
            }
            at = piece.offset + u64::from(piece.len);
            places.push((piece.digest, packer.close_chunk(piece.digest), piece.len));
        }
        // After the reading: a change before or during it shows.
        if Stat::of(&file.metadata().map_err(problem)?) != entry.stat {
            return Err(changed(&entry.at));
        }
    }
    Ok((packer.finish().0, places))
}

impl Places {
    /// The manifest of a tree whose chunks all have their place.
    ///
    /// # Errors
    /// `Bug` when one has none.
    pub(super) fn manifest(&self, scanned: &Scanned) -> Result<Manifest> {
        // Only packs that this tree needs; the question may have named others.
        let mut packs = Vec::new();
        let mut renumbered: HashMap<u32, u32> = HashMap::new();
        let mut files = Vec::with_capacity(scanned.files.len());
        for file in &scanned.files {
            let mut chunks = Vec::with_capacity(file.chunks.len());
            for (digest, len) in &file.chunks {
                let (pack, offset) = self
                    .chunks
                    .get(digest)
                    .ok_or_else(|| Fault::bug(format!("a chunk of {} has no place", file.path)))?;
                let pack = *renumbered.entry(*pack).or_insert_with(|| {
                    packs.push(self.packs[*pack as usize]);
                    u32::try_from(packs.len() - 1).unwrap_or(u32::MAX)
                });
                chunks.push(Chunk { digest: *digest, len: *len, pack, offset: *offset });
            }
            files.push(FileEntry {
                path: file.path.clone(),
                size: file.stat.size,
                digest: file.digest,
                executable: file.stat.executable,
                chunks,
            });
        }
        Ok(Manifest { packs, files })
    }
}
