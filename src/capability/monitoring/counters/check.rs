//! From the body of a request to events: each on its own, so that one bad line costs no other.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::super::{Label, Prediction};
use super::arm::COLUMNS_MAX;
use super::journal;
use super::rows::{Row, Rows};
use super::scan::Scan;
use super::spare::Spare;
use crate::base::{Fault, Timestamp, fault::Result};

/// A body after it was unpacked.
pub const BODY_BYTES_MAX: usize = 64 << 20;
/// One event.
const EVENT_BYTES_MAX: usize = 1 << 20;
const ID_BYTES_MAX: usize = 256;
const NAME_BYTES_MAX: usize = 128;
const SLICES_OF_ONE_MAX: usize = 16;
/// Clocks differ by so much at most.
const AHEAD_US: i64 = 5 * 60 * 1_000_000;
/// Reasons that are given; the rest is a number.
const REJECTED_SHOWN_MAX: usize = 1000;

/// What became of a body.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Accepted {
    pub accepted: u64,
    pub rejected: Vec<Rejected>,
    /// Further ones that were rejected.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rejected_further: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    pub index: u64,
    pub why: String,
}

impl Accepted {
    pub fn reject(&mut self, index: usize, why: impl Into<String>) {
        if self.rejected.len() < REJECTED_SHOWN_MAX {
            self.rejected.push(Rejected { index: index as u64, why: why.into() });
        } else {
            self.rejected_further += 1;
        }
    }
}

/// Events with the text that the journal keeps of them.
#[derive(Debug)]
pub struct Parsed<T> {
    pub events: T,
    /// As the journal keeps it.
    pub body: Vec<u8>,
    /// Bytes that it takes in memory until it is counted, about.
    pub bytes: usize,
    pub answer: Accepted,
    /// Held until it has found room: meanwhile the next body waits to be read.
    pub turn: Option<tokio::sync::OwnedSemaphorePermit>,
}

/// # Errors
/// `Invalid` when the body is neither an array nor lines of JSON.
pub fn parse_predictions(body: &[u8], now: Timestamp) -> Result<Parsed<Rows>> {
    parse_predictions_with(&Spare::default(), body, now)
}

/// The same, with what earlier bodies were read with.
///
/// # Errors
/// As [`parse_predictions`].
pub fn parse_predictions_with(spare: &Spare, body: &[u8], now: Timestamp) -> Result<Parsed<Rows>> {
    let listed = listed(body)?;
    let body = listed.as_deref().unwrap_or(body);
    let mut rows = spare.rows(body.len());
    let mut lines = Lines::new(body);
    let (_, answer) = taken(body, |from| predicted(&mut rows, &mut lines, from, now));
    if rows.left_over {
        rows = rows.only(|_| true);
    }
    Ok(Parsed { body: journal::rows(&rows)?, events: rows, bytes: body.len(), answer, turn: None })
}

/// # Errors
/// As [`parse_predictions`].
pub fn parse_labels(body: &[u8], now: Timestamp) -> Result<Parsed<Vec<Label>>> {
    let mut labels: Vec<Label> = Vec::new();
    let listed = listed(body)?;
    let body = listed.as_deref().unwrap_or(body);
    let (plain, answer) = taken(body, |from| {
        let end = line_end(body, from);
        let line = body[from..end].trim_ascii();
        let read = sized(line).and_then(|()| serde_json::from_slice::<Label>(line).map_err(|e| e.to_string()));
        (end, read.and_then(|l| label(&l, now).map(|()| labels.push(l))))
    });
    Ok(Parsed { events: labels, body: journal::packed(&plain)?, bytes: plain.len(), answer, turn: None })
}

/// Reads predictions that an earlier build journalled as lines.
///
/// # Errors
/// What is wrong with them.
pub(super) fn journalled_lines(body: &[u8]) -> Result<Rows, String> {
    let mut rows = Rows::default();
    let mut lines = Lines::new(body);
    let (_, answer) = taken(body, |from| {
        read(&mut rows, &mut lines, from).map_or_else(
            |(end, why)| (end, Err(why)),
            |(end, row)| {
                rows.push(row);
                (end, Ok(()))
            },
        )
    });
    answer.rejected.into_iter().next().map_or(Ok(rows), |bad| Err(bad.why))
}

/// An array, or one object over several lines, as a line an event; `None`: it is that already.
fn listed(body: &[u8]) -> Result<Option<Vec<u8>>> {
    let first = body.iter().find(|b| !b.is_ascii_whitespace());
    let all: Vec<serde_json::Value> = if first == Some(&b'[') {
        serde_json::from_slice(body).map_err(|e| {
            Fault::invalid("the body is no JSON array")
                .why(e.to_string())
                .next("NaN is no JSON: send null for a missing value")
        })?
    } else if first == Some(&b'{')
        && let Ok(one) = serde_json::from_slice::<serde_json::Value>(body)
    {
        vec![one]
    } else {
        return Ok(None);
    };
    let mut lines = Vec::with_capacity(body.len());
    for value in &all {
        serde_json::to_writer(&mut lines, value).map_err(|e| Fault::bug("event").why(e.to_string()))?;
        lines.push(b'\n');
    }
    Ok(Some(lines))
}

/// A body, with what reads its lines quickly where it is text as a whole: nobody sent a wrong byte.
struct Lines<'a> {
    bytes: &'a [u8],
    scan: Option<Scan<'a>>,
}

impl<'a> Lines<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, scan: std::str::from_utf8(bytes).ok().map(Scan::new) }
    }
}

