//! The way in: a bounded queue, one writer, one commit for all that wait. What cannot be taken is refused and counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, RwLock, Semaphore, mpsc, oneshot};

use super::super::{Label, Prediction};
use super::arm::{Arm, Task};
use super::check::{Accepted, Parsed};
use super::door::Door;
use super::erase::{Erased, Person};
use super::fold::{self, Doubt};
use super::rows::Rows;
use super::spare::Spare;
use super::state::{Batch, Oddities, State};
use super::store::{self, Row};
use super::{erase, keep, training};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::db::Db;
use crate::db::blobs::Blobs;

/// Bytes that wait for the writer; beyond it a caller waits, and then is refused.
const QUEUE_BYTES_MAX: usize = 128 << 20;
const QUEUE_WRITES_MAX: usize = 1024;
/// How long a caller waits for room.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
const GROUP_WRITES_MAX: usize = 256;
/// More events than these are counted on a thread of their own.
const INLINE_EVENTS_MAX: usize = 1000;
/// Versions of services that are watched.
pub const ARMS_MAX: usize = 5000;
/// Counts go to their cells so often.
const FOLD_EVERY: Duration = Duration::from_secs(10);

/// The counter store; cheap to clone. Its writer ends with the last clone.
#[derive(Clone)]
pub struct Counters {
    pub(super) inner: Arc<Inner>,
    pub(super) queue: mpsc::Sender<Job>,
    pub(super) door: Door,
    room: Arc<Semaphore>,
}

pub(super) struct Inner {
    pub spare: Spare,
    pub db: Db,
    pub blobs: Option<Blobs>,
    state: Mutex<State>,
    /// Held for writing while counts move from memory to their cells; whoever also writes has the writer's turn before it.
    pub gate: RwLock<()>,
    pub seq: AtomicI64,
    /// Number of the newest row that is counted; what failed has a number, too.
    pub counted: AtomicI64,
    pub forgotten: AtomicI64,
    /// Events that were taken out of the journal.
    pub erased: AtomicI64,
    pub doubt: Mutex<Option<Doubt>>,
    shed: AtomicU64,
    pub shed_bodies: AtomicU64,
    /// When something was shed last, µs since 1970; 0: never.
    pub shed_last: AtomicI64,
    /// By service and version, since the agent started.
    since: Mutex<BTreeMap<(String, String), Since>>,
}

/// Predictions that were taken since the agent started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Since {
    pub predictions: u64,
    pub errors: u64,
}

pub(super) enum Job {
    Write(Write),
    Fold(Timestamp, oneshot::Sender<Result<()>>),
    /// Up to a row of the journal.
    Forget(i64, Timestamp, oneshot::Sender<Result<()>>),
    /// Whom, and whether really.
    Erase(Person, bool, Timestamp, oneshot::Sender<Result<Erased>>),
}

pub(super) struct Write {
    batch: Batch,
    body: Vec<u8>,
    answer: oneshot::Sender<Result<()>>,
    room: OwnedSemaphorePermit,
}

/// How the counter store does.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Standing {
    pub versions: Vec<VersionStanding>,
    /// Predictions in the ledger.
    pub waiting: u64,
    /// Labels that wait for their prediction.
    pub labels_early: u64,
    #[serde(flatten)]
    pub odd: Oddities,
    /// Events, and bodies that nobody read: more came since the agent started than it could take.
    pub shed: u64,
    #[serde(default)]
    pub shed_bodies: u64,
}

/// What was not taken since the agent started, because more came than it could take. Who sent it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Shed {
    /// Events of bodies that were read.
    pub events: u64,
    /// Bodies that nobody read.
    pub bodies: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionStanding {
    pub service: String,
    pub version: String,
    pub model: Option<String>,
    pub task: Option<Task>,
    /// When its newest prediction was made.
    pub last: Timestamp,
    pub slices: u64,
    pub slices_dropped: u64,
    pub batch: Option<(String, Timestamp)>,
}

