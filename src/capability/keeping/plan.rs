//! What would go, and why: by the days that are set, and because nothing refers to it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use super::{Item, Plan, retention};
use crate::base::id::{ModelId, RunId};
use crate::base::{Timestamp, fault::Result};
use crate::capability::monitoring::counters::OldEvents;
use crate::capability::tracking::artifacts::path_of_uri;
use crate::capability::tracking::{Lifecycle, Run, RunStatus, collections};
use crate::capability::{Ctx, audit, datasets, evals, hosts, monitoring, registry, training};
use crate::db::Source;
use crate::db::blobs::{Aged, hidden};

/// A file that nothing refers to may be of an upload under way.
const YOUNG: Duration = Duration::from_hours(24);
/// Labels are looked at so far back to know how late they come.
const DELAYS_SEEN: Duration = Duration::from_hours(24 * 90);

/// What goes, so that it can be carried out.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    pub plan: Plan,
    pub(super) events: OldEvents,
    pub(super) counters_before: Option<Timestamp>,
    pub(super) samples_before: Option<Timestamp>,
    pub(super) hosts_before: Option<Timestamp>,
    pub(super) runs: Vec<RunId>,
    pub(super) models: Vec<ModelId>,
    /// Files and folders in the artifact store.
    pub(super) paths: Vec<String>,
    /// Packs, manifests and profiles.
    pub(super) data: Vec<String>,
}

impl Findings {
    fn item(&mut self, what: &str, n: u64, bytes: u64, why: String) {
        if n > 0 {
            self.plan.items.push(Item { what: what.to_owned(), n, bytes, why });
        }
    }
}

fn older(days: u32) -> String {
    format!("older than {days} days")
}

/// Looks. `unreferenced`: also for what nobody refers to, which reads the whole list of files.
///
/// # Errors
/// The store's: when something cannot be read, nothing is known to be without use.
pub async fn plan(ctx: &Ctx, unreferenced: bool) -> Result<Findings> {
    let (now, settings) = (ctx.clock.now(), ctx.settings.retention);
    let mut found = Findings::default();
    events(ctx, &mut found, now).await?;
    if let Some(before) = retention::cutoff(now, settings.counters_days) {
        let (cells, bytes) = ctx.counters.cells_before(before).await?;
        let (windows, more) = monitoring::traffic_before(Source::Pool(ctx.db.read()), before).await?;
        found.item("counters", cells + windows, bytes + more, older(settings.counters_days));
        found.counters_before = (cells + windows > 0).then_some(before);
    }
    if let Some(before) = retention::cutoff(now, settings.samples_days) {
        let (versions, bytes) = ctx.counters.samples_before(before);
        found.item("versions' first predictions", versions, bytes, older(settings.samples_days));
        found.samples_before = (versions > 0).then_some(before);
    }
    if let Some(before) = retention::cutoff(now, settings.hosts_days) {
        let (minutes, bytes) = hosts::before(Source::Pool(ctx.db.read()), before).await?;
        found.item("minutes of hosts", minutes, bytes, older(settings.hosts_days));
        found.hosts_before = (minutes > 0).then_some(before);
    }
    let old_logs = retention::cutoff(now, settings.logs_days);
    let old_runs = retention::cutoff(now, settings.deleted_runs_days);
    if !unreferenced && old_logs.is_none() && old_runs.is_none() {
        return Ok(found);
    }
    let files = ctx.artifacts.blobs().aged().await?;
    if let Some(before) = old_runs {
        deleted_runs(ctx, &mut found, before, &files).await?;
    }
    if let Some(before) = old_logs {
        logs(ctx, &mut found, before, &files).await;
    }
    if unreferenced {
        let young = now.minus(YOUNG);
        let files: Vec<&Aged> = files.iter().filter(|f| f.written < young).collect();
        unreferenced_files(ctx, &mut found, &files).await?;
    }
    Ok(found)
}

async fn events(ctx: &Ctx, found: &mut Findings, now: Timestamp) -> Result<()> {
    let days = ctx.settings.retention.ledger_days;
    if days == 0 {
        return Ok(());
    }
    let delays = ctx.counters.label_delays(now.minus(DELAYS_SEEN), now).await?;
    let (before, warning) = retention::ledger(now, days, &delays);
    found.plan.warnings.extend(warning);
    if let Some(before) = before {
        found.events = ctx.counters.events_before(before).await?;
        found.item("predictions and labels", found.events.events, found.events.bytes, older(days));
    }
    Ok(())
}

