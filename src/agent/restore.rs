//! Restoring a backup into an empty place, before any agent serves it.

use std::path::Path;

use crate::base::fault::Result;
use crate::capability::wire::Restored;
use crate::config::AgentSettings;
use crate::db::StoreUrl;
use crate::db::backup::{self, Progress};
use crate::db::blobs::Blobs;
use crate::db::lock::StoreLock;

/// Holds every file against the backup's manifest, then fills the store and the artifact place of `settings`.
/// `told` hears, for both passes, how many artifacts are done of how many.
///
/// # Errors
/// `NotFound` when there is no whole backup, `Refused` when a file is not as it was or a newer opsroom made it,
/// `Exists` when the place is not empty, `Unavailable` when another agent holds it or it cannot be written.
pub async fn restore(
    from: &Path,
    settings: &AgentSettings,
    told: &(dyn Fn(&str, u64, u64) + Sync),
) -> Result<Restored> {
    let url: StoreUrl = settings.store.parse()?;
    let manifest = backup::verify(from, &|p| tell("checking", p, told))?;
    let lock = StoreLock::take(&url).await?;
    let blobs = Blobs::open(&settings.artifacts)?;
    backup::restore(from, &manifest, &url, &blobs, &|p| tell("restoring", p, told)).await?;
    drop(lock);
    Ok(Restored {
        made: manifest.made,
        store: url.to_string(),
        artifacts: blobs.place().to_owned(),
        files: manifest.artifacts.len() as u64,
        bytes: manifest.store.bytes + manifest.artifacts.iter().map(|f| f.bytes).sum::<u64>(),
    })
}

fn tell(what: &str, progress: Progress, told: &(dyn Fn(&str, u64, u64) + Sync)) {
    match progress {
        Progress::Store => told(&format!("{what} the store"), 0, 0),
        Progress::Artifacts { done, of } => told(&format!("{what} artifacts"), done, of),
    }
}
