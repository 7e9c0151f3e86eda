//! What a prediction of the candidate costs beside one of the stable version, without idle time: a small share of the traffic
//! leaves a machine idle, and that is no fault of the version.

use serde::{Deserialize, Serialize};

use super::{Advice, Finding, Guards};
use crate::base::show;

pub(super) const NAME: &str = "cost";
/// Predictions of each before their mean cost says something.
const SERVED_MIN: u64 = 1000;

/// Cost of a prediction, in units of the currency; `None`: not known.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Spend {
    pub currency: String,
    pub stable: Option<f64>,
    pub candidate: Option<f64>,
    /// Predictions of stable version and candidate.
    pub served: (u64, u64),
    /// Why something is not known.
    pub unknown: Vec<String>,
}

pub(super) fn finding(seen: Option<&Spend>, guards: Guards) -> Finding {
    let found = |advice, why: String| Finding { guard: NAME.to_owned(), advice, ln_e: None, stops_at: None, why };
    let unknown = |why: &str| found(Advice::NotEnoughData, format!("what a prediction costs is not known: {why}"));
    let Some(spend) = seen else { return unknown("nothing was served that has a price") };
    let (Some(stable), Some(candidate)) = (spend.stable, spend.candidate) else {
        return unknown(spend.unknown.first().map_or("no price says what the versions run on", String::as_str));
    };
    let served = spend.served.0.min(spend.served.1);
    let rise = if stable > 0.0 { candidate / stable - 1.0 } else { f64::INFINITY };
    let why = format!(
        "1,000 predictions of the candidate cost {} {}, of the stable version {} ({}{} %)",
        show::metric(candidate * 1000.0),
        spend.currency,
        show::metric(stable * 1000.0),
        if rise < 0.0 { "" } else { "+" },
        show::metric(rise * 100.0)
    );
    if served < SERVED_MIN {
        return found(Advice::NotEnoughData, format!("{why}; {served} of {SERVED_MIN} predictions of each"));
    }
    match guards.cost_rise_max {
        Some(most) if candidate > stable * (1.0 + most) => {
            found(Advice::Hold, format!("{why}; allowed is +{} %", show::metric(most * 100.0)))
        }
        _ => found(Advice::Continue, why),
    }
}
