//! Requests and their answers on their way to the agent, which makes prediction events of them: a bounded queue that never
//! delays a request and counts what it drops.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hyper::body::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::bell::Bell;
use super::rows;
use super::waiting::{About, Raw, Waiting};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::capability::monitoring::{Prediction, Score};
use crate::capability::rollout::{Answers, Protocol};

/// Bytes of a request or answer that is looked at.
pub const BODY_BYTES_MAX: usize = 64 << 10;
/// Bytes of one batch, but for its last request.
const BATCH_BYTES_MAX: usize = 8 << 20;

#[derive(Default)]
pub struct Tap {
    waiting: Mutex<Waiting>,
    /// As of the last request that was given or taken.
    full: AtomicBool,
    dropped: AtomicU64,
    kept: AtomicU64,
    out: Mutex<Out>,
    bell: Bell,
}

/// What was given and not yet acknowledged.
#[derive(Default)]
struct Out {
    sequence: u64,
    /// Nothing behind its sequence number when nothing waits.
    batch: Bytes,
}

/// Bytes of a sequence number.
const SEQUENCE: usize = size_of::<u64>();

/// What stands before the two bodies of a request in a batch.
#[derive(Serialize, Deserialize)]
struct Head<'a> {
    service: &'a str,
    model: &'a str,
    protocol: Protocol,
    answers: Answers,
    #[serde(borrow)]
    slices: Vec<&'a str>,
    version: u32,
    id: &'a str,
    came: Timestamp,
    latency_ms: f64,
}

fn write(raw: &Raw<'_>, to: &mut Vec<u8>) {
    let route = &raw.about.live.route;
    let head = Head {
        service: &route.service,
        model: &route.model,
        protocol: route.protocol,
        answers: route.answers,
        slices: route.slices.iter().map(String::as_str).collect(),
        version: raw.about.version,
        id: std::str::from_utf8(raw.id).unwrap_or_default(),
        came: raw.about.came,
        latency_ms: raw.about.latency_ms,
    };
    // Plain fields: this cannot fail.
    let head = serde_json::to_vec(&head).unwrap_or_default();
    for part in [&head[..], raw.request, raw.answer] {
        to.extend_from_slice(&u32::try_from(part.len()).unwrap_or_default().to_le_bytes());
        to.extend_from_slice(part);
    }
}

