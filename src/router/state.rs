//! What all requests share: the table, which is swapped whole, and what lies on disk of it.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio_rustls::TlsAcceptor;

use super::counters::Counters;
use super::live::{Live, Table};
use super::tap::Tap;
use super::upstream::Upstreams;
use crate::base::clock::{Clock, Stopwatch, SystemClock};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::capability::rollout::link::{Intent, RouterStatus, SOCKET, Swapped, Wish};
use crate::capability::rollout::{Route, RouteTable};

const TABLE: &str = "table.json";
const JOURNAL: &str = "intents.jsonl";

pub struct State {
    id: String,
    address: String,
    folder: PathBuf,
    started: Timestamp,
    table: RwLock<Arc<Table>>,
    /// One swap at a time, and its file before it.
    swapping: Mutex<()>,
    pub counters: Counters,
    pub tap: Tap,
    pub upstreams: Upstreams,
    /// Requests that are open.
    pub open: AtomicU64,
    /// Clients that are connected.
    pub connections: AtomicU64,
    stop: tokio::sync::watch::Sender<bool>,
    stopping: AtomicBool,
    /// Another router has the address; what is counted here goes to it.
    handed_over: AtomicBool,
    /// While another router comes up the table stays as it is.
    held: AtomicBool,
    ended: AtomicBool,
    listener: Mutex<Option<std::net::TcpListener>>,
    tls: RwLock<Option<TlsAcceptor>>,
    problems: Mutex<Vec<String>>,
    headers_max: AtomicUsize,
}

/// The table stays as it is while this lives, and for good once the address was handed over.
pub struct Hold<'a>(&'a State);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.0.held.store(self.0.is_handed_over(), Ordering::SeqCst);
    }
}

fn disk(path: &Path) -> impl Fn(std::io::Error) -> Fault + '_ {
    move |e| Fault::unavailable(format!("cannot write {}", path.display())).why(e.to_string())
}

