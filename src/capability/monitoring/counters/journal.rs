//! What a row of the journal holds. Predictions: what was read of them, by column. Labels, and predictions of earlier builds: the
//! lines as they came, packed where that is worth it.

use std::borrow::Cow;
use std::io::Read;

use super::check::{self, BODY_BYTES_MAX};
use super::layout;
use super::rows::Rows;
use crate::base::{Fault, fault::Result};

/// How a body of columns begins; the number is that of their form.
const COLUMNS: u8 = 1;
/// How a packed body begins; lines of JSON begin with a brace or a space.
const PACKED: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// A short body stays as it is: packing it costs more than it saves.
const PLAIN_BYTES_MAX: usize = 1024;
/// The quickest: about a fifth remains of lines.
const LEVEL: i32 = 1;
/// What a row takes, about.
const ROW_BYTES: usize = 64;
/// An array that is written a line an event may be a little longer than it came.
const LINES_BYTES_MAX: usize = 2 * BODY_BYTES_MAX;

/// # Errors
/// `Bug` when there is no memory to pack them.
pub(super) fn packed(lines: &[u8]) -> Result<Vec<u8>> {
    if lines.len() <= PLAIN_BYTES_MAX {
        return Ok(lines.to_vec());
    }
    zstd::bulk::compress(lines, LEVEL).map_err(|e| Fault::bug("packing events").why(e.to_string()))
}

/// The body of these predictions.
///
/// # Errors
/// As [`packed`].
pub(super) fn rows(rows: &Rows) -> Result<Vec<u8>> {
    let mut body = Vec::with_capacity(rows.len() * ROW_BYTES + 1024);
    body.push(COLUMNS);
    layout::write(rows, body)
}

/// The lines of a body that has some.
///
/// # Errors
/// What is wrong with it.
pub(super) fn plain(body: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    if !body.starts_with(&PACKED) {
        return Ok(Cow::Borrowed(body));
    }
    let mut lines = Vec::new();
    let unpacked = zstd::Decoder::new(body).and_then(|d| d.take(LINES_BYTES_MAX as u64).read_to_end(&mut lines));
    unpacked.map(|_| Cow::Owned(lines)).map_err(|e| e.to_string())
}