fn line_end(body: &[u8], from: usize) -> usize {
    body[from..].iter().position(|b| *b == b'\n').map_or(body.len(), |n| from + n)
}

/// Has every line taken, and gives back those that were: the body itself, if all of them.
fn taken(body: &[u8], mut take: impl FnMut(usize) -> (usize, Result<(), String>)) -> (Cow<'_, [u8]>, Accepted) {
    let (mut answer, mut kept, mut at) = (Accepted::default(), None::<Vec<u8>>, 0);
    for index in 0.. {
        while body.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        if at >= body.len() {
            break;
        }
        let (end, took) = take(at);
        match took {
            Ok(()) => {
                answer.accepted += 1;
                if let Some(kept) = &mut kept {
                    kept.extend_from_slice(&body[at..end]);
                    kept.push(b'\n');
                }
            }
            Err(why) => {
                answer.reject(index, why);
                kept.get_or_insert_with(|| body[..at].to_vec());
            }
        }
        at = end;
    }
    (kept.map_or(Cow::Borrowed(body), Cow::Owned), answer)
}

fn sized(line: &[u8]) -> Result<(), String> {
    if line.len() > EVENT_BYTES_MAX {
        return Err(format!("it has {} bytes, at most {EVENT_BYTES_MAX} are taken", line.len()));
    }
    Ok(())
}

/// Takes the prediction that begins here.
fn predicted(rows: &mut Rows, lines: &mut Lines<'_>, from: usize, now: Timestamp) -> (usize, Result<(), String>) {
    let mark = rows.mark();
    let (end, row) = match read(rows, lines, from) {
        Ok((end, row)) => (end, sized(&lines.bytes[from..end]).map(|()| row)),
        Err((end, why)) => (end, Err(why)),
    };
    let checked = row.and_then(|row| prediction(rows, &row, now).map(|()| row));
    match checked {
        Ok(row) => {
            rows.push(row);
            (end, Ok(()))
        }
        Err(why) => {
            rows.back(mark);
            rows.left_over = true;
            (end, Err(why))
        }
    }
}

/// The short way where it is sure, else the long one.
fn read(rows: &mut Rows, lines: &mut Lines<'_>, from: usize) -> Result<(usize, Row), (usize, String)> {
    let mark = rows.mark();
    if let Some((row, end)) = lines.scan.as_mut().and_then(|scan| scan.event(rows, from)) {
        return Ok((end, row));
    }
    rows.back(mark);
    let end = line_end(lines.bytes, from);
    let line = lines.bytes[from..end].trim_ascii();
    sized(line).map_err(|why| (end, why))?;
    match serde_json::from_slice::<Prediction>(line) {
        Ok(p) => Ok((end, rows.row_of(&p))),
        Err(e) => Err((end, e.to_string())),
    }
}

fn named(what: &str, text: &str, max: usize) -> Result<(), String> {
    let plain = text.bytes().all(|b| (b' '..0x7f).contains(&b));
    if text.is_empty() || text.len() > max || !plain && text.chars().any(char::is_control) {
        return Err(format!("{what} is 1 to {max} bytes of printable text"));
    }
    Ok(())
}

fn timely(time: Option<Timestamp>, now: Timestamp) -> Result<(), String> {
    match time {
        Some(t) if t.0 > now.0.saturating_add(AHEAD_US) => Err(format!("its time {t} lies in the future")),
        Some(t) if t.0 < 0 => Err(format!("its time {t} lies before 1970")),
        _ => Ok(()),
    }
}

fn prediction(rows: &mut Rows, row: &Row, now: Timestamp) -> Result<(), String> {
    named("id", rows.text(row.id), ID_BYTES_MAX)?;
    let who = &rows.who[row.who as usize];
    // The first row of a version is asked; the others have the same names.
    if who.predictions == 0 {
        named("service", &who.service, NAME_BYTES_MAX)?;
        named("version", &who.version, NAME_BYTES_MAX)?;
        who.model.as_deref().map_or(Ok(()), |name| named("model", name, NAME_BYTES_MAX))?;
    }
    row.batch.map_or(Ok(()), |batch| named("batch", rows.text(batch), NAME_BYTES_MAX))?;
    timely(row.time, now)?;
    let features = rows.keys_of(row).len();
    if features > COLUMNS_MAX {
        return Err(format!("it has {features} features, at most {COLUMNS_MAX} are taken"));
    }
    if row.slices.len as usize > SLICES_OF_ONE_MAX {
        return Err(format!("it is in {} slices, at most {SLICES_OF_ONE_MAX} are taken", row.slices.len));
    }
    sliced(rows, row)
}

/// A slice is asked when it is new; one that is good stays good.
fn sliced(rows: &mut Rows, row: &Row) -> Result<(), String> {
    let from = row.slices.from as usize;
    for place in from..from + row.slices.len as usize {
        let number = rows.slice_of[place] as usize;
        if number < rows.slices_good {
            continue;
        }
        let (name, value) = rows.slice(rows.slice_of[place]);
        named("a slice's name", name, NAME_BYTES_MAX)?;
        named("a slice's value", value, NAME_BYTES_MAX)?;
        // They are numbered as they come, so that this one is the first that was not asked.
        if number == rows.slices_good {
            rows.slices_good += 1;
        }
    }
    Ok(())
}

fn label(l: &Label, now: Timestamp) -> Result<(), String> {
    named("id", &l.id, ID_BYTES_MAX)?;
    timely(l.time, now)?;
    if l.label.is_null() || l.label.is_array() || l.label.is_object() {
        return Err("a label is a number, a text or a truth value; a missing one is not sent".to_owned());
    }
    Ok(())
}
