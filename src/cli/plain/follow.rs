//! Going on: one sentence for each change, as hints of it come.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;

use super::{Place, audit, registry, runs, tell};
use crate::base::fault::Result;
use crate::base::{Fault, Kind, Timestamp, show};
use crate::capability::Hint;
use crate::capability::registry::ModelView;
use crate::capability::tracking::{RunQuery, RunStatus};
use crate::client::Client;

/// Hints are gathered for so long, so that a burst is one look.
const GATHER: Duration = Duration::from_millis(300);
/// Seconds between two sentences on the figures of one run that goes on.
const FIGURES_EVERY_S: f64 = 10.0;
/// Between two tries to reach an agent that is gone.
const RETRY: Duration = Duration::from_secs(2);
/// Runs and records that one look can speak of.
const ROWS: usize = 1000;

/// What has been said already.
#[derive(Default)]
struct Known {
    runs: BTreeMap<String, (RunStatus, i64, Timestamp)>,
    /// The newest entry of each model's history.
    models: BTreeMap<String, i64>,
    record: i64,
}

/// Says changes until interrupted, or until nobody reads any more.
///
/// # Errors
/// What is no lost agent.
pub(super) async fn changes(client: &Client, place: &Place) -> Result<()> {
    let mut known = Known::default();
    look(client, place, &mut known).await?;
    tell(&["Following; interrupt to end.".to_owned()])?;
    let mut lost = false;
    loop {
        match follow(client, place, &mut known, &mut lost).await {
            Err(fault) if matches!(fault.kind, Kind::Unavailable) => {
                if reader_is_gone() {
                    return Ok(());
                }
                if !lost {
                    tell(&[format!("The agent does not answer: {fault}. Trying again.")])?;
                    lost = true;
                }
                tokio::time::sleep(RETRY).await;
            }
            other => return other,
        }
    }
}

async fn follow(client: &Client, place: &Place, known: &mut Known, lost: &mut bool) -> Result<()> {
    let mut hints = client.events().await?;
    // What changed while nobody listened.
    let said = look(client, place, known).await?;
    if std::mem::take(lost) {
        tell(&["The agent answers again.".to_owned()])?;
    }
    tell(&said)?;
    loop {
        let beat = tokio::time::timeout(Duration::from_secs(1), hints.next()).await;
        if reader_is_gone() {
            return Ok(());
        }
        let hint = match beat {
            Err(_) => continue,
            Ok(Some(hint)) => hint?,
            Ok(None) => return Err(Fault::unavailable("the stream of hints ended")),
        };
        if !matters(&hint, place) {
            continue;
        }
        let _ = tokio::time::timeout(GATHER, async { while let Some(Ok(_)) = hints.next().await {} }).await;
        tell(&look(client, place, known).await?)?;
    }
}

/// A pipe whose reader has left is the usual end of `opsroom … --follow | …`.
fn reader_is_gone() -> bool {
    use rustix::event::{PollFd, PollFlags, poll};
    let stdout = std::io::stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
    let asked = poll(&mut fds, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 }));
    asked.is_ok() && fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

fn matters(hint: &Hint, place: &Place) -> bool {
    match (hint, place) {
        (Hint::Everything, _) | (_, Place::Overview) => true,
        (Hint::Run(_) | Hint::Experiment(_), Place::Runs) => true,
        (Hint::Run(id), Place::Run(one)) => id.to_string() == *one,
        (Hint::Run(id), Place::Compare(all)) => all.contains(&id.to_string()),
        (Hint::Model(name), Place::Registry { model, .. }) => model.as_ref().is_none_or(|m| m == name),
        (Hint::Audit, Place::Audit(_)) => true,
        (Hint::Audit | Hint::Incidents | Hint::Rollouts, Place::Fleet | Place::Live(_)) => true,
        _ => false,
    }
}

