//! What a row of the journal holds: the lines as they came, packed where that is worth it.

use std::borrow::Cow;
use std::io::Read;

use super::check::BODY_BYTES_MAX;
use crate::base::{Fault, fault::Result};

/// How a packed body begins; lines of JSON begin with a brace.
const PACKED: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// A short body stays as it is: packing it costs more than it saves.
const PLAIN_BYTES_MAX: usize = 1024;
/// The quickest: about a fifth remains.
const LEVEL: i32 = 1;

/// # Errors
/// `Bug` when there is no memory to pack it.
pub(super) fn packed(lines: &[u8]) -> Result<Vec<u8>> {
    if lines.len() <= PLAIN_BYTES_MAX {
        return Ok(lines.to_vec());
    }
    zstd::bulk::compress(lines, LEVEL).map_err(|e| Fault::bug("packing events").why(e.to_string()))
}

/// The lines of a body.
///
/// # Errors
/// What is wrong with it.
pub(super) fn plain(body: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    if !body.starts_with(&PACKED) {
        return Ok(Cow::Borrowed(body));
    }
    let mut lines = Vec::new();
    // An array that is written a line an event may be a little longer than it came.
    let limit = 2 * BODY_BYTES_MAX as u64;
    let unpacked = zstd::Decoder::new(body).and_then(|d| d.take(limit).read_to_end(&mut lines));
    unpacked.map(|_| Cow::Owned(lines)).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_back() {
        let long = br#"{"id":"a"}"#.repeat(1000);
        for lines in [&b""[..], b"{}", &long] {
            let body = packed(lines).unwrap();
            assert_eq!(&*plain(&body).unwrap(), lines);
        }
        assert!(packed(&long).unwrap().len() < 200);
        let mut torn = packed(&long).unwrap();
        torn.truncate(torn.len() / 2);
        assert!(plain(&torn).is_err());
    }
}
