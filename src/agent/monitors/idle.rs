//! Ends an agent that has long had nothing to do: one that was started on demand must not stay for ever.

use std::time::Duration;

use super::App;
use crate::capability::tracking::RunStatus;

/// Returns when the agent ends, for this reason or another.
pub(super) async fn watch(app: App) {
    let limit = Duration::from_secs(app.settings().idle_exit_seconds);
    if limit.is_zero() {
        return;
    }
    loop {
        let left = limit.saturating_sub(app.idle()).max(Duration::from_millis(200));
        tokio::select! {
            () = tokio::time::sleep(left.min(Duration::from_mins(1))) => {}
            () = app.stopped() => return,
        }
        // A router would serve on, with nobody to take its counts or to judge a rollout.
        if app.idle() >= limit && !running(&app) && app.router().0.is_empty() {
            tracing::info!("nothing to do for {} s: the agent ends", limit.as_secs());
            app.stop();
            return;
        }
    }
}

/// A script may think for hours between two points.
fn running(app: &App) -> bool {
    app.ctx().tracking.read(|s| s.runs().iter().any(|r| r.status == RunStatus::Running))
}
