//! Connections to one address, kept open between requests. A connection serves one request at a time; the newest idle one
//! is used first, so that those that are not needed grow old and are closed by their server.

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{Either, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What goes to a model server: held whole, or on its way from the client.
pub type Outgoing = Either<Full<Bytes>, Limited<Incoming>>;

/// Idle connections of one worker.
const IDLE_MAX: usize = 256;
/// Workers that have a place of their own; more share.
pub const WORKERS: usize = 32;

thread_local! {
    /// Which worker this thread is. A connection is driven by the worker that opened it, so only that one uses it again:
    /// nothing wakes another thread.
    static WORKER: Cell<usize> = const { Cell::new(0) };
}

/// This thread is a worker from now on.
pub fn become_worker(number: usize) {
    WORKER.set(number % WORKERS);
}

/// Which one it is; 0 for a thread that is none.
pub fn worker() -> usize {
    WORKER.get()
}

#[derive(Default)]
pub struct Pool {
    idle: [Mutex<Vec<SendRequest<Outgoing>>>; WORKERS],
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Failed {
    /// No connection: nothing was sent.
    Connect(String),
    /// The connection was closed before any of the request was taken: it may go over another one.
    Unsent(Box<Request<Outgoing>>),
    /// The request may have arrived.
    Broke(String),
    /// The client's own body broke off, or was longer than allowed.
    Client(String),
}

impl Pool {
    /// Sends a request over an idle connection, if `fresh` is not asked for, else over a new one. The connection comes
    /// back by itself when its answer was read.
    pub async fn send(
        &self,
        authority: &str,
        request: Request<Outgoing>,
        connect: Duration,
        fresh: bool,
    ) -> Result<(Response<Incoming>, SendRequest<Outgoing>), Failed> {
        let mut connection = match self.idle_one().filter(|_| !fresh) {
            Some(connection) => connection,
            None => open(authority, connect).await?,
        };
        if let Err(e) = connection.ready().await {
            return if e.is_closed() || e.is_canceled() {
                Err(Failed::Unsent(Box::new(request)))
            } else {
                Err(Failed::Connect(e.to_string()))
            };
        }
        match connection.try_send_request(request).await {
            Ok(response) => Ok((response, connection)),
            Err(mut failed) => match failed.take_message() {
                Some(request) => Err(Failed::Unsent(Box::new(request))),
                None if failed.error().is_user() => Err(Failed::Client(failed.error().to_string())),
                None => Err(Failed::Broke(failed.error().to_string())),
            },
        }
    }

    fn mine(&self) -> MutexGuard<'_, Vec<SendRequest<Outgoing>>> {
        self.idle[worker()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle_one(&self) -> Option<SendRequest<Outgoing>> {
        let mut idle = self.mine();
        while let Some(connection) = idle.pop() {
            if !connection.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    /// The answer was read to its end.
    pub fn give_back(&self, connection: SendRequest<Outgoing>) {
        if connection.is_closed() {
            return;
        }
        let mut idle = self.mine();
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
    }
}

async fn open(authority: &str, connect: Duration) -> Result<SendRequest<Outgoing>, Failed> {
    let stream = match tokio::time::timeout(connect, TcpStream::connect(authority)).await {
        Ok(connected) => connected.map_err(|e| Failed::Connect(e.to_string()))?,
        Err(_) => return Err(Failed::Connect(format!("no connection within {} ms", connect.as_millis()))),
    };
    if let Err(e) = stream.set_nodelay(true) {
        tracing::debug!("nodelay: {e}");
    }
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|e| Failed::Connect(e.to_string()))?;
    tokio::spawn(async move {
        if let Err(e) = connection.await {
            tracing::debug!("connection to a model server: {e}");
        }
    });
    Ok(sender)
}
