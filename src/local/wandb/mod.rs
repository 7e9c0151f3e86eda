//! Folders that W&B's clients write, read without W&B and without a network: the log of each run, and its files.

mod ahead;
mod artifact;
mod columns;
mod console;
mod log;
mod names;
mod proto;
mod record;
mod run;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::found::Damage;
use super::import::Files;
use crate::base::{Fault, Kind, fault::Result};
use crate::client::Client;
use ahead::Ahead;
use run::Following;

/// A `wandb` folder, a run's folder in one, or a single log.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

/// What was taken in.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Taken {
    pub runs_new: u64,
    pub runs_known: u64,
    pub points: u64,
    pub files: u64,
    pub bytes: u64,
    /// Versions of artifacts that the logs hold, new or known.
    pub artifacts: u64,
    pub alerts: u64,
    pub damaged_blocks: u64,
    /// What could not be read or taken, and why.
    #[serde(serialize_with = "super::import::lines")]
    pub skipped: Vec<Damage>,
}

/// A live script that is quicker each time is left to itself until the next look.
const LOOKS_MAX: usize = 3;

/// The logs in a folder of runs; those of the same run one after the other.
fn logs_in(folder: &Path) -> Vec<PathBuf> {
    let is_log = |path: &PathBuf| path.extension().is_some_and(|e| e == "wandb") && path.is_file();
    let entries = |folder: &Path| -> Vec<PathBuf> {
        let read = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
        let mut paths: Vec<PathBuf> = read.collect();
        paths.sort();
        paths
    };
    let mut logs: Vec<PathBuf> = entries(folder).into_iter().filter(is_log).collect();
    let runs = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (name.starts_with("run-") || name.starts_with("offline-run-")) && path.is_dir() && !path.is_symlink()
    };
    for run in entries(folder).into_iter().filter(runs) {
        logs.extend(entries(&run).into_iter().filter(is_log));
    }
    // By the time in the folder's name, whatever stands before it.
    logs.sort_by_key(|log| {
        let folder = log.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        folder.trim_start_matches("offline-").to_owned()
    });
    logs
}

impl Folder {
    /// `None` when nothing of W&B's is there.
    pub fn find(path: &Path) -> Option<Self> {
        let path = std::path::absolute(path).ok()?;
        let log = path.is_file() && path.extension().is_some_and(|e| e == "wandb");
        if log || !logs_in(&path).is_empty() {
            return Some(Self { path });
        }
        // People also name the folder that holds it.
        let inside = path.join("wandb");
        (!logs_in(&inside).is_empty()).then_some(Self { path: inside })
    }

    /// # Errors
    /// `NotFound`, `Invalid` when nothing of W&B's is there.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Err(Fault::not_found(format!("nothing at {}", path.display())));
        }
        Self::find(path).ok_or_else(|| {
            Fault::invalid(format!("{} holds no runs of W&B", path.display()))
                .why("there is no run-… or offline-run-… with a .wandb file in it")
                .next("name a wandb folder, a run's folder in it, or a .wandb file")
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins to read for an agent that knows none of it.
    pub fn begin(self) -> Begun {
        let ahead = self.logs().into_iter().next().map(|log| (log.clone(), Ahead::begin(log)));
        Begun { folder: self, ahead }
    }

    /// The logs, oldest first.
    pub fn logs(&self) -> Vec<PathBuf> {
        if self.path.is_file() { vec![self.path.clone()] } else { logs_in(&self.path) }
    }
}

/// Keeps an agent level with a folder.
pub struct Taking {
    client: Client,
    folder: Folder,
    files: Files,
    logs: BTreeMap<PathBuf, Following>,
    /// Logs that cannot be read at all, which were told of.
    refused: BTreeSet<PathBuf>,
    ahead: Option<(PathBuf, Ahead)>,
}

/// A folder whose first log is being read, while what it is taken into is on its way.
pub struct Begun {
    folder: Folder,
    ahead: Option<(PathBuf, Ahead)>,
}

impl Begun {
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Taking {
    pub fn new(client: Client, folder: Folder, files: Files) -> Self {
        Self { client, folder, files, logs: BTreeMap::new(), refused: BTreeSet::new(), ahead: None }
    }

    /// Goes on with what has begun.
    pub fn go_on(client: Client, begun: Begun, files: Files) -> Self {
        Self { ahead: begun.ahead, ..Self::new(client, begun.folder, files) }
    }

    /// One look: what is new since the last one. `told` hears how many logs are done of how many.
    ///
    /// # Errors
    /// `Unavailable` when the agent fails; what is damaged is skipped and named.
    pub async fn look(&mut self, told: &(dyn Fn(u64, u64) + Sync)) -> Result<Taken> {
        let mut taken = Taken::default();
        for _ in 0..LOOKS_MAX {
            if self.look_once(told, &mut taken).await? {
                break;
            }
            // A live script was quicker: all is read anew from where the store is now.
            self.logs.clear();
        }
        Ok(taken)
    }

    /// Answers whether it came to its end.
    async fn look_once(&mut self, told: &(dyn Fn(u64, u64) + Sync), taken: &mut Taken) -> Result<bool> {
        let logs = self.folder.logs();
        let of = logs.len() as u64;
        // Lines of a run that was resumed go on in a log of their own.
        let mut lines: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
        for (done, path) in (0..).zip(logs) {
            told(done, of);
            if self.refused.contains(&path) {
                continue;
            }
            let ahead = self.ahead.take_if(|(log, _)| *log == path);
            let log = self.logs.entry(path.clone()).or_insert_with(|| match ahead {
                Some((log, ahead)) => Following::ahead(log, ahead),
                None => Following::new(path.clone()),
            });
            match log.look(&self.client, &self.files, &mut lines, taken).await {
                Ok(()) => {}
                Err(fault) if matches!(fault.kind, Kind::Unavailable | Kind::Unauthenticated | Kind::Denied) => {
                    return Err(fault);
                }
                Err(fault) if fault.kind == Kind::Conflict => return Ok(false),
                Err(fault) => {
                    taken.skipped.push(Damage::new(path.display(), fault));
                    self.refused.insert(path);
                }
            }
        }
        told(of, of);
        Ok(true)
    }
}
