//! The data plane: a process of its own that sends each request to the version that serves its caller. It holds an
//! immutable table, swaps it whole, keeps it on disk, and serves on when the agent or the store is gone.

mod addresses;
mod asked;
mod bell;
mod client;
mod control;
mod counters;
mod failed;
mod handover;
mod key;
mod live;
mod passing;
mod plain;
mod pool;
mod proxy;
mod rows;
mod shadow;
mod state;
pub mod tap;
mod tls;
mod told;
mod upstream;
mod waiting;
mod worker;

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::base::{Fault, fault::Result};
use crate::capability::rollout::RouteTable;
pub use handover::Upgrade;
use state::State;
pub use tls::Files as TlsFiles;
use worker::Workers;

/// Between two looks at the files of the certificate.
const FILES_PERIOD: Duration = Duration::from_secs(5);

/// How a router is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `HOST:PORT`; port 0 picks a free one.
    pub listen: String,
    /// The listening socket is standard input: another router hands it over.
    pub inherit: bool,
    /// Its folder: socket, table and journal.
    pub folder: PathBuf,
    /// Serves by this at first, unless a newer one lies in the folder.
    pub table: Option<RouteTable>,
    /// Threads that carry requests; a core each unless it is said.
    pub workers: Option<usize>,
    /// Headers that a request may have; more are answered with 431.
    pub headers_max: Option<usize>,
    /// Clients speak TLS.
    pub tls: Option<TlsFiles>,
}

/// Which program this is: another one takes over from it.
pub fn build() -> &'static str {
    static BUILD: OnceLock<String> = OnceLock::new();
    BUILD.get_or_init(|| {
        let file = std::env::current_exe().and_then(std::fs::metadata);
        let written = file.and_then(|f| Ok((f.modified()?, f.len())));
        let since = written.ok().and_then(|(at, len)| Some((at.duration_since(std::time::UNIX_EPOCH).ok()?, len)));
        let (at, len) = since.unwrap_or_default();
        format!("{}-{}-{len}", env!("CARGO_PKG_VERSION"), at.as_millis())
    })
}

/// A router that listens.
pub struct Router {
    state: Arc<State>,
    control: tokio::net::UnixListener,
    options: Options,
}

impl Router {
    /// # Errors
    /// `Unavailable` when the address or the folder cannot be had, or another router runs in that folder; `Invalid` for
    /// a certificate that cannot be used.
    pub async fn start(options: Options) -> Result<Self> {
        build();
        let acceptor = options.tls.as_ref().map(TlsFiles::read).transpose()?;
        let listener = listener(&options)?;
        let address = listener.local_addr().map_err(|e| Fault::bug("no address").why(e.to_string()))?;
        let control = control::bind(&options.folder, options.inherit).await?;
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let state = State::open(&options.folder, format!("{scheme}://{address}"), options.table.clone())?;
        state.set_tls(acceptor);
        if let Some(headers) = options.headers_max {
            state.set_headers_max(headers);
        }
        state.set_listener(listener);
        Ok(Self { state: Arc::new(state), control, options })
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

    /// Serves until it is asked to end, then lets open requests finish.
    pub async fn run(self) {
        let Self { state, control, options } = self;
        let Some(listener) = state.listener() else { return tracing::error!("no listening socket") };
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let workers = Workers::start(options.workers.unwrap_or_else(cores).max(1), &listener, &state);
        drop(listener);
        let tasks = [
            tokio::spawn(control::serve(control, state.clone())),
            tokio::spawn(upstream::check_health(state.clone())),
            tokio::spawn(addresses::keep(state.clone(), workers.ways)),
            tokio::spawn(read_certificates(state.clone(), options.tls)),
        ];
        if options.inherit
            && let Err(fault) = control::take_place(&options.folder)
        {
            return tracing::error!("{fault}");
        }
        state.stopped().await;
        state.close_listener();
        let telling = state.is_handed_over().then(|| tokio::spawn(handover::tell_the_other(state.clone())));
        let threads = workers.threads;
        let drained = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|w| drop(w.join()))).await;
        if let Err(e) = drained {
            tracing::warn!("workers: {e}");
        }
        state.end();
        if let Some(telling) = telling
            && let Err(e) = telling.await
        {
            tracing::error!("counts are lost: {e}");
        }
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        state.close();
    }
}

fn listener(options: &Options) -> Result<std::net::TcpListener> {
    let cannot = |e: std::io::Error| {
        Fault::unavailable(format!("cannot listen on {}", options.listen))
            .why(e.to_string())
            .next("choose another address with --listen, port 0 picks a free one")
    };
    let listener = if options.inherit {
        let given = std::io::stdin().as_fd().try_clone_to_owned().map_err(cannot)?;
        std::net::TcpListener::from(given)
    } else {
        std::net::TcpListener::bind(&options.listen).map_err(cannot)?
    };
    listener.set_nonblocking(true).map_err(cannot)?;
    Ok(listener)
}

/// Takes up a certificate that was replaced; one that cannot be used is told of, and the one before stays.
async fn read_certificates(state: Arc<State>, files: Option<TlsFiles>) {
    let Some(files) = files else { return };
    let mut known = files.changed();
    loop {
        tokio::time::sleep(FILES_PERIOD).await;
        let now = files.changed();
        if now == known {
            continue;
        }
        known = now;
        match files.read() {
            Ok(acceptor) => state.set_tls(Some(acceptor)),
            Err(fault) => tracing::warn!("the certificate before stays: {fault}"),
        }
    }
}
