//! Telling the outside about incidents, until every receiver has heard: whoever is away for an hour hears it after.

mod line;
mod payload;
mod receiver;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use line::Line;

use super::monitors::{QUIET, woken};
use super::{App, http};
use crate::capability::Hint;
use crate::capability::monitoring::incident::{self, Notice};
use crate::db::Source;

pub(super) use receiver::Receiver;

/// A receiver that has not answered by then is tried again later.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is older is told to nobody any more.
const STALE: Duration = Duration::from_hours(24);
/// While something is still to be told.
const PERIOD: Duration = Duration::from_secs(5);

/// What all lines have heard, for whoever is the last.
type Lines = Arc<Mutex<Vec<Line>>>;

fn locked(lines: &Lines) -> MutexGuard<'_, Vec<Line>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells notices until the agent ends, each receiver on a line of its own: one that hangs holds up nobody else. After a restart a
/// receiver may hear one twice; each carries its number.
pub(super) async fn tell(app: App, receivers: Vec<Receiver>) {
    let Ok(http) = http::client(PATIENCE, receivers.iter().map(Receiver::url)) else { return };
    let lines: Lines = Arc::new(Mutex::new(receivers.iter().map(|_| Line::default()).collect()));
    let each = receivers.iter().enumerate().map(|(i, receiver)| keep_telling(&app, &http, (i, receiver), &lines));
    futures::future::join_all(each).await;
}

async fn keep_telling(app: &App, http: &reqwest::Client, to: (usize, &Receiver), lines: &Lines) {
    let mut hints = app.ctx().hints.listen();
    loop {
        let mut period = PERIOD;
        match incident::untold(Source::Pool(app.ctx().db.read())).await {
            Ok(notices) => {
                // What comes gives a hint.
                if notices.is_empty() {
                    period = QUIET;
                }
                tell_all(app, http, to, lines, &notices).await;
            }
            Err(fault) => tracing::warn!("notices: {fault}"),
        }
        if !woken(app, &mut hints, period, |h| matches!(h, Hint::Incidents | Hint::Everything)).await {
            return;
        }
    }
}

/// Tells one receiver what is due, until it fails.
async fn tell_all(
    app: &App,
    http: &reqwest::Client,
    (i, receiver): (usize, &Receiver),
    lines: &Lines,
    notices: &[Notice],
) {
    let numbers: BTreeSet<i64> = notices.iter().map(|n| n.id).collect();
    locked(lines)[i].keep(&numbers);
    let stale = |n: &Notice| n.at.plus(STALE) < app.now();
    // One of them clears away what is old, and what all have heard while the store could not be written.
    for notice in notices.iter().filter(|_| i == 0) {
        let (heard, all) = {
            let lines = locked(lines);
            (lines.iter().filter(|line| line.has_heard(notice.id)).count(), lines.len())
        };
        if heard < all && stale(notice) {
            tracing::warn!("INC-{} was told to {heard} of {all} receivers within a day", notice.incident.id);
        }
        if heard == all || stale(notice) {
            was_told(app, notice.id).await;
        }
    }
    let fresh: Vec<&Notice> = notices.iter().filter(|n| !stale(n)).collect();
    loop {
        let due = locked(lines)[i].due(fresh.iter().map(|n| n.id), app.now());
        let Some(notice) = due.and_then(|id| fresh.iter().find(|n| n.id == id)) else { return };
        if let Err(why) = receiver.send(http, notice, &next_line(app, notice)).await {
            locked(lines)[i].failed(app.now());
            tracing::warn!("INC-{} could not be told to {receiver}: {why}; it is tried again", notice.incident.id);
            continue;
        }
        let all = {
            let mut lines = locked(lines);
            lines[i].heard(notice.id);
            lines.iter().all(|line| line.has_heard(notice.id))
        };
        if all {
            was_told(app, notice.id).await;
        }
    }
}

async fn was_told(app: &App, notice: i64) {
    let noted = async {
        let mut tx = app.ctx().db.begin().await?;
        incident::was_told(&mut tx, notice).await?;
        tx.commit().await.map(drop)
    };
    if let Err(fault) = noted.await {
        tracing::warn!("notices: {fault}");
    }
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
    if url.is_empty() {
        return;
    }
    let Ok(http) = http::client(PATIENCE, [url.as_str()]) else { return };
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
