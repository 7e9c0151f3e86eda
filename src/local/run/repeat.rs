//! Setting up what a run stood on: source in a worktree, data at its place, environment as it was.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::environment::{Restored, settle};
use super::start::{Data, data_variable};
use super::{Rerun, find_program, git};
use crate::base::fault::Result;
use crate::base::id::RunId;
use crate::capability::training::environment::is_knob;
use crate::capability::training::{Capture, Cause, PATCH, PinnedData, StandIn};
use crate::client::Client;
use crate::local::data::{self, Cache, Checkout};

/// Everything at its place.
pub struct Stage {
    pub command: Vec<String>,
    pub program: PathBuf,
    pub folder: PathBuf,
    pub environment: BTreeMap<String, String>,
    pub data: Vec<Data>,
    /// The exit status of the original.
    pub status: u8,
    /// Where the source is now, and where it was.
    pub moved: Option<(PathBuf, PathBuf)>,
    restored: Option<StandIn>,
    scratch: PathBuf,
    repository: Option<PathBuf>,
}

impl Stage {
    /// Takes worktree and restored data away.
    pub fn clear(&self) {
        if let (Some(root), Some((at, _))) = (&self.repository, &self.moved) {
            git::remove(root, at);
        }
        let _ = std::fs::remove_dir_all(&self.scratch);
    }

    /// What stands in for the original's places.
    pub fn stand_ins(&self) -> Vec<StandIn> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let source = self.moved.iter().map(|(now, then)| StandIn { now: text(now), then: text(then) });
        self.restored.iter().cloned().chain(source).collect()
    }

    /// Runs with a restored environment.
    fn take(&mut self, then: &Capture, restored: Restored) {
        let bin = restored.folder.join("bin");
        let name = self.program.file_name().unwrap_or_default().to_owned();
        let there = bin.join(&name);
        if there.exists() {
            self.program = there;
        } else if name.to_string_lossy().starts_with("python") {
            self.program = bin.join("python");
        }
        if then.environment.contains_key("VIRTUAL_ENV") {
            self.environment.insert("VIRTUAL_ENV".to_owned(), restored.folder.display().to_string());
        }
        let path = self.environment.get("PATH").cloned().unwrap_or_default();
        self.environment.insert("PATH".to_owned(), format!("{}:{path}", bin.display()));
        self.restored = Some(restored.stand_in);
    }
}

/// What keeps a run from being repeated.
pub type Obstacle = Cause;

/// Sets everything up below `scratch`, or says what is in the way.
///
/// # Errors
/// The agent's, the disk's.
pub async fn set_up(
    client: &Client,
    run: RunId,
    then: &Capture,
    scratch: PathBuf,
    how: &Rerun<'_>,
) -> Result<std::result::Result<Stage, Obstacle>> {
    if then.program.masked {
        return Ok(Err(Cause::new("command", "a secret in it was masked and is not kept; repeat it by hand")));
    }
    let mut stage = Stage {
        command: then.program.command.clone(),
        program: PathBuf::from(&then.program.path),
        folder: PathBuf::from(&then.program.folder),
        environment: environment(then),
        data: Vec::new(),
        status: then.ended.map_or(0, |e| e.status),
        moved: None,
        restored: None,
        scratch,
        repository: None,
    };
    let ready = match source(client, run, then, &mut stage).await? {
        Ok(()) => restore_data(client, then, &mut stage, how.cache).await?,
        Err(obstacle) => Err(obstacle),
    };
    let ready = ready.and_then(|()| {
        let (variables, scratch) = (stage.environment.clone(), stage.scratch.clone());
        let restored = tokio::task::block_in_place(|| settle(then, &variables, &scratch, how.restore, how.tell))?;
        restored.into_iter().for_each(|restored| stage.take(then, restored));
        check_program(&stage)
    });
    Ok(match ready {
        Ok(()) => Ok(stage),
        Err(obstacle) => {
            stage.clear();
            Err(obstacle)
        }
    })
}

fn check_program(stage: &Stage) -> std::result::Result<(), Obstacle> {
    let path = stage.program.to_string_lossy();
    find_program(&path, Path::new("/"))
        .map(drop)
        .map_err(|_| Cause::new(format!("program {path}"), "it is not there any more"))
}

