//! Taking in what another store holds: whole experiments, runs and logged models, each once.

use axum::extract::{Path, State};

use super::super::App;
use super::super::fault::Own;
use super::super::json::Json;
use super::reads::Body;
use crate::base::id::ExperimentId;
use crate::capability::tracking::experiments::NewExperiment;
use crate::capability::tracking::wandb::{self, Upsert};
use crate::capability::tracking::{Key, LoggedModel, runs};
use crate::capability::wire::{ImportExperiment, ImportRun, WandbRun};

/// A run comes with its whole history: some twenty million points.
pub(super) const RUN_BYTES_MAX: usize = 1 << 30;
/// Lines come in batches of some hundred thousand points.
pub(super) const LINES_BYTES_MAX: usize = 64 << 20;

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

/// Announces a run that W&B's client left in a file, or tells more about it.
pub(super) async fn wandb_run(State(app): State<App>, Body(upsert): Body<Upsert>) -> Result<Json<WandbRun>, Own> {
    let tracking = &app.ctx().tracking;
    let opened = tracking.open_wandb_run(upsert, app.now()).await?;
    let run = tracking.read(|s| s.run(opened.id).cloned()).ok_or_else(|| runs::missing(opened.id))?;
    let progress = wandb::progress(&run).unwrap_or_default();
    let artifact_uri = tracking.artifact_uri(&run);
    Ok(Json(WandbRun { id: opened.id, inserted: opened.inserted, artifact_uri, progress }))
}

/// Takes lines of such a run in.
pub(super) async fn wandb_lines(
    State(app): State<App>,
    Path(id): Path<String>,
    body: axum::body::Bytes,
) -> Result<Json<wandb::Progress>, Own> {
    let id = id.parse().map_err(|()| runs::missing(&id))?;
    let (batch, series) = wandb::Batch::read(&body)?;
    Ok(Json(app.ctx().tracking.take_wandb_batch(id, batch, series).await?))
}

/// Answers whether it was new.
pub(super) async fn model(State(app): State<App>, Body(model): Body<LoggedModel>) -> Result<Json<bool>, Own> {
    Ok(Json(app.ctx().tracking.import_model(model).await?))
}
