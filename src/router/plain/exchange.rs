//! A plain request on its way to its model server, and the answer on its way back.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::buffer::Buffer;
use super::caller::{self, Term};
use super::head::{self, Seen};
use super::rest::{Begun, Sent};
use super::write::Marks;
use super::{Line, Turn};
use crate::base::clock::Stopwatch;
use crate::router::asked::Gone;
use crate::router::failed::Failed;
use crate::router::pool::{self, NoConnection, is_open};
use crate::router::tap::BODY_BYTES_MAX;
use crate::router::told::Told;
use crate::router::upstream::Upstream;

/// A request that is to be sent; its bytes are still with its caller.
pub struct Sending {
    pub told: Told,
    pub upstream: Arc<Upstream>,
    /// Bytes of its head, and of all of it.
    pub head: usize,
    pub whole: usize,
    /// It may be sent again when its connection breaks before anything of an answer came.
    pub repeats: bool,
}

impl Sending {
    /// Leaves it and its answer to the tap. `bytes` begin with the request.
    fn tell(&self, bytes: &[u8], answer: Option<&[u8]>, latency_ms: f64) {
        self.told.tell(bytes.get(self.head..self.whole), answer, latency_ms);
    }
}

/// A connection to a model server, and what was read from it.
struct Server {
    io: TcpStream,
    read: Buffer,
}

/// What came back.
enum Came {
    Answer(Server, Answer),
    /// Something that is not plain, or breaks off.
    Odd(Server),
    Nothing(Failed),
    ClientLeft,
}

