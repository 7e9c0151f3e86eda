//! From the body of a request to events: each on its own, so that one bad line costs no other.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::{Label, Prediction};
use super::arm::COLUMNS_MAX;
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

/// Events with the text that the journal keeps of each.
#[derive(Debug)]
pub struct Parsed<T> {
    pub events: Vec<T>,
    /// A line an event.
    pub body: Vec<u8>,
    pub answer: Accepted,
}

/// # Errors
/// `Invalid` when the body is neither an array nor lines of JSON.
pub fn parse_predictions(body: &[u8], now: Timestamp) -> Result<Parsed<Prediction>> {
    parse(body, |p: &Prediction| prediction(p, now))
}

/// # Errors
/// As [`parse_predictions`].
pub fn parse_labels(body: &[u8], now: Timestamp) -> Result<Parsed<Label>> {
    parse(body, |l: &Label| label(l, now))
}

fn parse<T: DeserializeOwned>(body: &[u8], check: impl Fn(&T) -> Result<(), String>) -> Result<Parsed<T>> {
    let mut parsed = Parsed { events: Vec::new(), body: Vec::with_capacity(body.len()), answer: Accepted::default() };
    let first = body.iter().find(|b| !b.is_ascii_whitespace());
    if first == Some(&b'[') {
        let all: Vec<serde_json::Value> = serde_json::from_slice(body).map_err(|e| {
            Fault::invalid("the body is no JSON array")
                .why(e.to_string())
                .next("NaN is no JSON: send null for a missing value")
        })?;
        for (index, value) in all.iter().enumerate() {
            let line = serde_json::to_vec(value).map_err(|e| Fault::bug("event").why(e.to_string()))?;
            parsed.take(index, &line, &check);
        }
        return Ok(parsed);
    }
    // One object over several lines is one event.
    if first == Some(&b'{')
        && let Ok(one) = serde_json::from_slice::<serde_json::Value>(body)
    {
        let line = serde_json::to_vec(&one).map_err(|e| Fault::bug("event").why(e.to_string()))?;
        parsed.take(0, &line, &check);
        return Ok(parsed);
    }
    let lines = body.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty());
    for (index, line) in lines.enumerate() {
        parsed.take(index, line.trim_ascii(), &check);
    }
    Ok(parsed)
}

impl<T: DeserializeOwned> Parsed<T> {
    fn take(&mut self, index: usize, line: &[u8], check: &impl Fn(&T) -> Result<(), String>) {
        if line.len() > EVENT_BYTES_MAX {
            return self
                .answer
                .reject(index, format!("it has {} bytes, at most {EVENT_BYTES_MAX} are taken", line.len()));
        }
        let event: T = match serde_json::from_slice(line) {
            Ok(event) => event,
            Err(e) => return self.answer.reject(index, e.to_string()),
        };
        match check(&event) {
            Ok(()) => {
                self.body.extend_from_slice(line);
                self.body.push(b'\n');
                self.events.push(event);
                self.answer.accepted += 1;
            }
            Err(why) => self.answer.reject(index, why),
        }
    }
}

fn named(what: &str, text: &str, max: usize) -> Result<(), String> {
    if text.is_empty() || text.len() > max || text.chars().any(char::is_control) {
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

fn prediction(p: &Prediction, now: Timestamp) -> Result<(), String> {
    named("id", &p.id, ID_BYTES_MAX)?;
    named("service", &p.service, NAME_BYTES_MAX)?;
    for (what, name) in [("version", &p.version), ("model", &p.model), ("batch", &p.batch)] {
        name.as_deref().map_or(Ok(()), |name| named(what, name, NAME_BYTES_MAX))?;
    }
    timely(p.time, now)?;
    if p.features.len() > COLUMNS_MAX {
        return Err(format!("it has {} features, at most {COLUMNS_MAX} are taken", p.features.len()));
    }
    if p.slices.len() > SLICES_OF_ONE_MAX {
        return Err(format!("it is in {} slices, at most {SLICES_OF_ONE_MAX} are taken", p.slices.len()));
    }
    p.slices.iter().try_for_each(|(k, v)| {
        named("a slice's name", k, NAME_BYTES_MAX).and_then(|()| named("a slice's value", v, NAME_BYTES_MAX))
    })
}

fn label(l: &Label, now: Timestamp) -> Result<(), String> {
    named("id", &l.id, ID_BYTES_MAX)?;
    timely(l.time, now)?;
    if l.label.is_null() || l.label.is_array() || l.label.is_object() {
        return Err("a label is a number, a text or a truth value; a missing one is not sent".to_owned());
    }
    Ok(())
}