/// What a folder's files come to.
fn beneath(files: &[Aged], folder: &str) -> (u64, u64) {
    let inside = |f: &&Aged| f.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    files.iter().filter(inside).fold((0, 0), |(n, bytes), f| (n + 1, bytes + f.bytes))
}

async fn deleted_runs(ctx: &Ctx, found: &mut Findings, before: Timestamp, files: &[Aged]) -> Result<()> {
    let deleted: Vec<std::sync::Arc<Run>> =
        ctx.tracking.read(|s| s.runs().iter().filter(|r| r.lifecycle == Lifecycle::Deleted).cloned().collect());
    if deleted.is_empty() {
        return Ok(());
    }
    let pool = ctx.db.read();
    let mut since: HashMap<String, Timestamp> = audit::last(pool, "delete-run").await?.into_iter().collect();
    since.extend(audit::last(pool, "delete-experiment").await?);
    let stands = Stands::read(ctx).await?;
    let (mut bytes, mut kept) = (0, 0);
    for run in deleted {
        // One of a deleted experiment went with it; one whose deletion stands nowhere stays.
        let own = since.get(&format!("run {}", run.id));
        let Some(at) = own.max(since.get(&format!("experiment {}", run.experiment))) else { continue };
        if *at >= before {
            continue;
        }
        let (places, models) = ctx.tracking.output_places(&run);
        let folders: Vec<String> = places.into_iter().filter_map(|(_, place)| place.ok()).collect();
        if stands.on_run(&run.id.to_string(), &folders) {
            kept += 1;
            continue;
        }
        let own = run.id.to_string();
        let mut ids: Vec<String> = models.iter().map(ToString::to_string).collect();
        ids.push(own);
        // A place that the client chose may hold more than this run's.
        let folders = folders.into_iter().filter(|f| f.split('/').any(|part| ids.iter().any(|id| id == part)));
        bytes += ctx.tracking.bytes_of_run(run.id).await?;
        for folder in folders {
            bytes += beneath(files, &folder).1;
            found.paths.push(folder);
        }
        found.runs.push(run.id);
        found.models.extend(models);
    }
    found.item("deleted runs", found.runs.len() as u64, bytes, older(ctx.settings.retention.deleted_runs_days));
    if kept > 0 {
        found.plan.warnings.push(format!("{kept} deleted runs stay: versions or collections stand on them"));
    }
    Ok(())
}

/// What registered versions and collections stand on.
struct Stands {
    runs: HashSet<String>,
    folders: Vec<String>,
}

impl Stands {
    async fn read(ctx: &Ctx) -> Result<Self> {
        let source = || Source::Pool(ctx.db.read());
        let mut it = Self { runs: HashSet::new(), folders: Vec::new() };
        for version in registry::models(source(), None).await?.into_iter().flat_map(|m| m.versions) {
            it.runs.extend(version.doc.run_id);
            it.folders.extend(version.doc.artifact.map(|a| a.path));
        }
        it.folders.extend(collections::all(source()).await?.into_iter().map(|c| c.folder));
        Ok(it)
    }

    fn on_run(&self, run: &str, folders: &[String]) -> bool {
        let touches = |a: &str, b: &str| a == b || a.strip_prefix(b).is_some_and(|rest| rest.starts_with('/'));
        let on = |f: &String| self.folders.iter().any(|s| touches(s, f) || touches(f, s));
        self.runs.contains(run) || folders.iter().any(on)
    }
}

async fn logs(ctx: &Ctx, found: &mut Findings, before: Timestamp, files: &[Aged]) {
    let sizes: HashMap<&str, u64> = files.iter().map(|f| (f.path.as_str(), f.bytes)).collect();
    let ended = |r: &&std::sync::Arc<Run>| {
        r.status != RunStatus::Running && r.end_ms.is_some_and(|end| Timestamp::from_millis(end) < before)
    };
    let runs: Vec<_> = ctx.tracking.read(|s| s.runs().iter().filter(ended).cloned().collect());
    let (mut n, mut bytes) = (0, 0);
    for run in runs {
        let Some(folder) = path_of_uri(&ctx.tracking.artifact_uri(&run)) else { continue };
        if found.paths.contains(&folder) || ctx.artifacts.is_frozen(&folder).await {
            continue;
        }
        let own = [training::STDOUT, training::STDERR, "output.log"].map(|name| format!("{folder}/{name}"));
        for path in own {
            if let Some(size) = sizes.get(path.as_str()) {
                (n, bytes) = (n + 1, bytes + size);
                found.paths.push(path);
            }
        }
        let console = hidden(&format!("wandb/console/{}", run.id));
        let (parts, size) = beneath(files, &console);
        if parts > 0 {
            bytes += size;
            found.paths.push(console);
        }
    }
    found.item("console outputs", n, bytes, older(ctx.settings.retention.logs_days));
}