/// An answer whose head was written out for the client.
struct Answer {
    status: StatusCode,
    /// Bytes of its head as it came.
    head: usize,
    /// Bytes of its body.
    body: u64,
    /// The connection is not used again.
    is_last: bool,
    /// The client was told that its connection ends.
    closes: bool,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Line<I> {
    /// Sends the request and passes its answer on.
    pub async fn exchange(&mut self, sending: Sending) -> Turn {
        let timeout = Duration::from_millis(sending.told.open.live.route.limits.timeout_ms);
        let watch = Stopwatch::start();
        let mut fresh = false;
        loop {
            let connected = self.connection(&sending, fresh).await;
            let term = Term { since: Stopwatch::start(), timeout };
            let came = match connected {
                Ok(Ok(io)) => self.ask(Server { io, read: Buffer::default() }, &sending.told, &term).await,
                Ok(Err(why)) => Came::Nothing(Failed::Broke(why)),
                Err(gone) => gone.into(),
            };
            match came {
                Came::Answer(server, answer) => {
                    let latency_ms = watch.elapsed().as_secs_f64() * 1e3;
                    sending.upstream.worked();
                    sending.told.count(answer.status.is_server_error(), Some(latency_ms));
                    return self.pass(server, answer, sending, latency_ms).await;
                }
                Came::Odd(server) => return self.leave(server, sending, watch, term.since, fresh).await,
                Came::ClientLeft => return Turn::End,
                Came::Nothing(Failed::Closed) if !fresh => {}
                Came::Nothing(Failed::Broke(_)) if !fresh && sending.repeats => {}
                Came::Nothing(failed) => {
                    sending.upstream.failed();
                    return self.refuse(sending.told.failed(failed), sending.whole).await;
                }
            }
            fresh = true;
        }
    }

    /// An idle connection, if `fresh` is not asked for, else a new one.
    async fn connection(
        &mut self,
        sending: &Sending,
        fresh: bool,
    ) -> Result<Result<TcpStream, NoConnection>, caller::Gone> {
        let upstream = &sending.upstream;
        if !fresh && let Some(idle) = upstream.pool.plain.take(is_open) {
            return Ok(Ok(idle));
        }
        let connect = Duration::from_millis(sending.told.open.live.route.limits.connect_timeout_ms);
        // Few requests come here: what they need is not a part of every request.
        let mut opening = Box::pin(pool::open(&upstream.authority, connect));
        self.caller.meanwhile(None, |cx| opening.as_mut().poll(cx)).await
    }

    /// Sends what is to be sent, and reads until an answer's head is there, which is to be sent then.
    async fn ask(&mut self, mut server: Server, told: &Told, term: &Term) -> Came {
        let mut sent = 0;
        while sent < self.out.len() {
            let rest = &self.out[sent..];
            match self.caller.meanwhile(Some(term), |cx| Pin::new(&mut server.io).poll_write(cx, rest)).await {
                Ok(Ok(n)) => sent += n,
                Ok(Err(_)) if sent == 0 => return Came::Nothing(Failed::Closed),
                // It may have answered before it closed.
                Ok(Err(_)) => break,
                Err(gone) => return gone.into(),
            }
        }
        loop {
            match self.caller.meanwhile(Some(term), |cx| server.read.poll_fill(cx, &mut server.io)).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(_)) if server.read.is_empty() => {
                    return Came::Nothing(Failed::Broke("it closed the connection".to_owned()));
                }
                Ok(Err(e)) if server.read.is_empty() => return Came::Nothing(Failed::Broke(e.to_string())),
                Ok(_) => return Came::Odd(server),
                Err(gone) => return gone.into(),
            }
            match self.look_at_answer(server.read.data(), told) {
                Seen::Part => {}
                Seen::Odd => return Came::Odd(server),
                Seen::Plain(answer) => return Came::Answer(server, answer),
            }
        }
    }

    /// Writes its head as soon as it is there.
    fn look_at_answer(&mut self, bytes: &[u8], told: &Told) -> Seen<Answer> {
        let mut place = head::place();
        let answer = match head::answer(bytes, &mut place) {
            Seen::Plain(answer) => answer,
            Seen::Part => return Seen::Part,
            Seen::Odd => return Seen::Odd,
        };
        let Ok(status) = StatusCode::from_u16(answer.status) else { return Seen::Odd };
        let marks = Marks {
            model: told.open.live.model.as_bytes(),
            version: told.arm().header.as_bytes(),
            id: told.id.as_bytes(),
            closes: self.client.state.is_stopping(),
        };
        self.out.clear();
        answer.write(&marks, &mut self.out);
        Seen::Plain(Answer {
            status,
            head: answer.length,
            body: answer.body,
            is_last: answer.is_last,
            closes: marks.closes,
        })
    }

    /// Passes on a body: with its head where all of it is there, else as it comes.
    async fn pass(&mut self, mut server: Server, answer: Answer, sending: Sending, latency_ms: f64) -> Turn {
        server.read.consume(answer.head);
        let is_event = sending.told.is_event(answer.status);
        let looks = is_event && !self.client.state.tap.is_full();
        let body = usize::try_from(answer.body).ok().and_then(|length| server.read.data().get(..length));
        if let Some(body) = body {
            if is_event {
                sending.tell(self.caller.read.data(), looks.then_some(body), latency_ms);
            }
            self.out.extend_from_slice(body);
            let length = body.len();
            server.read.consume(length);
        } else {
            let mut kept = (looks && answer.body <= BODY_BYTES_MAX as u64).then(Vec::new);
            if self.stream(&mut server, answer.body, &mut kept).await.is_none() {
                return Turn::End;
            }
            if is_event {
                sending.tell(self.caller.read.data(), kept.as_deref(), latency_ms);
            }
        }
        if !answer.is_last && server.read.is_empty() {
            sending.upstream.pool.plain.give_back(server.io);
        }
        self.caller.read.consume(sending.whole);
        drop(server.read);
        let turn = self.reply(answer.closes).await;
        // The request is no longer open, and the client's time to ask again begins.
        drop(sending);
        turn
    }

    /// Passes on a body of so many bytes as it comes; its last piece is to be written then. `None` when it breaks off or
    /// nobody listens: the client sees it cut.
    async fn stream(&mut self, server: &mut Server, mut left: u64, kept: &mut Option<Vec<u8>>) -> Option<()> {
        server.read.expect(left);
        loop {
            let there = server.read.data();
            let piece = &there[..usize::try_from(left).map_or(there.len(), |left| left.min(there.len()))];
            self.out.extend_from_slice(piece);
            kept.iter_mut().for_each(|kept| kept.extend_from_slice(piece));
            let length = piece.len();
            server.read.consume(length);
            left -= length as u64;
            if left == 0 {
                return Some(());
            }
            self.caller.write(&self.out).await.ok()?;
            self.out.clear();
            let more = self.caller.meanwhile(None, |cx| server.read.poll_fill(cx, &mut server.io)).await;
            if !matches!(more, Ok(Ok(1..))) {
                return None;
            }
        }
    }

    /// Leaves a request to hyper whose answer it is to read.
    async fn leave(
        &mut self,
        server: Server,
        sending: Sending,
        watch: Stopwatch,
        since: Stopwatch,
        fresh: bool,
    ) -> Turn {
        sending.upstream.answered_oddly();
        match pool::drive(Sent::new(server.read.data(), server.io)).await {
            Ok(connection) => {
                let Sending { told, upstream, .. } = sending;
                let Told { open, id, came, .. } = told;
                let gone = Gone { upstream, connection, watch, since, fresh };
                Turn::Odd(Some(Box::new(Begun { open, id, came, gone })))
            }
            Err(why) => self.refuse(sending.told.failed(Failed::Broke(why)), sending.whole).await,
        }
    }
}

impl From<caller::Gone> for Came {
    fn from(gone: caller::Gone) -> Self {
        match gone {
            caller::Gone::Client => Self::ClientLeft,
            caller::Gone::Late => Self::Nothing(Failed::Late),
        }
    }
}
