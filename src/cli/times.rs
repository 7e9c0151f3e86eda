//! Moments as people type them: `24h`, `7d`, a date, RFC 3339.

use std::time::Duration;

use crate::base::clock::SystemClock;
use crate::base::{Clock, Timestamp};

/// A moment in the past: a length of time before now, or a date. For clap.
///
/// # Errors
/// What is accepted.
pub fn past(text: &str) -> Result<Timestamp, String> {
    at(text, SystemClock.now(), Timestamp::minus)
}

/// A moment to come: a length of time from now, or a date. For clap.
///
/// # Errors
/// What is accepted.
pub fn future(text: &str) -> Result<Timestamp, String> {
    at(text, SystemClock.now(), Timestamp::plus)
}

fn at(text: &str, now: Timestamp, shift: fn(Timestamp, Duration) -> Timestamp) -> Result<Timestamp, String> {
    if text == "now" {
        return Ok(now);
    }
    let found = length(text).map(|by| shift(now, by)).or_else(|| Timestamp::parse(text));
    found.ok_or_else(|| {
        "write a length of time such as 24h or 7d, a date such as 2026-05-03, or 2026-05-03T14:00:00Z".to_owned()
    })
}

fn length(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    let n: u32 = text.strip_suffix(unit)?.trim().parse().ok()?;
    Some(Duration::from_secs(u64::from(n) * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_dates() {
        let now = Timestamp::parse("2026-05-03T12:00:00Z").unwrap();
        let before = |text| at(text, now, crate::base::clock::Timestamp::minus).map(|t| t.to_string());
        assert_eq!(before("24h").unwrap(), "2026-05-02T12:00:00Z");
        assert_eq!(before("7d").unwrap(), "2026-04-26T12:00:00Z");
        assert_eq!(before("2026-01-01").unwrap(), "2026-01-01T00:00:00Z");
        assert_eq!(before("now").unwrap(), now.to_string());
        assert!(before("yesterday").is_err() && before("h").is_err() && before("-3h").is_err());
    }
}
