//! How long things are kept: what is old in journal and cells, and taking it away.

use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use super::first::FirstWindow;
use super::ingest::{Counters, Inner, Job};
use super::{fold, store};
use crate::base::stats::sketch::Sketch;
use crate::base::{Fault, Timestamp, fault::Result};

const MINUTE_US: i64 = 60_000_000;

/// The part of the journal that arrived before a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OldEvents {
    /// Its newest row; 0 when there is none.
    pub seq: i64,
    pub events: u64,
    pub bytes: u64,
}

impl Counters {
    /// # Errors
    /// The store's.
    pub async fn events_before(&self, before: Timestamp) -> Result<OldEvents> {
        let (seq, events, bytes) = store::events_before(self.inner.db.read(), before.0).await?;
        let positive = |n: i64| u64::try_from(n).unwrap_or(0);
        Ok(OldEvents { seq, events: positive(events), bytes: positive(bytes) })
    }

    /// Ends the waiting of what came up to a row of the journal, and takes it out of there.
    ///
    /// # Errors
    /// `Unavailable` when the store refuses.
    pub async fn forget(&self, seq: i64, now: Timestamp) -> Result<()> {
        let gone = || Fault::unavailable("the counter store has ended");
        let (answer, wait) = oneshot::channel();
        self.queue.send(Job::Forget(seq, now, answer)).await.map_err(|_| gone())?;
        wait.await.map_err(|_| gone())?
    }

    /// Cells of whole stretches before a moment, and their bytes.
    ///
    /// # Errors
    /// The store's.
    pub async fn cells_before(&self, before: Timestamp) -> Result<(u64, u64)> {
        let (cells, bytes) = store::cells_before(self.inner.db.read(), before.0.div_euclid(MINUTE_US)).await?;
        Ok((u64::try_from(cells).unwrap_or(0), u64::try_from(bytes).unwrap_or(0)))
    }

    /// Takes them away.
    ///
    /// # Errors
    /// The store's.
    pub async fn remove_cells_before(&self, before: Timestamp) -> Result<()> {
        let mut tx = self.inner.db.begin().await?;
        store::remove_cells_before(&mut tx, before.0.div_euclid(MINUTE_US)).await?;
        // In the order in which a fold takes them: the turn first, then the gate.
        let _gate = self.inner.gate.write().await;
        tx.commit().await.map(drop)
    }

    /// Versions that last answered before a moment and whose first predictions never became a reference; and their bytes.
    pub fn samples_before(&self, before: Timestamp) -> (u64, u64) {
        let state = self.inner.state();
        let old = |(n, window): &(&u32, &FirstWindow)| state.arms[**n as usize].last < before && window.len() > 0;
        state.firsts.iter().filter(old).fold((0, 0), |(n, bytes), (_, window)| (n + 1, bytes + window.bytes()))
    }

    /// Takes them away; a version that comes back begins its first window anew.
    ///
    /// # Errors
    /// `Unavailable` when the store refuses.
    pub async fn forget_samples(&self, before: Timestamp, now: Timestamp) -> Result<()> {
        {
            let mut state = self.inner.state();
            let state = &mut *state;
            for (number, window) in &mut state.firsts {
                let arm = &mut state.arms[*number as usize];
                if arm.last < before && window.len() > 0 {
                    *window = FirstWindow::default();
                    arm.first_rows = Some(0);
                    state.filled.insert(*number);
                    state.touched.insert(*number, true);
                }
            }
        }
        self.fold(now).await
    }

    /// By service, how late 99 of 100 labels came at most, seconds, among those counted since a moment.
    ///
    /// # Errors
    /// The store's.
    pub async fn label_delays(&self, since: Timestamp, now: Timestamp) -> Result<Vec<(String, f64)>> {
        let arms: Vec<String> = self.inner.state().arms.iter().map(|a| a.service.clone()).collect();
        let mut delays: std::collections::BTreeMap<String, Sketch> = std::collections::BTreeMap::new();
        for (number, service) in (0..).zip(arms) {
            let tally = self.tally(number, since, now).await?;
            delays.entry(service).or_default().merge(&tally.delay);
        }
        Ok(delays.into_iter().filter_map(|(service, d)| Some((service, d.quantile(0.99)?))).collect())
    }
}

/// The writer's part of [`Counters::forget`].
pub(super) async fn forget(inner: &Inner, seq: i64, now: Timestamp) -> Result<()> {
    if seq > inner.forgotten.load(Ordering::Relaxed) {
        inner.state().evict(seq);
        inner.forgotten.store(seq, Ordering::Relaxed);
    }
    fold::fold_all(inner, now).await
}