impl Inner {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counters {
    /// Loads what is counted, replays the journal, and starts the writer.
    ///
    /// # Errors
    /// `Unavailable` or `Bug` when the store cannot be read.
    pub async fn open(db: Db, blobs: Option<Blobs>) -> Result<Self> {
        let (position, kept) = store::position(db.read()).await?;
        let mut state = State { odd: kept.odd, ..State::default() };
        for arm in store::arms(db.read()).await? {
            state.add(arm.0, arm.1);
        }
        let mut after = 0;
        loop {
            let rows = store::journal(db.read(), after).await?;
            let Some(last) = rows.last() else { break };
            after = last.seq;
            for row in &rows {
                state.only_ledger = row.seq <= position;
                state.apply(&fold::batch_of(row)?);
            }
        }
        state.only_ledger = false;
        let inner = Arc::new(Inner {
            spare: Spare::default(),
            seq: AtomicI64::new(after.max(position)),
            counted: AtomicI64::new(after.max(position)),
            forgotten: AtomicI64::new(kept.forgotten),
            erased: AtomicI64::new(i64::try_from(kept.erased).unwrap_or(i64::MAX)),
            db,
            blobs,
            state: Mutex::new(state),
            gate: RwLock::new(()),
            doubt: Mutex::new(None),
            shed: AtomicU64::new(0),
            shed_bodies: AtomicU64::new(0),
            shed_last: AtomicI64::new(0),
            since: Mutex::default(),
        });
        let (queue, jobs) = mpsc::channel(QUEUE_WRITES_MAX);
        tokio::spawn(write_in_groups(inner.clone(), jobs));
        Ok(Self { inner, queue, door: Door::new(), room: Arc::new(Semaphore::new(QUEUE_BYTES_MAX)) })
    }

    /// What bodies are read with.
    pub fn spare(&self) -> Spare {
        self.inner.spare.clone()
    }

    /// Takes predictions that are no request's body, such as a router's.
    ///
    /// # Errors
    /// As [`Self::predictions`].
    pub async fn accept(&self, all: &[Prediction], now: Timestamp) -> Result<Accepted> {
        let mut body = Vec::new();
        for one in all {
            serde_json::to_writer(&mut body, one).map_err(|e| Fault::bug("prediction").why(e.to_string()))?;
            body.push(b'\n');
        }
        self.predictions(super::check::parse_predictions(&body, now)?, now).await
    }

    /// When this returns they are durable.
    ///
    /// # Errors
    /// `Unavailable` when more comes than can be taken, or the store refuses; then none was taken.
    pub async fn predictions(&self, parsed: Parsed<Rows>, now: Timestamp) -> Result<Accepted> {
        let Parsed { events, body, bytes, answer, turn } = parsed;
        let events = Arc::new(events);
        let came = || events.who.iter().filter(|who| who.predictions > 0);
        let (fresh, known) = {
            let state = self.inner.state();
            let mut new: Vec<(&str, &str)> = came().map(|w| (w.service.as_str(), w.version.as_str())).collect();
            new.retain(|(service, version)| state.number(service, version).is_none());
            new.sort_unstable();
            new.dedup();
            (new.len(), state.arms.len())
        };
        if fresh > 0 && known + fresh > ARMS_MAX {
            return Err(Fault::refused(format!("predictions of {fresh} new versions were not taken"))
                .why(format!("{ARMS_MAX} versions of services are watched at most"))
                .next("send stable names of services and versions"));
        }
        let batch = Batch { seq: 0, arrived: now, predictions: events.clone(), labels: Vec::new() };
        self.put(batch, body, bytes, turn).await?;
        let mut since = self.inner.since.lock().unwrap_or_else(PoisonError::into_inner);
        for who in came() {
            let sum = since.entry((who.service.clone(), who.version.clone())).or_default();
            sum.predictions += who.predictions;
            sum.errors += who.errors;
        }
        drop(since);
        // It was the last to look at them, if the store had no doubts.
        if let Some(rows) = Arc::into_inner(events) {
            self.inner.spare.keep_rows(rows);
        }
        Ok(answer)
    }

    /// # Errors
    /// As [`Self::predictions`].
    pub async fn labels(&self, parsed: Parsed<Vec<Label>>, now: Timestamp) -> Result<Accepted> {
        let Parsed { events, body, bytes, answer, turn } = parsed;
        let batch = Batch { seq: 0, arrived: now, predictions: Arc::default(), labels: events };
        self.put(batch, body, bytes, turn).await?;
        Ok(answer)
    }