/// A sentence for everything that differs from what is known.
async fn look(client: &Client, place: &Place, known: &mut Known) -> Result<Vec<String>> {
    let now = client.status().await?.now;
    let mut said = Vec::new();
    if matches!(place, Place::Overview | Place::Runs | Place::Run(_) | Place::Compare(_)) {
        said.extend(run_changes(client, place, known, now).await?);
    }
    if let Place::Overview | Place::Registry { .. } = place {
        let one = if let Place::Registry { model, .. } = place { model.as_deref() } else { None };
        said.extend(model_changes(client, one, known).await?);
    }
    if let Place::Overview | Place::Audit(_) | Place::Fleet | Place::Live(_) = place {
        said.extend(record_changes(client, known).await?);
    }
    Ok(said)
}

async fn run_changes(client: &Client, place: &Place, known: &mut Known, now: Timestamp) -> Result<Vec<String>> {
    let first = known.runs.is_empty();
    let runs = match place {
        Place::Run(id) => vec![client.run(super::run_id(id)?).await?],
        Place::Compare(ids) => {
            let mut runs = Vec::new();
            for id in ids {
                runs.push(client.run(super::run_id(id)?).await?);
            }
            runs
        }
        _ => client.search_runs(&RunQuery { limit: ROWS, ..RunQuery::default() }).await?.runs,
    };
    let mut said = Vec::new();
    for r in runs.into_iter().rev() {
        let step = r.metrics.values().map(|m| m.step).max().unwrap_or(-1);
        let id = r.id.to_string();
        let before = known.runs.get(&id).copied();
        let quiet = |at: Timestamp| now.seconds_since(at) < FIGURES_EVERY_S;
        let sentence = match before {
            None if first => None,
            None => Some(format!("New: {}", runs::sentence(&r, now))),
            Some((status, ..)) if status != r.status => Some(runs::sentence(&r, now)),
            Some((_, at_step, at)) if step > at_step && !quiet(at) => {
                Some(format!("Run {} goes on: {}.", r.name, runs::figures(&r)))
            }
            Some(_) => None,
        };
        let fresh = sentence.is_some() || before.is_none();
        let entry = if fresh { (r.status, step, now) } else { before.unwrap_or((r.status, step, now)) };
        known.runs.insert(id, entry);
        said.extend(sentence);
    }
    Ok(said)
}

async fn model_changes(client: &Client, one: Option<&str>, known: &mut Known) -> Result<Vec<String>> {
    let first = known.models.is_empty();
    let names: Vec<String> = match one {
        Some(name) => vec![name.to_owned()],
        None => client.models(None).await?.into_iter().map(|m| m.model.name).collect(),
    };
    let mut said = Vec::new();
    for gone in known.models.keys().filter(|n| !names.contains(n)) {
        said.push(format!("Model {gone} is gone."));
    }
    known.models.retain(|n, _| names.contains(n));
    for name in names {
        let view: ModelView = match client.model(&name, None).await {
            Ok(view) => view,
            Err(fault) if fault.kind == Kind::NotFound => {
                said.extend(known.models.remove(&name).map(|_| format!("Model {name} is gone.")));
                continue;
            }
            Err(fault) => return Err(fault),
        };
        let newest = view.history.first().map_or(0, |h| h.seq);
        let before = known.models.insert(name.clone(), newest);
        match before {
            None if first => {}
            None => said.push(format!("New model {name}.")),
            Some(_) => {}
        }
        let since = before.unwrap_or(if first { newest } else { 0 });
        said.extend(view.history.iter().rev().filter(|h| h.seq > since).map(registry::change));
    }
    Ok(said)
}

async fn record_changes(client: &Client, known: &mut Known) -> Result<Vec<String>> {
    let first = known.record == 0;
    let page = audit::page(client, None, if first { 1 } else { ROWS }).await?;
    let newest = page.records.first().map_or(0, |r| r.seq);
    let since = if first { newest } else { known.record };
    let missed = page.records.last().map_or(0, |r| r.seq) - since - 1;
    known.record = newest.max(since);
    let mut said = Vec::new();
    if missed > 0 {
        said.push(format!("{} older records are left out.", show::count(missed.unsigned_abs())));
    }
    said.extend(page.records.iter().rev().filter(|r| r.seq > since).map(audit::sentence));
    Ok(said)
}
