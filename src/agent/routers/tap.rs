//! Requests that the router kept become predictions: journalled here before the router forgets them.

use std::time::Duration;

use super::super::App;
use super::Link;
use crate::base::{Kind, fault::Result};
use crate::router::tap;

/// Between two batches, so that what comes alone comes together.
const PERIOD: Duration = Duration::from_millis(250);
/// While the router or the store does not answer.
const AWAY: Duration = Duration::from_secs(1);
/// Requests of one batch.
const REQUESTS_MAX: usize = 5_000;

/// Runs as long as the agent.
pub async fn keep(app: App, link: Link) {
    let mut taking = Taking { link, after: 0 };
    loop {
        let batch = tokio::select! {
            batch = taking.link.events(taking.after, REQUESTS_MAX) => batch,
            () = app.stopped() => return,
        };
        let taken = match batch {
            Ok(batch) => taking.one(&app, &batch).await,
            Err(fault) => Err(fault),
        };
        let wait = match taken {
            Ok(requests) if requests >= REQUESTS_MAX / 2 => Duration::ZERO,
            Ok(_) => PERIOD,
            Err(fault) => {
                tracing::debug!("the router's requests: {fault}");
                AWAY
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = app.stopped() => return,
        }
    }
}

struct Taking {
    link: Link,
    /// The newest batch that is durable here. Another router goes on from it, since it has given none that is newer.
    after: u64,
}

impl Taking {
    /// Takes one batch; says of how many requests.
    async fn one(&mut self, app: &App, batch: &[u8]) -> Result<usize> {
        let taken = tap::read(batch)?;
        if taken.requests == 0 {
            return Ok(0);
        }
        let mut lost = taken.unreadable;
        match app.ctx().counters.accept(&taken.events, app.now()).await {
            Ok(accepted) => lost += accepted.rejected.len() as u64,
            // Nothing was taken: the router gives them once more.
            Err(fault) if matches!(fault.kind, Kind::Unavailable | Kind::Bug) => return Err(fault),
            Err(fault) => {
                tracing::warn!("{} requests are not watched: {fault}", taken.requests);
                lost = taken.requests as u64;
            }
        }
        app.add_unwatched(lost);
        self.after = taken.sequence;
        Ok(taken.requests)
    }
}
