//! How a budget stands: what is spent, what a day costs lately, and where the month will end.

use serde::{Deserialize, Serialize};

use crate::base::money::Micro;

/// Standard normal quantile of 95 %, both sides.
const Z: f64 = 1.959_963_984_540_054;
/// Full days that a forecast looks back on.
pub const LOOKS_BACK_DAYS: usize = 7;

/// A budget with how it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    pub name: String,
    pub of: String,
    #[serde(rename = "month_micros")]
    pub month: Micro,
    #[serde(rename = "spent_micros")]
    pub spent: Micro,
    #[serde(rename = "today_micros")]
    pub today: Micro,
    pub share: f64,
    /// Over the last full days, for an hour.
    #[serde(rename = "burn_hour_micros")]
    pub burn_hour: Option<Micro>,
    pub forecast: Option<Forecast>,
    /// Whether the month's forecast stays within it; `None` while there is none.
    pub within: Option<bool>,
    /// Days until it is spent at this rate, when that is before the month's end.
    pub days_left: Option<f64>,
}

/// Where the month will end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    #[serde(rename = "value_micros")]
    pub value: Micro,
    /// Half of the 95 % interval; `None` from a single day.
    #[serde(rename = "half_micros")]
    pub half: Option<Micro>,
    pub days: usize,
}

/// Forecasts a month's end: what is spent, and for each day that is left the mean of the last full days, newest last.
/// The interval is that of a sum of days to come, of which each differs as the last ones did.
pub fn forecast(spent: Micro, days: &[Micro], days_left: f64) -> Option<Forecast> {
    let last = &days[days.len().saturating_sub(LOOKS_BACK_DAYS)..];
    let n = last.len() as f64;
    if last.is_empty() {
        return None;
    }
    let mean = last.iter().map(|m| m.0 as f64).sum::<f64>() / n;
    let spread = last.iter().map(|m| (m.0 as f64 - mean).powi(2)).sum::<f64>();
    let half = (last.len() > 1).then(|| {
        let sd = (spread / (n - 1.0)).sqrt();
        micro(Z * sd * (days_left * (1.0 + days_left / n)).sqrt())
    });
    Some(Forecast { value: spent + micro(mean * days_left), half, days: last.len() })
}

#[allow(clippy::cast_possible_truncation)] // amounts of money
fn micro(value: f64) -> Micro {
    Micro(value.round() as i64)
}

/// How a budget stands. `days` are its full days, newest last; `days_left` of the month, today's rest with it.
pub fn standing(
    (name, of): (&str, &str),
    month: Micro,
    spent: Micro,
    today: Micro,
    days: &[Micro],
    days_left: f64,
) -> Standing {
    let last = &days[days.len().saturating_sub(LOOKS_BACK_DAYS)..];
    let mean = (!last.is_empty()).then(|| last.iter().map(|m| m.0 as f64).sum::<f64>() / last.len() as f64);
    let forecast = forecast(spent, days, days_left);
    let left = (month - spent).0 as f64;
    Standing {
        name: name.to_owned(),
        of: of.to_owned(),
        month,
        spent,
        today,
        share: spent.0 as f64 / (month.0 as f64).max(1.0),
        burn_hour: mean.map(|m| micro(m / 24.0)),
        within: forecast.map(|f| f.value <= month),
        days_left: mean.filter(|m| *m > 0.0).map(|m| (left / m).max(0.0)).filter(|d| *d < days_left),
        forecast,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_goes_on_as_the_last_days_did() {
        let days = [100, 90, 110, 100, 80, 120, 100, 100].map(|d| Micro(d * 1_000_000));
        let standing = standing(("all", "*"), Micro(3_000_000_000), Micro(800_000_000), Micro(10_000_000), &days, 22.0);
        let forecast = standing.forecast.unwrap();
        // The last seven have a mean of 100 and a sum of squares of 1,000: sd = (1000 / 6) ^ 0.5 = 12.910.
        assert_eq!(forecast.value, Micro(800_000_000 + 2_200_000_000));
        // 1.96 x 12.910 x (22 x (1 + 22 / 7)) ^ 0.5 = 241.56.
        assert!((forecast.half.unwrap().0 - 241_560_000).abs() < 10_000, "{forecast:?}");
        assert_eq!(standing.burn_hour, Some(Micro(4_166_667)));
        assert_eq!((standing.within, standing.days_left), (Some(true), None));
    }

    #[test]
    fn what_runs_out_says_when() {
        let days = [Micro(50_000_000); 3];
        let standing = standing(("x", "a"), Micro(1_000_000_000), Micro(900_000_000), Micro(0), &days, 10.0);
        assert_eq!((standing.within, standing.days_left), (Some(false), Some(2.0)));
        let nothing = super::standing(("x", "a"), Micro(1), Micro(0), Micro(0), &[], 10.0);
        assert_eq!((nothing.forecast, nothing.burn_hour), (None, None));
    }
}
