//! The stream of writes: many small writers, one journal row, one sync. Nothing is acknowledged before it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::effect::Effect;
use super::state::{Changed, Staged, State};
use super::store;
use crate::base::{Fault, fault::Result};
use crate::capability::event::{Hint, Hints};
use crate::db::{Db, Tx};

/// Writes waiting for the writer; beyond this, callers wait at the door.
const QUEUE_WRITES_MAX: usize = 8192;
/// Writes that share one commit.
const GROUP_WRITES_MAX: usize = 1024;
/// Effects that share one commit: bounds the memory and the length of a group.
const GROUP_EFFECTS_MAX: usize = 4096;
/// A fold begins at this many unfolded points …
const TAIL_POINTS_MAX: usize = 100_000;
/// … or this many changed runs …
const CHANGED_RUNS_MAX: usize = 2_000;
/// … or when the stream has rested this long.
const FOLD_AFTER: Duration = Duration::from_secs(2);

/// What a write decided: its effects, and the answer for whoever asked.
#[derive(Debug)]
pub struct Decision<T> {
    pub effects: Vec<Effect>,
    pub reply: T,
}

impl<T> Decision<T> {
    pub fn new(effects: Vec<Effect>, reply: T) -> Self {
        Self { effects, reply }
    }
}

type Acknowledge = Box<dyn FnOnce(Result<()>) + Send>;
type Write = Box<dyn FnOnce(&mut Staged) -> Acknowledge + Send>;

/// Experiment tracking: the documents in memory, and the way to change them.
#[derive(Clone)]
pub struct Tracking {
    pub(super) db: Db,
    pub(super) state: Arc<RwLock<State>>,
    queue: mpsc::Sender<Write>,
    seq: Arc<AtomicI64>,
    hints: Hints,
}

impl Tracking {
    /// Loads the documents, replays what was acknowledged after the last fold, and starts the writer.
    ///
    /// # Errors
    /// `Unavailable` or `Bug` when the store cannot be read.
    pub async fn open(db: Db, hints: Hints) -> Result<Self> {
        let mut state = State::default();
        store::experiments(db.read(), |e| state.put_experiment(Arc::new(e))).await?;
        store::runs(db.read(), |r| state.put_run(Arc::new(r))).await?;
        store::models(db.read(), |m| state.put_model(Arc::new(m))).await?;
        let state = Arc::new(RwLock::new(state));
        let mut last = 0;
        for (seq, effects) in store::journal(db.read()).await? {
            let mut staged = Staged::on(state.clone());
            effects.into_iter().for_each(|e| staged.apply(e));
            staged.publish();
            last = seq;
        }
        let (queue, writes) = mpsc::channel(QUEUE_WRITES_MAX);
        let tracking = Self { db, state, queue, seq: Arc::new(AtomicI64::new(last)), hints };
        tokio::spawn(write_in_groups(tracking.clone(), writes));
        Ok(tracking)
    }

    /// Reads the documents. Keep it short: writers wait.
    pub fn read<T>(&self, f: impl FnOnce(&State) -> T) -> T {
        f(&self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Decides and writes. When this returns `Ok`, it is durable and every reader sees it.
    ///
    /// # Errors
    /// What the decision refused, or `Unavailable` when the store did; then nothing was written.
    pub async fn write<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&Staged) -> Result<Decision<T>> + Send + 'static,
    ) -> Result<T> {
        let (answer, wait) = oneshot::channel();
        let write: Write = Box::new(move |staged| match decide(staged) {
            Ok(Decision { effects, reply }) => {
                effects.into_iter().for_each(|e| staged.apply(e));
                // A caller who has gone away is no reason to undo.
                Box::new(move |held| drop(answer.send(held.map(|()| reply))))
            }
            Err(fault) => Box::new(move |_| drop(answer.send(Err(fault)))),
        });
        let gone = || Fault::unavailable("the agent is stopping; nothing was written").next("send it again");
        self.queue.send(write).await.map_err(|_| gone())?;
        wait.await.map_err(|_| gone())?
    }

