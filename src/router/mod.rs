//! The data plane: a process of its own that sends each request to the version that serves its caller. It holds an
//! immutable table, swaps it whole, keeps it on disk, and serves on when the agent or the store is gone.

mod control;
mod counters;
mod key;
mod passing;
mod pool;
mod proxy;
mod rows;
mod state;
pub mod tap;
mod told;
mod upstream;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::base::{Fault, fault::Result};
use crate::capability::rollout::RouteTable;
use passing::Open;
use state::State;

/// How long a client may take to send its headers.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(15);
/// Headers of a request.
const HEADERS_MAX: usize = 200;
/// How long open requests may take to end once the router was asked to stop.
const DRAIN: Duration = Duration::from_secs(30);
/// How long clients that ask nothing stay connected then: the answer to their next request tells them to go.
const LINGER: Duration = Duration::from_millis(300);

/// How a router is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// `HOST:PORT`; port 0 picks a free one.
    pub listen: String,
    /// Its folder: socket, table and journal.
    pub folder: PathBuf,
    /// Serves by this at first, unless a newer one lies in the folder.
    pub table: Option<RouteTable>,
    /// Threads that carry requests; a core each unless it is said.
    pub workers: Option<usize>,
}

/// A router that listens.
pub struct Router {
    state: Arc<State>,
    listener: TcpListener,
    control: tokio::net::UnixListener,
    workers: usize,
}

impl Router {
    /// # Errors
    /// `Unavailable` when the address or the folder cannot be had, or another router runs in that folder.
    pub async fn start(options: Options) -> Result<Self> {
        let listener = TcpListener::bind(&options.listen).await.map_err(|e| {
            Fault::unavailable(format!("cannot listen on {}", options.listen))
                .why(e.to_string())
                .next("choose another address with --listen, port 0 picks a free one")
        })?;
        let address = listener.local_addr().map_err(|e| Fault::bug("no address").why(e.to_string()))?;
        let control = control::bind(&options.folder).await?;
        let state = State::open(&options.folder, format!("http://{address}"), options.table)?;
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let workers = options.workers.unwrap_or_else(cores).max(1);
        Ok(Self { state: Arc::new(state), listener, control, workers })
    }

    /// `http://HOST:PORT`.
    pub fn address(&self) -> &str {
        self.state.address()
    }

    /// Asks it to end.
    pub fn stopper(&self) -> impl FnOnce() + Send + use<> {
        let state = self.state.clone();
        move || state.stop()
    }

    /// Serves until it is asked to end, then lets open requests finish. Each worker is a thread with a runtime and
    /// connections of its own.
    pub async fn run(self) {
        let Self { state, listener, control, workers } = self;
        let tasks =
            [tokio::spawn(control::serve(control, state.clone())), tokio::spawn(upstream::check_health(state.clone()))];
        let workers = match listener.into_std() {
            Ok(listener) => start_workers(workers, &listener, &state),
            Err(e) => {
                tracing::error!("listener: {e}");
                Vec::new()
            }
        };
        state.stopped().await;
        let drained = tokio::task::spawn_blocking(move || workers.into_iter().for_each(|w| drop(w.join()))).await;
        if let Err(e) = drained {
            tracing::warn!("workers: {e}");
        }
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        state.close();
    }
}

fn start_workers(
    workers: usize,
    listener: &std::net::TcpListener,
    state: &Arc<State>,
) -> Vec<std::thread::JoinHandle<()>> {
    let start = |number: usize| {
        let (listener, state) = (listener.try_clone()?, state.clone());
        std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            pool::become_worker(number);
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(work(listener, state)),
                Err(e) => tracing::error!("worker {number}: {e}"),
            }
        })
    };
    (0..workers)
        .filter_map(|number| start(number).inspect_err(|e| tracing::error!("worker {number}: {e}")).ok())
        .collect()
}

/// Takes connections until the router is asked to end, and stays until its requests have ended.
async fn work(listener: std::net::TcpListener, state: Arc<State>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(e) => return tracing::error!("listener: {e}"),
    };
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => serve(stream, state.clone()),
                // Out of descriptors: those that are open will end.
                Err(e) => {
                    tracing::warn!("accept: {e}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            },
            () = state.stopped() => break,
        }
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, drained(&state)).await.is_err() {
        tracing::warn!("some requests did not end within {} s and were cut off", DRAIN.as_secs());
    }
}

/// Resolves when everybody has gone, or nobody asks anything any more.
async fn drained(state: &State) {
    const TICK: Duration = Duration::from_millis(10);
    let mut quiet = Duration::ZERO;
    while state.connections.load(Ordering::Relaxed) > 0 && quiet < LINGER {
        tokio::time::sleep(TICK).await;
        quiet = if state.requests_open() > 0 { Duration::ZERO } else { quiet + TICK };
    }
}

fn serve(stream: tokio::net::TcpStream, state: Arc<State>) {
    if let Err(e) = stream.set_nodelay(true) {
        tracing::debug!("nodelay: {e}");
    }
    tokio::spawn(async move {
        let _connected = Open::of(&state.connections);
        let service = service_fn(move |request| {
            let state = state.clone();
            async move { Ok::<_, std::convert::Infallible>(proxy::answer(&state, request).await) }
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEADERS_TIMEOUT).max_headers(HEADERS_MAX);
        if let Err(e) = builder.serve_connection(TokioIo::new(stream), service).await {
            tracing::debug!("connection: {e}");
        }
    });
}
