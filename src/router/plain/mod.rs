//! Plain requests: whole and small, with a plain answer. Nearly all are, and they cost most where a library has to be ready
//! for every other: here they go from one connection to the other as the bytes they are, under the same rules.
//!
//! What is not plain is left to hyper, with all that was read of it: chunks, upgrades, long bodies, other versions of HTTP,
//! and everything that is wrong or that this does not understand. So nothing is decided twice: a message is either read
//! here to its end, or hyper reads it from its beginning.

mod buffer;
mod caller;
mod exchange;
mod head;
mod rest;
mod write;

use std::sync::Arc;

use futures::FutureExt;
use http_body_util::{BodyExt, Either};
use hyper::header::HeaderValue;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use self::caller::Caller;
use self::exchange::Sending;
use self::head::Seen;
pub use self::rest::{Again, Begun, Rest};
use self::write::Towards;
use super::client::{Client, Open};
use super::failed::{Failed, repeats};
use super::passing::Answer;
use super::proxy::{admit, named};
use super::tap::BODY_BYTES_MAX;
use super::told::{PREDICTION, Told};
use super::{asked, key};
use crate::base::Timestamp;
use crate::base::clock::{Clock, SystemClock};

/// Bytes of memory that a connection keeps for what it writes next.
const OUT_KEPT: usize = 8 << 10;

/// A client's connection while it carries plain requests.
struct Line<I> {
    caller: Caller<I>,
    client: Arc<Client>,
    /// What is to be written next.
    out: Vec<u8>,
}

/// How a connection goes on after a request.
enum Turn {
    Next,
    End,
    /// Hyper goes on.
    Odd(Option<Box<Begun>>),
}

/// The next request as far as it was read.
enum Look {
    /// It is worth looking again when so many bytes are there.
    Part(usize),
    Odd,
    /// The router answers itself; the request has so many bytes.
    Refused {
        answer: Answer,
        whole: usize,
    },
    Plain(Sending),
}

/// Serves a connection until it ends, or until there is something that is not plain.
pub async fn serve<I>(io: I, client: &Arc<Client>) -> Option<Rest<I>>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let mut line = Line { caller: Caller::new(io), client: client.clone(), out: Vec::new() };
    loop {
        match line.turn().await {
            Turn::Next => {}
            Turn::End => return None,
            Turn::Odd(begun) => {
                let io = Again::new(line.caller.read.data(), line.caller.io);
                return Some(Rest { io, begun });
            }
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Line<I> {
    /// One request.
    async fn turn(&mut self) -> Turn {
        let mut begun = None;
        loop {
            match self.look(&mut begun) {
                Look::Plain(sending) => return self.exchange(sending).await,
                Look::Odd => return Turn::Odd(None),
                Look::Refused { answer, whole } => return self.refuse(answer, whole).await,
                Look::Part(wanted) => {
                    while self.caller.read.data().len() < wanted {
                        match self.caller.fill().await {
                            Ok(0) if !self.caller.read.is_empty() => return Turn::Odd(None),
                            Ok(0) | Err(_) => return Turn::End,
                            Ok(_) => {}
                        }
                    }
                }
            }
        }
    }

    /// A request counts as open from the moment its head is there.
    fn look(&mut self, begun: &mut Option<(Open, Timestamp)>) -> Look {
        let bytes = self.caller.read.data();
        if bytes.is_empty() {
            return Look::Part(1);
        }
        let mut place = head::place();
        let request = match head::request(bytes, &mut place, self.client.state.headers_max()) {
            Seen::Plain(request) if request.body <= BODY_BYTES_MAX => request,
            Seen::Part => return Look::Part(bytes.len() + 1),
            _ => return Look::Odd,
        };
        let whole = request.length + request.body;
        let (service, skip) = named(&self.client, request.path);
        let (open, came) = match begun.take() {
            Some(begun) => begun,
            None => match admit(&self.client.state, service) {
                Ok(live) => (Open::new(&self.client, live, false), SystemClock.now()),
                // A client is answered when it has said all.
                Err(answer) if bytes.len() >= whole => return Look::Refused { answer, whole },
                Err(_) => return Look::Odd,
            },
        };
        let route = &open.live.route;
        if request.body as u64 > route.limits.body_bytes_max || (route.shadow && route.candidate.is_some()) {
            return Look::Odd;
        }
        let Some(body) = bytes.get(request.length..whole) else {
            *begun = Some((open, came));
            return Look::Part(whole);
        };
        let given = request.headers().find(|(name, _)| name.eq_ignore_ascii_case(PREDICTION.as_str()));
        let id = asked::id(given.and_then(|(_, id)| HeaderValue::from_bytes(id).ok()), came);
        let key = key::of(&route.key, request.headers(), Some(body));
        let candidate = key::is_candidate(route, key.as_deref(), id.as_bytes());
        let repeats = repeats(request.method, &route.limits);
        let told = Told::new(open, candidate, id, came);
        let Some(upstream) = self.client.state.upstreams.pick(&told.arm().upstreams).cloned() else {
            return Look::Refused { answer: told.failed(Failed::NoAddress), whole };
        };
        if upstream.is_odd(came) {
            return Look::Odd;
        }
        let to = Towards {
            host: upstream.host.as_bytes(),
            prefix: &upstream.prefix,
            path: request.path.get(skip..).unwrap_or_default(),
            version: told.arm().header.as_bytes(),
            id: told.id.as_bytes(),
        };
        self.out.clear();
        request.write(&to, &mut self.out);
        self.out.extend_from_slice(body);
        Look::Plain(Sending { told, upstream, head: request.length, whole, repeats })
    }

    /// Answers for the router a request of `whole` bytes.
    async fn refuse(&mut self, answer: Answer, whole: usize) -> Turn {
        // Whoever is refused has asked, too.
        self.client.waits();
        self.caller.read.consume(whole);
        let (parts, body) = answer.into_parts();
        let body = match body {
            Either::Left(mut body) => body.frame().now_or_never().flatten(),
            // The router's own answers are there when they begin.
            Either::Right(_) => None,
        };
        let body = body.and_then(|frame| frame.ok()?.into_data().ok()).unwrap_or_default();
        let closes = self.client.state.is_stopping();
        self.out.clear();
        write::own(&parts, body.len(), closes, &mut self.out);
        self.out.extend_from_slice(&body);
        self.reply(closes).await
    }

    /// Writes what is to be written to the client, who may have been told that it is the last.
    async fn reply(&mut self, closes: bool) -> Turn {
        if self.caller.write(&self.out).await.is_err() {
            return Turn::End;
        }
        self.caller.read.shrink();
        if self.out.capacity() > OUT_KEPT {
            self.out = Vec::new();
        }
        if closes {
            // The client may have gone first.
            let _ = self.caller.io.shutdown().await;
            return Turn::End;
        }
        Turn::Next
    }
}
