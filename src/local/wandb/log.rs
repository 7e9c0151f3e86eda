//! The framing of `.wandb` files: blocks of 32 KiB with checked chunks, as LevelDB's logs have them. A file that is still
//! being written ends anywhere; what is damaged costs its block and no more.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::base::{Fault, fault::Result};

const BLOCK: u64 = 32 * 1024;
const BLOCK_BYTES: usize = 32 * 1024;
const HEAD: u64 = 7;
/// Magic, check and version; it counts towards the first block.
const FILE_HEAD: [u8; 7] = [b':', b'W', b'&', b'B', 0xE1, 0xBE, 0];
/// Read at once: what a core keeps close by.
const BUFFER: usize = 16 * BLOCK_BYTES;
/// A record of more bytes is none that a client wrote.
const RECORD_BYTES_MAX: usize = 1 << 30;

const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// How far a file has been read: it can be gone on with when the file has grown.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// Behind the last whole record; 0 before the head was read.
    good: u64,
    /// Blocks that could not be read.
    pub damaged: u64,
}

/// What stands at a place of the file.
enum Found {
    /// A chunk: its type, and where its bytes are in the buffer.
    Chunk(u8, std::ops::Range<usize>),
    /// Nothing more in this block; whether it is damaged.
    Next { damaged: bool },
    /// The file ends here, for now.
    End,
}

/// A part of the file in memory.
struct Window {
    file: File,
    bytes: Vec<u8>,
    /// Where it begins in the file; always a block.
    from: u64,
}

impl Log {
    /// How many bytes of the file have been read.
    pub fn read_bytes(&self) -> u64 {
        self.good
    }

    /// Gives every whole record that has come since the last time, until `take` has had enough and says `false`.
    /// Answers whether the end was reached.
    ///
    /// # Errors
    /// `Invalid` when it is no `.wandb` file or one of a later version, `Unavailable` when it cannot be read.
    pub fn read(&mut self, path: &Path, mut take: impl FnMut(&[u8]) -> bool) -> Result<bool> {
        let problem =
            |e: std::io::Error| Fault::unavailable(format!("cannot read {}", path.display())).why(e.to_string());
        let mut window = Window { file: File::open(path).map_err(problem)?, bytes: Vec::new(), from: 0 };
        if self.good == 0 {
            window.load(0).map_err(problem)?;
            if window.bytes.len() < FILE_HEAD.len() {
                return Ok(true);
            }
            if !window.bytes.starts_with(&FILE_HEAD) {
                return Err(Fault::invalid(format!("{} is no .wandb file that can be read", path.display()))
                    .why("its head is another, or of a later version"));
            }
            self.good = FILE_HEAD.len() as u64;
        }
        let mut at = self.good;
        // A record in the making, and what its blocks cost if it comes to nothing.
        let mut parts: Option<Vec<u8>> = None;
        let mut damaged = 0;
        loop {
            match window.chunk(at).map_err(problem)? {
                Found::End => return Ok(true),
                Found::Next { damaged: bad } => {
                    damaged += u64::from(bad);
                    if bad {
                        parts = None;
                    }
                    at = (at / BLOCK + 1) * BLOCK;
                }
                Found::Chunk(kind, range) => {
                    at += HEAD + range.len() as u64;
                    let bytes = &window.bytes[range];
                    let more = match (kind, parts.take()) {
                        (FULL, _) => Some(take(bytes)),
                        (FIRST, _) => {
                            parts = Some(bytes.to_vec());
                            None
                        }
                        (MIDDLE, Some(mut begun)) if begun.len() < RECORD_BYTES_MAX => {
                            begun.extend_from_slice(bytes);
                            parts = Some(begun);
                            None
                        }
                        (LAST, Some(mut begun)) => {
                            begun.extend_from_slice(bytes);
                            Some(take(&begun))
                        }
                        // The rest of something whose beginning is damaged.
                        _ => None,
                    };
                    if let Some(more) = more {
                        self.good = at;
                        self.damaged += std::mem::take(&mut damaged);
                        if !more {
                            return Ok(false);
                        }
                    }
                }
            }
        }
    }
}

