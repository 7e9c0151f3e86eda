//! Reading the counters: what the cells hold and what memory holds beyond them; and counting anew from the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::arm::Arm;
use super::fold;
use super::ingest::Counters;
use super::state::{ALL, State};
use super::store::{self, HOUR, MINUTE};
use super::tally::{Cell, Tally};
use crate::base::{Fault, Timestamp, fault::Result};

/// Microseconds of a minute.
const MINUTE_US: i64 = 60_000_000;
/// Stretches that are read at once.
const STRETCHES_MAX: usize = 1000;

/// Counters of one version in one window.
#[derive(Debug, Clone)]
pub struct Counted {
    pub arm: Arm,
    /// By slice; empty: everything.
    pub slices: BTreeMap<String, Cell>,
    /// What was really counted: hours where minutes are no longer kept.
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Counted {
    pub fn all(&self) -> Cell {
        self.slices.get("").cloned().unwrap_or_default()
    }
}

/// Counters of one version in one of several equal stretches of time.
#[derive(Debug, Clone)]
pub struct Stretch {
    pub from: Timestamp,
    pub to: Timestamp,
    /// By slice; empty: everything.
    pub slices: BTreeMap<String, Cell>,
}

impl Stretch {
    /// All predictions; `None`: there were none.
    pub fn all(&self) -> Option<&Cell> {
        self.slices.get("")
    }
}

/// How long a version answered: minutes in which it did, and hours where minutes are no longer kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lived {
    pub minutes: u64,
    pub predictions: u64,
    pub errors: u64,
}

/// What was counted in all of them together.
pub fn together(arm: &Arm, stretches: &[Stretch]) -> Counted {
    let mut slices: BTreeMap<String, Cell> = BTreeMap::new();
    for stretch in stretches {
        for (slice, cell) in &stretch.slices {
            slices.entry(slice.clone()).or_default().merge(cell);
        }
    }
    let ends = stretches.first().zip(stretches.last());
    let (from, to) = ends.map_or((Timestamp(0), Timestamp(0)), |(first, last)| (first.from, last.to));
    Counted { arm: arm.clone(), slices, from, to }
}

/// What counting anew from the journal came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recount {
    /// `None`: the journal no longer reaches back far enough.
    pub same: Option<bool>,
    pub cells: u64,
    pub events: u64,
    /// Digest of the counters as they are kept, and counted anew.
    pub kept: String,
    pub anew: String,
    pub why: String,
}

impl Counters {
    /// Versions of a service, by number.
    ///
    /// # Errors
    /// `NotFound` when nothing of it ever came.
    pub fn arms(&self, service: &str) -> Result<Vec<(u32, Arm)>> {
        let state = self.inner.state();
        let of = |(n, arm): (u32, &Arm)| (arm.service == service).then(|| (n, arm.clone()));
        let found: Vec<_> = (0..).zip(&state.arms).filter_map(of).collect();
        if found.is_empty() {
            return Err(Fault::not_found(format!("no prediction of a service {service} ever came"))
                .next("send some to POST /api/v1/predictions, or `opsroom predictions add FILE`"));
        }
        Ok(found)
    }

    /// Counters of a version between two moments, of one slice or of all.
    ///
    /// # Errors
    /// The store's.
    pub async fn counted(&self, number: u32, from: Timestamp, to: Timestamp, slice: Option<&str>) -> Result<Counted> {
        let (first, end) = (from.0.div_euclid(MINUTE_US), (to.0 + MINUTE_US - 1).div_euclid(MINUTE_US));
        let hour = first.div_euclid(HOUR) * HOUR;
        let _gate = self.inner.gate.read().await;
        let mut placed = store::cells(self.inner.db.read(), number, hour, end, slice).await?;
        placed.retain(|p| p.span == HOUR || p.minute >= first);
        let mut slices: BTreeMap<String, Cell> = BTreeMap::new();
        let (mut least, mut most) = (first, end);
        for p in &placed {
            slices.entry(p.slice.clone()).or_default().merge(&p.cell);
            least = least.min(p.minute);
            most = most.max(p.minute + p.span.max(MINUTE));
        }
        let state = self.inner.state();
        for (key, cell) in state.counts() {
            let name = state.slices.name(key.slice);
            let wanted = slice.is_none_or(|s| s == name);
            if key.arm == number && wanted && (first..end).contains(&key.minute) {
                slices.entry(name.to_owned()).or_default().merge(cell);
            }
        }
        let arm = state.arms.get(number as usize).cloned().ok_or_else(|| Fault::bug("no such version"))?;
        Ok(Counted { arm, slices, from: Timestamp(least * MINUTE_US), to: Timestamp(most * MINUTE_US) })
    }

