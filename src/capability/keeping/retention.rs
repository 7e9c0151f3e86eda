//! From settings to moments: pure, so that the one rule that matters can be tested. Events stay as long as labels come late.

use std::time::Duration;

use crate::base::{Timestamp, show};

const DAY: Duration = Duration::from_hours(24);

/// The moment before which things go; `None`: they stay.
pub(super) fn cutoff(now: Timestamp, days: u32) -> Option<Timestamp> {
    (days > 0).then(|| now.minus(DAY.saturating_mul(days)))
}

/// The same for predictions and labels: never shorter than labels were seen to be late. What is said then, is said to people.
pub(super) fn ledger(now: Timestamp, days: u32, delays: &[(String, f64)]) -> (Option<Timestamp>, Option<String>) {
    let Some(wished) = cutoff(now, days) else { return (None, None) };
    let Some((service, seconds)) = delays.iter().max_by(|a, b| a.1.total_cmp(&b.1)) else {
        return (Some(wished), None);
    };
    let needed = now.minus(Duration::from_secs_f64(seconds.clamp(0.0, 1e10)));
    if needed >= wished {
        return (Some(wished), None);
    }
    let warning = format!(
        "retention.ledger_days = {days} is shorter than labels of {service} are late ({} for 99 of 100): predictions are kept that \
         long instead",
        show::span(*seconds)
    );
    (Some(needed), Some(warning))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

    fn days_before(n: u64) -> Timestamp {
        NOW.minus(Duration::from_hours(24 * n))
    }

    #[test]
    fn nothing_goes_unless_days_are_set() {
        assert_eq!(cutoff(NOW, 0), None);
        assert_eq!(ledger(NOW, 0, &[("delay".to_owned(), 1e9)]), (None, None));
        assert_eq!(cutoff(NOW, 30), Some(days_before(30)));
    }

    #[test]
    fn a_label_that_may_still_come_keeps_its_prediction() {
        let delay = |days: f64| vec![("fast".to_owned(), 10.0), ("delay".to_owned(), days * 86400.0)];
        assert_eq!(ledger(NOW, 30, &delay(29.0)), (Some(days_before(30)), None));
        let (cut, warning) = ledger(NOW, 30, &delay(45.0));
        assert_eq!(cut, Some(days_before(45)));
        let warning = warning.unwrap();
        assert!(warning.contains("labels of delay") && warning.contains("ledger_days = 30"), "{warning}");
    }
}
