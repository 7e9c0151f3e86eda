//! Which runs of a sweep end early: hyperband, as W&B's configurations ask for it. A run that has come to a band goes on while
//! it is among the best of those that have come so far; one in so many of them is kept.

use serde_json::Value;

/// Logged values of the metric that a band may lie at.
const BAND_MAX: u64 = 1_000_000;

#[derive(Debug, Clone, PartialEq)]
pub struct Stopping {
    pub metric: String,
    maximize: bool,
    /// After so many logged values a run is judged; ascending.
    bands: Vec<u64>,
    /// One run in so many goes on.
    eta: f64,
    /// Judged by what it was at the band, whatever it has come to since.
    strict: bool,
}

impl Stopping {
    /// `None` where no run is to end early.
    ///
    /// # Errors
    /// In words, why it cannot be done.
    pub fn parse(config: &Value) -> Result<Option<Self>, String> {
        let Some(early) = config.get("early_terminate").filter(|v| !v.is_null()) else { return Ok(None) };
        match early.get("type").and_then(Value::as_str) {
            Some("hyperband") => {}
            other => return Err(format!("the type {} is not offered", other.unwrap_or("none"))),
        }
        let metric = config.get("metric").ok_or("there is no metric to judge by")?;
        let name = metric.get("name").and_then(Value::as_str).ok_or("the metric has no name")?;
        let eta = early.get("eta").map_or(Some(3.0), Value::as_f64).filter(|eta| *eta > 1.0);
        let eta = eta.ok_or("eta is a number above 1")?;
        let whole = |key: &str| early.get(key).and_then(Value::as_u64).filter(|n| (1..=BAND_MAX).contains(n));
        let bands = match (whole("min_iter"), whole("max_iter"), whole("s")) {
            (Some(least), ..) => series(least as f64, |n| n * eta, |n| n <= BAND_MAX as f64),
            (None, Some(most), Some(brackets)) => {
                let mut bands = series(most as f64 / eta, |n| n / eta, |n| n >= 1.0);
                bands.truncate(usize::try_from(brackets).unwrap_or(usize::MAX));
                bands.reverse();
                bands
            }
            _ => return Err("it needs min_iter, or max_iter and s".to_owned()),
        };
        if bands.is_empty() {
            return Err("no band lies within max_iter".to_owned());
        }
        let maximize = metric.get("goal").and_then(Value::as_str) == Some("maximize");
        let strict = early.get("strict").and_then(Value::as_bool).unwrap_or(false);
        Ok(Some(Self { metric: name.to_owned(), maximize, bands, eta, strict }))
    }

    /// Whether a run with so many values has come to a band.
    pub fn judges(&self, values: u64) -> bool {
        self.bands.first().is_some_and(|band| *band <= values)
    }

    /// Why a run is to end, if it is: its own values in order, and those of all runs of the sweep, itself among them.
    /// Every band that it has passed counts: between two looks it may have passed several.
    pub fn verdict(&self, mine: &[f64], all: &[Vec<f64>]) -> Option<String> {
        self.bands.iter().take_while(|band| **band <= mine.len() as u64).find_map(|band| self.at(*band, mine, all))
    }

    fn at(&self, band: u64, mine: &[f64], all: &[Vec<f64>]) -> Option<String> {
        let at_band = |values: &[f64]| values.get(..usize::try_from(band).ok()?).map(|v| self.best(v));
        let mut reached: Vec<f64> = all.iter().filter_map(|values| at_band(values)).collect();
        reached.sort_by(|a, b| self.rank(*a).total_cmp(&self.rank(*b)));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // at most as many as there are
        let kept = ((reached.len() as f64 / self.eta).ceil() as usize).max(1);
        let worst_kept = *reached.get(kept - 1)?;
        let value = if self.strict { at_band(mine)? } else { self.best(mine) };
        (self.rank(value) > self.rank(worst_kept)).then(|| {
            format!(
                "hyperband: {} {value} after {band} values is not among the best {kept} of {} runs, which begin at {worst_kept}",
                self.metric,
                reached.len()
            )
        })
    }

    /// The best value; what is no number is none.
    fn best(&self, values: &[f64]) -> f64 {
        let finite = values.iter().copied().filter(|v| v.is_finite());
        finite.min_by(|a, b| self.rank(*a).total_cmp(&self.rank(*b))).unwrap_or(f64::NAN)
    }

