//! The fold: changed documents and unfolded points go to their tables, and the journal is emptied. And the journal's
//! way back into memory, after a start or a commit of which nobody knows whether it holds.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::state::Staged;
use super::store;
use super::writer::Documents;
use crate::base::fault::Result;

/// A fold begins at this many unfolded points …
const TAIL_POINTS_MAX: usize = 100_000;
/// … or this many changed runs …
const CHANGED_RUNS_MAX: usize = 2_000;
/// … or this much of a journal, which a start would have to replay …
const JOURNAL_BYTES_MAX: usize = 32 << 20;
/// … or when the stream has rested this long.
pub(super) const FOLD_AFTER: Duration = Duration::from_secs(2);

impl Documents {
    pub(super) fn fold_is_due(&self) -> bool {
        let full = |s: &super::State| s.tail_points() >= TAIL_POINTS_MAX || s.changed().runs.len() >= CHANGED_RUNS_MAX;
        self.journal_bytes.load(Ordering::Relaxed) >= JOURNAL_BYTES_MAX || self.read(full)
    }

    /// Writes the changed documents and the unfolded points to their tables, and empties the journal, in one commit.
    pub(super) async fn fold(&self) -> Result<()> {
        // An idle store is left in peace.
        if self.read(|s| s.changed().is_empty() && s.tail_points() == 0) {
            return Ok(());
        }
        let mut tx = self.db.begin().await?;
        self.settle().await?;
        let (changed, tails) = self.read(|s| {
            let tails: Vec<_> = s.all_tails().map(|((run, key), points)| (*run, *key, points.clone())).collect();
            (s.changed().clone(), tails)
        });
        for id in changed.experiments {
            if let Some(experiment) = self.read(|s| s.experiment(id).cloned()) {
                store::put_experiment(&mut tx, &experiment).await?;
            }
        }
        for id in changed.runs {
            if let Some(run) = self.read(|s| s.run(id).cloned()) {
                store::put_run(&mut tx, &run).await?;
            }
        }
        for id in changed.models {
            if let Some(model) = self.read(|s| s.model(id).cloned()) {
                store::put_model(&mut tx, &model).await?;
            }
        }
        for (run, key, points) in tails {
            store::add_points(&mut tx, &run.to_string(), key.as_str(), &points).await?;
        }
        store::forget(&mut tx, self.seq.load(Ordering::Relaxed)).await?;
        match tx.commit().await {
            Ok(turn) => {
                self.folded();
                drop(turn);
                Ok(())
            }
            Err(fault) => {
                self.doubtful.store(true, Ordering::Release);
                Err(fault)
            }
        }
    }

    fn folded(&self) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).folded();
        self.journal_bytes.store(0, Ordering::Relaxed);
    }

    /// Takes in what was acknowledged after the last fold.
    pub(super) async fn replay_journal(&self) -> Result<()> {
        let newest = self.published.load(Ordering::Relaxed);
        for (seq, bytes, effects) in store::journal(self.db.read()).await? {
            if seq > newest {
                let mut staged = Staged::on(self.state.clone());
                effects.into_iter().for_each(|e| staged.apply(e));
                staged.publish();
                self.journal_bytes.fetch_add(bytes, Ordering::Relaxed);
                self.published.store(seq, Ordering::Relaxed);
                self.seq.fetch_max(seq, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Looks up whether a doubtful commit holds: the store says what is true, memory follows. Whoever calls it holds
    /// the writer's turn.
    pub(super) async fn settle(&self) -> Result<()> {
        if !self.doubtful.load(Ordering::Acquire) {
            return Ok(());
        }
        let oldest = store::oldest(self.db.read()).await?;
        // Whatever is unfolded stands in the journal. If it stands there no more, the fold holds.
        if oldest.is_none_or(|seq| seq > self.published.load(Ordering::Relaxed)) {
            self.folded();
        }
        self.replay_journal().await?;
        self.doubtful.store(false, Ordering::Release);
        Ok(())
    }
}