    async fn put(&self, batch: Batch, body: Vec<u8>, bytes: usize, turn: Option<OwnedSemaphorePermit>) -> Result<()> {
        let events = batch.predictions.len() + batch.labels.len();
        if events == 0 {
            return Ok(());
        }
        let bytes = u32::try_from(bytes.clamp(1, QUEUE_BYTES_MAX)).unwrap_or(u32::MAX);
        let gone = || Fault::unavailable("the agent is stopping; nothing was taken").next("send it again");
        let room = tokio::time::timeout(PATIENCE, self.room.clone().acquire_many_owned(bytes)).await;
        let Ok(room) = room else {
            self.inner.shed.fetch_add(events as u64, Ordering::Relaxed);
            self.inner.shed_last.store(batch.arrived.0, Ordering::Relaxed);
            return Err(Fault::unavailable(format!("{events} events were not taken"))
                .why("more comes than can be written")
                .next("send them again, more slowly"));
        };
        drop(turn);
        let (answer, wait) = oneshot::channel();
        let write = Write { batch, body, answer, room: room.map_err(|_| gone())? };
        self.queue.send(Job::Write(write)).await.map_err(|_| gone())?;
        wait.await.map_err(|_| gone())?
    }

    /// Brings all counts to their cells.
    ///
    /// # Errors
    /// `Unavailable` when the store refuses; then journal and memory stay as they are.
    pub async fn fold(&self, now: Timestamp) -> Result<()> {
        let gone = || Fault::unavailable("the counter store has ended");
        let (answer, wait) = oneshot::channel();
        self.queue.send(Job::Fold(now, answer)).await.map_err(|_| gone())?;
        wait.await.map_err(|_| gone())?
    }

    /// How far what was taken is counted: a number that changes with every prediction and label.
    pub fn counted_to(&self) -> i64 {
        self.inner.counted.load(Ordering::Relaxed)
    }