impl Window {
    /// Reads a part of the file from this block on.
    fn load(&mut self, from: u64) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(from))?;
        self.bytes.clear();
        self.from = from;
        Read::by_ref(&mut self.file).take(BUFFER as u64).read_to_end(&mut self.bytes)?;
        Ok(())
    }

    /// What is left of the block from here, as far as the file goes.
    fn rest(&mut self, at: u64) -> std::io::Result<(usize, usize)> {
        let block_end = (at / BLOCK + 1) * BLOCK;
        let loaded = self.from + self.bytes.len() as u64;
        if at < self.from || block_end > loaded {
            // Once more where the file ended before: it may have grown.
            self.load(at / BLOCK * BLOCK)?;
        }
        let place = |at: u64| usize::try_from(at - self.from).unwrap_or(usize::MAX).min(self.bytes.len());
        Ok((place(at), place(block_end)))
    }

    fn chunk(&mut self, at: u64) -> std::io::Result<Found> {
        let in_block = BLOCK - at % BLOCK;
        let (start, end) = self.rest(at)?;
        let whole = end - start == usize::try_from(in_block).unwrap_or(usize::MAX);
        // Behind a damaged place one can only go on when the next block has begun.
        let next = |damaged: bool| if whole { Found::Next { damaged } } else { Found::End };
        if in_block < HEAD {
            return Ok(next(false));
        }
        let bytes = &self.bytes[start..end];
        let Some((head, rest)) = bytes.split_first_chunk::<7>() else { return Ok(Found::End) };
        if *head == [0; 7] {
            return Ok(next(false));
        }
        let crc = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        let length = usize::from(u16::from_le_bytes([head[4], head[5]]));
        if length as u64 + HEAD > in_block || !(FULL..=LAST).contains(&head[6]) {
            return Ok(next(true));
        }
        if rest.len() < length {
            return Ok(Found::End);
        }
        let mut sum = flate2::Crc::new();
        sum.update(&bytes[6..7 + length]);
        if sum.sum() != crc {
            return Ok(next(true));
        }
        Ok(Found::Chunk(head[6], start + 7..start + 7 + length))
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! Writes what `Log` reads.

    use super::{BLOCK_BYTES, FILE_HEAD, FIRST, FULL, LAST, MIDDLE};

    const HEAD_BYTES: usize = 7;

    /// A file of these records.
    pub(in crate::local::wandb) fn written(records: &[Vec<u8>]) -> Vec<u8> {
        let mut file = FILE_HEAD.to_vec();
        for record in records {
            let mut rest = record.as_slice();
            let mut first = true;
            loop {
                let left = BLOCK_BYTES - file.len() % BLOCK_BYTES;
                if left < HEAD_BYTES {
                    file.resize(file.len() + left, 0);
                    continue;
                }
                let (now, later) = rest.split_at(rest.len().min(left - HEAD_BYTES));
                let kind = match (first, later.is_empty()) {
                    (true, true) => FULL,
                    (true, false) => FIRST,
                    (false, false) => MIDDLE,
                    (false, true) => LAST,
                };
                let mut sum = flate2::Crc::new();
                sum.update(&[kind]);
                sum.update(now);
                file.extend(sum.sum().to_le_bytes());
                file.extend(u16::try_from(now.len()).unwrap().to_le_bytes());
                file.push(kind);
                file.extend(now);
                (rest, first) = (later, false);
                if rest.is_empty() {
                    break;
                }
            }
        }
        file
    }
}

#[cfg(test)]
mod tests {
    use super::testing::written;
    use super::*;

    fn records() -> Vec<Vec<u8>> {
        // Sizes around the block's, and many small ones.
        let sizes = [1, 10, 32_768 - 7 - 7, 5, 100_000, 32_761, 0, 7].into_iter().chain((0..3000).map(|n| n % 50));
        sizes.enumerate().map(|(n, size)| vec![u8::try_from(n % 251).unwrap() + 1; size]).collect()
    }

    fn read(bytes: &[u8]) -> (Vec<Vec<u8>>, u64) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let (mut log, mut found) = (Log::default(), Vec::new());
        log.read(file.path(), |r| {
            found.push(r.to_vec());
            true
        })
        .unwrap();
        (found, log.damaged)
    }

    #[test]
    fn records_come_back_whatever_their_size() {
        assert_eq!(read(&written(&records())), (records(), 0));
    }

    #[test]
    fn a_file_that_grows_gives_each_record_once() {
        let whole = written(&records());
        let file = tempfile::NamedTempFile::new().unwrap();
        let (mut log, mut found) = (Log::default(), Vec::new());
        let mut length = 0;
        while length < whole.len() {
            length = (length + 7919).min(whole.len());
            std::fs::write(file.path(), &whole[..length]).unwrap();
            // Now and then the reader stops early.
            let mut left = 100;
            log.read(file.path(), |r| {
                found.push(r.to_vec());
                left -= 1;
                left > 0
            })
            .unwrap();
        }
        log.read(file.path(), |r| {
            found.push(r.to_vec());
            true
        })
        .unwrap();
        assert_eq!((found, log.damaged), (records(), 0));
    }

    #[test]
    fn damage_costs_its_block_and_is_counted() {
        let good = written(&records());
        for (place, change) in [(40_000, 0xff), (7, 0x01), (200_000, 0x80), (70_003, 0x10)] {
            let mut bad = good.clone();
            bad[place] ^= change;
            let (found, damaged) = read(&bad);
            assert_eq!(damaged, 1, "at {place}");
            assert!(found.len() < records().len() && found.len() > 1000 && found.iter().all(|r| records().contains(r)));
        }
    }

    #[test]
    fn zeroed_blocks_are_passed_and_other_files_refused() {
        let mut bytes = written(&[vec![1; 10]]);
        bytes.resize(BLOCK_BYTES * 2, 0);
        let second = written(&[vec![2; 10]]);
        bytes.extend(&second[FILE_HEAD.len()..]);
        assert_eq!(read(&bytes).0, [vec![1; 10], vec![2; 10]]);
        let file = tempfile::NamedTempFile::new().unwrap();
        for other in [&b"SQLite format 3\0"[..], b":W&B\xE1\xBE\x01"] {
            std::fs::write(file.path(), other).unwrap();
            assert_eq!(Log::default().read(file.path(), |_| true).unwrap_err().kind, crate::base::Kind::Invalid);
        }
        std::fs::write(file.path(), b":W&").unwrap();
        assert!(Log::default().read(file.path(), |_| true).unwrap(), "it has only begun");
    }

    proptest::proptest! {
        #[test]
        fn whatever_stands_there_nothing_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let mut file = FILE_HEAD.to_vec();
            file.extend(bytes);
            read(&file);
        }
    }
}
