//! The line to one receiver: what it has heard, what comes next, and when it is tried again. Pure, so that an hour of silence is
//! tested in no time.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::base::Timestamp;

/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_mins(1);

#[derive(Debug, Default)]
pub struct Line {
    /// Numbers of notices that not everybody has heard yet.
    heard: BTreeSet<i64>,
    failures: u32,
    /// Not before then.
    next: Option<Timestamp>,
}

impl Line {
    /// The first of these notices that the receiver has not heard; none while it is given time.
    pub fn due(&self, notices: impl IntoIterator<Item = i64>, now: Timestamp) -> Option<i64> {
        if self.next.is_some_and(|next| now < next) {
            return None;
        }
        notices.into_iter().find(|n| !self.heard.contains(n))
    }

    pub fn has_heard(&self, notice: i64) -> bool {
        self.heard.contains(&notice)
    }

    pub fn heard(&mut self, notice: i64) {
        self.heard.insert(notice);
        (self.failures, self.next) = (0, None);
    }

    /// It is tried again after a pause that grows.
    pub fn failed(&mut self, now: Timestamp) {
        let pause = Duration::from_secs(1 << self.failures.min(6));
        self.failures += 1;
        self.next = Some(now.plus(pause.min(PAUSE_MAX)));
    }

    /// Forgets what nobody waits for any more.
    pub fn keep(&mut self, notices: &BTreeSet<i64>) {
        self.heard.retain(|n| notices.contains(n));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK_S: i64 = 5;

    fn at(second: i64) -> Timestamp {
        Timestamp(second * 1_000_000)
    }

    /// Two receivers, the second of which is away from the first minute to the 61st; a notice every ten minutes.
    #[test]
    fn whoever_is_away_for_an_hour_hears_all_of_it_once_in_order_and_soon() {
        let (mut here, mut away) = (Line::default(), Line::default());
        let (mut got_here, mut got_away, mut tries) = (Vec::new(), Vec::new(), 0);
        let mut untold: BTreeSet<i64> = BTreeSet::new();
        for second in (0..2 * 3600).step_by(5) {
            if second % 600 == 0 && second < 3600 {
                untold.insert(second / 600 + 1);
            }
            while let Some(n) = here.due(untold.iter().copied(), at(second)) {
                got_here.push((n, second));
                here.heard(n);
            }
            while let Some(n) = away.due(untold.iter().copied(), at(second)) {
                tries += 1;
                if (60..3660).contains(&second) {
                    away.failed(at(second));
                } else {
                    got_away.push((n, second));
                    away.heard(n);
                }
            }
            untold.retain(|n| !(here.has_heard(*n) && away.has_heard(*n)));
            here.keep(&untold);
            away.keep(&untold);
        }
        let numbers = |got: &[(i64, i64)]| got.iter().map(|(n, _)| *n).collect::<Vec<_>>();
        assert_eq!((numbers(&got_here), numbers(&got_away)), ((1..=6).collect(), (1..=6).collect()));
        // Nobody waits for somebody else.
        assert!(got_here.iter().all(|(n, second)| *second == (n - 1) * 600), "{got_here:?}");
        // Back after an hour: everything within the longest pause.
        assert!(got_away[1..].iter().all(|(_, second)| (3660..=3660 + 60 + TICK_S).contains(second)), "{got_away:?}");
        // About one try a minute, since the first notice that failed.
        assert!((50..=70).contains(&tries), "{tries}");
        assert!(untold.is_empty() && here.heard.is_empty() && away.heard.is_empty());
    }
}