/// The predictions of a body, whichever build wrote it.
///
/// # Errors
/// What is wrong with it.
pub(super) fn predictions(body: &[u8]) -> Result<Rows, String> {
    match body.split_first() {
        Some((&COLUMNS, columns)) => layout::read(columns).ok_or_else(|| "it breaks off".to_owned()),
        _ => check::journalled_lines(&plain(body)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;

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

    /// What rows say, apart from how they are told from others of the same id.
    fn told(rows: &Rows) -> Vec<String> {
        rows.all.iter().map(|row| format!("{:?}", rows.event(row))).collect()
    }

    fn lines() -> String {
        let mut lines = String::new();
        for i in 0..50 {
            lines.push_str(&match i % 5 {
                0 => format!("{{\"id\":\"p{i}\",\"service\":\"s\",\"prediction\":1,\"score\":0.{i},\"features\":{{\"x\":-{i}.25,\"t\":\"v{i}\"}}}}\n"),
                1 => format!("{{\"id\":\"p{i}\",\"service\":\"s\",\"version\":\"2\",\"prediction\":\"yes, {}\",\"time\":\"2026-05-03T14:00:00Z\"}}\n", "so ".repeat(i)),
                2 => format!("{{\"id\":\"é{i}\",\"service\":\"s\",\"model\":\"m\",\"prediction\":-{i},\"features\":{{\"t\":null,\"x\":[{i},{{\"a\":\"b\"}}]}},\"slices\":{{\"c\":\"{}\"}}}}\n", i % 3),
                3 => format!("{{\"id\":\"p{i}\",\"service\":\"s\",\"prediction\":true,\"score\":{{\"a\":0.25,\"b\":0.75}},\"error\":\"e\",\"latency_ms\":{i}}}\n"),
                _ => format!("{{\"id\":\"\\u0041{i}\",\"service\":\"s\",\"prediction\":null,\"batch\":\"b{i}\",\"usage\":{{\"input_tokens\":{i}}}}}\n"),
            });
        }
        lines
    }

    #[test]
    fn predictions_come_back_and_those_of_earlier_builds_are_read() {
        let lines = lines();
        let parsed = check::parse_predictions(lines.as_bytes(), Timestamp(1 << 51)).unwrap();
        assert_eq!((parsed.answer.accepted, parsed.body[0], parsed.events.len()), (50, COLUMNS, 50));
        let whole = told(&parsed.events);
        let read = predictions(&parsed.body).unwrap();
        assert_eq!(told(&read), whole);
        let halves = |rows: &Rows| rows.all.iter().map(|row| row.print & u64::from(u32::MAX)).collect::<Vec<_>>();
        assert_eq!((halves(&read), &read.who), (halves(&parsed.events), &parsed.events.who));
        // The form that every build before this one wrote, short and packed.
        for lines in [lines.as_str(), &lines[..lines.find('\n').unwrap()]] {
            let old = predictions(&packed(lines.as_bytes()).unwrap()).unwrap();
            assert_eq!(told(&old), whole[..old.len()]);
            assert_eq!(halves(&old), halves(&parsed.events)[..old.len()]);
        }
    }

    #[test]
    fn a_torn_body_is_none_and_stops_nobody() {
        let parsed = check::parse_predictions(lines().as_bytes(), Timestamp(1 << 51)).unwrap();
        for cut in 1..parsed.body.len() {
            assert!(predictions(&parsed.body[..cut]).is_err(), "{cut}");
        }
        for place in 1..parsed.body.len() {
            let mut damaged = parsed.body.clone();
            damaged[place] ^= 0x55;
            // It may come to other predictions, and to no panic.
            if let Ok(rows) = predictions(&damaged) {
                told(&rows);
            }
        }
    }

    #[test]
    fn rows_that_leave_out_what_is_missing_come_back() {
        let line = |i: u32| {
            let some = (0..12).filter(|bit| (i.wrapping_mul(2_654_435_761) >> (bit + 5)) & 1 == 1);
            let features: Vec<String> = some.map(|bit| format!("\"f{bit}\":{}", i * bit)).collect();
            format!("{{\"id\":\"{i}\",\"service\":\"s\",\"prediction\":1,\"features\":{{{}}}}}\n", features.join(","))
        };
        let lines: String = (0..700).map(line).collect();
        let parsed = check::parse_predictions(lines.as_bytes(), Timestamp(1 << 51)).unwrap();
        assert!(parsed.events.shapes() > 300 && parsed.body.len() < lines.len() / 3, "{}", parsed.body.len());
        assert_eq!(told(&predictions(&parsed.body).unwrap()), told(&parsed.events));
        for cut in (1..parsed.body.len()).step_by(7) {
            assert!(predictions(&parsed.body[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn long_texts_are_packed() {
        let line = |i: usize| {
            let text = format!("{} of number {i}", "a long text that nobody would call a category ".repeat(4));
            format!("{{\"id\":\"{i}\",\"service\":\"s\",\"prediction\":\"{text}\"}}\n")
        };
        let lines: String = (0..500).map(line).collect();
        let parsed = check::parse_predictions(lines.as_bytes(), Timestamp(1 << 51)).unwrap();
        assert!(parsed.body.len() < lines.len() / 10, "{}", parsed.body.len());
        assert_eq!(told(&predictions(&parsed.body).unwrap()), told(&parsed.events));
    }

    #[test]
    fn nothing_of_a_line_that_was_not_taken_is_kept() {
        let good =
            "{\"id\":\"a\",\"service\":\"s\",\"prediction\":1,\"features\":{\"t\":\"x\"},\"slices\":{\"c\":\"1\"}}";
        let bad = good.replace("\"c\":\"1\"", "\"kim\":\"\"").replace("\"x\"", "\"kim\"").replace("\"t\"", "\"kim\"");
        let parsed = check::parse_predictions(format!("{bad}\n{good}\n").as_bytes(), Timestamp(1 << 51)).unwrap();
        assert_eq!((parsed.answer.accepted, parsed.answer.rejected.len(), parsed.events.len()), (1, 1, 1));
        assert!(!parsed.body.windows(3).any(|three| three == b"kim"));
        let alone = check::parse_predictions(good.as_bytes(), Timestamp(1 << 51)).unwrap();
        assert_eq!(told(&predictions(&parsed.body).unwrap()), told(&alone.events));
    }
}
