//! Counts of requests, errors and latencies by version, minute and weight: they never drop, and each is given once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use super::bell::Bell;
use super::pool::{WORKERS, worker};
use crate::base::Timestamp;
use crate::base::stats::sketch::Sketch;
use crate::capability::monitoring::{ArmRole, TrafficWindow};
use crate::capability::rollout::link::Windows;

/// Windows by (service, version, arm, minute, weight).
type Counts = BTreeMap<(Arc<str>, u32, ArmRole, i64, u16), TrafficWindow>;

#[derive(Default)]
pub struct Counters {
    /// One a worker, so that none waits for another.
    now: [Mutex<Counts>; WORKERS],
    out: Mutex<Out>,
    pub bell: Bell,
}

#[derive(Default)]
struct Out {
    /// What was given and not yet acknowledged.
    given: Vec<TrafficWindow>,
    sequence: i64,
}

/// One answered request.
pub struct Served<'a> {
    pub service: &'a Arc<str>,
    pub version: u32,
    pub arm: ArmRole,
    pub weight: u16,
    pub came: Timestamp,
    pub answered: Timestamp,
    pub failed: bool,
    /// `None` when nothing was answered.
    pub latency_ms: Option<f64>,
    pub differs: bool,
}

impl Counters {
    pub fn count(&self, served: &Served<'_>) {
        let minute = served.came.0.div_euclid(60_000_000);
        let key = (served.service.clone(), served.version, served.arm, minute, served.weight);
        let mut now = self.now[worker()].lock().unwrap_or_else(PoisonError::into_inner);
        let window = now.entry(key).or_insert_with(|| TrafficWindow {
            service: served.service.to_string(),
            version: served.version,
            arm: served.arm,
            minute,
            weight: served.weight,
            requests: 0,
            errors: 0,
            latency: Sketch::default(),
            differing: 0,
            last: served.answered,
        });
        window.requests += 1;
        window.errors += u64::from(served.failed);
        window.differing += u64::from(served.differs);
        if let Some(ms) = served.latency_ms {
            window.latency.add(ms);
        }
        window.last = window.last.max(served.answered);
        drop(now);
        self.bell.ring();
    }

    /// Adds what another router has counted; answers how many windows that were.
    pub fn add(&self, windows: &[TrafficWindow]) -> i64 {
        let mut now = self.now[worker()].lock().unwrap_or_else(PoisonError::into_inner);
        for w in windows {
            match now.entry((w.service.as_str().into(), w.version, w.arm, w.minute, w.weight)) {
                Entry::Vacant(place) => drop(place.insert(w.clone())),
                Entry::Occupied(mut known) => known.get_mut().add(w),
            }
        }
        drop(now);
        self.bell.ring();
        i64::try_from(windows.len()).unwrap_or(i64::MAX)
    }

    /// What was counted since the batch `after`, which has arrived and is forgotten.
    pub fn take(&self, router: &str, after: i64) -> Windows {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if after >= out.sequence {
            out.given.clear();
        }
        if out.given.is_empty() {
            let counted = self.counted();
            if !counted.is_empty() {
                out.sequence = out.sequence.max(after) + 1;
                out.given = counted.into_values().collect();
            }
        }
        Windows { router: router.to_owned(), sequence: out.sequence, windows: out.given.clone() }
    }

    /// Whether anything was counted that is not in the batch `after` or before it.
    pub fn has_news(&self, after: i64) -> bool {
        let out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = after < out.sequence && !out.given.is_empty();
        waits || self.now.iter().any(|shard| !shard.lock().unwrap_or_else(PoisonError::into_inner).is_empty())
    }

    /// What all workers counted, and they begin anew.
    fn counted(&self) -> Counts {
        let mut all = Counts::new();
        for shard in &self.now {
            let counts = std::mem::take(&mut *shard.lock().unwrap_or_else(PoisonError::into_inner));
            for (key, window) in counts {
                match all.entry(key) {
                    Entry::Vacant(place) => drop(place.insert(window)),
                    Entry::Occupied(mut known) => known.get_mut().add(&window),
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_given_until_it_has_arrived_and_nothing_is_given_twice() {
        let counters = Counters::default();
        let count = |ms: f64| {
            counters.count(&Served {
                service: &"s".into(),
                version: 1,
                arm: ArmRole::Stable,
                weight: 0,
                came: Timestamp(90_000_000),
                answered: Timestamp(91_000_000),
                failed: ms > 5.0,
                latency_ms: Some(ms),
                differs: false,
            });
        };
        count(1.0);
        count(9.0);
        let first = counters.take("r", 0);
        assert_eq!((first.sequence, first.windows[0].requests, first.windows[0].errors), (1, 2, 1));
        assert_eq!(first.windows[0].minute, 1);
        assert!(counters.has_news(0) && !counters.has_news(1));
        count(2.0);
        assert!(counters.has_news(1));
        assert_eq!(counters.take("r", 0), first, "it has not arrived");
        let second = counters.take("r", 1);
        assert_eq!((second.sequence, second.windows[0].requests), (2, 1));
        let third = counters.take("r", 2);
        assert!(third.windows.is_empty());
    }
}
