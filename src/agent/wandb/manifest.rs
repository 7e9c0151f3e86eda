//! The manifest of a version: which files it has, and where they lie.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::agent::App;
use crate::base::{Fault, Kind, fault::Result};
use crate::capability::tracking::collections::{self, Version};
use crate::capability::tracking::wandb::file_path;
use crate::db::Source;

const BYTES_MAX: u64 = 256 << 20;

#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    contents: BTreeMap<String, File>,
}

#[derive(Debug, Deserialize)]
struct File {
    #[serde(default)]
    size: Option<u64>,
    /// A place elsewhere, which the client reaches by itself.
    #[serde(default, rename = "ref")]
    reference: Option<String>,
    /// The version that the file came with, when it is taken over from there.
    #[serde(default, rename = "birthArtifactID")]
    born: Option<String>,
}

impl Manifest {
    /// # Errors
    /// `Invalid` when it has not arrived or cannot be read.
    pub async fn of(app: &App, version: &Version) -> Result<Self> {
        let path = version.beside("wandb_manifest.json");
        let artifacts = &app.ctx().artifacts;
        match artifacts.size(&path).await {
            Ok(size) if size <= BYTES_MAX => {}
            Ok(_) => return Err(Fault::invalid(format!("a manifest has at most {BYTES_MAX} bytes"))),
            Err(fault) if fault.kind == Kind::NotFound => {
                return Err(Fault::invalid(format!("the manifest of {} has not arrived", version.shown())));
            }
            Err(fault) => return Err(fault),
        }
        let bytes = artifacts.get(&path, None).await?.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|e| {
            Fault::invalid(format!("the manifest of {} cannot be read", version.shown())).why(e.to_string())
        })
    }

    /// Number of files and bytes, once all are there.
    ///
    /// # Errors
    /// `Invalid` naming a file that has not arrived.
    pub async fn check(&self, app: &App, version: &Version) -> Result<(u64, u64)> {
        let mut bytes = 0;
        for (name, file) in self.contents.iter().filter(|(_, f)| f.reference.is_none()) {
            let path = place(app, version, name, file).await?;
            let size = app.ctx().artifacts.size(&path).await.map_err(|fault| match fault.kind {
                Kind::NotFound => Fault::invalid(format!("the file {name} of {} has not arrived", version.shown()))
                    .next("log the artifact again"),
                _ => fault,
            })?;
            if file.size.is_some_and(|said| said != size) {
                return Err(Fault::invalid(format!("the file {name} of {} is not whole", version.shown()))
                    .why(format!("{size} bytes arrived"))
                    .next("log the artifact again"));
            }
            bytes += size;
        }
        Ok((self.contents.len() as u64, bytes))
    }

    /// Name and path in the artifact store of the files that are kept here.
    ///
    /// # Errors
    /// The store's.
    pub async fn paths(&self, app: &App, version: &Version) -> Result<Vec<(String, String)>> {
        let mut paths = Vec::new();
        for (name, file) in self.contents.iter().filter(|(_, f)| f.reference.is_none()) {
            paths.push((name.clone(), place(app, version, name, file).await?));
        }
        Ok(paths)
    }
}

async fn place(app: &App, version: &Version, name: &str, file: &File) -> Result<String> {
    let below = file_path(name)?;
    if let Some(born) = file.born.as_deref().filter(|id| *id != version.id)
        && let Ok(other) = collections::by_id(Source::Pool(app.ctx().db.read()), born).await
    {
        return Ok(format!("{}/{below}", other.folder));
    }
    Ok(format!("{}/{below}", version.folder))
}