async fn source(
    client: &Client,
    run: RunId,
    then: &Capture,
    stage: &mut Stage,
) -> Result<std::result::Result<(), Obstacle>> {
    let Some(source) = &then.source else { return Ok(same_files(then)) };
    let was = PathBuf::from(&source.root);
    let here = std::env::current_dir().ok().and_then(|d| git::root_of(&d));
    let repository = [Some(was.clone()), here].into_iter().flatten().find(|r| git::has_commit(r, &source.commit));
    let Some(repository) = repository else {
        let why = format!("neither {} nor this folder's repository has it", was.display());
        return Ok(Err(Cause::new(format!("commit {}", source.commit), why)));
    };
    let patch = match &source.patch {
        None => bytes::Bytes::new(),
        Some(digest) => {
            let patch = client.artifact_bytes(run, PATCH).await?;
            if blake3::hash(&patch).to_hex().as_str() != digest {
                return Ok(Err(Cause::new("source patch", "its bytes are not what they were")));
            }
            patch
        }
    };
    let at = stage.scratch.join("source");
    let made = tokio::task::block_in_place(|| git::worktree(&repository, &source.commit, &patch, &at));
    stage.repository = Some(repository);
    stage.moved = Some((at.clone(), was.clone()));
    if let Err(fault) = made {
        return Ok(Err(Cause::new("source", format!("git cannot rebuild it: {}", fault.why))));
    }
    let moved = |path: &Path| path.strip_prefix(&was).map(|below| at.join(below)).ok();
    stage.folder = moved(&stage.folder).unwrap_or_else(|| stage.folder.clone());
    // A program of the repository is that of the worktree; an environment that git does not know stays where it is.
    stage.program = moved(&stage.program).filter(|p| p.exists()).unwrap_or_else(|| stage.program.clone());
    let (from, to) = (was.to_string_lossy().into_owned(), at.to_string_lossy().into_owned());
    if let Some(path) = stage.environment.get_mut("PYTHONPATH") {
        *path = path.replace(&from, &to);
    }
    for word in &mut stage.command {
        if moved(Path::new(&*word)).is_some_and(|p| p.exists()) {
            *word = word.replace(&from, &to);
        }
    }
    Ok(Ok(()))
}

/// Without a repository the script itself has to be the same.
fn same_files(then: &Capture) -> std::result::Result<(), Obstacle> {
    let folder = Path::new(&then.program.folder);
    if !folder.is_dir() {
        return Err(Cause::new(
            format!("folder {}", folder.display()),
            "it is not there any more, and no repository holds it",
        ));
    }
    for (name, digest) in &then.program.files {
        let now = std::fs::read(folder.join(name)).map(|b| blake3::hash(&b).to_hex().to_string()).ok();
        if now.as_ref() != Some(digest) {
            let cause = Cause::new(format!("file {name}"), "it changed since, and no repository holds what it was");
            return Err(cause.changed(Some(digest), now.as_deref()));
        }
    }
    Ok(())
}

/// As it was captured; a knob that the caller sets wins, and is named when the result differs.
fn environment(then: &Capture) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> =
        std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
    for name in ["PYTHONPATH", "LANG", "LANGUAGE", "TZ", "LD_PRELOAD", "LD_LIBRARY_PATH", "VIRTUAL_ENV"] {
        if !then.environment.contains_key(name) {
            all.remove(name);
        }
    }
    for (name, value) in &then.environment {
        if !(is_knob(name) && all.contains_key(name)) {
            all.insert(name.clone(), value.clone());
        }
    }
    all
}

async fn restore_data(
    client: &Client,
    then: &Capture,
    stage: &mut Stage,
    cache: &Cache,
) -> Result<std::result::Result<(), Obstacle>> {
    for pinned in &then.datasets {
        let name = format!("dataset {} v{}", pinned.dataset, pinned.version);
        let version = match crate::local::data_version(client, &pinned.dataset, pinned.version).await {
            Ok(version) if version.doc.digest == pinned.digest => version,
            Ok(_) => return Ok(Err(Cause::new(name, "the store has another version under this number"))),
            Err(fault) => return Ok(Err(Cause::new(name, fault.to_string()))),
        };
        let path = place(client, pinned, stage, cache).await?;
        let was = &pinned.path;
        let now = path.to_string_lossy().into_owned();
        stage.command.iter_mut().for_each(|word| *word = word.replace(was, &now));
        stage.environment.insert(data_variable(&pinned.dataset), now);
        stage.data.push(Data { version, path });
    }
    Ok(Ok(()))
}

/// Where the version lies: where it was if it is still the same there, else it is checked out.
async fn place(client: &Client, pinned: &PinnedData, stage: &Stage, cache: &Cache) -> Result<PathBuf> {
    let was = PathBuf::from(&pinned.path);
    let inside = stage.moved.as_ref().and_then(|(now, then)| was.strip_prefix(then).ok().map(|below| now.join(below)));
    let manifest = client.manifest(&pinned.dataset, pinned.version).await?;
    let (name, version) = (&pinned.dataset, pinned.version);
    let same = |at: &Path| {
        tokio::task::block_in_place(|| data::verify_at(name, version, &manifest, at, cache, &|_, _, _| {}))
            .is_ok_and(|v| v.ok)
    };
    let at = inside.unwrap_or(was);
    if at.exists() && same(&at) {
        return Ok(at);
    }
    let at = if at.starts_with(&stage.scratch) { at } else { stage.scratch.join("data").join(name) };
    let how = Checkout { to: &at, as_file: pinned.one_file, force: true, hard_link: false };
    data::checkout(client, &manifest, how, cache, &|_, _, _| {}).await?;
    Ok(at)
}
