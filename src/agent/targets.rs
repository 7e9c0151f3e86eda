//! What carries requests by a route table: opsroom's own router, or the team's Envoy. Another one, such as a Kubernetes
//! Gateway or HAProxy, joins by this trait.

use super::App;
use crate::base::fault::Result;
use crate::capability::monitoring;
use crate::capability::rollout::RouteTable;
use crate::capability::rollout::link::Windows;

pub(super) trait TrafficTarget {
    /// Serves by this table from now on: resolves once the target itself has said so.
    ///
    /// # Errors
    /// `Conflict` when it holds a newer one; `Unavailable` when it does not say so.
    async fn apply(&mut self, table: &RouteTable) -> Result<()>;

    /// What was counted since the batch that was settled last. The same batch comes again until it is settled.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn counts(&mut self) -> Result<Windows>;

    /// The batch is in the store.
    fn settle(&mut self, sequence: i64);
}

/// Takes what a target has counted into the store, once.
///
/// # Errors
/// The target's and the store's; then the batch comes again.
pub(super) async fn record(app: &App, target: &mut impl TrafficTarget) -> Result<()> {
    let batch = target.counts().await?;
    if batch.windows.is_empty() {
        return Ok(());
    }
    let mut tx = app.ctx().db.begin().await?;
    let new = monitoring::record(&mut tx, &batch.router, batch.sequence, &batch.windows, app.now()).await?;
    drop(tx.commit().await?);
    if new {
        app.telemetry().count(&batch.windows);
        app.add_traffic();
    }
    target.settle(batch.sequence);
    Ok(())
}