    /// Writes waiting at the moment.
    pub fn queued(&self) -> usize {
        QUEUE_WRITES_MAX - self.queue.capacity()
    }

    /// Decides within a command's transaction. After its commit, [`Self::published`] makes it visible; the caller
    /// holds the writer's turn all the while, so no other write comes between.
    ///
    /// # Errors
    /// What the decision refused, or the store.
    pub async fn stage(&self, tx: &mut Tx, decide: impl FnOnce(&Staged) -> Result<Decision<()>>) -> Result<Staged> {
        let mut staged = Staged::on(self.state.clone());
        let Decision { effects, reply: () } = decide(&staged)?;
        effects.into_iter().for_each(|e| staged.apply(e));
        if !staged.is_empty() {
            store::append_in(tx, self.next_seq(), staged.effects()).await?;
        }
        Ok(staged)
    }

    /// After the commit of what [`Self::stage`] prepared.
    pub fn published(&self, staged: Staged) {
        let touched = staged.publish();
        self.give_hints(&touched);
    }

    fn next_seq(&self) -> i64 {
        self.seq.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn give_hints(&self, touched: &Changed) {
        touched.experiments.iter().for_each(|&e| self.hints.give(Hint::Experiment(e)));
        touched.runs.iter().take(32).for_each(|&r| self.hints.give(Hint::Run(r)));
        if touched.runs.len() > 32 {
            self.hints.give(Hint::Everything);
        }
    }

    /// Writes the changed documents and the unfolded points to their tables, and empties the journal.
    ///
    /// # Errors
    /// `Unavailable` when the store refuses; then journal and memory stay as they are.
    pub async fn fold(&self) -> Result<()> {
        let mut tx = self.db.begin().await?;
        let (changed, tails) = self.read(|s| {
            let tails: Vec<_> = s.all_tails().map(|((run, key), points)| (*run, *key, points.clone())).collect();
            (s.changed().clone(), tails)
        });
        if changed.is_empty() && tails.is_empty() {
            tx.rollback().await;
            return Ok(());
        }
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
        let turn = tx.commit().await?;
        self.state.write().unwrap_or_else(std::sync::PoisonError::into_inner).folded();
        drop(turn);
        Ok(())
    }

    fn fold_is_due(&self) -> bool {
        self.read(|s| s.tail_points() >= TAIL_POINTS_MAX || s.changed().runs.len() >= CHANGED_RUNS_MAX)
    }
}

async fn write_in_groups(tracking: Tracking, mut writes: mpsc::Receiver<Write>) {
    let mut waiting = Vec::with_capacity(GROUP_WRITES_MAX);
    loop {
        let got = tokio::time::timeout(FOLD_AFTER, writes.recv_many(&mut waiting, GROUP_WRITES_MAX)).await;
        let rested = got.is_err();
        if got == Ok(0) {
            return;
        }
        let mut group = waiting.drain(..).peekable();
        while group.peek().is_some() {
            commit_group(&tracking, &mut group).await;
        }
        drop(group);
        if (rested || tracking.fold_is_due())
            && let Err(fault) = tracking.fold().await
        {
            tracing::warn!("fold put off: {fault}");
        }
    }
}

async fn commit_group(tracking: &Tracking, writes: &mut impl Iterator<Item = Write>) {
    let turn = tracking.db.turn().await;
    let mut staged = Staged::on(tracking.state.clone());
    let mut acknowledgements = Vec::new();
    while staged.effects().len() < GROUP_EFFECTS_MAX
        && let Some(write) = writes.next()
    {
        acknowledgements.push(write(&mut staged));
    }
    let held = if staged.is_empty() {
        Ok(())
    } else {
        store::append(turn.pool(), tracking.next_seq(), staged.effects()).await
    };
    if held.is_ok() {
        tracking.published(staged);
    }
    drop(turn);
    acknowledgements.into_iter().for_each(|acknowledge| acknowledge(held.clone()));
}
