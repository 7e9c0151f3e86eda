//! From memory to the cells: counts, versions and the journal's position in one transaction; and what a failed commit left in doubt.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::super::Label;
use super::arm::{Arm, Moving};
use super::first::FirstPart;
use super::ingest::Inner;
use super::journal;
use super::names::Quickly;
use super::state::{Batch, CellKey, Oddities, State};
use super::store::{self, HOUR, MINUTE, Position, Row};
use super::tally::Cell;
use crate::base::{Fault, Timestamp, fault::Result};
use crate::db::Tx;

/// The journal's last part is kept: so many events, and bytes, at most.
const LEDGER_EVENTS_MAX: i64 = 1_000_000;
const LEDGER_BYTES_MAX: i64 = 512 << 20;
/// Minutes are put together to hours after so many. The minutes of hundreds of versions are most of what the counters take, so that
/// every hour of them has to be worth it.
pub const MINUTES_KEPT: i64 = 120;

/// A commit that failed and may hold all the same.
#[derive(Debug)]
pub(super) enum Doubt {
    Append(Vec<Arm>, Vec<Batch>),
    /// Of a fold up to this place of the journal.
    Fold(i64),
}

/// Finds out whether a commit that failed holds.
///
/// # Errors
/// `Unavailable` while the store cannot be asked.
pub(super) async fn settle(inner: &Inner) -> Result<()> {
    let doubt = inner.doubt.lock().unwrap_or_else(PoisonError::into_inner).take();
    let outcome = match &doubt {
        None => return Ok(()),
        Some(Doubt::Append(_, batches)) => {
            store::newest(inner.db.read()).await.map(|newest| batches.first().is_some_and(|b| b.seq <= newest))
        }
        Some(Doubt::Fold(seq)) => store::position(inner.db.read()).await.map(|(at, _)| at == *seq),
    };
    match (outcome, doubt) {
        (Err(fault), doubt) => {
            *inner.doubt.lock().unwrap_or_else(PoisonError::into_inner) = doubt;
            Err(fault)
        }
        (Ok(true), Some(Doubt::Append(arms, batches))) => {
            let mut state = inner.state();
            for arm in arms {
                state.add_arm(arm);
            }
            batches.iter().for_each(|b| state.apply(b));
            Ok(())
        }
        (Ok(true), Some(Doubt::Fold(_))) => {
            inner.state().folded();
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Brings all counts to their cells, and ends the waiting of what is too much for the ledger.
///
/// # Errors
/// `Unavailable` when the store refuses.
pub(super) async fn fold(inner: &Inner, now: Timestamp) -> Result<()> {
    fold_if(inner, now, false).await
}

/// The same also where nothing was counted, for what the journal is to forget.
///
/// # Errors
/// As [`fold`].
pub(super) async fn fold_all(inner: &Inner, now: Timestamp) -> Result<()> {
    fold_if(inner, now, true).await
}

async fn fold_if(inner: &Inner, now: Timestamp, anyway: bool) -> Result<()> {
    settle(inner).await?;
    if inner.state().counts().next().is_some() {
        evict(inner).await?;
    }
    let seq = inner.seq.load(Ordering::Relaxed);
    // Readers find the counts in memory until they are in the store, and wait for the commit alone.
    let cells = inner.state().begin_fold();
    let tx = write(inner, &cells, seq, anyway).await?;
    drop(cells);
    if let Some(tx) = tx {
        let _gate = inner.gate.write().await;
        if let Err(fault) = tx.commit().await {
            *inner.doubt.lock().unwrap_or_else(PoisonError::into_inner) = Some(Doubt::Fold(seq));
            return Err(fault);
        }
        inner.state().folded();
    }
    roll_up(inner, now).await
}

/// Puts minutes that are no longer kept together to hours. No reader sees half of it: each reads in one statement.
async fn roll_up(inner: &Inner, now: Timestamp) -> Result<()> {
    let before = (now.0.div_euclid(60_000_000) - MINUTES_KEPT).div_euclid(HOUR) * HOUR;
    if !store::has_minutes(inner.db.read(), before).await? {
        return Ok(());
    }
    let mut tx = inner.db.begin().await?;
    store::roll_up(&mut tx, before).await?;
    tx.commit().await.map(drop)
}

/// What is there to be written of versions.
struct Changed {
    arms: Vec<(u32, Arm)>,
    moved: Vec<(u32, Moving)>,
    first: Vec<(u32, usize, FirstPart)>,
    filled: Vec<u32>,
    odd: Oddities,
}

fn changed(state: &State) -> Changed {
    let of = |n: u32| &state.arms[n as usize];
    let touched = |whole: bool| state.touched.iter().filter(move |(_, w)| **w == whole).map(|(n, _)| *n);
    let window = |n: &u32| {
        let window = state.firsts.get(n)?;
        Some((*n, window.stored, window.fresh()?))
    };
    Changed {
        arms: touched(true).map(|n| (n, of(n).clone())).collect(),
        moved: touched(false).map(|n| (n, of(n).moving())).collect(),
        first: state.touched.keys().filter_map(window).collect(),
        filled: state.filled.iter().copied().collect(),
        odd: state.odd,
    }
}

/// `None`: there was nothing.
async fn write(inner: &Inner, cells: &Quickly<CellKey, Cell>, seq: i64, anyway: bool) -> Result<Option<Tx>> {
    let changed = changed(&inner.state());
    let slices: Vec<(CellKey, String)> = {
        let state = inner.state();
        cells.keys().map(|key| (*key, state.slices.name(key.slice).to_owned())).collect()
    };
    let mut tx = inner.db.begin().await?;
    for (key, slice) in &slices {
        store::add_cell(&mut tx, (key.arm, slice, key.minute, MINUTE), &cells[key]).await?;
    }
    for (number, arm) in &changed.arms {
        store::put_arm(&mut tx, *number, arm).await?;
    }
    for (number, moving) in &changed.moved {
        store::move_arm(&mut tx, *number, moving).await?;
    }
    for number in &changed.filled {
        store::forget_first(&mut tx, *number).await?;
    }
    for (number, row, part) in &changed.first {
        store::put_first(&mut tx, *number, *row, part).await?;
    }
    let nothing = cells.is_empty() && changed.arms.is_empty() && changed.moved.is_empty();
    if nothing && !anyway {
        tx.rollback().await;
        return Ok(None);
    }
    let forgotten = inner.forgotten.load(Ordering::Relaxed);
    store::forget(&mut tx, forgotten).await?;
    let erased = u64::try_from(inner.erased.load(Ordering::Relaxed)).unwrap_or(0);
    store::put_position(&mut tx, seq, &Position { odd: changed.odd, forgotten, erased }).await?;
    Ok(Some(tx))
}

/// Marks the oldest part of the journal to be forgotten, where it is more than is kept.
async fn evict(inner: &Inner) -> Result<()> {
    let (mut events, mut bytes) = (0, 0);
    let sizes = store::sizes(inner.db.read()).await?;
    let over = sizes.into_iter().find(|(_, n, size)| {
        events += n;
        bytes += size;
        events > LEDGER_EVENTS_MAX || bytes > LEDGER_BYTES_MAX
    });
    if let Some((seq, ..)) = over.filter(|(seq, ..)| *seq > inner.forgotten.load(Ordering::Relaxed)) {
        inner.state().evict(seq);
        inner.forgotten.store(seq, Ordering::Relaxed);
    }
    Ok(())
}

/// Reads a row of the journal.
///
/// # Errors
/// `Bug` when it is damaged.
pub(super) fn batch_of(row: &Row) -> Result<Batch> {
    let damaged = |why: String| {
        Fault::bug(format!("row {} of the journal of predictions cannot be read", row.seq))
            .why(why)
            .next("restore the last backup")
    };
    let mut batch =
        Batch { seq: row.seq, arrived: Timestamp(row.arrived), predictions: Arc::default(), labels: Vec::new() };
    if row.kind == 0 {
        batch.predictions = Arc::new(journal::predictions(&row.body).map_err(damaged)?);
        return Ok(batch);
    }
    let lines = journal::plain(&row.body).map_err(damaged)?;
    for line in lines.split(|b| *b == b'\n').filter(|l| !l.trim_ascii().is_empty()) {
        batch.labels.push(serde_json::from_slice::<Label>(line).map_err(|e| damaged(e.to_string()))?);
    }
    Ok(batch)
}
