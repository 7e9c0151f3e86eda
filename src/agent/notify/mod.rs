//! Telling the outside about incidents, until every receiver has heard: whoever is away for an hour hears it after.

mod payload;
mod receiver;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::App;
use super::monitors::woken;
use crate::base::{Fault, Timestamp, fault::Result};
use crate::capability::Hint;
use crate::capability::monitoring::incident::{self, Notice};
use crate::db::Source;

pub(super) use receiver::Receiver;

/// A receiver that has not answered by then is tried again later.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_mins(1);
/// What is older is told to nobody any more.
const STALE: Duration = Duration::from_hours(24);
const PERIOD: Duration = Duration::from_secs(5);

/// The agent's client of receivers.
///
/// # Errors
/// `Bug`.
fn http() -> Result<reqwest::Client> {
    // Whoever was first is right.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build();
    client.map_err(|e| Fault::bug("HTTP client").why(e.to_string()))
}

/// How a receiver did lately.
#[derive(Default)]
struct Health {
    failures: u32,
    /// Not before then.
    next: Option<Timestamp>,
}

impl Health {
    fn failed(&mut self, now: Timestamp) {
        let pause = Duration::from_secs(1 << self.failures.min(6));
        self.failures += 1;
        self.next = Some(now.plus(pause.min(PAUSE_MAX)));
    }
}

/// Tells notices until the agent ends. After a restart a receiver may hear one twice; each carries its number.
pub(super) async fn tell(app: App, receivers: Vec<Receiver>) {
    let Ok(http) = http() else { return };
    let mut hints = app.ctx().hints.listen();
    let mut health: Vec<Health> = receivers.iter().map(|_| Health::default()).collect();
    let mut heard: HashMap<i64, HashSet<usize>> = HashMap::new();
    loop {
        match incident::untold(Source::Pool(app.ctx().db.read())).await {
            Ok(notices) => {
                heard.retain(|id, _| notices.iter().any(|n| n.id == *id));
                for notice in &notices {
                    let by = heard.entry(notice.id).or_default();
                    tell_one(&app, &http, &receivers, &mut health, by, notice).await;
                }
            }
            Err(fault) => tracing::warn!("notices: {fault}"),
        }
        if !woken(&app, &mut hints, PERIOD, |h| matches!(h, Hint::Incidents | Hint::Everything)).await {
            return;
        }
    }
}

async fn tell_one(
    app: &App,
    http: &reqwest::Client,
    receivers: &[Receiver],
    health: &mut [Health],
    heard: &mut HashSet<usize>,
    notice: &Notice,
) {
    let stale = notice.at.plus(STALE) < app.now();
    for (i, (receiver, health)) in receivers.iter().zip(health).enumerate() {
        let waits = health.next.is_some_and(|next| app.now() < next);
        if stale || waits || heard.contains(&i) {
            continue;
        }
        match receiver.send(http, notice, &next_line(app, notice)).await {
            Ok(()) => {
                heard.insert(i);
                *health = Health::default();
            }
            Err(why) => {
                health.failed(app.now());
                tracing::warn!("INC-{} could not be told to {receiver}: {why}; it is tried again", notice.incident.id);
            }
        }
    }
    if stale {
        tracing::warn!(
            "INC-{} was told to {} of {} receivers within a day",
            notice.incident.id,
            heard.len(),
            receivers.len()
        );
    }
    if (stale || heard.len() == receivers.len())
        && let Err(fault) = was_told(app, notice.id).await
    {
        tracing::warn!("notices: {fault}");
    }
}

async fn was_told(app: &App, notice: i64) -> Result<()> {
    let mut tx = app.ctx().db.begin().await?;
    incident::was_told(&mut tx, notice).await?;
    tx.commit().await.map(drop)
}

/// The line to type.
fn next_line(app: &App, notice: &Notice) -> String {
    let id = notice.incident.id;
    match app.settings().notify_host.as_str() {
        "" => format!("opsroom incident {id}"),
        host => format!("ssh -t {host} opsroom incident {id}"),
    }
}

/// Tells a watchdog that the agent lives; when it stays away, the watchdog pages someone.
pub(super) async fn beat(app: App) {
    let (url, seconds) = (app.settings().heartbeat_url.clone(), app.settings().heartbeat_seconds.max(1));
    let Ok(http) = http() else { return };
    if url.is_empty() {
        return;
    }
    loop {
        // The store has to answer too: an agent without one is as good as dead.
        let alive = incident::rules(Source::Pool(app.ctx().db.read())).await.map(drop);
        let sent = match alive {
            Ok(()) => http
                .post(&url)
                .send()
                .await
                .and_then(reqwest::Response::error_for_status)
                .map(drop)
                .map_err(|e| receiver::told(&e)),
            Err(fault) => Err(fault.to_string()),
        };
        if let Err(why) = sent {
            tracing::warn!("the heartbeat was not sent: {why}");
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
            () = app.stopped() => return,
        }
    }
}
