//! Taking in what another store holds: whole experiments, runs and logged models, each once.

use axum::Json;
use axum::extract::State;

use super::super::App;
use super::super::fault::Own;
use super::reads::Body;
use crate::base::id::ExperimentId;
use crate::capability::tracking::experiments::NewExperiment;
use crate::capability::tracking::{Key, LoggedModel};
use crate::capability::wire::{ImportExperiment, ImportRun};

/// A run comes with its whole history: some twenty million points.
pub(super) const RUN_BYTES_MAX: usize = 1 << 30;

/// Answers the id under which the experiment is here: by name if it exists, else with its own id if that is free.
pub(super) async fn experiment(
    State(app): State<App>,
    Body(import): Body<ImportExperiment>,
) -> Result<Json<ExperimentId>, Own> {
    let tracking = &app.ctx().tracking;
    if let Some(known) = tracking.read(|s| s.experiment_named(&import.name).map(|e| e.id)) {
        return Ok(Json(known));
    }
    let new = NewExperiment {
        name: import.name,
        artifact_location: import.artifact_location,
        tags: import.tags.into_iter().collect(),
        id: import.id,
    };
    Ok(Json(tracking.create_experiment(new, import.created.unwrap_or_else(|| app.now())).await?))
}

/// Answers whether it was new.
pub(super) async fn run(State(app): State<App>, Body(import): Body<ImportRun>) -> Result<Json<bool>, Own> {
    let series = import.series.into_iter().map(|(key, points)| (Key::from(&key), points)).collect();
    Ok(Json(app.ctx().tracking.import_run(import.run, series).await?))
}

/// Answers whether it was new.
pub(super) async fn model(State(app): State<App>, Body(model): Body<LoggedModel>) -> Result<Json<bool>, Own> {
    Ok(Json(app.ctx().tracking.import_model(model).await?))
}