    /// What was counted of all predictions between two moments, beside their columns: quicker where those are not needed.
    ///
    /// # Errors
    /// The store's.
    pub async fn tally(&self, number: u32, from: Timestamp, to: Timestamp) -> Result<Tally> {
        let (first, end) = (from.0.div_euclid(MINUTE_US), (to.0 + MINUTE_US - 1).div_euclid(MINUTE_US));
        let hour = first.div_euclid(HOUR) * HOUR;
        let _gate = self.inner.gate.read().await;
        let mut sum = Tally::default();
        for (minute, span, tally) in store::tallies(self.inner.db.read(), number, hour, end).await? {
            if span == HOUR || minute >= first {
                sum.merge(&tally);
            }
        }
        for (key, cell) in self.inner.state().counts() {
            if key.arm == number && key.slice == ALL && (first..end).contains(&key.minute) {
                sum.merge(&cell.tally);
            }
        }
        Ok(sum)
    }

    /// How long and how often a version answered.
    ///
    /// # Errors
    /// The store's.
    pub async fn lived(&self, service: &str, version: &str, now: Timestamp) -> Result<Lived> {
        let Some(number) = self.inner.state().number(service, version) else { return Ok(Lived::default()) };
        let end = now.0.div_euclid(MINUTE_US) + 1;
        let _gate = self.inner.gate.read().await;
        let mut lived = Lived::default();
        let mut minutes: BTreeSet<i64> = BTreeSet::new();
        for (minute, span, tally) in store::tallies(self.inner.db.read(), number, 0, end).await? {
            lived.predictions += tally.n;
            lived.errors += tally.errors;
            if tally.n > 0 {
                minutes.extend(minute..minute + span.max(1));
            }
        }
        for (key, cell) in self.inner.state().counts() {
            if key.arm == number && key.slice == ALL && key.minute < end && cell.tally.n > 0 {
                lived.predictions += cell.tally.n;
                lived.errors += cell.tally.errors;
                minutes.insert(key.minute);
            }
        }
        Ok(Lived { minutes: minutes.len() as u64, ..lived })
    }

    /// The same in stretches of so many minutes, oldest first, those in which nothing was counted too. A cell of a whole hour
    /// counts where it begins: ask for hours where minutes are no longer kept.
    ///
    /// # Errors
    /// The store's.
    pub async fn stretches(
        &self,
        number: u32,
        (from, to): (Timestamp, Timestamp),
        minutes: i64,
        slice: Option<&str>,
    ) -> Result<Vec<Stretch>> {
        let (first, end) = (from.0.div_euclid(MINUTE_US), (to.0 + MINUTE_US - 1).div_euclid(MINUTE_US));
        let step = minutes.max(1);
        let stretch = |minute: i64| Stretch {
            from: Timestamp(minute * MINUTE_US),
            to: Timestamp((minute + step).min(end) * MINUTE_US),
            slices: BTreeMap::new(),
        };
        let mut all: Vec<Stretch> =
            (first..end).step_by(usize::try_from(step).unwrap_or(1)).take(STRETCHES_MAX).map(stretch).collect();
        let place = |minute: i64| usize::try_from((minute.max(first) - first) / step).unwrap_or(usize::MAX);
        let _gate = self.inner.gate.read().await;
        let hour = first.div_euclid(HOUR) * HOUR;
        let mut placed = store::cells(self.inner.db.read(), number, hour, end, slice).await?;
        placed.retain(|p| p.span == HOUR || p.minute >= first);
        for p in &placed {
            if let Some(stretch) = all.get_mut(place(p.minute)) {
                stretch.slices.entry(p.slice.clone()).or_default().merge(&p.cell);
            }
        }
        let state = self.inner.state();
        for (key, cell) in state.counts() {
            let name = state.slices.name(key.slice);
            let wanted = slice.is_none_or(|s| s == name);
            if key.arm == number
                && wanted
                && (first..end).contains(&key.minute)
                && let Some(stretch) = all.get_mut(place(key.minute))
            {
                stretch.slices.entry(name.to_owned()).or_default().merge(cell);
            }
        }
        Ok(all)
    }

