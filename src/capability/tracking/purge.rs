//! Taking deleted runs away for good: their documents and points leave the tables, then memory. What they logged as files is
//! for whoever asked to remove.

use std::collections::HashSet;

use super::store;
use super::types::Lifecycle;
use super::writer::Tracking;
use crate::base::fault::Result;
use crate::base::id::{ModelId, RunId};

/// Runs of one commit: writers wait meanwhile.
const AT_ONCE: usize = 100;

impl Tracking {
    /// Bytes of a run's points and of its document.
    ///
    /// # Errors
    /// `Unavailable` when the store cannot be read.
    pub async fn bytes_of_run(&self, run: RunId) -> Result<u64> {
        let document = self.read(|s| s.run(run).cloned());
        let document = document.and_then(|r| serde_json::to_vec(&*r).ok()).map_or(0, |text| text.len() as u64);
        let points = store::run_bytes(self.documents.db.read(), &run.to_string()).await?;
        Ok(document + u64::try_from(points).unwrap_or(0))
    }

    /// Takes runs and logged models away that are deleted; one that was restored meanwhile stays. Answers the runs that
    /// are gone.
    ///
    /// # Errors
    /// `Unavailable` when the store refuses; what is left is left whole.
    pub async fn purge(&self, runs: &[RunId], models: &[ModelId]) -> Result<Vec<RunId>> {
        let mut gone = Vec::new();
        for some in runs.chunks(AT_ONCE) {
            gone.extend(self.purge_some(some, &[]).await?);
        }
        for some in models.chunks(AT_ONCE) {
            self.purge_some(&[], some).await?;
        }
        Ok(gone)
    }

    async fn purge_some(&self, runs: &[RunId], models: &[ModelId]) -> Result<Vec<RunId>> {
        let documents = &self.documents;
        // What the journal still says of them goes to the tables first: a replay must not bring a run back.
        documents.fold().await?;
        let _no_fold = documents.fold_turn.lock().await;
        let mut tx = documents.db.begin().await?;
        documents.settle().await?;
        let (runs, models) = documents.read(|s| {
            let run = |id: &&RunId| {
                s.run(**id).is_some_and(|r| r.lifecycle == Lifecycle::Deleted) && !s.unfolded().holds_run(**id)
            };
            let model = |id: &&ModelId| s.model(**id).is_some() && !s.unfolded().holds_model(**id);
            let runs: HashSet<RunId> = runs.iter().filter(run).copied().collect();
            let models: HashSet<ModelId> = models.iter().filter(model).copied().collect();
            (runs, models)
        });
        for run in &runs {
            store::remove_run(&mut tx, &run.to_string()).await?;
        }
        for model in &models {
            store::remove_model(&mut tx, &model.to_string()).await?;
        }
        let turn = tx.commit().await?;
        documents.change(|s| s.remove(&runs, &models));
        drop(turn);
        Ok(runs.into_iter().collect())
    }
}
