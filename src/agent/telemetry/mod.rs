//! Telemetry out: what the agent knows, told to the tools that people already have. Prometheus asks; DogStatsD and OTLP are
//! told. Nothing here may slow the agent down or fill its memory: what a receiver does not take is dropped and counted.

mod dogstatsd;
mod family;
mod gather;
mod otlp;
mod prometheus;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::task::JoinHandle;

use super::App;
use super::fault::Own;
use crate::base::stats::sketch::Sketch;
use crate::base::{Timestamp, fault::Result};
use crate::capability::monitoring::{ArmRole, TrafficWindow};
use dogstatsd::{DogStatsD, Target};
use family::{Family, Kind};
use otlp::Otlp;

/// Quality, drift and cost are worked out anew after so long, microseconds.
const SLOW_PERIOD: i64 = 30_000_000;
/// How long those who are told wait for them at first. Who asks waits for much less: a scrape is answered at once, without
/// them if need be, and the next one has them.
const PATIENCE: Duration = Duration::from_secs(8);
const SCRAPE_PATIENCE: Duration = Duration::from_millis(20);
/// Series that are told at most; beyond it they are left off and counted.
const SERIES_MAX: usize = 60_000;

/// Requests of one version in one role since the agent started.
#[derive(Debug, Clone, Default)]
pub(super) struct Routed {
    pub requests: u64,
    pub errors: u64,
    pub differing: u64,
    pub latency: Sketch,
}

/// What is kept between two tellings.
#[derive(Default)]
pub struct Telemetry {
    routed: Mutex<BTreeMap<(String, u32, ArmRole), Routed>>,
    /// Newest quality, drift and cost.
    slow: Mutex<Option<Arc<Vec<Family>>>>,
    /// When they were worked out, or somebody began to, µs since 1970.
    begun: AtomicI64,
    done: tokio::sync::Notify,
    dogstatsd_dropped: AtomicU64,
    otlp_dropped: AtomicU64,
}

impl Telemetry {
    /// Counts a router's batch that was recorded.
    pub fn count(&self, windows: &[TrafficWindow]) {
        let mut routed = self.routed.lock().unwrap_or_else(PoisonError::into_inner);
        for w in windows {
            let sum = routed.entry((w.service.clone(), w.version, w.arm)).or_default();
            sum.requests += w.requests;
            sum.errors += w.errors;
            sum.differing += w.differing;
            sum.latency.merge(&w.latency);
        }
    }

    fn routed(&self) -> BTreeMap<(String, u32, ArmRole), Routed> {
        self.routed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn dropped(&self) -> [(&'static str, u64); 2] {
        [
            ("dogstatsd", self.dogstatsd_dropped.load(Ordering::Relaxed)),
            ("otlp", self.otlp_dropped.load(Ordering::Relaxed)),
        ]
    }

    fn newest(&self) -> Option<Arc<Vec<Family>>> {
        self.slow.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub(super) fn routes() -> Router<App> {
    Router::new().route("/metrics", get(metrics))
}

async fn metrics(State(app): State<App>) -> Result<Response, Own> {
    let text = prometheus::text(&families(&app, SCRAPE_PATIENCE).await?);
    Ok(([(CONTENT_TYPE, prometheus::CONTENT_TYPE)], text).into_response())
}

/// Everything that is told, within the bound.
async fn families(app: &App, patience: Duration) -> Result<Vec<Family>> {
    let telemetry = app.telemetry();
    // Listens before it looks, so that what is done in between is not missed.
    let mut done = std::pin::pin!(telemetry.done.notified());
    done.as_mut().enable();
    refresh(app);
    if telemetry.newest().is_none() {
        // Only the first one waits, and not for ever.
        let _ = tokio::time::timeout(patience, done).await;
    }
    let mut families = gather::quick(app, telemetry).await?;
    families.extend(telemetry.newest().map(|f| (*f).clone()).unwrap_or_default());
    let left_off = family::bounded(&mut families, SERIES_MAX);
    let mut over = Family::new("opsroom_series_left_off", Kind::Gauge, "Series that were too many to be told.");
    over.put(Vec::new(), left_off as f64);
    families.push(over);
    Ok(families)
}

/// Works quality, drift and cost out anew when they are old; one at a time.
fn refresh(app: &App) {
    let telemetry = app.telemetry();
    let (now, begun) = (app.now().0, telemetry.begun.load(Ordering::Relaxed));
    let is_old = now - begun >= SLOW_PERIOD;
    if !is_old || telemetry.begun.compare_exchange(begun, now, Ordering::Relaxed, Ordering::Relaxed).is_err() {
        return;
    }
    let app = app.clone();
    tokio::spawn(async move {
        let telemetry = app.telemetry();
        match gather::slow(&app, Timestamp(now)).await {
            Ok(families) => {
                *telemetry.slow.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(families));
            }
            Err(fault) => tracing::warn!("telemetry: {fault}"),
        }
        // Also when nothing came of it: nobody has to wait for it any longer.
        telemetry.done.notify_waiters();
    });
}

/// Starts telling those who are named in the settings.
///
/// # Errors
/// `Invalid` for a receiver that cannot be read.
pub(super) fn start(app: &App) -> Result<Vec<JoinHandle<()>>> {
    let settings = app.settings();
    let mut tasks = Vec::new();
    let period = Duration::from_secs(settings.telemetry_seconds.clamp(1, 3600));
    if !settings.dogstatsd.is_empty() {
        let mut receiver = DogStatsD::new(Target::parse(&settings.dogstatsd)?);
        let app = app.clone();
        tasks.push(tokio::spawn(async move {
            while next(&app, period).await {
                let Ok(families) = families(&app, PATIENCE).await else { continue };
                let dropped = receiver.tell(&families).await;
                app.telemetry().dogstatsd_dropped.fetch_add(dropped, Ordering::Relaxed);
            }
        }));
    }
    if !settings.otlp.is_empty() {
        let mut receiver = Otlp::new(&settings.otlp, &settings.otlp_headers)?;
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let app = app.clone();
        tasks.push(tokio::spawn(async move {
            while next(&app, period).await {
                let Ok(families) = families(&app, PATIENCE).await else { continue };
                let points: usize = families.iter().map(|f| f.samples.len()).sum();
                let message = otlp::request(&families, &host, app.started(), app.now());
                let dropped = receiver.tell(message, points as u64).await;
                app.telemetry().otlp_dropped.fetch_add(dropped, Ordering::Relaxed);
            }
        }));
    }
    Ok(tasks)
}

/// Waits a period; `false` when the agent ends.
async fn next(app: &App, period: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(period) => true,
        () = app.stopped() => false,
    }
}
