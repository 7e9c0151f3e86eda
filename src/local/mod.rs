//! Work on the caller's own machine: reading what MLflow left in folders and files, and taking it into an agent.

pub mod data;
pub mod doctor;
pub mod evals;
pub mod events;
pub mod follow;
pub mod found;
pub mod import;
mod mlflow_db;
mod mlflow_server;
mod mlruns;
mod registry;
pub mod run;
pub mod table;
pub mod wandb;
mod yaml;

pub use follow::Follow;
pub use import::{Files, Import, Report};

use std::path::{Path, PathBuf};

use crate::base::{Fault, fault::Result};
use crate::client::Client;
use found::{Damage, Experiment, Registered, RunKey, TakenModel, TakenRun};

/// One version of a dataset, as the agent has it.
///
/// # Errors
/// `NotFound`.
pub async fn data_version(
    client: &crate::client::Client,
    name: &str,
    version: u32,
) -> Result<crate::capability::datasets::DatasetVersion> {
    let found = client.dataset(name).await?.versions.into_iter().map(|v| v.version).find(|v| v.version == version);
    found.ok_or_else(|| crate::capability::datasets::missing_version(name, version))
}

/// A place where MLflow keeps runs. Reading never writes there.
pub enum Store {
    Folder(mlruns::Folder),
    Database(mlflow_db::Database),
    Server(Box<mlflow_server::Server>),
}

impl Store {
    /// # Errors
    /// `NotFound` when nothing is there, `Invalid` when it is nothing that MLflow wrote.
    pub async fn open(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path).map_err(|e| Fault::invalid("not a path").why(e.to_string()))?;
        let about = std::fs::metadata(&path)
            .map_err(|e| Fault::not_found(format!("nothing at {}", path.display())).why(e.to_string()))?;
        if about.is_file() {
            return Ok(Self::Database(mlflow_db::Database::open(&path).await?));
        }
        // People also name the folder that holds it.
        if let Some(folder) = [path.clone(), path.join("mlruns")].into_iter().find(|f| mlruns::is_store(f)) {
            return Ok(Self::Folder(mlruns::Folder::open(folder)));
        }
        let database = path.join("mlflow.db");
        if database.is_file() {
            return Ok(Self::Database(mlflow_db::Database::open(&database).await?));
        }
        Err(Fault::invalid(format!("{} holds no runs of MLflow", path.display()))
            .why("there is no experiment with a meta.yaml in it, and no mlflow.db")
            .next("name an mlruns folder or an mlflow.db"))
    }

    pub fn path(&self) -> &Path {
        match self {
            Self::Folder(folder) => folder.path(),
            Self::Database(database) => database.path(),
            Self::Server(server) => server.path(),
        }
    }

    /// All experiments with the keys of their runs and logged models.
    ///
    /// # Errors
    /// `Unavailable` when the whole cannot be read.
    pub async fn experiments(&self, damage: &mut Vec<Damage>) -> Result<Vec<Experiment>> {
        match self {
            Self::Folder(folder) => Ok(folder.experiments(damage)),
            Self::Database(database) => database.experiments(damage).await,
            Self::Server(server) => server.experiments(damage).await,
        }
    }

    /// A run with its history; `None` when it cannot be read, and `damage` says why.
    ///
    /// # Errors
    /// `Unavailable` when the whole cannot be read.
    pub async fn run(
        &self,
        experiment: &Experiment,
        key: &RunKey,
        damage: &mut Vec<Damage>,
    ) -> Result<Option<TakenRun>> {
        match self {
            Self::Folder(folder) => Ok(folder.run(experiment, key, damage)),
            Self::Database(database) => Ok(database.run(key, damage).await),
            Self::Server(server) => server.run(key, damage).await,
        }
    }

    /// # Errors
    /// As [`Self::run`].
    pub async fn model(
        &self,
        experiment: &Experiment,
        key: &str,
        damage: &mut Vec<Damage>,
    ) -> Result<Option<TakenModel>> {
        match self {
            Self::Folder(folder) => Ok(folder.model(experiment, key, damage)),
            Self::Database(database) => Ok(database.model(key, damage).await),
            Self::Server(server) => server.model(key, damage).await,
        }
    }

    /// # Errors
    /// `Unavailable` when the whole cannot be read.
    pub async fn registered(&self, damage: &mut Vec<Damage>) -> Result<Vec<Registered>> {
        match self {
            Self::Folder(folder) => Ok(folder.registered(damage)),
            Self::Database(database) => database.registered(damage).await,
            Self::Server(server) => server.registered().await,
        }
    }

    /// Something that differs when anything may have changed, where that is cheap to know.
    pub async fn whole_mark(&self) -> Option<u128> {
        match self {
            Self::Folder(_) | Self::Server(_) => None,
            Self::Database(database) => Some(database.mark().await),
        }
    }

    /// Something that differs when a run may have changed; equal when it has not.
    pub async fn mark(&self, key: &RunKey) -> u128 {
        match self {
            Self::Folder(_) => mlruns::mark(key),
            Self::Database(database) => database.mark().await,
            Self::Server(server) => server.mark(key),
        }
    }

    /// The mark of a run that is over, where it costs nothing to know: one that is begun again has another.
    pub fn mark_of_ended(&self, key: &RunKey) -> Option<u128> {
        match self {
            Self::Folder(_) | Self::Database(_) => None,
            Self::Server(server) => Some(server.mark(key)),
        }
    }

    /// A live server of MLflow's, from where `agent` has mirrored it to.
    ///
    /// # Errors
    /// `Invalid` for an address, `Unavailable`.
    pub async fn server(url: &str, agent: &Client, whole: bool) -> Result<Self> {
        let server = mlflow_server::Server::new(url)?;
        if !whole {
            server.go_on_from(agent).await?;
        }
        Ok(Self::Server(Box::new(server)))
    }

    /// What was listed has been taken in.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn taken(&self, agent: &Client) -> Result<()> {
        match self {
            Self::Server(server) => server.taken(agent).await,
            Self::Folder(_) | Self::Database(_) => Ok(()),
        }
    }

    /// Tells a mirrored server what was decided here about its models; answers how much there was to tell.
    ///
    /// # Errors
    /// `Unavailable`, `Denied`.
    pub async fn write_back(&self, agent: &Client) -> Result<u64> {
        match self {
            Self::Server(server) => server.write_back(agent).await,
            Self::Folder(_) | Self::Database(_) => Ok(0),
        }
    }
}

