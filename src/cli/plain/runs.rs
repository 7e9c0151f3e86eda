//! The list of runs in sentences.

use super::words;
use crate::base::{Timestamp, fault::Result, show};
use crate::capability::tracking::{RunPage, RunQuery, RunStatus, RunView};
use crate::client::Client;

/// Metrics that a sentence names.
const METRICS_MAX: usize = 3;

pub(super) async fn page(client: &Client, rows: usize) -> Result<RunPage> {
    client.search_runs(&RunQuery { limit: rows, ..RunQuery::default() }).await
}

pub(super) async fn say(client: &Client, rows: usize, now: Timestamp) -> Result<Vec<String>> {
    let page = page(client, rows).await?;
    if page.total == 0 {
        return Ok(nothing());
    }
    let mut said = vec![format!(
        "{}, {} going on. The newest {} follow, newest first.",
        show::many(page.total as u64, "run", "runs"),
        page.running,
        show::count(page.runs.len() as u64)
    )];
    said.extend(page.runs.iter().map(|r| sentence(r, now)));
    if page.matched > page.runs.len() {
        said.push("More with --rows, or with a filter: opsroom runs search.".into());
    }
    Ok(said)
}

pub(super) fn nothing() -> Vec<String> {
    vec![
        "No run has been logged yet.".into(),
        "Set the tracking address as `opsroom connect mlflow` says and start a training script, or see real data with \
         `opsroom demo`."
            .into(),
    ]
}

/// One run with its state and its first metrics.
pub(super) fn sentence(r: &RunView, now: Timestamp) -> String {
    let metrics = figures(r);
    let metrics = if metrics.is_empty() { "no metric yet".to_owned() } else { metrics };
    let id: String = r.id.to_string().chars().take(8).collect();
    format!("Run {} of {} {}: {metrics}. Id {id}.", r.name, r.experiment_name, state(r, now))
}

/// `is going on for 12m`, `finished after 34m, Nov 09`.
pub(super) fn state(r: &RunView, now: Timestamp) -> String {
    let since = |end: Timestamp| show::between(r.started, end);
    match (r.status, r.ended) {
        (RunStatus::Running, _) => format!("is going on for {}", since(now)),
        (RunStatus::Scheduled, _) => "is scheduled".to_owned(),
        (status, Some(end)) => {
            let verb = match status {
                RunStatus::Failed => "failed",
                RunStatus::Killed => "was stopped",
                _ => "finished",
            };
            format!("{verb} after {}, at {}", since(end), show::moment(end))
        }
        (status, None) => format!("is {}, its end is not known", status.name().to_lowercase()),
    }
}

/// The first metrics with their values now.
pub(super) fn figures(r: &RunView) -> String {
    let own = r.metrics.iter().filter(|(k, _)| !k.starts_with("system/"));
    let named: Vec<String> = own.take(METRICS_MAX).map(|(k, m)| format!("{k} {}", show::metric(m.value))).collect();
    let step = r.metrics.values().map(|m| m.step).max().unwrap_or(0);
    let at = if step > 0 { format!(" at step {}", show::count(step.unsigned_abs())) } else { String::new() };
    if named.is_empty() { String::new() } else { format!("{}{at}", words::list(&named)) }
}
