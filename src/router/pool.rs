//! Connections to one address, kept open between requests. A connection serves one request at a time; the newest idle one
//! is used first, so that those that are not needed grow old and are closed by their server.

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{Either, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
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

/// Idle connections, kept by worker.
pub struct Idle<T>([Mutex<Vec<T>>; WORKERS]);

impl<T> Default for Idle<T> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl<T> Idle<T> {
    fn mine(&self) -> MutexGuard<'_, Vec<T>> {
        self.0[worker()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest that is still open; those that are not are forgotten.
    pub fn take(&self, is_open: impl Fn(&T) -> bool) -> Option<T> {
        let mut idle = self.mine();
        while let Some(connection) = idle.pop() {
            if is_open(&connection) {
                return Some(connection);
            }
        }
        None
    }

    /// The answer was read to its end.
    pub fn give_back(&self, connection: T) {
        let mut idle = self.mine();
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
    }

    /// Forgets those that are no longer open.
    fn sweep(&self, is_open: impl Fn(&T) -> bool) {
        self.mine().retain(is_open);
    }
}

/// Connections to one address.
#[derive(Default)]
pub struct Pool {
    /// Those that hyper drives.
    driven: Idle<SendRequest<Outgoing>>,
    /// Those that plain requests go over.
    pub plain: Idle<TcpStream>,
}

/// Why there is no connection.
pub type NoConnection = String;

impl Pool {
    /// A connection that takes a request: an idle one, if `fresh` is not asked for, else a new one.
    ///
    /// # Errors
    /// Why there is none: nothing was sent.
    pub async fn connection(
        &self,
        authority: &str,
        connect: Duration,
        fresh: bool,
    ) -> Result<SendRequest<Outgoing>, NoConnection> {
        while !fresh && let Some(mut idle) = self.driven.take(|one| !one.is_closed()) {
            // One that was just given back says so in a moment; one that was closed says that. One whose last request was
            // answered before it was sent to its end may take longer: nobody waits for it beyond the time to connect.
            if idle.is_ready() || matches!(tokio::time::timeout(connect, idle.ready()).await, Ok(Ok(()))) {
                return Ok(idle);
            }
        }
        // Few requests come here: what they need is not a part of every request.
        Box::pin(async { drive(open(authority, connect).await?).await }).await
    }

    /// Forgets idle connections that the server has closed.
    pub fn sweep(&self) {
        self.driven.sweep(|one| !one.is_closed());
        self.plain.sweep(is_open);
    }

    /// The answer was read to its end.
    pub fn give_back(&self, connection: SendRequest<Outgoing>) {
        if !connection.is_closed() {
            self.driven.give_back(connection);
        }
    }
}

/// A new connection.
///
/// # Errors
/// Why there is none.
pub async fn open(authority: &str, connect: Duration) -> Result<TcpStream, NoConnection> {
    let stream = match tokio::time::timeout(connect, TcpStream::connect(authority)).await {
        Ok(connected) => connected.map_err(|e| e.to_string())?,
        Err(_) => return Err(format!("no connection within {} ms", connect.as_millis())),
    };
    if let Err(e) = stream.set_nodelay(true) {
        tracing::debug!("nodelay: {e}");
    }
    Ok(stream)
}

/// Whether nothing came over an idle connection: nothing can, but its end.
pub fn is_open(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0]), Err(e) if e.kind() == std::io::ErrorKind::WouldBlock)
}

/// Leaves a connection to hyper.
///
/// # Errors
/// Why it cannot be used.
pub async fn drive<I>(io: I) -> Result<SendRequest<Outgoing>, NoConnection>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) =
        http1::Builder::new().writev(false).handshake(TokioIo::new(io)).await.map_err(|e| e.to_string())?;
    tokio::spawn(async move {
        if let Err(e) = connection.await {
            tracing::debug!("connection to a model server: {e}");
        }
    });
    Ok(sender)
}
