//! This machine: what it does, looked at every few seconds and told by minute. The agent keeps it in its own store; an edge
//! has none, and tells the agent that it joined.

pub mod edge;
mod look;

use std::path::PathBuf;
use std::time::Duration;

use super::App;
use crate::base::clock::{Clock, SystemClock};
use crate::base::{Timestamp, fault::Result};
use crate::capability::hosts::{self, Figures, MINUTE_US, Minute, Told};

pub(super) use look::Looker;

const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The name of this machine, unless the settings give another.
pub fn name(given: &str) -> String {
    if given.is_empty() { rustix::system::uname().nodename().to_string_lossy().into_owned() } else { given.to_owned() }
}

/// Looks that become a minute.
struct Looks {
    looker: Looker,
    minute: i64,
    taken: Vec<Figures>,
}

impl Looks {
    fn new(disk: PathBuf) -> Self {
        Self { looker: Looker::new(disk), minute: 0, taken: Vec::new() }
    }

    /// One more look; the minute before, if this begins another one.
    async fn one(&mut self, now: Timestamp) -> Option<Minute> {
        let minute = now.0.div_euclid(MINUTE_US);
        let ended =
            (minute != self.minute).then(|| Minute::of(Timestamp(self.minute * MINUTE_US), &self.taken)).flatten();
        if minute != self.minute {
            self.minute = minute;
            self.taken.clear();
        }
        if let Some(figures) = self.looker.look().await {
            self.taken.push(figures);
        }
        ended
    }
}

/// Keeps the figures of the machine that the agent runs on.
pub(super) async fn keep(app: App) {
    let disk = app.settings().socket.parent().map_or_else(|| PathBuf::from("/"), ToOwned::to_owned);
    let mut looks = Looks::new(disk);
    loop {
        if let Some(minute) = looks.one(app.now()).await
            && let Err(fault) = record(&app, minute).await
        {
            tracing::warn!("figures of this host: {fault}");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = app.stopped() => return,
        }
    }
}

async fn record(app: &App, minute: Minute) -> Result<()> {
    let host = name(&app.settings().host);
    let told = Told {
        edge: format!("agent:{host}"),
        host,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        // Numbered by time: the next agent on this store goes on behind it.
        first: minute.at.0.div_euclid(MINUTE_US),
        minutes: vec![minute],
        dropped: 0,
    };
    let mut tx = app.ctx().db.begin().await?;
    hosts::record(&mut tx, &told, false, app.now()).await?;
    tx.commit().await.map(drop)
}

pub(super) fn now() -> Timestamp {
    SystemClock.now()
}
