//! A script's console: lines that may still change, kept in parts; the run's `output.log` is made of them.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};

use super::storage::CONSOLE;
use crate::agent::App;
use crate::base::clock::Stopwatch;
use crate::base::id::RunId;
use crate::base::{Kind, fault::Result};
use crate::db::blobs::hidden;

/// Lines of one part: what a changed line costs to write.
const PART_LINES: u64 = 1000;
/// Between two makings of the whole, at least; and so many times what the last one took.
const EVERY: Duration = Duration::from_secs(2);
const SHARE: u32 = 20;

/// When the whole was made last.
#[derive(Default)]
pub(super) struct Assembled {
    stale: bool,
    took: Duration,
    last: Option<Stopwatch>,
}

fn parts(run: RunId) -> String {
    hidden(&format!("wandb/console/{run}"))
}

/// Takes lines in from a number on.
///
/// # Errors
/// `Unavailable` when they cannot be written.
pub(super) async fn take(app: &App, run: RunId, offset: u64, lines: &[String], whole: &mut Assembled) -> Result<()> {
    let mut by_part: BTreeMap<u64, Vec<(u64, &str)>> = BTreeMap::new();
    for (n, line) in (offset..).zip(lines) {
        by_part.entry(n / PART_LINES).or_default().push((n % PART_LINES, line));
    }
    let blobs = app.ctx().artifacts.blobs();
    for (part, changed) in by_part {
        let path = format!("{}/{part:012}", parts(run));
        let before = match blobs.read(&path).await {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(fault) if fault.kind == Kind::NotFound => String::new(),
            Err(fault) => return Err(fault),
        };
        let mut all: Vec<&str> = before.lines().collect();
        for (n, line) in changed {
            let n = usize::try_from(n).unwrap_or(0);
            if all.len() <= n {
                all.resize(n + 1, "");
            }
            all[n] = line;
        }
        let text: String = all.iter().flat_map(|line| [line, "\n"]).collect();
        blobs.put(&path, text.into_bytes().into()).await?;
    }
    whole.stale |= !lines.is_empty();
    Ok(())
}

/// Makes the whole when something changed and it is time, or the end has come.
///
/// # Errors
/// `Unavailable` when it cannot be written.
pub(super) async fn assemble(app: &App, run: RunId, folder: &str, end: bool, whole: &mut Assembled) -> Result<()> {
    let due = whole.last.as_ref().is_none_or(|last| last.elapsed() >= EVERY.max(whole.took * SHARE));
    if !whole.stale || !(due || end) {
        return Ok(());
    }
    let watch = Stopwatch::start();
    let blobs = app.ctx().artifacts.blobs().clone();
    let paths: Vec<String> =
        blobs.list(&parts(run)).await?.into_iter().map(|e| format!("{}/{}", parts(run), e.name)).collect();
    let all = futures::stream::iter(paths)
        .then(move |path| {
            let blobs = blobs.clone();
            async move { blobs.get(&path, None).await.map(|c| c.stream).map_err(std::io::Error::other) }
        })
        .try_flatten();
    app.ctx().artifacts.put(&format!("{folder}/{CONSOLE}"), all.boxed()).await?;
    *whole = Assembled { stale: false, took: watch.elapsed(), last: Some(Stopwatch::start()) };
    Ok(())
}
