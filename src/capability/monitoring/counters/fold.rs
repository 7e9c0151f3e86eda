//! From memory to the cells: counts, versions and the journal's position in one transaction; and what a failed commit left in doubt.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::super::{Label, Prediction};
use super::arm::Arm;
use super::ingest::Inner;
use super::state::Batch;
use super::store::{self, HOUR, MINUTE, Position, Row};
use crate::base::{Fault, Timestamp, fault::Result};

/// The journal's last part is kept: so many events, and bytes, at most.
const LEDGER_EVENTS_MAX: i64 = 1_000_000;
const LEDGER_BYTES_MAX: i64 = 512 << 20;
/// Minutes are put together to hours after so many.
const MINUTES_KEPT: i64 = 180;

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
            let mut state = inner.state();
            state.cells.clear();
            state.touched.clear();
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
    if !inner.state().cells.is_empty() {
        evict(inner).await?;
    }
    let seq = inner.seq.load(Ordering::Relaxed);
    let _gate = inner.gate.write().await;
    let (cells, arms, odd) = {
        let state = inner.state();
        let arms: Vec<(u32, Arm)> = state.touched.iter().map(|n| (*n, state.arms[*n as usize].clone())).collect();
        (state.cells.clone(), arms, state.odd)
    };
    let mut tx = inner.db.begin().await?;
    for (key, cell) in &cells {
        store::add_cell(&mut tx, (key.arm, &key.slice, key.minute, MINUTE), cell).await?;
    }
    for (number, arm) in &arms {
        store::put_arm(&mut tx, *number, arm).await?;
    }
    let before = (now.0.div_euclid(60_000_000) - MINUTES_KEPT).div_euclid(HOUR) * HOUR;
    let rolled = store::roll_up(&mut tx, before).await?;
    if cells.is_empty() && arms.is_empty() && rolled == 0 && !anyway {
        tx.rollback().await;
        return Ok(());
    }
    let forgotten = inner.forgotten.load(Ordering::Relaxed);
    store::forget(&mut tx, forgotten).await?;
    let erased = u64::try_from(inner.erased.load(Ordering::Relaxed)).unwrap_or(0);
    store::put_position(&mut tx, seq, &Position { odd, forgotten, erased }).await?;
    if let Err(fault) = tx.commit().await {
        *inner.doubt.lock().unwrap_or_else(PoisonError::into_inner) = Some(Doubt::Fold(seq));
        return Err(fault);
    }
    let mut state = inner.state();
    state.cells.clear();
    state.touched.clear();
    Ok(())
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
    let damaged = |e: serde_json::Error| {
        Fault::bug(format!("row {} of the journal of predictions cannot be read", row.seq))
            .why(e.to_string())
            .next("restore the last backup")
    };
    let mut batch =
        Batch { seq: row.seq, arrived: Timestamp(row.arrived), predictions: Vec::new(), labels: Vec::new() };
    for line in row.body.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        if row.kind == 0 {
            batch.predictions.push(serde_json::from_slice::<Prediction>(line).map_err(damaged)?);
        } else {
            batch.labels.push(serde_json::from_slice::<Label>(line).map_err(damaged)?);
        }
    }
    Ok(batch)
}
