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

/// Hints that come so close together wake once.
pub(super) const SETTLE: Duration = Duration::from_millis(50);
/// Between two looks at what changes by commands alone, each of which gives a hint: in case one was missed.
pub(super) const QUIET: Duration = Duration::from_secs(15);

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
    woken_by(app, hints, tokio::time::sleep(period), SETTLE, wanted).await != Woken::End
}

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    Hint,
    /// What was waited for beside hints.
    Else,
    End,
}

/// Waits for a hint that `wanted` wants, for something else, or the end of the agent. Hints that come within `settle` wake
/// once; it is nothing where callers wait for what comes of it.
pub(super) async fn woken_by(
    app: &App,
    hints: &mut tokio::sync::broadcast::Receiver<Hint>,
    something: impl Future<Output = ()>,
    settle: Duration,
    wanted: fn(&Hint) -> bool,
) -> Woken {
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
            Woken::Hint
        }
        () = something => Woken::Else,
        () = app.stopped() => Woken::End,
    }
}
