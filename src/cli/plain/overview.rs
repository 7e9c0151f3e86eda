//! What goes on, in a few sentences: the agent, the runs, the models, the newest record.

use serde::Serialize;

use super::{audit, registry, runs};
use crate::base::{Timestamp, fault::Result, show};
use crate::capability::audit::AuditPage;
use crate::capability::registry::ModelView;
use crate::capability::tracking::RunPage;
use crate::capability::wire::Status;
use crate::client::Client;

#[derive(Debug, Serialize)]
pub(super) struct Document {
    status: Status,
    runs: RunPage,
    models: Vec<ModelView>,
    audit: AuditPage,
}

/// Runs and records that the overview holds.
const ROWS: usize = 5;

pub(super) async fn document(client: &Client) -> Result<Document> {
    Ok(Document {
        status: client.status().await?,
        runs: runs::page(client, ROWS).await?,
        models: client.models(None).await?,
        audit: audit::page(client, None, ROWS).await?,
    })
}

pub(super) async fn say(client: &Client, now: Timestamp) -> Result<Vec<String>> {
    let Document { status, runs: page, audit: trail, .. } = document(client).await?;
    let mut said = vec![format!(
        "{}: opsroom {} at {}. You are {}, {}, role {}.",
        status.badge.to_uppercase(),
        status.version,
        if status.address.is_empty() { &status.socket } else { &status.address },
        status.actor,
        if status.verified { "verified" } else { "not verified" },
        status.role.name()
    )];
    if page.total == 0 {
        said.extend(runs::nothing());
    } else {
        let experiments = show::many(status.experiments as u64, "experiment", "experiments");
        let total = show::many(page.total as u64, "run", "runs");
        said.push(format!("{total} in {experiments}, {} going on.", page.running));
        said.extend(page.runs.first().map(|r| format!("The newest: {}", runs::sentence(r, now))));
    }
    said.extend(registry::say(client, None, None, None, now).await?);
    if let Some(newest) = trail.records.first() {
        let records = show::many(trail.total.unsigned_abs(), "audit record", "audit records");
        said.push(format!("{records}. The newest: {}", audit::sentence(newest)));
    }
    said.push("More: opsroom runs --plain, opsroom registry --plain, opsroom audit --plain; --follow goes on.".into());
    Ok(said)
}
