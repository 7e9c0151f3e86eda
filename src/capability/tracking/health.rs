//! How a run does beyond its status: whether it has gone silent, and whether its loss has left the ground.
//!
//! Both are judged against the run itself, since one run logs a hundred steps a second and another one an epoch an hour.

use super::RunStatus;
use crate::base::Timestamp;

/// A run is never called stalled before this much silence, seconds.
pub const STALL_SECONDS_MIN: f64 = 300.0;
/// Silence counts as a stall from so many of the run's own mean gaps between two points.
pub const STALL_GAPS: f64 = 10.0;
/// A loss has exploded when it stands above its lowest value by so many times what it had won from its start.
pub const EXPLODE_TIMES: f64 = 10.0;

/// A metric as it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sign<'a> {
    pub key: &'a str,
    pub value: f64,
    pub step: i64,
    pub at: Timestamp,
    /// Points logged so far.
    pub count: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Health {
    Well,
    /// It runs, and has logged nothing for so many seconds: long, for its own pace.
    Stalled {
        silent_seconds: f64,
    },
    /// A loss is NaN or infinite, or has exploded.
    Diverged {
        key: String,
        step: i64,
        value: f64,
    },
}

/// Whether a metric is one that training drives down, by its name.
pub fn is_loss(key: &str) -> bool {
    let key = key.to_lowercase();
    ["loss", "error", "rmse", "mae", "mse", "nll", "perplexity", "logloss", "cross_entropy"]
        .iter()
        .any(|word| key.contains(word))
}

/// What the machine says about itself goes on while a training hangs: it is no sign of life.
fn is_machine(key: &str) -> bool {
    key.starts_with("system/")
}

/// Judges a run by its metrics' latest points.
///
/// *Diverged*: the latest value of a loss is NaN or infinite, whether the run goes on or not. *Stalled*: it runs, and
/// since its newest point more time has passed than [`STALL_GAPS`] times its mean gap between points (of the metric it
/// logs most often), and more than [`STALL_SECONDS_MIN`]. A run that has logged nothing has no pace, so nothing is said
/// of it.
pub fn health<'a>(
    status: RunStatus,
    started: Timestamp,
    now: Timestamp,
    signs: impl Iterator<Item = Sign<'a>>,
) -> Health {
    let (mut newest, mut pace) = (None::<Timestamp>, f64::INFINITY);
    for sign in signs.filter(|s| !is_machine(s.key)) {
        if !sign.value.is_finite() && is_loss(sign.key) {
            return Health::Diverged { key: sign.key.to_owned(), step: sign.step, value: sign.value };
        }
        newest = newest.max(Some(sign.at));
        let lived = sign.at.seconds_since(started).max(0.0);
        pace = pace.min(lived / sign.count.max(1) as f64);
    }
    let Some(newest) = newest.filter(|_| status == RunStatus::Running) else { return Health::Well };
    let silent_seconds = now.seconds_since(newest.max(started));
    if silent_seconds > (STALL_GAPS * pace).max(STALL_SECONDS_MIN) {
        return Health::Stalled { silent_seconds };
    }
    Health::Well
}

/// Whether the course of a loss has exploded: its last value lies above the lowest by more than [`EXPLODE_TIMES`] times
/// what it had come down from its first one. A course that never came down is not judged: it has not learned, but it has
/// not left the ground either.
pub fn has_exploded(course: impl Iterator<Item = f64>) -> bool {
    let (mut first, mut lowest, mut last) = (None, f64::INFINITY, f64::NAN);
    for value in course.filter(|v| v.is_finite()) {
        first.get_or_insert(value);
        lowest = lowest.min(value);
        last = value;
    }
    let won = first.map_or(0.0, |f| f - lowest);
    won > 0.0 && last - lowest > EXPLODE_TIMES * won
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(0);

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    fn sign(key: &str, value: f64, seconds: i64, count: u64) -> Sign<'_> {
        Sign { key, value, step: 100, at: at(seconds), count }
    }

    fn judge(status: RunStatus, now: i64, signs: &[Sign<'_>]) -> Health {
        health(status, START, at(now), signs.iter().copied())
    }

    #[test]
    fn a_run_is_stalled_by_its_own_pace() {
        let a_step_a_second = [sign("loss", 0.3, 1000, 1000)];
        assert_eq!(judge(RunStatus::Running, 1300, &a_step_a_second), Health::Well, "five minutes are granted to all");
        assert_eq!(judge(RunStatus::Running, 1301, &a_step_a_second), Health::Stalled { silent_seconds: 301.0 });
        let an_epoch_in_ten_minutes = [sign("val_loss", 0.3, 6000, 10)];
        assert_eq!(judge(RunStatus::Running, 11_000, &an_epoch_in_ten_minutes), Health::Well);
        assert!(matches!(judge(RunStatus::Running, 12_001, &an_epoch_in_ten_minutes), Health::Stalled { .. }));
    }

    #[test]
    fn what_is_over_or_silent_from_the_start_is_not_stalled() {
        assert_eq!(judge(RunStatus::Finished, 99_999, &[sign("loss", 0.3, 10, 10)]), Health::Well);
        assert_eq!(judge(RunStatus::Running, 99_999, &[]), Health::Well);
    }

    #[test]
    fn the_machines_own_figures_are_no_sign_of_life() {
        let hanging = [sign("loss", 0.3, 100, 100), sign("system/gpu", 0.0, 5000, 5000)];
        assert!(matches!(judge(RunStatus::Running, 5000, &hanging), Health::Stalled { .. }));
    }

    #[test]
    fn a_loss_that_is_no_number_is_diverged_also_when_the_run_is_over() {
        for value in [f64::NAN, f64::INFINITY] {
            let found = judge(RunStatus::Failed, 10, &[sign("acc", 0.9, 5, 5), sign("train_loss", value, 5, 5)]);
            assert!(matches!(found, Health::Diverged { ref key, step: 100, .. } if key == "train_loss"), "{found:?}");
        }
        assert_eq!(judge(RunStatus::Failed, 10, &[sign("auc", f64::NAN, 5, 5)]), Health::Well, "one class has no AUC");
    }

    #[test]
    fn a_loss_explodes_against_what_it_had_won() {
        assert!(has_exploded([1.0, 0.5, 0.4, 40.0].into_iter()));
        assert!(!has_exploded([1.0, 0.5, 0.4, 0.9].into_iter()), "overfitting is no explosion");
        assert!(!has_exploded([1.0, 2.0, 400.0].into_iter()), "it never came down");
        assert!(!has_exploded(std::iter::empty()));
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_logged_no_silence_is_negative_and_nothing_panics(
            value in proptest::num::f64::ANY, seconds in -10_000_i64..10_000, count in 0_u64..5, now in 0_i64..20_000,
        ) {
            if let Health::Stalled { silent_seconds } = judge(RunStatus::Running, now, &[sign("loss", value, seconds, count)]) {
                proptest::prop_assert!(silent_seconds > STALL_SECONDS_MIN);
            }
            has_exploded([value, 1.0, value].into_iter());
        }
    }
}
