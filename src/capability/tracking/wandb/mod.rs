//! What Weights & Biases' clients log, in the words of tracking: the same rules for a live client and for its files.
//!
//! A project is an experiment, and a run of it an ordinary run. The run's id is worked out from project and name there,
//! so that what came live and what is read from a file later is one run. Entities are kept as a tag and tell nothing
//! apart: offline files do not know theirs.

mod batch;
pub mod config;
mod files;
pub mod json;
pub mod line;
mod open;
mod pattern;
mod rows;
mod sift;
mod stream;
mod summary;

pub use batch::{Batch, Series, Value};
pub use files::file_path;
pub use open::{Opened, Upsert};
pub use rows::{Stream, thinned};
pub use sift::{config_of, labels_of, matches, name_of, ordered, state_of};
pub use stream::{Lines, Progress, Update};
pub use summary::{Summary, summary_texts, summary_values};

use crate::base::id::RunId;
use crate::capability::tracking::Run;

/// How far each stream of a run has come, as JSON; see [`Progress`].
pub const PROGRESS_TAG: &str = "opsroom.wandb.progress";
/// The configuration as it was, for a script that goes on: params are texts.
pub const CONFIG_TAG: &str = "opsroom.wandb.config";
/// Which metric another one is drawn over, as JSON; see [`config::axes`].
pub const AXES_TAG: &str = "opsroom.axes";
/// The run is known from a file alone: no script is at work for it here.
pub const IMPORTED_TAG: &str = "opsroom.wandb.file";
/// The name that the run has there.
pub const ID_TAG: &str = "wandb.id";
pub const ENTITY_TAG: &str = "wandb.entity";
pub const GROUP_TAG: &str = "wandb.group";
pub const JOB_TYPE_TAG: &str = "wandb.job_type";
pub const SWEEP_TAG: &str = "wandb.sweep";
pub const HOST_TAG: &str = "wandb.host";
/// The run's own tags, as a JSON list; each is a tag of its own as well.
pub const LABELS_TAG: &str = "wandb.tags";

/// The project of scripts that name none.
pub const NO_PROJECT: &str = "uncategorized";

/// The id of a run, from its project and its name there.
pub fn run_id(project: &str, name: &str) -> RunId {
    let digest = blake3::hash(format!("wandb\0{project}\0{name}").as_bytes());
    let mut half = [0; 16];
    half.copy_from_slice(&digest.as_bytes()[..16]);
    RunId(u128::from_be_bytes(half))
}

/// How far the streams of a run have come; `None` for a run that another client made.
pub fn progress(run: &Run) -> Option<Progress> {
    serde_json::from_slice(run.tags.get(PROGRESS_TAG)?.as_bytes()).ok()
}

#[cfg(test)]
mod tests;
