//! An answer on its way to the client, and looked at when it has passed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http_body_util::{Either, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::oneshot;

use super::pool::Outgoing;
use super::tap::BODY_BYTES_MAX;
use super::told::Told;
use super::upstream::Upstream;

/// What the client gets: an answer that is there, or one that is on its way.
pub type Answer = Response<Either<Full<Bytes>, Box<Passing>>>;

/// An answer of the router's own.
pub fn refuse(status: StatusCode, what: &str, next: &str) -> Answer {
    let text = serde_json::json!({ "what": what, "next": next }).to_string();
    let mut answer = Response::new(Either::Left(Full::new(Bytes::from(text))));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// What an answer's end is done with.
pub struct Ending {
    pub told: Told,
    /// The request's body where it was held whole.
    pub request: Option<Bytes>,
    pub upstream: Arc<Upstream>,
    pub connection: SendRequest<Outgoing>,
    /// Whether the answer becomes an event.
    pub is_event: bool,
    /// Whoever compares it with the candidate's.
    pub shadow: Option<oneshot::Sender<Bytes>>,
    pub latency_ms: f64,
}

impl Ending {
    /// Whether somebody wants to see the answer.
    pub fn looks(&self) -> bool {
        self.shadow.is_some() || (self.is_event && !self.told.open.client.state.tap.is_full())
    }

    /// The connection can be used again, and what was read can be looked at; `None` where it was not kept.
    pub fn end(self, answer: Option<&[u8]>) {
        self.upstream.pool.give_back(self.connection);
        if let (Some(shadow), Some(answer)) = (self.shadow, answer) {
            // Nobody listens when the shadow has failed.
            let _ = shadow.send(Bytes::copy_from_slice(answer));
        }
        if self.is_event {
            self.told.tell(self.request.as_deref(), answer, self.latency_ms);
        }
    }
}

type Piece = Result<Frame<Bytes>, hyper::Error>;

/// An answer on its way, looked at as it passes.
pub struct Passing {
    /// What was there when the answer began.
    first: Option<Piece>,
    inner: Incoming,
    kept: Option<Vec<u8>>,
    ending: Option<Ending>,
}

impl Passing {
    /// What nobody will look at is not kept; it counts as dropped at the end.
    pub fn new(first: Option<Piece>, inner: Incoming, ending: Ending) -> Self {
        Self { first, inner, kept: ending.looks().then(Vec::new), ending: Some(ending) }
    }

    fn look(&mut self, piece: &Piece) {
        // Broken off: the client sees it cut, and the connection is not used again.
        let Ok(frame) = piece else { return };
        if let (Some(data), Some(kept)) = (frame.data_ref(), &mut self.kept) {
            kept.extend_from_slice(data);
            if kept.len() > BODY_BYTES_MAX {
                self.kept = None;
            }
        }
        if self.inner.is_end_stream() {
            self.end();
        }
    }

    fn end(&mut self) {
        if let Some(ending) = self.ending.take() {
            ending.end(self.kept.take().as_deref());
        }
    }
}

impl Body for Passing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Piece>> {
        let piece = match self.first.take() {
            Some(first) => Some(first),
            None => ready!(Pin::new(&mut self.inner).poll_frame(cx)),
        };
        match &piece {
            Some(piece) => self.look(piece),
            None => self.end(),
        }
        Poll::Ready(piece)
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().and_then(|piece| piece.as_ref().ok()?.data_ref()).map_or(0, Bytes::len) as u64;
        let rest = self.inner.size_hint();
        let mut all = SizeHint::new();
        all.set_lower(first + rest.lower());
        if let Some(most) = rest.upper() {
            all.set_upper(first + most);
        }
        all
    }
}
