//! An answer on its way to the client: counted as open while it lasts, and looked at when it has passed.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use http_body_util::{Either, Full};
use hyper::Response;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::SendRequest;

use super::pool::Outgoing;
use super::tap::BODY_BYTES_MAX;
use super::upstream::Upstream;

/// What the client gets.
pub type Answer = Response<Either<Full<Bytes>, Passing>>;

/// Counts one more while it lives.
pub struct Open(Arc<AtomicU64>);

impl Open {
    pub fn of(count: &Arc<AtomicU64>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What an answer's end is done with; its bytes unless there were too many.
pub type AtEnd = Box<dyn FnOnce(Option<Vec<u8>>) + Send>;

/// An answer on its way, looked at as it passes.
pub struct Passing {
    pub inner: Incoming,
    pub kept: Option<Vec<u8>>,
    pub connection: Option<(Arc<Upstream>, SendRequest<Outgoing>)>,
    pub at_end: Option<AtEnd>,
    pub _open: [Open; 2],
}

impl Passing {
    /// The connection can be used again, and what was read can be looked at.
    pub fn end(&mut self) {
        if let Some((upstream, connection)) = self.connection.take() {
            upstream.pool.give_back(connection);
        }
        if let Some(at_end) = self.at_end.take() {
            at_end(self.kept.take());
        }
    }
}

impl Body for Passing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
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
            // Broken off: the client sees it cut, and the connection is not used again.
            Some(Err(_)) => {}
            None => self.end(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
