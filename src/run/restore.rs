//! `opsroom restore`: fills an empty place from a backup, without an agent.

use crate::agent;
use crate::base::fault::Result;
use crate::cli::{self, Exit, Restore, Session};

/// # Errors
/// `NotFound`, `Refused` for a damaged or newer backup, `Exists` when the place is not empty, `Unavailable`.
pub async fn run(session: &Session, restore: &Restore) -> Result<Exit> {
    session.check_writable()?;
    // The store, its artifacts and its keys are the owner's alone.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let bar = cli::Bar::default();
    let told = |what: &str, done: u64, of: u64| bar.show(what, done, of);
    let restored = agent::restore(&restore.from, &session.loaded.agent_settings(), &told).await;
    bar.clear();
    cli::tell_restored(session, &restored?)?;
    Ok(Exit::Done)
}
