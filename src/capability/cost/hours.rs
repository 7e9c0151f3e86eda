//! Traffic by the hour, remembered: a month of it is read from minutes once, and not by everyone who asks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::money::HOUR_US;
use crate::base::{Timestamp, fault::Result};
use crate::capability::monitoring::{self, ArmRole};
use crate::db::{Pool, Source};

/// A router that could not reach its agent may still tell of an hour for so long; then it is remembered.
const SETTLED_HOURS: i64 = 2;
/// What came later all the same is seen after so long.
const FRESH_US: i64 = HOUR_US / 2;
const HOURS_MAX: usize = 200_000;

/// One version in one role within an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HourOf {
    pub hour: i64,
    pub version: u32,
    pub role: ArmRole,
    pub requests: u64,
    pub errors: u64,
    /// Microseconds that requests took, and how many of them told.
    pub busy: i128,
    pub told: u64,
}

type Held = HashMap<(String, i64), (Timestamp, Arc<[HourOf]>)>;

/// What is remembered; cheap to clone.
#[derive(Clone, Default)]
pub struct Hours(Arc<Mutex<Held>>);

impl Hours {
    fn held(&self, service: &str, hour: i64, now: Timestamp) -> Option<Arc<[HourOf]>> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(&(service.to_owned(), hour)).filter(|(at, _)| now.0 - at.0 < FRESH_US).map(|(_, h)| h.clone())
    }

    /// Traffic of a service, hours from `first` until before `end`.
    ///
    /// # Errors
    /// The store's.
    pub async fn of(
        &self,
        pool: &Pool,
        service: &str,
        (first, end): (i64, i64),
        now: Timestamp,
    ) -> Result<Vec<HourOf>> {
        let mut all = Vec::new();
        let mut hour = first;
        while hour < end {
            if let Some(known) = self.held(service, hour, now) {
                all.extend(known.iter().cloned());
                hour += 1;
                continue;
            }
            // All that is missing in one go, a day at most.
            let mut to = hour + 1;
            while to < end && to - hour < 24 && self.held(service, to, now).is_none() {
                to += 1;
            }
            all.extend(self.read(pool, service, (hour, to), now).await?);
            hour = to;
        }
        Ok(all)
    }

    async fn read(&self, pool: &Pool, service: &str, (first, end): (i64, i64), now: Timestamp) -> Result<Vec<HourOf>> {
        let windows =
            monitoring::windows(Source::Pool(pool), service, Timestamp(first * HOUR_US), Timestamp(end * HOUR_US - 1))
                .await?;
        let mut sums: Vec<HourOf> = Vec::new();
        for w in windows {
            let hour = w.minute.div_euclid(60);
            let same = |s: &&mut HourOf| s.hour == hour && s.version == w.version && s.role == w.arm;
            let (busy, told) = (w.latency.sum_thousandths(), w.latency.count());
            match sums.iter_mut().rev().take(8).find(same) {
                Some(sum) => {
                    sum.requests += w.requests;
                    sum.errors += w.errors;
                    sum.busy += busy;
                    sum.told += told;
                }
                None => sums.push(HourOf {
                    hour,
                    version: w.version,
                    role: w.arm,
                    requests: w.requests,
                    errors: w.errors,
                    busy,
                    told,
                }),
            }
        }
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() > HOURS_MAX {
            held.clear();
        }
        for hour in (first..end).filter(|h| (h + 1 + SETTLED_HOURS) * HOUR_US <= now.0) {
            let of: Arc<[HourOf]> = sums.iter().filter(|s| s.hour == hour).cloned().collect();
            held.insert((service.to_owned(), hour), (now, of));
        }
        Ok(sums)
    }
}
