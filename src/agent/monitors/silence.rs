//! Ends runs whose W&B script has died: a script at work says something twice a minute.

use std::time::Duration;

use super::App;
use crate::base::Timestamp;
use crate::base::fault::Result;
use crate::base::id::RunId;
use crate::capability::tracking::wandb::{IMPORTED_TAG, progress};
use crate::capability::tracking::{Lifecycle, RunStatus};

/// After so much silence a script counts as dead. It is believed when it comes back.
const SILENCE: Duration = Duration::from_mins(5);
const LOOK_EVERY: Duration = Duration::from_secs(30);

pub(super) async fn watch(app: App) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = app.stopped() => return,
        }
        if let Err(fault) = look(&app).await {
            tracing::warn!("scripts that went silent: {fault}");
        }
    }
}

async fn look(app: &App) -> Result<()> {
    let now = app.now();
    for (run, heard) in at_work(app) {
        if now < heard.plus(SILENCE) {
            continue;
        }
        tracing::info!("the script of run {run} has said nothing for {} s: it counts as failed", SILENCE.as_secs());
        let tracking = &app.ctx().tracking;
        tracking.update_run(run, Some(RunStatus::Failed), Some(heard.millis()), None).await?;
        app.wandb().ended(run);
    }
    Ok(())
}

/// Runs of live scripts, and when each was heard of: an agent that has just begun grants all of them their time.
fn at_work(app: &App) -> Vec<(RunId, Timestamp)> {
    let going = |r: &&std::sync::Arc<crate::capability::tracking::Run>| {
        let live = progress(r).is_some() && r.tags.get(IMPORTED_TAG).is_none();
        live && r.status == RunStatus::Running && r.lifecycle == Lifecycle::Active
    };
    let runs: Vec<RunId> = app.ctx().tracking.read(|s| s.runs().iter().filter(going).map(|r| r.id).collect());
    runs.into_iter().map(|run| (run, app.wandb().last_heard(run).unwrap_or(app.started()))).collect()
}
