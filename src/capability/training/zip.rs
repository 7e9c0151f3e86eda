//! The entries of a zip file: enough of the format (PKWARE APPNOTE 6.3) to compare archives whose times differ.

use std::io::Read;

/// A file inside an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: Vec<u8>,
    pub bytes: Vec<u8>,
}

/// Bytes that an archive may unpack to.
const UNPACKED_BYTES_MAX: u64 = 4 << 30;

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let mut whole = [0; 8];
    whole[..N].copy_from_slice(bytes.get(at..at.checked_add(N)?)?);
    Some(u64::from_le_bytes(whole))
}

fn size(n: u64) -> Option<usize> {
    usize::try_from(n).ok()
}

/// All entries in the order of the archive's directory; `None` when it is no archive that can be read here.
pub fn entries(bytes: &[u8]) -> Option<Vec<Entry>> {
    const END: &[u8] = b"PK\x05\x06";
    let tail = bytes.len().saturating_sub(66_000);
    let end = tail + bytes[tail..].windows(4).rposition(|w| w == END)?;
    let count = number::<2>(bytes, end + 10)?;
    let mut at = size(number::<4>(bytes, end + 16)?)?;
    let mut left = UNPACKED_BYTES_MAX;
    let mut entries = Vec::new();
    for _ in 0..count {
        if bytes.get(at..at + 4)? != b"PK\x01\x02" {
            return None;
        }
        let method = number::<2>(bytes, at + 10)?;
        let (packed, unpacked) = (size(number::<4>(bytes, at + 20)?)?, number::<4>(bytes, at + 24)?);
        let lengths = [28, 30, 32].map(|offset| number::<2>(bytes, at + offset).and_then(size));
        let [Some(name), Some(extra), Some(comment)] = lengths else { return None };
        let local = size(number::<4>(bytes, at + 42)?)?;
        // Zip64 archives hold tensors of gigabytes: they are compared by their bytes.
        if packed == u32::MAX as usize || local == u32::MAX as usize {
            return None;
        }
        left = left.checked_sub(unpacked)?;
        let begin = local + 30 + size(number::<2>(bytes, local + 26)?)? + size(number::<2>(bytes, local + 28)?)?;
        let data = bytes.get(begin..begin.checked_add(packed)?)?;
        let data = match method {
            0 => data.to_vec(),
            8 => {
                let mut out = Vec::new();
                flate2::read::DeflateDecoder::new(data).take(unpacked + 1).read_to_end(&mut out).ok()?;
                out
            }
            _ => return None,
        };
        entries.push(Entry { name: bytes.get(at + 46..at + 46 + name)?.to_vec(), bytes: data });
        at += 46 + name + extra + comment;
    }
    Some(entries)
}