/// A folder of a run or logged model by its path: the folder, and the id that it is of.
fn owner(path: &str) -> Option<(String, Result<RunId, ModelId>)> {
    let mut parts = path.split('/');
    let (experiment, second) = (parts.next()?, parts.next()?);
    if experiment == crate::db::blobs::HIDDEN {
        // .opsroom/wandb/console/RUN/…
        let (kind, run) = (parts.next()?, parts.next()?);
        let ours = second == "wandb" && kind == "console";
        return Some((hidden(&format!("wandb/console/{run}")), Ok(run.parse().ok().filter(|_| ours)?)));
    }
    if experiment.is_empty() || !experiment.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    if second == "models" {
        let model = parts.next()?;
        parts.next()?;
        return Some((format!("{experiment}/models/{model}"), Err(model.parse().ok()?)));
    }
    parts.next()?;
    Some((format!("{experiment}/{second}"), Ok(second.parse().ok()?)))
}

async fn unreferenced_files(ctx: &Ctx, found: &mut Findings, files: &[&Aged]) -> Result<()> {
    let pool = ctx.db.read();
    let known = datasets::referenced(pool, ctx.artifacts.blobs()).await?.paths;
    let data: Vec<&&Aged> =
        files.iter().filter(|f| under(&f.path, &datasets::folder()) && !known.contains(&f.path)).collect();
    found.item("data packs and manifests", data.len() as u64, data.iter().map(|f| f.bytes).sum(), nobody());
    found.data.extend(data.iter().map(|f| f.path.clone()));

    let mut examples: BTreeSet<String> = BTreeSet::new();
    for result in evals::all(Source::Pool(pool)).await? {
        for digest in [&result.truth, &result.predicted] {
            if let Ok(place) = evals::place_of_examples(digest) {
                examples.insert(format!("{place}{}", evals::ERASED_ENDING));
                examples.insert(place);
            }
        }
    }
    let loose: Vec<&&Aged> =
        files.iter().filter(|f| under(&f.path, &hidden("evals")) && !examples.contains(&f.path)).collect();
    found.item("evals' examples", loose.len() as u64, loose.iter().map(|f| f.bytes).sum(), nobody());
    found.paths.extend(loose.iter().map(|f| f.path.clone()));

    let stands = Stands::read(ctx).await?;
    let mut folders: BTreeMap<String, u64> = BTreeMap::new();
    for file in files {
        let Some((folder, of)) = owner(&file.path) else { continue };
        let there = ctx.tracking.read(|s| match of {
            Ok(run) => s.run(run).is_some(),
            Err(model) => s.model(model).is_some(),
        });
        if !there && !stands.on_run("", std::slice::from_ref(&folder)) {
            *folders.entry(folder).or_default() += file.bytes;
        }
    }
    found.item("folders of artifacts", folders.len() as u64, folders.values().sum(), "their run is gone".to_owned());
    found.paths.extend(folders.into_keys());
    Ok(())
}

fn under(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

fn nobody() -> String {
    "nothing refers to them".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_runs_and_models_have_an_owner() {
        let id = "0123456789abcdef0123456789abcdef";
        let of = |path: &str| owner(path).map(|(folder, _)| folder);
        assert_eq!(of(&format!("3/{id}/artifacts/a.bin")), Some(format!("3/{id}")));
        assert_eq!(of(&format!("3/models/m-{id}/artifacts/x")), Some(format!("3/models/m-{id}")));
        assert_eq!(of(&format!(".opsroom/wandb/console/{id}/0")), Some(format!(".opsroom/wandb/console/{id}")));
        for path in
            ["3/readme.txt", "mine/a/b", ".opsroom/wandb/key", &format!("3/{id}"), "3/models/x/y", "3/short/a/b"]
        {
            assert_eq!(of(path), None, "{path}");
        }
    }
}
