//! Time as microseconds since 1970 UTC, and the only place that asks the machine for it.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment in microseconds since 1970-01-01 UTC. In JSON it is RFC 3339 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    pub fn from_millis(ms: i64) -> Self {
        Self(ms.saturating_mul(1000))
    }

    pub fn millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Seconds from `earlier` to here; negative when `earlier` is later.
    #[allow(clippy::cast_precision_loss)] // differences of moments stay far below 2^53 µs
    pub fn seconds_since(self, earlier: Self) -> f64 {
        (self.0.saturating_sub(earlier.0)) as f64 / 1e6
    }

    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// `None` when outside of what a calendar can show (years ±262,000).
    pub fn utc(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_micros(self.0)
    }

    /// RFC 3339, a date (midnight UTC), or `YYYY-MM-DD HH:MM[:SS]` taken as UTC.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(t) = DateTime::parse_from_rfc3339(text) {
            return Some(Self(t.timestamp_micros()));
        }
        for format in ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"] {
            if let Ok(t) = chrono::NaiveDateTime::parse_from_str(text, format) {
                return Some(Self(t.and_utc().timestamp_micros()));
            }
        }
        let day = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        Some(Self(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.utc() {
            Some(t) => f.write_str(&t.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            None => write!(f, "{}us", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let micros = text.strip_suffix("us").and_then(|n| n.parse().ok()).map(Self);
        micros.or_else(|| Self::parse(&text)).ok_or_else(|| de::Error::custom(format!("not a time: {text}")))
    }
}

/// Where time comes from. Simulations give their own.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[allow(clippy::disallowed_methods)] // the one place
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// A stopwatch on the monotonic clock, for ages and timeouts inside one process.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    pub fn start() -> Self {
        #[allow(clippy::disallowed_methods)] // the one place
        Self(Instant::now())
    }

    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_round_trip_keeps_microseconds_and_far_moments() {
        for t in [0, 1, -1, 1_700_000_000_123_456, i64::MAX, i64::MIN] {
            let json = serde_json::to_string(&Timestamp(t)).unwrap();
            assert_eq!(serde_json::from_slice::<Timestamp>(json.as_bytes()).unwrap(), Timestamp(t), "{json}");
        }
    }

    #[test]
    fn people_may_write_a_day_or_a_minute() {
        assert_eq!(Timestamp::parse("2026-05-03").unwrap().to_string(), "2026-05-03T00:00:00Z");
        assert_eq!(Timestamp::parse("2026-05-03 14:05").unwrap().to_string(), "2026-05-03T14:05:00Z");
        assert_eq!(Timestamp::parse("yesterday"), None);
    }
}
