//! Requests and their answers on their way to the agent, which makes prediction events of them: a bounded queue that never
//! delays a request and counts what it drops.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::header::HeaderValue;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::bell::Bell;
use super::rows;
use super::state::Live;
use crate::base::{Fault, Timestamp, fault::Result};
use crate::capability::monitoring::{Prediction, Score};
use crate::capability::rollout::{Answers, Protocol};

/// Requests that may wait.
pub const QUEUE_EVENTS_MAX: usize = 50_000;
/// Bytes of all that wait.
const QUEUE_BYTES_MAX: usize = 64 << 20;
/// Bytes of a request or answer that is looked at.
pub const BODY_BYTES_MAX: usize = 64 << 10;
/// Bytes of one batch, but for its last request.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// A request and its answer as they were: reading them would cost the request time.
pub struct Raw {
    pub live: Arc<Live>,
    pub version: u32,
    pub id: HeaderValue,
    pub came: Timestamp,
    pub latency_ms: f64,
    pub request: Box<[u8]>,
    pub answer: Vec<u8>,
}

#[derive(Default)]
pub struct Tap {
    queue: Mutex<Queue>,
    /// As of the last request that was given or taken.
    full: AtomicBool,
    dropped: AtomicU64,
    kept: AtomicU64,
    out: Mutex<Out>,
    bell: Bell,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Raw>,
    bytes: usize,
}

impl Queue {
    fn is_full(&self) -> bool {
        self.waiting.len() >= QUEUE_EVENTS_MAX || self.bytes >= QUEUE_BYTES_MAX
    }
}

/// What was given and not yet acknowledged.
#[derive(Default)]
struct Out {
    sequence: u64,
    batch: Vec<u8>,
}

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

impl Raw {
    fn bytes(&self) -> usize {
        self.request.len() + self.answer.len() + size_of::<Self>()
    }

    fn write(&self, to: &mut Vec<u8>) {
        let route = &self.live.route;
        let head = Head {
            service: &route.service,
            model: &route.model,
            protocol: route.protocol,
            answers: route.answers,
            slices: route.slices.iter().map(String::as_str).collect(),
            version: self.version,
            id: self.id.to_str().unwrap_or_default(),
            came: self.came,
            latency_ms: self.latency_ms,
        };
        // Plain fields: this cannot fail.
        let head = serde_json::to_vec(&head).unwrap_or_default();
        for part in [&head[..], &self.request, &self.answer] {
            to.extend_from_slice(&u32::try_from(part.len()).unwrap_or_default().to_le_bytes());
            to.extend_from_slice(part);
        }
    }
}

impl Tap {
    /// Whether another request would be dropped, as far as can be told without waiting.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    pub fn give(&self, raw: Raw) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.is_full() {
            drop(queue);
            self.drop_some(1);
        } else {
            queue.bytes += raw.bytes();
            queue.waiting.push_back(raw);
            self.full.store(queue.is_full(), Ordering::Relaxed);
            self.kept.fetch_add(1, Ordering::Relaxed);
            drop(queue);
            self.bell.ring();
        }
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
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.bytes = 0;
        self.full.store(false, Ordering::Relaxed);
        std::mem::take(&mut queue.waiting).len() as u64
    }

    /// The oldest requests that came after the batch `after`, which has arrived and is forgotten: a sequence number of
    /// eight bytes, then head, request and answer of each, with its length before each of them. [`read`] reads it.
    pub fn take(&self, after: u64, requests_most: usize) -> Vec<u8> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if after >= out.sequence || out.batch.is_empty() {
            let taken = self.oldest(requests_most);
            out.sequence = out.sequence.max(after) + u64::from(!taken.is_empty());
            out.batch = Vec::with_capacity(taken.iter().map(|raw| raw.bytes() + 64).sum::<usize>());
            taken.iter().for_each(|raw| raw.write(&mut out.batch));
        }
        [&out.sequence.to_le_bytes()[..], &out.batch].concat()
    }

    /// Resolves once [`Self::take`] has something.
    pub async fn filled(&self, after: u64) {
        self.bell
            .wait(|| {
                let out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
                let waits = after < out.sequence && !out.batch.is_empty();
                waits || !self.queue.lock().unwrap_or_else(PoisonError::into_inner).waiting.is_empty()
            })
            .await;
    }

    fn oldest(&self, most: usize) -> Vec<Raw> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < most && bytes < BATCH_BYTES_MAX {
            let Some(raw) = queue.waiting.pop_front() else { break };
            bytes += raw.bytes();
            taken.push(raw);
        }
        queue.bytes -= bytes;
        self.full.store(queue.is_full(), Ordering::Relaxed);
        taken
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
    use crate::router::upstream::Upstreams;
    use serde_json::json;

    #[test]
    fn a_full_queue_drops_and_counts_and_a_batch_is_given_until_it_has_arrived() {
        let route = serde_json::from_value(json!({
            "service": "s", "model": "m", "protocol": "json", "key": "none", "salt": "",
            "stable": {"version": 1, "urls": []}, "weight": 0
        }));
        let live = Arc::new(Live::new(route.unwrap(), &Upstreams::default()));
        let raw = |request: &'static str| Raw {
            live: live.clone(),
            version: 1,
            id: HeaderValue::from_static("i"),
            came: Timestamp(0),
            latency_ms: 1.0,
            request: request.as_bytes().into(),
            answer: b"{\"p\": 1}".to_vec(),
        };
        let tap = Tap::default();
        assert_eq!(read(&tap.take(0, 10)).unwrap().sequence, 0, "nothing yet");
        tap.give(raw("no json"));
        (0..QUEUE_EVENTS_MAX + 2).for_each(|_| tap.give(raw("{\"a\": 1}")));
        assert_eq!((tap.dropped(), tap.kept()), (3, QUEUE_EVENTS_MAX as u64));
        let first = read(&tap.take(0, 10)).unwrap();
        assert_eq!((first.sequence, first.requests, first.events.len(), first.unreadable), (1, 10, 9, 1));
        assert_eq!((first.events[0].features["a"].as_i64(), first.events[0].version.as_deref()), (Some(1), Some("1")));
        let again = read(&tap.take(0, usize::MAX)).unwrap();
        assert_eq!((again.sequence, again.requests), (1, 10), "it has not arrived");
        let second = read(&tap.take(1, usize::MAX)).unwrap();
        assert_eq!((second.sequence, second.requests), (2, QUEUE_EVENTS_MAX - 10));
        assert_eq!(read(&tap.take(2, 10)).unwrap().events.len(), 0);
        // Another agent does not know how far the one before was.
        tap.give(raw("{\"a\": 1}"));
        let third = read(&tap.take(0, 10)).unwrap();
        assert_eq!((third.sequence, third.requests), (3, 1));
        assert!(read(&[0; 12]).is_err(), "no head");
        assert!(read(b"short").is_err());
    }
}
