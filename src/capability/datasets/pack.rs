//! A pack: the bytes of many chunks after one another, then an index of them, so that 100,000 small files are a few
//! dozen objects in the store. What it holds is known from the index alone, and the index's digest is its name.

use super::Digest;
use crate::base::{Fault, fault::Result};

/// Bytes of chunks after which a pack is closed.
pub const PACK_BYTES: usize = 16 << 20;
/// A file up to this size is one chunk; larger ones are cut by content into chunks of at most this size.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;
/// Bytes of the least and of the usual chunk of a large file.
pub const CHUNK_BYTES_MIN: usize = 64 << 10;
pub const CHUNK_BYTES_USUAL: usize = 256 << 10;
/// What an agent takes at once.
pub const PACK_BYTES_MAX: usize = PACK_BYTES + CHUNK_BYTES_MAX + (8 << 20);

const MAGIC: &[u8; 16] = b"opsroom pack v1\n";
/// Digest and length.
pub const ENTRY_BYTES: usize = Digest::BYTES + 4;

/// A pack under construction.
#[derive(Debug, Default)]
pub struct Packer {
    bytes: Vec<u8>,
    index: Vec<u8>,
    payload: usize,
}

impl Packer {
    /// Writes into an empty buffer.
    pub fn into_buffer(bytes: Vec<u8>) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// Where the next chunk's bytes are to be written.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Takes what was written since the last call as one chunk. Answers its offset.
    pub fn close_chunk(&mut self, digest: Digest) -> u64 {
        let (offset, len) = (self.payload, self.bytes.len() - self.payload);
        self.index.extend_from_slice(&digest.0);
        self.index.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
        self.payload = self.bytes.len();
        offset as u64
    }

    /// The whole pack, and its name.
    pub fn finish(mut self) -> (Vec<u8>, Digest) {
        let name = Digest::of(&self.index);
        let length = u64::try_from(self.index.len()).unwrap_or(u64::MAX);
        self.bytes.append(&mut self.index);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(MAGIC);
        (self.bytes, name)
    }
}

/// What lies in a pack, in order.
#[derive(Debug, Clone, Default)]
pub struct Index {
    entries: Vec<u8>,
}

impl Index {
    pub fn from_entries(entries: Vec<u8>) -> Self {
        Self { entries }
    }

    pub fn entries(&self) -> &[u8] {
        &self.entries
    }

    pub fn name(&self) -> Digest {
        Digest::of(&self.entries)
    }

    /// Digest, offset and length of every chunk.
    pub fn chunks(&self) -> impl Iterator<Item = (Digest, u64, u32)> + '_ {
        let mut offset = 0;
        self.entries.chunks_exact(ENTRY_BYTES).map(move |entry| {
            let (digest, len) = entry.split_at(Digest::BYTES);
            let digest = Digest(digest.try_into().unwrap_or_default());
            let len = u32::from_le_bytes(len.try_into().unwrap_or_default());
            let at = offset;
            offset += u64::from(len);
            (digest, at, len)
        })
    }

    pub fn payload_bytes(&self) -> u64 {
        self.chunks().last().map_or(0, |(_, offset, len)| offset + u64::from(len))
    }

    /// Reads the index at a pack's end.
    ///
    /// # Errors
    /// `Invalid` when this is no pack, or not all of one.
    pub fn of(pack: &[u8]) -> Result<Self> {
        let bad = |why: &str| Fault::invalid("this is no whole pack").why(why).next("send it again");
        let rest = pack.strip_suffix(MAGIC).ok_or_else(|| bad("its end is not there"))?;
        let (rest, length) = rest.split_last_chunk::<8>().ok_or_else(|| bad("it is too short"))?;
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let begin = rest.len().checked_sub(length).ok_or_else(|| bad("its index is longer than the pack"))?;
        let index = Self { entries: rest[begin..].to_vec() };
        if !length.is_multiple_of(ENTRY_BYTES) || index.payload_bytes() != begin as u64 {
            return Err(bad("its index and its bytes do not fit"));
        }
        Ok(index)
    }

    /// Chunks whose bytes are not what their digest says.
    pub fn damaged(&self, pack: &[u8]) -> Vec<Digest> {
        let whole = |(digest, offset, len): &(Digest, u64, u32)| {
            let begin = usize::try_from(*offset).unwrap_or(usize::MAX);
            let bytes = begin.checked_add(*len as usize).and_then(|end| pack.get(begin..end));
            bytes.is_some_and(|b| Digest::of(b) == *digest)
        };
        self.chunks().filter(|chunk| !whole(chunk)).map(|(digest, ..)| digest).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(chunks: &[&[u8]]) -> (Vec<u8>, Digest) {
        let mut packer = Packer::default();
        for chunk in chunks {
            packer.bytes_mut().extend_from_slice(chunk);
            packer.close_chunk(Digest::of(chunk));
        }
        packer.finish()
    }

    #[test]
    fn a_pack_knows_what_it_holds() {
        let (bytes, name) = pack(&[b"one", b"", b"three"]);
        let index = Index::of(&bytes).unwrap();
        assert_eq!(index.name(), name);
        let places: Vec<_> = index.chunks().map(|(_, offset, len)| (offset, len)).collect();
        assert_eq!(places, [(0, 3), (3, 0), (3, 5)]);
        assert!(index.damaged(&bytes).is_empty());
    }

    #[test]
    fn damage_is_found_and_a_cut_pack_is_refused() {
        let (mut bytes, _) = pack(&[b"one", b"three"]);
        assert!(Index::of(&bytes[..bytes.len() - 1]).is_err());
        bytes[4] ^= 1;
        assert_eq!(Index::of(&bytes).unwrap().damaged(&bytes), [Digest::of(b"three")]);
        assert!(Index::of(b"").is_err());
    }
}
