//! Cutting a large file by its content (FastCDC, Xia et al. 2020): a changed byte changes the chunk around it and no
//! other, wherever it lies and whatever was inserted before it.

use std::fs::File;
use std::io::Read;

use fastcdc::v2020::FastCDC;

use crate::capability::datasets::Digest;
use crate::capability::datasets::pack::{CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, CHUNK_BYTES_USUAL};

/// Bytes that are read before they are cut.
const PIECE_BYTES: usize = 16 << 20;

/// Digest of all bytes, and every chunk with its length.
pub type Cut = (Digest, Vec<(Digest, u32)>);

/// Reads a file to its end. The digest of the whole and the chunks are made side by side; `advance` hears of the bytes.
///
/// # Errors
/// What the file system says.
pub fn cut(file: &mut File, advance: &dyn Fn(u64)) -> std::io::Result<Cut> {
    let mut whole = blake3::Hasher::new();
    let mut chunks = Vec::new();
    // What is left of the piece before: it is not known yet where its chunk ends.
    let mut buffer: Vec<u8> = Vec::with_capacity(PIECE_BYTES + CHUNK_BYTES_MAX);
    loop {
        let begin = buffer.len();
        let read = file.take(PIECE_BYTES as u64).read_to_end(&mut buffer)?;
        let last = read < PIECE_BYTES;
        advance(read as u64);
        let done = std::thread::scope(|scope| {
            let fresh = &buffer[begin..];
            let digest = scope.spawn(|| {
                whole.update(fresh);
            });
            let done = cut_buffer(&buffer, last, &mut chunks);
            // A panic in there is one here.
            digest.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            done
        });
        if last {
            return Ok((whole.finalize().into(), chunks));
        }
        buffer.drain(..done);
    }
}

/// Cuts what is there and answers how much of it is done.
fn cut_buffer(buffer: &[u8], last: bool, chunks: &mut Vec<(Digest, u32)>) -> usize {
    let mut done = 0;
    for chunk in FastCDC::new(buffer, CHUNK_BYTES_MIN, CHUNK_BYTES_USUAL, CHUNK_BYTES_MAX) {
        let end = chunk.offset + chunk.length;
        // The end of the buffer is no end of a chunk, unless nothing follows.
        if end == buffer.len() && !last {
            break;
        }
        let digest = Digest::of(&buffer[chunk.offset..end]);
        chunks.push((digest, u32::try_from(chunk.length).unwrap_or(u32::MAX)));
        done = end;
    }
    done
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io::{Seek, Write};

    use super::*;

    fn noise(bytes: usize) -> Vec<u8> {
        let mut out = vec![0; bytes];
        blake3::Hasher::new().finalize_xof().fill(&mut out);
        out
    }

    fn cut_of(bytes: &[u8]) -> Cut {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        cut(&mut file, &|_| {}).unwrap()
    }

    #[test]
    fn one_byte_changes_one_neighbourhood() {
        let mut bytes = noise(40 << 20);
        let (digest, before) = cut_of(&bytes);
        assert_eq!(digest, Digest::of(&bytes));
        assert_eq!(before.iter().map(|(_, len)| *len as usize).sum::<usize>(), bytes.len());
        assert!(before.iter().all(|(_, len)| *len as usize <= CHUNK_BYTES_MAX));
        bytes[20 << 20] ^= 1;
        bytes.insert(5 << 20, 7);
        let (_, after) = cut_of(&bytes);
        let known: HashSet<Digest> = before.iter().map(|(d, _)| *d).collect();
        let fresh: u64 = after.iter().filter(|(d, _)| !known.contains(d)).map(|(_, len)| u64::from(*len)).sum();
        assert!(fresh < 4 << 20, "{fresh} new bytes");
    }

    #[test]
    fn small_and_empty_files_are_cut_as_well() {
        assert_eq!(cut_of(b"").1, []);
        assert_eq!(cut_of(b"abc").1, [(Digest::of(b"abc"), 3)]);
    }
}