/// The path on this machine behind a URI or path; `None` for another place.
pub fn local_path(uri: &str, relative_to: &Path) -> Option<PathBuf> {
    let rest = match uri.split_once(':') {
        Some(("file", rest)) => {
            let rest = rest.strip_prefix("//localhost").unwrap_or(rest);
            rest.strip_prefix("//").unwrap_or(rest)
        }
        Some((scheme, _)) if scheme.len() > 1 && !scheme.contains('/') => return None,
        _ => return (!uri.is_empty()).then(|| relative_to.join(uri)),
    };
    Some(PathBuf::from(decoded(rest)))
}

/// Without percent signs.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = (*first == b'%').then(|| tail.get(..2)).flatten().and_then(|h| std::str::from_utf8(h).ok());
        if let Some(byte) = hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_paths_behind_uris() {
        let here = Path::new("/w");
        let path = |uri| local_path(uri, here).map(|p| p.display().to_string());
        assert_eq!(path("file:///a/b%20c").as_deref(), Some("/a/b c"));
        assert_eq!(path("file:/a").as_deref(), Some("/a"));
        assert_eq!(path("/a/b").as_deref(), Some("/a/b"));
        assert_eq!(path("./mlruns/0").as_deref(), Some("/w/./mlruns/0"));
        assert_eq!(path("s3://b/x"), None);
        assert_eq!(path("mlflow-artifacts:/1/x"), None);
    }
}
