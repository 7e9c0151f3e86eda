//! The fold: changed documents and unfolded points go to their tables, and the journal is emptied. And the journal's
//! way back into memory, after a start or a commit of which nobody knows whether it holds.
//!
//! A fold takes everything as it stands at one moment, reads and packs beside the writers, and has the writer's turn
//! only while it writes.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::state::{Snapshot, Staged, State};
use super::store::{self, ChunkRow};
use super::writer::Documents;
use crate::base::fault::Result;
use crate::db::Source;

/// A fold begins at this many unfolded points …
const TAIL_POINTS_MAX: usize = 100_000;
/// (of a store that goes with its process more, and twice that at most: nothing can be lost, and what a room over one file
/// looks at stays in memory)
const PASSING_POINTS_MAX: usize = 1_500_000;
/// … or this many changed runs …
const CHANGED_RUNS_MAX: usize = 2_000;
/// … or this much of a journal, which a start would have to replay …
const JOURNAL_BYTES_MAX: usize = 32 << 20;
/// … or when the stream has rested this long.
pub(super) const FOLD_AFTER: Duration = Duration::from_secs(2);
/// At so many times of that, writers wait for the fold.
const OVERFULL: usize = 4;
/// Bytes of chunks that are packed before the writer's turn is taken; what is beyond is packed under it.
const AHEAD_BYTES_MAX: usize = 16 << 20;

impl Documents {
    pub(super) fn fold_is_due(&self) -> bool {
        self.holds_times(1)
    }

    pub(super) fn is_overfull(&self) -> bool {
        self.holds_times(OVERFULL)
    }

    fn holds_times(&self, times: usize) -> bool {
        let points = if self.db.is_passing() { times.min(2) * PASSING_POINTS_MAX } else { times * TAIL_POINTS_MAX };
        let full =
            |s: &State| s.tail_points() >= points || s.unfolded().changed().runs.len() >= times * CHANGED_RUNS_MAX;
        self.journal_bytes.load(Ordering::Relaxed) >= times * JOURNAL_BYTES_MAX || self.read(full)
    }

    /// Folds beside the writers, unless a fold is under way. The answer is for whoever wants to wait for its end.
    pub(super) fn fold_beside(self: &Arc<Self>) -> impl Future<Output = ()> + use<> {
        let documents = self.clone();
        let folding = (self.fold_turn.try_lock().is_ok() && !self.read(|s| s.unfolded().is_empty())).then(|| {
            tokio::spawn(async move {
                if let Err(fault) = documents.fold().await {
                    tracing::warn!("fold put off: {fault}");
                }
            })
        });
        let turn = self.fold_turn.clone();
        async move {
            match folding {
                Some(folding) => drop(folding.await),
                None => drop(turn.lock().await),
            }
        }
    }

    /// Writes the changed documents and the unfolded points to their tables, and takes their groups out of the
    /// journal, in one commit.
    pub(super) async fn fold(&self) -> Result<()> {
        let _alone = self.fold_turn.lock().await;
        // An idle store is left in peace.
        if self.read(|s| s.unfolded().is_empty()) {
            return Ok(());
        }
        let turn = self.db.turn().await;
        self.settle().await?;
        let (seq, bytes) = (self.seq.load(Ordering::Relaxed), self.journal_bytes.load(Ordering::Relaxed));
        let snapshot = self.change(|s| s.begin_fold(seq, bytes));
        drop(turn);
        let done = self.write_fold(snapshot, seq).await;
        if done.is_err() && !self.doubtful_fold.load(Ordering::Acquire) {
            self.end_fold(false);
        }
        done
    }

    async fn write_fold(&self, snapshot: Snapshot, seq: i64) -> Result<()> {
        let experiments = snapshot.experiments.iter().map(|e| store::experiment_row(e)).collect::<Result<Vec<_>>>()?;
        let runs = snapshot.runs.iter().map(|r| store::run_row(r)).collect::<Result<Vec<_>>>()?;
        let models = snapshot.models.iter().map(|m| store::model_row(m)).collect::<Result<Vec<_>>>()?;
        let mut tails = snapshot.tails.iter();
        let mut ahead: Vec<ChunkRow> = Vec::new();
        let mut bytes = 0;
        while bytes < AHEAD_BYTES_MAX
            && let Some(tail) = tails.next()
        {
            let rows = store::chunk_rows(Source::Pool(self.db.read()), tail).await?;
            bytes += rows.iter().map(|r| r.payload.len()).sum::<usize>();
            ahead.extend(rows);
        }
        let mut tx = self.db.begin().await?;
        store::put_experiments(&mut tx, &experiments).await?;
        store::put_runs(&mut tx, &runs).await?;
        store::put_models(&mut tx, &models).await?;
        store::put_chunks(&mut tx, &ahead).await?;
        drop(ahead);
        for tail in tails {
            let rows = store::chunk_rows(Source::Tx(&mut tx), tail).await?;
            store::put_chunks(&mut tx, &rows).await?;
        }
        store::forget(&mut tx, seq).await?;
        self.doubtful_fold.store(true, Ordering::Release);
        let turn = tx.commit().await?;
        self.end_fold(true);
        self.doubtful_fold.store(false, Ordering::Release);
        drop(turn);
        Ok(())
    }

    pub(super) fn change<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn end_fold(&self, held: bool) {
        let bytes = self.change(|s| s.end_fold(held));
        self.journal_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Takes in what was acknowledged after the last fold.
    pub(super) async fn replay_journal(&self) -> Result<()> {
        let newest = self.published.load(Ordering::Relaxed);
        for (seq, bytes, effects) in store::journal(self.db.read(), newest).await? {
            let mut staged = Staged::on(self.state.clone());
            effects.into_iter().for_each(|e| staged.apply(e));
            staged.publish();
            self.journal_bytes.fetch_add(bytes, Ordering::Relaxed);
            self.published.store(seq, Ordering::Relaxed);
            self.seq.fetch_max(seq, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Looks up whether a doubtful commit holds: the store says what is true, memory follows. Whoever calls it holds
    /// the writer's turn.
    pub(super) async fn settle(&self) -> Result<()> {
        let doubtful_fold = self.doubtful_fold.load(Ordering::Acquire);
        if !doubtful_fold && !self.doubtful.load(Ordering::Acquire) {
            return Ok(());
        }
        if self.db.is_passing() {
            // Without a journal nothing tells whether it holds; what is put away twice is shown once.
            if doubtful_fold {
                self.end_fold(false);
                self.doubtful_fold.store(false, Ordering::Release);
            }
            self.replay_journal().await?;
            self.doubtful.store(false, Ordering::Release);
            return Ok(());
        }
        let oldest = store::oldest(self.db.read()).await?;
        // What a fold has put away stands in the journal no more.
        let gone_up_to = |seq: i64| oldest.is_none_or(|oldest| oldest > seq);
        if let Some(seq) = self.read(|s| s.unfolded().folding()).filter(|_| doubtful_fold) {
            self.end_fold(gone_up_to(seq));
        }
        if gone_up_to(self.published.load(Ordering::Relaxed)) {
            self.change(State::folded);
            self.journal_bytes.store(0, Ordering::Relaxed);
        }
        self.replay_journal().await?;
        self.doubtful_fold.store(false, Ordering::Release);
        self.doubtful.store(false, Ordering::Release);
        Ok(())
    }
}