impl State {
    /// Takes up the table that lies in the folder, unless `given` is newer.
    ///
    /// # Errors
    /// `Unavailable`; `Invalid` for a table that cannot be read.
    pub fn open(folder: &Path, address: String, given: Option<RouteTable>) -> Result<Self> {
        let path = folder.join(TABLE);
        let kept: Option<RouteTable> = match std::fs::read(&path) {
            Ok(bytes) => Some(serde_json::from_slice(&bytes).map_err(|e| {
                Fault::invalid(format!("{} cannot be read", path.display()))
                    .why(e.to_string())
                    .next("remove it; the agent sends a new one")
            })?),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
            Err(e) => return Err(disk(&path)(e)),
        };
        let newest = kept.into_iter().chain(given).max_by_key(|t| t.generation).unwrap_or_default();
        let upstreams = Upstreams::default();
        Ok(Self {
            id: crate::base::id::uuid7(),
            address,
            folder: folder.to_owned(),
            started: SystemClock.now(),
            table: RwLock::new(Arc::new(Table::new(newest, None, &upstreams))),
            swapping: Mutex::default(),
            counters: Counters::default(),
            tap: Tap::default(),
            upstreams,
            open: AtomicU64::default(),
            connections: AtomicU64::default(),
            stop: tokio::sync::watch::channel(false).0,
            stopping: AtomicBool::new(false),
            handed_over: AtomicBool::new(false),
            held: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            listener: Mutex::default(),
            tls: RwLock::default(),
            problems: Mutex::default(),
            headers_max: AtomicUsize::new(super::worker::HEADERS_MAX),
        })
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// What requests to a service go by at this moment.
    pub fn route(&self, service: &str) -> Option<Arc<Live>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).route(service).cloned()
    }

    pub fn table(&self) -> Arc<Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn requests_open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    pub fn status(&self) -> RouterStatus {
        RouterStatus {
            id: self.id.clone(),
            pid: std::process::id(),
            address: self.address.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build: super::build().to_owned(),
            problems: self.problems.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            generation: self.table().table.generation,
            started: self.started,
            open: self.requests_open(),
            events_dropped: self.tap.dropped(),
            events_kept: self.tap.kept(),
        }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// Serves by another table from now on; it lies on disk before the first request goes by it.
    ///
    /// # Errors
    /// `Conflict` for an older one; `Unavailable` when it cannot be kept.
    pub fn swap(&self, table: RouteTable) -> Result<i64> {
        let _one = self.swapping.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_free()?;
        let now = self.table();
        let (held, given) = (now.table.generation, table.generation);
        if given < held || (given == held && now.table != table) {
            return Err(Fault::conflict(format!("the router holds generation {held}, this is {given}"))
                .next("read the newest table and send that"));
        }
        if given > held {
            self.keep(&table)?;
            let next = Arc::new(Table::new(table, Some(&now), &self.upstreams));
            let named: HashSet<&String> =
                next.table.routes.iter().flat_map(Route::arms).flat_map(|arm| &arm.urls).collect();
            self.upstreams.keep_only(|url| named.contains(&url.to_owned()));
            drop(named);
            *self.table.write().unwrap_or_else(PoisonError::into_inner) = next;
        }
        Ok(given)
    }

    fn keep(&self, table: &RouteTable) -> Result<()> {
        let (path, new) = (self.folder.join(TABLE), self.folder.join("table.new"));
        let text = serde_json::to_vec(table).map_err(|e| Fault::bug("table").why(e.to_string()))?;
        let written = std::fs::File::create(&new).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&new, &path)
        });
        written.map_err(disk(&path))
    }

    /// Does what lowers the risk while no agent can be asked. The intent lies in the journal before the swap.
    ///
    /// # Errors
    /// `NotFound` for an unknown service, `Refused` when there is nothing to go back to.
    pub fn wish(&self, intent: &Intent) -> Result<Swapped> {
        let watch = Stopwatch::start();
        let mut table = self.table().table.clone();
        let route = table.routes.iter_mut().find(|r| r.service == intent.service).ok_or_else(|| {
            Fault::not_found(format!("the router serves no {}", intent.service)).next("see `opsroom service list`")
        })?;
        match (intent.what, route.previous.take()) {
            (Wish::Drop, previous) => {
                route.candidate = None;
                route.weight = 0;
                route.previous = previous;
            }
            // With a candidate the version before it is the stable one.
            (Wish::Rollback, previous) if route.candidate.is_some() => {
                route.candidate = None;
                route.weight = 0;
                route.previous = previous;
            }
            (Wish::Rollback, Some(previous)) => {
                let bad = std::mem::replace(&mut route.stable, previous);
                route.previous = Some(bad);
            }
            (Wish::Rollback, None) => {
                return Err(Fault::refused(format!("{} has no version before this one", intent.service))
                    .next("name another one once the agent is back"));
            }
        }
        let version = route.stable.version;
        table.generation += 1;
        self.check_free()?;
        self.write_intent(intent)?;
        let generation = self.swap(table)?;
        self.counters.bell.ring();
        let took_us = u64::try_from(watch.elapsed().as_micros()).unwrap_or(u64::MAX);
        Ok(Swapped { generation, took_us, version, open: self.requests_open() })
    }

    fn write_intent(&self, intent: &Intent) -> Result<()> {
        let path = self.folder.join(JOURNAL);
        let mut line = serde_json::to_vec(intent).map_err(|e| Fault::bug("intent").why(e.to_string()))?;
        line.push(b'\n');
        let written = std::fs::OpenOptions::new().create(true).append(true).open(&path).and_then(|mut file| {
            file.write_all(&line)?;
            file.sync_data()
        });
        written.map_err(disk(&path))
    }

    /// Intents that no agent has taken over yet.
    ///
    /// # Errors
    /// `Unavailable`.
    pub fn intents(&self) -> Result<Vec<Intent>> {
        let path = self.folder.join(JOURNAL);
        let text = match std::fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(disk(&path))?,
        };
        // A line that was cut off by a crash was never acknowledged.
        Ok(text.lines().filter_map(|line| serde_json::from_slice(line.as_bytes()).ok()).collect())
    }

    /// Resolves once the agent has something to take: counts beyond the batch `after`, or an intent.
    pub async fn news(&self, after: i64) {
        // A journal that cannot be read is told of by whoever asks for it.
        let has_intent = || self.intents().map_or(true, |all| !all.is_empty());
        self.counters.bell.wait(|| self.counters.has_news(after) || has_intent()).await;
    }

    /// The agent has written it into the audit trail.
    ///
    /// # Errors
    /// `Unavailable`.
    pub fn forget_intent(&self, id: &str) -> Result<()> {
        let _one = self.swapping.lock().unwrap_or_else(PoisonError::into_inner);
        let rest: Vec<Intent> = self.intents()?.into_iter().filter(|i| i.id != id).collect();
        let (path, new) = (self.folder.join(JOURNAL), self.folder.join("intents.new"));
        let mut text = Vec::new();
        for intent in &rest {
            serde_json::to_writer(&mut text, intent).map_err(|e| Fault::bug("intent").why(e.to_string()))?;
            text.push(b'\n');
        }
        let written = std::fs::File::create(&new).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&new, &path)
        });
        written.map_err(disk(&path))
    }

    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.stop.send_replace(true);
    }

    /// Another router has the address.
    pub fn stop_handed_over(&self) {
        self.handed_over.store(true, Ordering::SeqCst);
        self.stop();
    }

    pub fn is_handed_over(&self) -> bool {
        self.handed_over.load(Ordering::SeqCst)
    }

    /// All requests were answered.
    pub fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }

    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// # Errors
    /// `Unavailable` while another router comes up.
    pub fn hold_table(&self) -> Result<Hold<'_>> {
        let _one = self.swapping.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_free()?;
        self.held.store(true, Ordering::SeqCst);
        Ok(Hold(self))
    }

    fn check_free(&self) -> Result<()> {
        if self.held.load(Ordering::SeqCst) {
            return Err(Fault::unavailable("the router is being replaced").next("ask again in a second"));
        }
        Ok(())
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn set_listener(&self, listener: std::net::TcpListener) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
    }

    /// Another handle of the socket that clients connect to.
    pub fn listener(&self) -> Option<std::net::TcpListener> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.try_clone().ok()
    }

    pub fn close_listener(&self) {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub fn set_tls(&self, acceptor: Option<TlsAcceptor>) {
        *self.tls.write().unwrap_or_else(PoisonError::into_inner) = acceptor;
    }

    /// `None` where clients do not encrypt.
    pub fn tls(&self) -> Option<TlsAcceptor> {
        self.tls.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Headers that a request may have.
    pub fn headers_max(&self) -> usize {
        self.headers_max.load(Ordering::Relaxed)
    }

    pub fn set_headers_max(&self, headers: usize) {
        self.headers_max.store(headers, Ordering::Relaxed);
    }

    pub fn set_problems(&self, problems: Vec<String>) {
        *self.problems.lock().unwrap_or_else(PoisonError::into_inner) = problems;
    }

    /// Whether this answer is the last one of its connection.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Resolves when the router is asked to end.
    pub async fn stopped(&self) {
        let mut asked = self.stop.subscribe();
        // The sender lives as long as this does.
        let _ = asked.wait_for(|stop| *stop).await;
    }

    pub fn close(&self) {
        if self.is_handed_over() {
            return;
        }
        if let Err(e) = std::fs::remove_file(self.folder.join(SOCKET)) {
            tracing::debug!("socket: {e}");
        }
    }
}
