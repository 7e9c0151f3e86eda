//! Reconcilers: woken by a hint or a period, each reads the store anew and does the next step. They take no input, so
//! the happy case, a restart and a crash are one path.

mod deploy;
mod erasures;
mod follow;
mod heads;
mod idle;
mod memory;
mod metadata;
mod policy;
mod retention;
mod rollout;
mod rules;
mod silence;

use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use super::App;
use super::notify::{self, Receiver};
use super::{envoy, host, routers, supervise};
use crate::base::fault::Result;
use crate::capability::Hint;

pub use heads::read_heads;

/// Starts all of them.
///
/// # Errors
/// When what they need cannot be opened.
pub fn start(app: &App) -> Result<Vec<JoinHandle<()>>> {
    let receivers = app.settings().notify.iter().map(|r| Receiver::parse(r)).collect::<Result<Vec<_>>>()?;
    let heads = heads::Heads::open(&app.settings().audit_heads)?;
    Ok(vec![
        tokio::spawn(heads::keep(app.clone(), heads)),
        tokio::spawn(metadata::keep(app.clone())),
        tokio::spawn(policy::keep(app.clone())),
        tokio::spawn(retention::keep(app.clone())),
        tokio::spawn(host::keep(app.clone())),
        tokio::spawn(erasures::keep(app.clone())),
        tokio::spawn(rollout::keep(app.clone())),
        tokio::spawn(deploy::keep(app.clone())),
        tokio::spawn(supervise::keep(app.clone())),
        tokio::spawn(rules::keep(app.clone())),
        tokio::spawn(routers::keep(app.clone())),
        tokio::spawn(envoy::keep(app.clone())),
        tokio::spawn(idle::watch(app.clone())),
        tokio::spawn(memory::keep(app.clone())),
        tokio::spawn(silence::watch(app.clone())),
        tokio::spawn(notify::tell(app.clone(), receivers)),
        tokio::spawn(notify::beat(app.clone())),
    ])
}

/// Waits for a hint that `wanted` wants, a period, or the end of the agent; `false` at the end. Hints that come
/// close together wake once.
pub(super) async fn woken(
    app: &App,
    hints: &mut tokio::sync::broadcast::Receiver<Hint>,
    period: Duration,
    wanted: fn(&Hint) -> bool,
) -> bool {
    woken_after(app, hints, period, Duration::from_millis(50), wanted).await
}

/// The same, with another wait for hints that may follow; none where callers wait for what comes of it.
pub(super) async fn woken_after(
    app: &App,
    hints: &mut tokio::sync::broadcast::Receiver<Hint>,
    period: Duration,
    settle: Duration,
    wanted: fn(&Hint) -> bool,
) -> bool {
    let hint = async {
        loop {
            match hints.recv().await {
                Ok(hint) if wanted(&hint) => return,
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => return,
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    };
    tokio::select! {
        () = hint => {
            tokio::time::sleep(settle).await;
            true
        }
        () = tokio::time::sleep(period) => true,
        () = app.stopped() => false,
    }
}