    /// What was taken since the agent started, by service and version.
    pub fn since_start(&self) -> BTreeMap<(String, String), Since> {
        self.inner.since.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn standing(&self) -> Standing {
        let state = self.inner.state();
        let version = |arm: &Arm| VersionStanding {
            service: arm.service.clone(),
            version: arm.version.clone(),
            model: arm.model.clone(),
            task: arm.task,
            last: arm.last,
            slices: arm.slices.len() as u64,
            slices_dropped: arm.slices_dropped,
            batch: arm.batch.clone(),
        };
        Standing {
            versions: state.arms.iter().map(version).collect(),
            waiting: state.ledger.len() as u64,
            labels_early: state.ledger.waiting_early() as u64,
            odd: Oddities { labels_unknown: state.odd.labels_unknown + state.ledger.unknown, ..state.odd },
            shed: self.shed().events,
            shed_bodies: self.shed().bodies,
        }
    }

    /// What more came than could be taken.
    pub fn shed(&self) -> Shed {
        let last = Timestamp(self.inner.shed_last.load(Ordering::Relaxed));
        Shed {
            events: self.inner.shed.load(Ordering::Relaxed),
            bodies: self.inner.shed_bodies.load(Ordering::Relaxed),
            last: (last.0 > 0).then_some(last),
        }
    }
}

async fn write_in_groups(inner: Arc<Inner>, mut jobs: mpsc::Receiver<Job>) {
    let mut tick = tokio::time::interval(FOLD_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let first = tokio::select! {
            job = jobs.recv() => match job {
                Some(job) => job,
                None => return,
            },
            _ = tick.tick() => {
                let now = crate::base::Clock::now(&crate::base::clock::SystemClock);
                if let Err(fault) = fold::fold(&inner, now).await {
                    tracing::warn!("counters: {fault}; the journal keeps what was acknowledged");
                }
                inner.spare.tidy();
                continue;
            }
        };
        let mut writes = Vec::new();
        let mut after = None;
        let mut next = Some(first);
        while let Some(job) = next.take() {
            match job {
                Job::Write(write) => writes.push(write),
                other => after = Some(other),
            }
            if after.is_none() && writes.len() < GROUP_WRITES_MAX {
                next = jobs.try_recv().ok();
            }
        }
        if !writes.is_empty() {
            commit(&inner, writes).await;
        }
        match after {
            Some(Job::Fold(now, answer)) => drop(answer.send(fold::fold(&inner, now).await)),
            Some(Job::Forget(seq, now, answer)) => drop(answer.send(keep::forget(&inner, seq, now).await)),
            Some(Job::Erase(person, really, now, answer)) => {
                drop(answer.send(erase::erase(&inner, &person, really, now).await));
            }
            Some(Job::Write(_)) | None => {}
        }
    }
}

/// One commit for all of them; then they count, and everyone hears.
async fn commit(inner: &Arc<Inner>, mut writes: Vec<Write>) {
    let held = append(inner, &mut writes).await;
    let (batches, waiting): (Vec<_>, Vec<_>) = writes.into_iter().map(|w| (w.batch, (w.answer, w.room))).unzip();
    if held.is_ok() {
        count(inner, batches).await;
    }
    inner.counted.store(inner.seq.load(Ordering::Relaxed), Ordering::Relaxed);
    for (answer, _room) in waiting {
        // A caller who has gone away is no reason to undo.
        let _ = answer.send(held.clone());
    }
}

/// Readers look in between two batches. Many events are counted where nobody else waits for the thread.
async fn count(inner: &Arc<Inner>, batches: Vec<Batch>) {
    let events: usize = batches.iter().map(|b| b.predictions.len() + b.labels.len()).sum();
    let inner = inner.clone();
    let work = move || batches.iter().for_each(|batch| inner.state().apply(batch));
    if events <= INLINE_EVENTS_MAX {
        work();
    } else if let Err(e) = tokio::task::spawn_blocking(work).await
        && e.is_panic()
    {
        // The journal has them, a restart counts them: no fold may go past them.
        std::panic::resume_unwind(e.into_panic());
    }
}

async fn append(inner: &Inner, writes: &mut [Write]) -> Result<()> {
    fold::settle(inner).await?;
    let fresh = fresh_arms(inner, writes).await?;
    let mut tx = inner.db.begin().await?;
    let numbers = inner.state().arms.len()..;
    for (number, arm) in numbers.zip(&fresh) {
        store::put_arm(&mut tx, u32::try_from(number).unwrap_or(u32::MAX), arm).await?;
    }
    for write in writes.iter_mut() {
        let batch = &mut write.batch;
        batch.seq = inner.seq.fetch_add(1, Ordering::Relaxed) + 1;
        let kind = i64::from(batch.predictions.is_empty());
        let count = batch.predictions.len() + batch.labels.len();
        let row = Row { seq: batch.seq, arrived: batch.arrived.0, kind, body: std::mem::take(&mut write.body) };
        store::append(&mut tx, row, i64::try_from(count).unwrap_or(i64::MAX)).await?;
    }
    if let Err(fault) = tx.commit().await {
        // It may hold all the same: looked up before the next write.
        let batches = writes.iter().map(|w| w.batch.clone()).collect();
        *inner.doubt.lock().unwrap_or_else(PoisonError::into_inner) = Some(Doubt::Append(fresh, batches));
        return Err(fault);
    }
    let mut state = inner.state();
    for arm in fresh {
        state.add_arm(arm);
    }
    Ok(())
}

/// Versions that are seen for the first time, each with its training profile.
async fn fresh_arms(inner: &Inner, writes: &[Write]) -> Result<Vec<Arm>> {
    let mut fresh: Vec<Arm> = Vec::new();
    for who in writes.iter().flat_map(|w| &w.batch.predictions.who).filter(|who| who.predictions > 0) {
        let known = inner.state().number(&who.service, &who.version).is_some()
            || fresh.iter().any(|a| a.service == who.service && a.version == who.version);
        if !known {
            let model = who.model.clone().unwrap_or_else(|| who.service.clone());
            let profile = training::profile(inner, &model, &who.version).await;
            fresh.push(Arm::new(&who.service, &who.version, who.model.clone(), profile));
        }
    }
    Ok(fresh)
}