impl Tap {
    /// Whether another request would be dropped, as far as can be told without waiting.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// `parts` are the id, the request's body and the answer's.
    pub fn give(&self, about: About, parts: [&[u8]; 3]) {
        let mut waiting = self.waiting();
        if waiting.is_full() {
            drop(waiting);
            self.drop_some(1);
        } else {
            waiting.push(about, parts);
            self.full.store(waiting.is_full(), Ordering::Relaxed);
            self.kept.fetch_add(1, Ordering::Relaxed);
            drop(waiting);
            self.bell.ring();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests that could not be looked at.
    pub fn drop_some(&self, n: u64) {
        self.dropped.fetch_add(n, Ordering::Relaxed);
    }

    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub fn kept(&self) -> u64 {
        self.kept.load(Ordering::Relaxed)
    }

    /// Lets go of what waits: nobody will ask this router for it. Answers how many requests that were.
    pub fn forget(&self) -> u64 {
        let mut waiting = self.waiting();
        self.full.store(false, Ordering::Relaxed);
        waiting.clear() as u64
    }

    /// The oldest requests that came after the batch `after`, which has arrived and is forgotten: a sequence number of
    /// eight bytes, then head, request and answer of each, with its length before each of them. [`read`] reads it.
    pub fn take(&self, after: u64, requests_most: usize) -> Bytes {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if after >= out.sequence || out.batch.len() <= SEQUENCE {
            let mut batch = self.oldest(requests_most);
            out.sequence = out.sequence.max(after) + u64::from(batch.len() > SEQUENCE);
            batch[..SEQUENCE].copy_from_slice(&out.sequence.to_le_bytes());
            out.batch = batch.into();
        }
        out.batch.clone()
    }

    /// Resolves once [`Self::take`] has something.
    pub async fn filled(&self, after: u64) {
        self.bell
            .wait(|| {
                let out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
                let waits = after < out.sequence && out.batch.len() > SEQUENCE;
                waits || !self.waiting().is_empty()
            })
            .await;
    }

    /// A batch that has no sequence number yet. Requests go on giving meanwhile: the lock is taken for a few at a time.
    fn oldest(&self, most: usize) -> Vec<u8> {
        const AT_ONCE: usize = 32;
        let mut batch = vec![0; SEQUENCE];
        let mut left = most;
        while left > 0 && batch.len() < BATCH_BYTES_MAX {
            let mut waiting = self.waiting();
            if waiting.is_empty() {
                break;
            }
            for _ in 0..left.min(AT_ONCE) {
                waiting.pop(|raw| write(&raw, &mut batch));
            }
            self.full.store(waiting.is_full(), Ordering::Relaxed);
            left -= left.min(AT_ONCE);
        }
        batch
    }
}

/// A batch as it is understood.
#[derive(Debug, Default)]
pub struct Taken {
    pub sequence: u64,
    pub requests: usize,
    pub events: Vec<Prediction>,
    /// Requests that are not what their service's protocol says.
    pub unreadable: u64,
}

/// Makes events of a batch.
///
/// # Errors
/// `Unavailable` for a batch that breaks off.
pub fn read(batch: &[u8]) -> Result<Taken> {
    let broken = || Fault::unavailable("the router's events break off");
    let (sequence, mut rest) = batch.split_first_chunk::<8>().ok_or_else(broken)?;
    let mut taken = Taken { sequence: u64::from_le_bytes(*sequence), ..Taken::default() };
    while !rest.is_empty() {
        let mut part = || -> Option<&[u8]> {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let (part, after) = after.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
            rest = after;
            Some(part)
        };
        let (Some(head), Some(request), Some(answer)) = (part(), part(), part()) else { return Err(broken()) };
        let head: Head<'_> = serde_json::from_slice(head).map_err(|e| broken().why(e.to_string()))?;
        let found = events(&head, request, answer);
        taken.requests += 1;
        taken.unreadable += u64::from(found.is_empty());
        taken.events.extend(found);
    }
    Ok(taken)
}

/// An event a row; none for what cannot be read.
fn events(head: &Head<'_>, request: &[u8], answer: &[u8]) -> Vec<Prediction> {
    let rows = rows::rows(head.protocol, request, answer);
    let many = rows.len() > 1;
    let event = |(i, (features, answer)): (usize, (Map<String, Value>, Value))| {
        let (prediction, score) = said(head.answers, answer);
        let slice = |name: &&str| Some(((*name).to_owned(), text(features.get(*name)?)));
        let slices = head.slices.iter().filter_map(slice).collect();
        Prediction {
            id: if many { format!("{}/{i}", head.id) } else { head.id.to_owned() },
            service: head.service.to_owned(),
            model: Some(head.model.to_owned()),
            version: Some(head.version.to_string()),
            time: Some(head.came),
            slices,
            features,
            prediction,
            score,
            latency_ms: Some(head.latency_ms),
            error: None,
            batch: None,
            usage: None,
        }
    };
    rows.into_iter().enumerate().map(event).collect()
}

/// What was predicted, and with which probability where that is what is answered.
fn said(answers: Answers, answer: Value) -> (Value, Option<Score>) {
    match (answers, answer.as_f64()) {
        (Answers::Scores, Some(p)) if (0.0..=1.0).contains(&p) => {
            (Value::from(u8::from(p >= 0.5)), Some(Score::Positive(p)))
        }
        _ => (answer, None),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::router::live::Live;
    use crate::router::upstream::Upstreams;
    use crate::router::waiting::EVENTS_MAX as QUEUE_EVENTS_MAX;
    use serde_json::json;

    #[test]
    fn a_full_queue_drops_and_counts_and_a_batch_is_given_until_it_has_arrived() {
        let route = serde_json::from_value(json!({
            "service": "s", "model": "m", "protocol": "json", "key": "none", "salt": "",
            "stable": {"version": 1, "urls": []}, "weight": 0
        }));
        let live = Arc::new(Live::new(route.unwrap(), &Upstreams::default()));
        let about = || About { live: live.clone(), version: 1, came: Timestamp(0), latency_ms: 1.0 };
        let give = |tap: &Tap, request: &str| tap.give(about(), [b"i", request.as_bytes(), b"{\"p\": 1}"]);
        let tap = Tap::default();
        assert_eq!(read(&tap.take(0, 10)).unwrap().sequence, 0, "nothing yet");
        give(&tap, "no json");
        (0..QUEUE_EVENTS_MAX + 2).for_each(|_| give(&tap, "{\"a\": 1}"));
        assert_eq!((tap.dropped(), tap.kept()), (3, QUEUE_EVENTS_MAX as u64));
        let first = read(&tap.take(0, 10)).unwrap();
        assert_eq!((first.sequence, first.requests, first.events.len(), first.unreadable), (1, 10, 9, 1));
        assert_eq!((first.events[0].features["a"].as_i64(), first.events[0].version.as_deref()), (Some(1), Some("1")));
        let again = read(&tap.take(0, usize::MAX)).unwrap();
        assert_eq!((again.sequence, again.requests), (1, 10), "it has not arrived");
        let second = read(&tap.take(1, 20_000)).unwrap();
        assert_eq!((second.sequence, second.requests), (2, 20_000));
        let (mut arrived, mut left) = (2, QUEUE_EVENTS_MAX - 10 - 20_000);
        while left > 0 {
            let next = read(&tap.take(arrived, usize::MAX)).unwrap();
            assert!(next.sequence == arrived + 1 && (1..=left).contains(&next.requests), "by its bytes");
            (arrived, left) = (next.sequence, left - next.requests);
        }
        assert_eq!(read(&tap.take(arrived, 10)).unwrap().events.len(), 0);
        // Another agent does not know how far the one before was.
        give(&tap, "{\"a\": 1}");
        let last = read(&tap.take(0, 10)).unwrap();
        assert_eq!((last.sequence, last.requests), (arrived + 1, 1));
        assert!(read(&[0; 12]).is_err(), "no head");
        assert!(read(b"short").is_err());
    }
}
