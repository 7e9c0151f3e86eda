//! The threads that carry requests: each has a runtime and connections of its own, and drives both ends of them.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, rt};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::client::{Client, Clients};
use super::plain::{Begun, Rest};
use super::state::State;
use super::{plain, pool, proxy};

/// Between two looks at whether a client of HTTP/2 is still there.
const PING_PERIOD: Duration = Duration::from_secs(15);
/// Headers of a request, where the router is not told otherwise. Up to so many take no memory of their own.
pub const HEADERS_MAX: usize = 100;
/// How long open requests may take to end once the router was asked to stop.
const DRAIN: Duration = Duration::from_secs(30);
/// How long clients that ask nothing stay connected then: the answer to their next request tells them to go.
const LINGER: Duration = Duration::from_millis(300);
/// The same where another router has taken over the address: nobody waits for this one.
const LINGER_HANDED_OVER: Duration = Duration::from_secs(10);

/// A connection that was taken at a service's own address.
pub type Own = (std::net::TcpStream, Arc<str>);

/// The threads, and the way to them.
pub struct Workers {
    pub threads: Vec<std::thread::JoinHandle<()>>,
    pub ways: Vec<mpsc::UnboundedSender<Own>>,
}

impl Workers {
    pub fn start(number: usize, listener: &StdListener, state: &Arc<State>) -> Self {
        let mut all = Self { threads: Vec::new(), ways: Vec::new() };
        for n in 0..number {
            let (way, own) = mpsc::unbounded_channel();
            let (listener, state) = (listener.try_clone(), state.clone());
            let thread = std::thread::Builder::new().name(format!("worker-{n}")).spawn(move || {
                pool::become_worker(n);
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                match runtime.and_then(|runtime| Ok((runtime, listener?))) {
                    Ok((runtime, listener)) => runtime.block_on(work(listener, own, state)),
                    Err(e) => tracing::error!("worker {n}: {e}"),
                }
            });
            match thread {
                Ok(thread) => {
                    all.threads.push(thread);
                    all.ways.push(way);
                }
                Err(e) => tracing::error!("worker {n}: {e}"),
            }
        }
        all
    }
}

/// Takes connections until the router is asked to end, and stays until its requests have ended.
async fn work(listener: StdListener, mut own: mpsc::UnboundedReceiver<Own>, state: Arc<State>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(e) => return tracing::error!("listener: {e}"),
    };
    let clients = Clients::default();
    let taken = |stream: TcpStream, own| {
        let client = Arc::new(Client::new(state.clone(), own));
        clients.serve(client.clone(), serve(stream, client));
    };
    let accepting = async {
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => taken(stream, None),
                    // Out of descriptors: those that are open will end.
                    Err(e) => {
                        tracing::warn!("accept: {e}");
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                },
                Some((stream, service)) = own.recv() => match TcpStream::from_std(stream) {
                    Ok(stream) => taken(stream, Some(service)),
                    Err(e) => tracing::warn!("accept: {e}"),
                },
                () = state.stopped() => break,
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = clients.look(&state) => {}
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, drained(&state)).await.is_err() && state.requests_open() > 0 {
        tracing::warn!("some requests did not end within {} s and were cut off", DRAIN.as_secs());
    }
}

/// Resolves when everybody has gone, or nobody asks anything any more.
async fn drained(state: &State) {
    const TICK: Duration = Duration::from_millis(10);
    let linger = if state.is_handed_over() { LINGER_HANDED_OVER } else { LINGER };
    let mut quiet = Duration::ZERO;
    while state.connections.load(Ordering::Relaxed) > 0 && quiet < linger {
        tokio::time::sleep(TICK).await;
        quiet = if state.requests_open() > 0 { Duration::ZERO } else { quiet + TICK };
    }
}

/// One connection, whatever it speaks.
async fn serve(stream: TcpStream, client: Arc<Client>) {
    if let Err(e) = stream.set_nodelay(true) {
        tracing::debug!("nodelay: {e}");
    }
    let Some(tls) = client.state.tls() else {
        let mut first = [0; 3];
        return match stream.peek(&mut first).await {
            // The preface of HTTP/2 by prior knowledge; no method of HTTP/1.1 begins like this.
            Ok(3) if &first == b"PRI" => http2(TokioIo::new(stream), client).await,
            Ok(_) => http1(stream, client).await,
            Err(_) => {}
        };
    };
    match tls.accept(stream).await {
        Ok(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => http2(TokioIo::new(stream), client).await,
        Ok(stream) => http1(stream, client).await,
        Err(e) => tracing::debug!("encryption: {e}"),
    }
}

async fn http1<I: AsyncRead + AsyncWrite + Unpin>(io: I, client: Arc<Client>) {
    if let Some(Rest { io, begun }) = plain::serve(io, &client).await {
        // Most connections never come here: what it needs is not a part of each.
        Box::pin(driven(TokioIo::new(io), client, begun)).await;
    }
}

/// What is not plain, and all after it.
async fn driven<I: rt::Read + rt::Write + Unpin>(io: I, client: Arc<Client>, begun: Option<Box<Begun>>) {
    let begun = Cell::new(begun);
    let headers_max = client.state.headers_max();
    let service = service_fn(move |request: Request<Incoming>| {
        proxy::answer(client.clone(), request, begun.take()).map(Ok::<_, Infallible>)
    });
    let mut builder = http1::Builder::new();
    // Its own would take a timer for each request; and to copy a small body behind its headers costs less than to hand
    // over a list of two places.
    builder.header_read_timeout(None).writev(false);
    if headers_max != HEADERS_MAX {
        builder.max_headers(headers_max);
    }
    if let Err(e) = builder.serve_connection(io, service).await {
        tracing::debug!("connection: {e}");
    }
}

async fn http2<I: rt::Read + rt::Write + Unpin>(io: I, client: Arc<Client>) {
    client.asks();
    let state = client.state.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        proxy::answer(client.clone(), request, None).map(Ok::<_, Infallible>)
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).keep_alive_interval(PING_PERIOD).max_header_list_size(64 << 10);
    let connection = builder.serve_connection(io, service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = state.stopped() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(e) = ended {
        tracing::debug!("connection: {e}");
    }
}
