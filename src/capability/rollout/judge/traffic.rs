//! What the router counted: errors, latency, and whether the candidate gets the share that its weight says.

use std::collections::BTreeMap;

use super::super::split::BUCKETS;
use super::{ALPHA_ERRORS, ALPHA_LATENCY, ALPHA_RATIO, Advice, Finding, finding};
use crate::base::show;
use crate::base::stats::sequential::{WorseErrors, ln_split};
use crate::base::stats::sketch::Sketch;
use crate::capability::monitoring::{ArmRole, TrafficWindow};

/// The stable version's latency that counts as slow: known before the candidate's requests are looked at.
const SLOW_QUANTILE: f64 = 0.95;
/// Requests of the stable version before its slow latency is known.
const SLOW_REQUESTS_MIN: u64 = 200;

pub(super) fn findings(windows: &[TrafficWindow], sticky: bool, latency_margin: f64) -> Vec<Finding> {
    let moments = moments(windows);
    vec![errors(&moments), latency(&moments, latency_margin), ratio(&moments, sticky)]
}

/// Both arms within one minute at one weight.
#[derive(Default)]
struct Moment<'a> {
    stable: Option<&'a TrafficWindow>,
    candidate: Option<&'a TrafficWindow>,
}

impl Moment<'_> {
    fn counts(&self, of: impl Fn(&TrafficWindow) -> u64) -> (u64, u64) {
        (self.stable.map_or(0, &of), self.candidate.map_or(0, &of))
    }

    /// The candidate's share of the requests: given these, every error is as likely to have hit any of them.
    fn share(&self) -> f64 {
        let (s, c) = self.counts(|w| w.requests);
        if s + c == 0 { 0.0 } else { c as f64 / (s + c) as f64 }
    }
}

fn moments(windows: &[TrafficWindow]) -> Vec<((i64, u16), Moment<'_>)> {
    let mut all: BTreeMap<(i64, u16), Moment<'_>> = BTreeMap::new();
    for window in windows {
        let moment = all.entry((window.minute, window.weight)).or_default();
        match window.arm {
            ArmRole::Stable => moment.stable = Some(window),
            ArmRole::Candidate => moment.candidate = Some(window),
            ArmRole::Shadow => {}
        }
    }
    all.into_iter().collect()
}

fn errors(moments: &[((i64, u16), Moment<'_>)]) -> Finding {
    let mut e = WorseErrors::default();
    let (mut of_stable, mut of_candidate) = (0, 0);
    for (_, moment) in moments {
        let (s, c) = moment.counts(|w| w.errors);
        e.add(moment.share(), s + c, c);
        of_stable += s;
        of_candidate += c;
    }
    let why = format!("{of_candidate} errors hit the candidate, {of_stable} the stable version");
    finding("errors", e.ln_e(), ALPHA_ERRORS, Advice::RollBack, why)
}

/// Requests slower than the stable version's 95th percentile, which is taken from the minutes before, by more than a
/// margin.
fn latency(moments: &[((i64, u16), Moment<'_>)], margin: f64) -> Finding {
    let mut e = WorseErrors::default();
    let mut before = Sketch::default();
    let (mut slow, mut limit) = (0, None);
    for (_, moment) in moments {
        if before.count() >= SLOW_REQUESTS_MIN
            && let Some(ms) = before.quantile(SLOW_QUANTILE).map(|p95| p95 * (1.0 + margin))
        {
            let (s, c) = moment.counts(|w| w.latency.above(ms));
            e.add(moment.share(), s + c, c);
            slow += c;
            limit = Some(ms);
        }
        if let Some(stable) = moment.stable {
            before.merge(&stable.latency);
        }
    }
    let why = limit.map_or_else(
        || {
            format!(
                "the stable version has answered {} requests, {SLOW_REQUESTS_MIN} tell what is slow",
                before.count()
            )
        },
        |ms| {
            format!(
                "{slow} requests of the candidate took longer than {} ms, the stable version's p95 and {} %",
                show::metric(ms),
                show::metric(margin * 100.0)
            )
        },
    );
    finding("latency", e.ln_e(), ALPHA_LATENCY, Advice::RollBack, why)
}

/// Whether the candidate gets the share that its weight says.
fn ratio(moments: &[((i64, u16), Moment<'_>)], sticky: bool) -> Finding {
    let mut by_weight: BTreeMap<u16, (u64, u64)> = BTreeMap::new();
    for ((_, weight), moment) in moments {
        let (s, c) = moment.counts(|w| w.requests);
        let sums = by_weight.entry(*weight).or_default();
        *sums = (sums.0 + s, sums.1 + c);
    }
    let (mut ln_e, mut words) = (0.0, Vec::new());
    for (weight, (s, c)) in by_weight.iter().filter(|(w, _)| (1..BUCKETS).contains(*w)) {
        let w = f64::from(*weight) / f64::from(BUCKETS);
        // A prior of the weight's own mean, worth a hundred requests.
        ln_e += ln_split(*c, s + c, w, 100.0 * w, 100.0 * (1.0 - w));
        words.push(format!("{} of {} requests at a weight of {} %", c, s + c, f64::from(*weight) / 100.0));
    }
    let why = if words.is_empty() { "the candidate had no share yet".to_owned() } else { words.join(", ") };
    let found = finding("sample ratio", ln_e, ALPHA_RATIO, Advice::Hold, why);
    // Callers who stay on their arm send unequal numbers of requests: an odd ratio is no fault of the split.
    if sticky && found.advice == Advice::Hold {
        return Finding { advice: Advice::Continue, why: format!("{}; callers are unequal", found.why), ..found };
    }
    found
}