    /// All counters of versions, and the place of the journal that they stand at.
    async fn kept(&self, arms: &[(u32, Arm)]) -> Result<(BTreeMap<(u32, String), Cell>, i64)> {
        loop {
            let end = self.inner.seq.load(Ordering::Relaxed);
            let mut kept = BTreeMap::new();
            for (number, _) in arms {
                let all = self.counted(*number, Timestamp(0), Timestamp(i64::MAX / 2), None).await?;
                kept.extend(all.slices.into_iter().map(|(slice, cell)| ((*number, slice), cell)));
            }
            if self.inner.counted.load(Ordering::Relaxed) == end && self.inner.seq.load(Ordering::Relaxed) == end {
                return Ok((kept, end));
            }
            // Something came meanwhile.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// Counts everything of a service anew from the journal and holds it against what is kept, bit for bit.
    ///
    /// # Errors
    /// The store's.
    pub async fn recount(&self, service: &str) -> Result<Recount> {
        let arms = self.arms(service)?;
        let forgotten = self.inner.forgotten.load(Ordering::Relaxed);
        if forgotten > 0 {
            let why = format!("events up to row {forgotten} of the journal are no longer kept");
            let none = String::new;
            return Ok(Recount { same: None, cells: 0, events: 0, kept: none(), anew: none(), why });
        }
        let erased = self.inner.erased.load(Ordering::Relaxed);
        if erased > 0 {
            let why = format!("{erased} events of persons were erased: what they were counted in stays");
            let none = String::new;
            return Ok(Recount { same: None, cells: 0, events: 0, kept: none(), anew: none(), why });
        }
        let mut fresh = State::default();
        for arm in &self.inner.state().arms {
            fresh.add_arm(arm.unborn());
        }
        let (kept, end) = self.kept(&arms).await?;
        let (mut after, mut events) = (0, 0);
        'rows: loop {
            let rows = store::journal(self.inner.db.read(), after).await?;
            let Some(last) = rows.last() else { break };
            after = last.seq;
            for row in &rows {
                if row.seq > end {
                    break 'rows;
                }
                let batch = fold::batch_of(row)?;
                events += (batch.predictions.len() + batch.labels.len()) as u64;
                fresh.apply(&batch);
            }
        }
        let mut anew: BTreeMap<(u32, String), Cell> = BTreeMap::new();
        for (key, cell) in fresh.counts() {
            if arms.iter().any(|(n, _)| *n == key.arm) {
                let slice = fresh.slices.name(key.slice).to_owned();
                anew.entry((key.arm, slice)).or_default().merge(cell);
            }
        }
        let (kept_digest, anew_digest) = (digest(&kept)?, digest(&anew)?);
        let same = kept_digest == anew_digest;
        let why = if same { "every counter is the same".to_owned() } else { different(&kept, &anew) };
        let cells = kept.len() as u64;
        Ok(Recount { same: Some(same), cells, events, kept: kept_digest, anew: anew_digest, why })
    }
}

fn different(kept: &BTreeMap<(u32, String), Cell>, anew: &BTreeMap<(u32, String), Cell>) -> String {
    let first = kept.iter().find(|(key, cell)| anew.get(*key) != Some(cell)).map(|(key, _)| key);
    let what = first.or_else(|| anew.keys().find(|key| !kept.contains_key(*key)));
    what.map_or_else(String::new, |(arm, slice)| format!("version number {arm}, slice {slice:?} differs"))
}

fn digest(cells: &BTreeMap<(u32, String), Cell>) -> Result<String> {
    let list: Vec<_> = cells.iter().collect();
    let text = serde_json::to_vec(&list).map_err(|e| Fault::bug("counters").why(e.to_string()))?;
    Ok(blake3::hash(&text).to_hex().to_string())
}
