//! The stream of writes: many small writers, one journal row, one sync. Nothing is acknowledged before it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{Mutex, mpsc, oneshot};

use super::effect::Effect;
use super::fold::FOLD_AFTER;
use super::state::{Staged, State};
use super::store;
use super::unfolded::Changed;
use crate::base::{Fault, fault::Result};
use crate::capability::event::{Hint, Hints};
use crate::db::{Db, Turn, Tx};

/// Writes waiting for the writer; beyond this, callers wait at the door.
const QUEUE_WRITES_MAX: usize = 8192;
/// Writes that share one commit.
const GROUP_WRITES_MAX: usize = 1024;
/// Effects that share one commit: bounds the memory and the length of a group.
const GROUP_EFFECTS_MAX: usize = 4096;

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

/// Experiment tracking: the documents in memory, and the way to change them. The writer ends with its last clone.
#[derive(Clone)]
pub struct Tracking {
    pub(super) documents: Arc<Documents>,
    queue: mpsc::Sender<Write>,
}

/// The documents in memory and the journal behind them.
pub(super) struct Documents {
    pub(super) db: Db,
    pub(super) state: Arc<RwLock<State>>,
    /// Number of the newest group, published or not.
    pub(super) seq: AtomicI64,
    /// Number of the newest group that memory holds.
    pub(super) published: AtomicI64,
    /// Bytes of effects journalled since the last fold.
    pub(super) journal_bytes: AtomicUsize,
    /// A commit failed and may hold all the same: the line to the server broke before its answer came.
    pub(super) doubtful: AtomicBool,
    /// As above, of the fold under way.
    pub(super) doubtful_fold: AtomicBool,
    /// One fold at a time.
    pub(super) fold_turn: Arc<Mutex<()>>,
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
        let documents = Arc::new(Documents {
            db,
            state: Arc::new(RwLock::new(state)),
            seq: AtomicI64::new(0),
            published: AtomicI64::new(0),
            journal_bytes: AtomicUsize::new(0),
            doubtful: AtomicBool::new(false),
            doubtful_fold: AtomicBool::new(false),
            fold_turn: Arc::default(),
            hints,
        });
        documents.replay_journal().await?;
        let (queue, writes) = mpsc::channel(QUEUE_WRITES_MAX);
        tokio::spawn(write_in_groups(documents.clone(), writes));
        Ok(Self { documents, queue })
    }

    /// Reads the documents. Keep it short: writers wait.
    pub fn read<T>(&self, f: impl FnOnce(&State) -> T) -> T {
        self.documents.read(f)
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
        let write: Write = Box::new(move |staged| {
            // A bug in one decision must not end the writer for all.
            let decided = catch_unwind(AssertUnwindSafe(|| decide(staged)));
            match decided
                .unwrap_or_else(|_| Err(Fault::bug("a write could not be decided").next("see the agent's log")))
            {
                Ok(Decision { effects, reply }) => {
                    effects.into_iter().for_each(|e| staged.apply(e));
                    // A caller who has gone away is no reason to undo.
                    Box::new(move |held| drop(answer.send(held.map(|()| reply))))
                }
                Err(fault) => Box::new(move |_| drop(answer.send(Err(fault)))),
            }
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
        self.documents.settle().await?;
        let mut staged = Staged::on(self.documents.state.clone());
        let Decision { effects, reply: () } = decide(&staged)?;
        effects.into_iter().for_each(|e| staged.apply(e));
        if !staged.is_empty() {
            let bytes = store::append_in(tx, self.documents.next_seq(), staged.effects()).await?;
            self.documents.journal_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        Ok(staged)
    }

    /// After the commit of what [`Self::stage`] prepared.
    pub fn published(&self, staged: Staged) {
        self.documents.publish(staged);
    }

    /// After a commit of what [`Self::stage`] prepared has failed: whether it holds is looked up before the next write.
    pub fn doubt(&self) {
        self.documents.doubtful.store(true, Ordering::Release);
    }

    /// Writes the changed documents and the unfolded points to their tables, and empties the journal.
    ///
    /// # Errors
    /// `Unavailable` when the store refuses; then journal and memory stay as they are.
    pub async fn fold(&self) -> Result<()> {
        self.documents.fold().await
    }
}

impl Documents {
    pub(super) fn read<T>(&self, f: impl FnOnce(&State) -> T) -> T {
        f(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn next_seq(&self) -> i64 {
        self.seq.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn publish(&self, staged: Staged) {
        let touched = staged.publish();
        self.published.store(self.seq.load(Ordering::Relaxed), Ordering::Relaxed);
        self.give_hints(&touched);
    }

    fn give_hints(&self, touched: &Changed) {
        touched.experiments.iter().for_each(|&e| self.hints.give(Hint::Experiment(e)));
        touched.runs.iter().take(32).for_each(|&r| self.hints.give(Hint::Run(r)));
        if touched.runs.len() > 32 {
            self.hints.give(Hint::Everything);
        }
    }

    async fn append(&self, turn: &mut Turn, effects: &[Effect]) -> Result<()> {
        if self.db.is_passing() {
            // Nobody will replay it.
            self.next_seq();
            return Ok(());
        }
        match store::append(turn, self.next_seq(), effects).await {
            Ok(bytes) => {
                self.journal_bytes.fetch_add(bytes, Ordering::Relaxed);
                Ok(())
            }
            Err(fault) => {
                self.doubtful.store(true, Ordering::Release);
                Err(fault)
            }
        }
    }
}

async fn write_in_groups(documents: Arc<Documents>, mut writes: mpsc::Receiver<Write>) {
    let mut waiting = Vec::with_capacity(GROUP_WRITES_MAX);
    let mut crowded = false;
    loop {
        let got = tokio::time::timeout(FOLD_AFTER, writes.recv_many(&mut waiting, GROUP_WRITES_MAX)).await;
        let rested = got.is_err();
        if got == Ok(0) {
            return;
        }
        if crowded {
            // Writers that were answered together send again together: a moment's patience makes one group of them.
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            while waiting.len() < GROUP_WRITES_MAX
                && let Ok(write) = writes.try_recv()
            {
                waiting.push(write);
            }
        }
        crowded = waiting.len() > 1;
        let mut group = waiting.drain(..).peekable();
        while group.peek().is_some() {
            commit_group(&documents, &mut group).await;
        }
        drop(group);
        if rested || documents.fold_is_due() {
            let folding = documents.fold_beside();
            if documents.is_overfull() {
                // More comes than a fold can put away: writers wait.
                folding.await;
            }
        }
    }
}

async fn commit_group(documents: &Documents, writes: &mut impl Iterator<Item = Write>) {
    let mut turn = documents.db.turn().await;
    let settled = documents.settle().await;
    let mut staged = Staged::on(documents.state.clone());
    let mut acknowledgements = Vec::new();
    while staged.effects().len() < GROUP_EFFECTS_MAX
        && let Some(write) = writes.next()
    {
        acknowledgements.push(write(&mut staged));
    }
    let held = match settled {
        Ok(()) if staged.is_empty() => Ok(()),
        Ok(()) => documents.append(&mut turn, staged.effects()).await,
        Err(fault) => Err(fault),
    };
    if held.is_ok() {
        documents.publish(staged);
    }
    drop(turn);
    acknowledgements.into_iter().for_each(|acknowledge| acknowledge(held.clone()));
}
