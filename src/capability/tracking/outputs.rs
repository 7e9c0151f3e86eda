//! What a run made: its artifacts and those of its logged models, each file with its digest. Models are told apart by
//! their names, not by ids that differ from run to run.

use std::collections::BTreeMap;

use futures::StreamExt;
use serde::{Deserialize, Serialize};

use super::artifacts::path_of_uri;
use super::{Artifacts, Run, Tracking};
use crate::base::fault::Result;
use crate::base::{Fault, id::ModelId};

/// A file that a run made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// `artifacts/<path>` or `models/<name>/<path>`.
    pub path: String,
    pub size: u64,
    /// BLAKE3 of its bytes, in hexadecimal digits.
    pub digest: String,
}

/// All that a run made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Outputs {
    /// By path.
    pub files: Vec<Output>,
    /// Ids of its logged models, which may stand in its files.
    pub models: Vec<ModelId>,
    /// Places that are not kept here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elsewhere: Vec<String>,
}

/// Folder that `run` and `rerun` keep their own files in; it is no output.
pub const OWN: &str = "opsroom";

/// What opsroom itself keeps there: captures, and metadata beside a registered artifact.
fn is_own(place: &str, path: &str) -> bool {
    (place == "artifacts" && path.split('/').next() == Some(OWN)) || path.split('/').any(|p| p.ends_with(".opsroom"))
}

impl Tracking {
    /// Where a run's files lie: the name of each place, and its folder in the artifact store or its URI elsewhere.
    #[allow(clippy::type_complexity)] // a path with where it lies or why not, and the models: asked in one place
    pub fn output_places(&self, run: &Run) -> (Vec<(String, Result<String, String>)>, Vec<ModelId>) {
        let place = |uri: &str| path_of_uri(uri).ok_or_else(|| uri.to_owned());
        let mut places = vec![("artifacts".to_owned(), place(&self.artifact_uri(run)))];
        let id = run.id.to_string();
        let mut models = self.read(|state| {
            let made = |m: &&std::sync::Arc<super::LoggedModel>| {
                m.source_run.as_deref() == Some(id.as_str()) || run.model_outputs.iter().any(|o| o.model_id == m.id)
            };
            state.models().filter(made).cloned().collect::<Vec<_>>()
        });
        models.sort_by_key(|m| (m.created, m.id));
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for model in &models {
            let nth = seen.entry(model.name.clone()).or_default();
            *nth += 1;
            let name = if *nth == 1 { model.name.clone() } else { format!("{}.{nth}", model.name) };
            places.push((format!("models/{name}"), place(&model.artifact_uri)));
        }
        (places, models.iter().map(|m| m.id).collect())
    }

    /// The path in the artifact store behind one of [`Outputs::files`].
    ///
    /// # Errors
    /// `NotFound`.
    pub fn output_path(&self, run: &Run, path: &str) -> Result<String> {
        let (places, _) = self.output_places(run);
        let found = places.iter().find_map(|(name, folder)| {
            let below = path.strip_prefix(name.as_str())?.strip_prefix('/')?;
            Some(format!("{}/{below}", folder.as_ref().ok()?))
        });
        found.ok_or_else(|| Fault::not_found(format!("run {} made no {path}", run.id)))
    }

    /// Digests everything that a run made.
    ///
    /// # Errors
    /// `Unavailable` when a file cannot be read.
    pub async fn outputs(&self, artifacts: &Artifacts, run: &Run) -> Result<Outputs> {
        let (places, models) = self.output_places(run);
        let mut outputs = Outputs { models, ..Outputs::default() };
        for (name, folder) in places {
            let folder = match folder {
                Ok(folder) => folder,
                Err(uri) => {
                    outputs.elsewhere.push(uri);
                    continue;
                }
            };
            for (path, size) in artifacts.blobs().tree(&folder).await? {
                if is_own(&name, &path) {
                    continue;
                }
                let full = format!("{folder}/{path}");
                let mut digest = blake3::Hasher::new();
                let mut content = artifacts.get(&full, None).await?.stream;
                while let Some(bytes) = content.next().await {
                    digest
                        .update(&bytes.map_err(|e| Fault::unavailable(format!("artifact {full}")).why(e.to_string()))?);
                }
                let digest = digest.finalize().to_hex().to_string();
                outputs.files.push(Output { path: format!("{name}/{path}"), size, digest });
            }
        }
        outputs.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(outputs)
    }
}
