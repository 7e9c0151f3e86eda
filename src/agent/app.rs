//! What every handler of the agent shares.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::telemetry::Telemetry;
use super::wandb;
use crate::base::Timestamp;
use crate::capability::Ctx;
use crate::capability::rollout::EnvoyStatus;
use crate::capability::wire::TapCounts;
use crate::config::AgentSettings;

/// The agent's state, shared by all handlers.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    ctx: Ctx,
    settings: AgentSettings,
    started: Timestamp,
    address: String,
    stop: tokio::sync::watch::Sender<bool>,
    /// The router ends with the agent.
    ends_all: AtomicBool,
    wandb: wandb::Live,
    /// Where the router takes requests, once it does, and what its tap kept and dropped.
    router: RwLock<(String, TapCounts)>,
    envoy: RwLock<EnvoyStatus>,
    /// The generation that the router serves by.
    served: tokio::sync::watch::Sender<i64>,
    /// Requests that the tap kept and nobody could read or count.
    unwatched: AtomicU64,
    /// Batches of a router's counts that were recorded.
    traffic: AtomicU64,
    telemetry: Telemetry,
    /// Requests and event streams that are open.
    open: AtomicUsize,
    /// When the last of them ended, µs since 1970.
    last: AtomicI64,
}

/// An open request or event stream; it ends when this is dropped.
pub struct Busy(App);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.last.store(self.0.now().0, Ordering::Relaxed);
        self.0.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl App {
    /// `address` is where it listens, `http://HOST:PORT`.
    pub fn new(ctx: Ctx, settings: AgentSettings, address: String) -> Self {
        let started = ctx.clock.now();
        Self(Arc::new(Inner {
            ctx,
            settings,
            started,
            address,
            stop: tokio::sync::watch::channel(false).0,
            ends_all: AtomicBool::new(false),
            router: RwLock::default(),
            envoy: RwLock::default(),
            served: tokio::sync::watch::channel(0).0,
            wandb: wandb::Live::default(),
            unwatched: AtomicU64::new(0),
            traffic: AtomicU64::new(0),
            telemetry: Telemetry::default(),
            open: AtomicUsize::new(0),
            last: AtomicI64::new(started.0),
        }))
    }

    pub fn ctx(&self) -> &Ctx {
        &self.0.ctx
    }

    pub fn settings(&self) -> &AgentSettings {
        &self.0.settings
    }

    pub fn started(&self) -> Timestamp {
        self.0.started
    }

    pub fn address(&self) -> &str {
        &self.0.address
    }

    /// The store's address without secrets.
    pub fn store_shown(&self) -> String {
        self.0.settings.store.parse::<crate::db::StoreUrl>().map_or_else(|_| String::new(), |url| url.to_string())
    }

    pub fn now(&self) -> Timestamp {
        self.0.ctx.clock.now()
    }

    /// Marks a request or stream as open.
    pub fn busy(&self) -> Busy {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }

    /// How long no one has asked for anything.
    pub fn idle(&self) -> Duration {
        if self.0.open.load(Ordering::Relaxed) > 0 {
            return Duration::ZERO;
        }
        let since = self.now().0 - self.0.last.load(Ordering::Relaxed);
        Duration::from_micros(u64::try_from(since).unwrap_or(0))
    }

    /// Asks the agent to drain and end, and its router and model servers with it.
    pub fn stop_all(&self) {
        self.0.ends_all.store(true, Ordering::Relaxed);
        self.stop();
    }

    pub fn ends_all(&self) -> bool {
        self.0.ends_all.load(Ordering::Relaxed)
    }

    /// W&B scripts at work.
    pub(super) fn wandb(&self) -> &wandb::Live {
        &self.0.wandb
    }

    /// Its address, empty while there is none, and how its tap does.
    pub fn router(&self) -> (String, TapCounts) {
        let (address, tap) = self.0.router.read().unwrap_or_else(PoisonError::into_inner).clone();
        (address, TapCounts { unreadable: self.0.unwatched.load(Ordering::Relaxed), ..tap })
    }

    pub fn set_router(&self, address: String, tap: TapCounts) {
        *self.0.router.write().unwrap_or_else(PoisonError::into_inner) = (address, tap);
    }

    /// How many batches of traffic were recorded: a number that changes with each.
    pub fn traffic_recorded(&self) -> u64 {
        self.0.traffic.load(Ordering::Relaxed)
    }

    pub fn add_traffic(&self) {
        self.0.traffic.fetch_add(1, Ordering::Relaxed);
    }

    /// The router serves by this generation, so it says.
    pub fn set_served(&self, generation: i64) {
        self.0.served.send_if_modified(|g| std::mem::replace(g, generation) != generation);
    }

    /// Resolves when the router serves by this generation or a newer one.
    pub async fn served(&self, generation: i64) {
        let mut served = self.0.served.subscribe();
        // The sender lives as long as this does.
        let _ = served.wait_for(|g| *g >= generation).await;
    }

    /// How far the team's Envoys have come.
    pub fn envoy(&self) -> EnvoyStatus {
        self.0.envoy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_envoy(&self, status: EnvoyStatus) {
        *self.0.envoy.write().unwrap_or_else(PoisonError::into_inner) = status;
    }

    pub fn add_unwatched(&self, requests: u64) {
        self.0.unwatched.fetch_add(requests, Ordering::Relaxed);
    }

    /// What is told to Prometheus and others.
    pub fn telemetry(&self) -> &Telemetry {
        &self.0.telemetry
    }

    /// Asks the agent to drain and end. Its router serves on, and the next agent takes it over.
    pub fn stop(&self) {
        self.0.stop.send_replace(true);
    }

    /// Resolves when the agent is asked to end.
    pub async fn stopped(&self) {
        let mut asked = self.0.stop.subscribe();
        // The sender lives as long as this does.
        let _ = asked.wait_for(|stop| *stop).await;
    }
}
