//! Requests and answers that wait for the agent, in pieces of memory that are used again: a place of its own for each of
//! them would be taken by one thread and given back by another, thousands of times a second.

use std::collections::VecDeque;
use std::sync::Arc;

use super::live::Live;
use crate::base::Timestamp;

/// Requests that may wait.
pub const EVENTS_MAX: usize = 50_000;
/// Bytes of all that wait.
const BYTES_MAX: usize = 64 << 20;
/// Bytes of a piece, unless one request needs more.
const PIECE_BYTES: usize = 256 << 10;
/// Empty pieces that wait for their next use.
const SPARE_MAX: usize = 8;

/// What is known of a request besides what was said.
pub struct About {
    pub live: Arc<Live>,
    pub version: u32,
    pub came: Timestamp,
    pub latency_ms: f64,
}

/// A request and its answer as they were: reading them would cost the request time.
pub struct Raw<'a> {
    pub about: &'a About,
    pub id: &'a [u8],
    pub request: &'a [u8],
    pub answer: &'a [u8],
}

#[derive(Default)]
struct Piece {
    text: Vec<u8>,
    /// With the ends of id, request and answer in the text.
    events: VecDeque<(About, [usize; 3])>,
    /// Where the oldest begins.
    begin: usize,
}

impl Piece {
    fn clear(&mut self) {
        self.text.clear();
        self.events.clear();
        self.begin = 0;
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.text.len() + bytes <= self.text.capacity()
    }
}

/// The queue; oldest first.
#[derive(Default)]
pub struct Waiting {
    pieces: VecDeque<Piece>,
    spare: Vec<Piece>,
    events: usize,
    bytes: usize,
}

impl Waiting {
    pub fn is_empty(&self) -> bool {
        self.events == 0
    }

    pub fn is_full(&self) -> bool {
        self.events >= EVENTS_MAX || self.bytes >= BYTES_MAX
    }

    /// `parts` are the id, the request's body and the answer's.
    pub fn push(&mut self, about: About, parts: [&[u8]; 3]) {
        let bytes = parts.iter().map(|part| part.len()).sum();
        if !self.pieces.back().is_some_and(|piece| piece.has_room(bytes)) {
            let mut piece = self.spare.pop().unwrap_or_default();
            piece.text.reserve(bytes.max(PIECE_BYTES));
            self.pieces.push_back(piece);
        }
        let Some(piece) = self.pieces.back_mut() else { return };
        let ends = parts.map(|part| {
            piece.text.extend_from_slice(part);
            piece.text.len()
        });
        piece.events.push_back((about, ends));
        self.events += 1;
        self.bytes += bytes;
    }

    /// Hands over the oldest one.
    pub fn pop(&mut self, to: impl FnOnce(Raw<'_>)) {
        let Some(piece) = self.pieces.front_mut() else { return };
        if let Some((about, [id, request, answer])) = piece.events.pop_front() {
            let (text, begin) = (&piece.text, piece.begin);
            to(Raw {
                about: &about,
                id: &text[begin..id],
                request: &text[id..request],
                answer: &text[request..answer],
            });
            self.events -= 1;
            self.bytes -= answer - begin;
            piece.begin = answer;
        }
        if piece.events.is_empty()
            && let Some(mut empty) = self.pieces.pop_front()
            && self.spare.len() < SPARE_MAX
            && empty.text.capacity() <= PIECE_BYTES
        {
            empty.clear();
            self.spare.push(empty);
        }
    }

    /// Lets go of everything; answers how many there were.
    pub fn clear(&mut self) -> usize {
        std::mem::take(self).events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::upstream::Upstreams;
    use proptest::prelude::*;
    use serde_json::json;

    proptest! {
        #[test]
        fn what_goes_in_comes_out_in_its_order_and_is_no_longer_counted(
            lengths in prop::collection::vec((0_usize..90_000, any::<bool>()), 1..60)
        ) {
            let route = serde_json::from_value(json!({
                "service": "s", "model": "m", "protocol": "json", "key": "none", "salt": "",
                "stable": {"version": 1, "urls": []}, "weight": 0
            }));
            let live = Arc::new(Live::new(route.unwrap(), &Upstreams::default()));
            let mut waiting = Waiting::default();
            let (mut given, mut taken) = (0_u32, 0_u32);
            let body = |n: u32, length: usize| vec![b'a' + (n % 26) as u8; length];
            let mut pop = |waiting: &mut Waiting| {
                waiting.pop(|raw| {
                    let length = lengths[taken as usize].0;
                    assert_eq!(raw.about.version, taken);
                    assert_eq!((raw.id, raw.answer), (&taken.to_string().into_bytes()[..], &b"yes"[..]));
                    assert!(raw.request == body(taken, length));
                    taken += 1;
                });
            };
            for (length, pops) in &lengths {
                let about = About { live: live.clone(), version: given, came: Timestamp(0), latency_ms: 1.0 };
                waiting.push(about, [&given.to_string().into_bytes(), &body(given, *length), b"yes"]);
                given += 1;
                if *pops {
                    pop(&mut waiting);
                }
            }
            while !waiting.is_empty() {
                pop(&mut waiting);
            }
            assert_eq!((given, waiting.bytes), (taken, 0));
            assert!(waiting.pieces.is_empty() && waiting.spare.len() <= SPARE_MAX);
        }
    }
}