    /// Less is better; what is no number is worst.
    fn rank(&self, value: f64) -> f64 {
        match value {
            v if v.is_nan() => f64::INFINITY,
            v if self.maximize => -v,
            v => v,
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within the bounds of bands
fn series(first: f64, next: impl Fn(f64) -> f64, holds: impl Fn(f64) -> bool) -> Vec<u64> {
    let mut bands: Vec<u64> =
        std::iter::successors(Some(first), |n| Some(next(*n))).take_while(|n| holds(*n)).map(|n| n as u64).collect();
    bands.dedup();
    bands
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stopping(early: &Value, goal: &str) -> Stopping {
        let config = json!({"metric": {"name": "loss", "goal": goal}, "early_terminate": early});
        Stopping::parse(&config).unwrap().unwrap()
    }

    #[test]
    fn bands_lie_where_the_configuration_says() {
        let of = |early: Value| stopping(&early, "minimize").bands;
        assert_eq!(of(json!({"type": "hyperband", "min_iter": 3}))[..4], [3, 9, 27, 81]);
        assert_eq!(of(json!({"type": "hyperband", "min_iter": 4, "eta": 2}))[..3], [4, 8, 16]);
        assert_eq!(of(json!({"type": "hyperband", "max_iter": 27, "s": 2})), [3, 9]);
        for (early, why) in [
            (json!({"type": "median", "min_iter": 3}), "the type median is not offered"),
            (json!({"type": "hyperband"}), "needs min_iter"),
            (json!({"type": "hyperband", "max_iter": 27}), "needs min_iter"),
            (json!({"type": "hyperband", "min_iter": 0}), "needs min_iter"),
            (json!({"type": "hyperband", "min_iter": 3, "eta": 1}), "eta is a number above 1"),
            (json!({"type": "hyperband", "max_iter": 2, "s": 3}), "no band"),
        ] {
            let config = json!({"metric": {"name": "loss"}, "early_terminate": early});
            assert!(Stopping::parse(&config).unwrap_err().contains(why), "{config}");
        }
        assert_eq!(Stopping::parse(&json!({})).unwrap(), None);
        assert!(Stopping::parse(&json!({"early_terminate": {"type": "hyperband", "min_iter": 3}})).is_err());
    }

    #[test]
    fn a_run_that_is_not_among_the_best_at_its_band_is_to_end() {
        let it = stopping(&json!({"type": "hyperband", "min_iter": 3, "eta": 3}), "minimize");
        let (bad, good) = (vec![10.0; 4], (0..10).map(|i| f64::from(10 - i)).collect::<Vec<_>>());
        let all = [bad.clone(), good.clone()];
        assert!(it.verdict(&bad, &all).unwrap().contains("loss 10 after 3 values"));
        assert_eq!(it.verdict(&good, &all), None, "alone at its band");
        assert_eq!(it.verdict(&bad[..2], &all), None, "it has not come to a band");
        assert!(
            it.verdict(&[10.0; 9], &[vec![10.0; 9], vec![1.0; 3]]).is_some(),
            "it is alone at 9, and was beaten at 3"
        );
        assert_eq!(it.verdict(&bad, std::slice::from_ref(&bad)), None, "the first of all goes on");
        // Of four runs two are kept: a third of them, rounded up.
        let four = [vec![1.0; 3], vec![2.0; 3], vec![3.0; 3], vec![4.0; 3]];
        let ends: Vec<bool> = four.iter().map(|mine| it.verdict(mine, &four).is_some()).collect();
        assert_eq!(ends, [false, false, true, true]);
        // A run of which nothing is a number is the worst.
        let lost = vec![f64::NAN; 3];
        assert!(it.verdict(&lost, &[lost.clone(), vec![9.0; 3]]).is_some());
    }

    #[test]
    fn greater_may_be_better_and_what_came_since_the_band_counts_unless_strict() {
        let up = stopping(&json!({"type": "hyperband", "min_iter": 2}), "maximize");
        let (low, high) = (vec![0.1, 0.2], vec![0.8, 0.9]);
        assert!(up.verdict(&low, &[low.clone(), high.clone()]).is_some());
        assert!(up.verdict(&high, &[low.clone(), high.clone()]).is_none());
        let late = vec![0.1, 0.2, 0.95];
        let all = [late.clone(), high];
        assert!(up.verdict(&late, &all).is_none());
        let strict = stopping(&json!({"type": "hyperband", "min_iter": 2, "strict": true}), "maximize");
        assert!(strict.verdict(&late, &all).is_some());
    }
}
