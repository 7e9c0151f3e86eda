//! Carrying out what was decided: each step is whole, and what an interruption leaves is found by the next look.

use super::plan::Findings;
use crate::base::fault::Result;
use crate::capability::{Ctx, datasets, hosts, monitoring};

/// # Errors
/// The first that a step met; the steps before it hold.
pub(super) async fn sweep(ctx: &Ctx, found: &Findings) -> Result<()> {
    let now = ctx.clock.now();
    if found.events.seq > 0 {
        ctx.counters.forget(found.events.seq, now).await?;
    }
    if let Some(before) = found.counters_before {
        ctx.counters.remove_cells_before(before).await?;
        let mut tx = ctx.db.begin().await?;
        monitoring::remove_traffic_before(&mut tx, before).await?;
        tx.commit().await?;
    }
    if let Some(before) = found.samples_before {
        ctx.counters.forget_samples(before, now).await?;
    }
    if let Some(before) = found.hosts_before {
        let mut tx = ctx.db.begin().await?;
        hosts::remove_before(&mut tx, before).await?;
        tx.commit().await?;
    }
    // Documents first: a folder without its run is found again, a run without its folder would be a lie.
    if !found.runs.is_empty() || !found.models.is_empty() {
        ctx.tracking.purge(&found.runs, &found.models).await?;
    }
    let restored = ctx
        .tracking
        .read(|s| found.runs.iter().filter(|r| s.run(**r).is_some()).map(ToString::to_string).collect::<Vec<_>>());
    for path in &found.paths {
        if !restored.iter().any(|run| path.contains(run.as_str())) {
            ctx.artifacts.blobs().delete(path).await?;
        }
    }
    for path in &found.data {
        datasets::remove(&ctx.db, ctx.artifacts.blobs(), path).await?;
    }
    Ok(())
}
