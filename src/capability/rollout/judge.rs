//! The judge of a rollout: pure, and always valid. Each guard is an e-process that may be looked at after every request, and
//! together they stop a candidate without an effect in at most five of a hundred rollouts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::split::BUCKETS;
use crate::base::show;
use crate::base::stats::sequential::{WorseErrors, confidence_sequence, ln_split};
use crate::base::stats::sketch::Sketch;
use crate::capability::monitoring::{ArmRole, TrafficWindow};

/// How the five per cent are shared out: errors, latency, sample ratio.
const ALPHA_ERRORS: f64 = 0.04;
const ALPHA_LATENCY: f64 = 0.007;
const ALPHA_RATIO: f64 = 0.003;
/// Of the confidence sequence that promotion needs.
const ALPHA_PROMOTE: f64 = 0.05;
/// Tightest at about a thousand requests.
const RHO2: f64 = 0.001;
/// The stable version's latency that counts as slow: known before the candidate's requests are looked at.
const SLOW_QUANTILE: f64 = 0.95;
/// Requests of the stable version before its slow latency is known.
const SLOW_REQUESTS_MIN: u64 = 200;

/// What a service asks of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Guards {
    /// Requests of the candidate before it may be promoted.
    pub requests_min: u64,
    /// Share of requests by which its errors may exceed the stable version's at promotion.
    pub error_margin: f64,
    /// A judge that says roll back is obeyed; else it only says so.
    pub rollback: bool,
}

impl Default for Guards {
    fn default() -> Self {
        Self { requests_min: 1000, error_margin: 0.01, rollback: true }
    }
}

/// What ought to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Advice {
    /// Nothing speaks against the next step.
    Continue,
    /// Nothing speaks against it, and enough for it.
    Promote,
    RollBack,
    /// The split is not what it should be: what is measured cannot be trusted.
    Hold,
    NotEnoughData,
}

impl Advice {
    pub fn words(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Promote => "promote",
            Self::RollBack => "roll back",
            Self::Hold => "hold",
            Self::NotEnoughData => "not enough data",
        }
    }
}

/// How one guard stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub guard: String,
    pub advice: Advice,
    /// ln of the e-value, and where it stops; figures of another kind for guards that are no e-process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ln_e: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stops_at: Option<f64>,
    pub why: String,
}

/// The verdict with what it stands on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    pub advice: Advice,
    pub why: String,
    pub findings: Vec<Finding>,
    pub stable: Sums,
    pub candidate: Sums,
}

/// An arm's counts in all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    pub requests: u64,
    pub errors: u64,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
}

impl Sums {
    pub fn error_rate(&self) -> Option<f64> {
        (self.requests > 0).then(|| self.errors as f64 / self.requests as f64)
    }
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

/// Judges a candidate by the windows since its rollout began. `sticky`: callers stay on their arm, so that requests do not
/// fall independently and their ratio is only told. `more`: what other guards found.
pub fn judge(windows: &[TrafficWindow], guards: Guards, sticky: bool, more: Vec<Finding>) -> Judgement {
    let moments = moments(windows);
    let (stable, candidate) = (sums(windows, ArmRole::Stable), sums(windows, ArmRole::Candidate));
    let mut findings = vec![errors(&moments), latency(&moments), ratio(&moments, sticky)];
    findings.extend(more);
    let enough = promotable(&stable, &candidate, guards);
    let worst = |advice: Advice| findings.iter().find(|f| f.advice == advice);
    let (advice, why) = if let Some(f) = worst(Advice::RollBack) {
        (Advice::RollBack, format!("{}: {}", f.guard, f.why))
    } else if let Some(f) = worst(Advice::Hold) {
        (Advice::Hold, format!("{}: {}", f.guard, f.why))
    } else if candidate.requests == 0 {
        (Advice::NotEnoughData, "the candidate has answered nothing yet".to_owned())
    } else if enough.advice == Advice::Promote && findings.iter().all(|f| f.advice == Advice::Continue) {
        (Advice::Promote, enough.why.clone())
    } else {
        (Advice::Continue, "no guard has enough against it".to_owned())
    };
    findings.push(enough);
    Judgement { advice, why, findings, stable, candidate }
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

fn sums(windows: &[TrafficWindow], arm: ArmRole) -> Sums {
    let mut sketch = Sketch::default();
    let mut sums = Sums::default();
    for window in windows.iter().filter(|w| w.arm == arm) {
        sums.requests += window.requests;
        sums.errors += window.errors;
        sketch.merge(&window.latency);
    }
    Sums { p50_ms: sketch.quantile(0.5), p99_ms: sketch.quantile(0.99), ..sums }
}

fn stop(alpha: f64) -> f64 {
    -alpha.ln()
}

fn finding(guard: &str, ln_e: f64, alpha: f64, advice: Advice, why: String) -> Finding {
    let advice = if ln_e >= stop(alpha) { advice } else { Advice::Continue };
    Finding { guard: guard.to_owned(), advice, ln_e: Some(ln_e), stops_at: Some(stop(alpha)), why }
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

/// Requests slower than the stable version's 95th percentile, which is taken from the minutes before.
fn latency(moments: &[((i64, u16), Moment<'_>)]) -> Finding {
    let mut e = WorseErrors::default();
    let mut before = Sketch::default();
    let (mut slow, mut limit) = (0, None);
    for (_, moment) in moments {
        if before.count() >= SLOW_REQUESTS_MIN
            && let Some(ms) = before.quantile(SLOW_QUANTILE)
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
                "{slow} requests of the candidate took longer than {} ms, the stable version's p95",
                show::metric(ms)
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

/// Whether enough is known to let it take over: requests, and errors that are not worse by more than the margin.
fn promotable(stable: &Sums, candidate: &Sums, guards: Guards) -> Finding {
    let found = |advice, why| Finding { guard: "not worse".to_owned(), advice, ln_e: None, stops_at: None, why };
    if candidate.requests < guards.requests_min {
        let why = format!("{} of {} requests that promotion needs", candidate.requests, guards.requests_min);
        return found(Advice::NotEnoughData, why);
    }
    let half = |s: &Sums| {
        let n = s.requests as f64;
        // Without an error the variance is still unknown: one of the requests counts as one.
        let p = (s.errors as f64).max(1.0) / n;
        confidence_sequence(n, (p * (1.0 - p)).sqrt(), ALPHA_PROMOTE / 2.0, RHO2)
    };
    let (Some(a), Some(b)) = (stable.error_rate(), candidate.error_rate()) else {
        return found(Advice::NotEnoughData, "the stable version has answered nothing beside it".to_owned());
    };
    let upper = b - a + half(stable) + half(candidate);
    let percent = |x: f64| show::metric(x * 100.0);
    let why = format!(
        "errors differ by {} percentage points, by {} at most; allowed is {}",
        percent(b - a),
        percent(upper),
        percent(guards.error_margin)
    );
    found(if upper <= guards.error_margin { Advice::Promote } else { Advice::NotEnoughData }, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use crate::base::stats::bootstrap::Random;

    /// In [0, 1).
    fn unit(dice: &mut Random) -> f64 {
        (dice.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    struct Traffic {
        weight: u16,
        /// Error rates and mean latencies of stable and candidate.
        errors: (f64, f64),
        latency_ms: (f64, f64),
        a_minute: usize,
    }

    fn minute(dice: &mut Random, traffic: &Traffic, minute: i64) -> [TrafficWindow; 2] {
        let window = |arm, version| TrafficWindow {
            service: "s".into(),
            version,
            arm,
            minute,
            weight: traffic.weight,
            requests: 0,
            errors: 0,
            latency: Sketch::default(),
            differing: 0,
            last: Timestamp(minute * 60_000_000),
        };
        let mut pair = [window(ArmRole::Stable, 1), window(ArmRole::Candidate, 2)];
        for _ in 0..traffic.a_minute {
            let candidate = unit(dice) < f64::from(traffic.weight) / f64::from(BUCKETS);
            let (rate, mean) = if candidate {
                (traffic.errors.1, traffic.latency_ms.1)
            } else {
                (traffic.errors.0, traffic.latency_ms.0)
            };
            let w = &mut pair[usize::from(candidate)];
            w.requests += 1;
            w.errors += u64::from(unit(dice) < rate);
            if mean > 0.0 {
                w.latency.add(-mean * (1.0 - unit(dice)).ln());
            }
        }
        pair
    }

    /// Requests after which the judge says roll back or hold; `None` when it never does.
    fn stopped(seed: u64, traffic: &Traffic, requests_max: usize) -> Option<usize> {
        let mut dice = Random::seeded(seed);
        let mut windows = Vec::new();
        for at in 0..requests_max / traffic.a_minute {
            windows.extend(minute(&mut dice, traffic, i64::try_from(at).unwrap()));
            if at % 2 == 1 {
                continue;
            }
            let found = judge(&windows, Guards::default(), false, Vec::new());
            if matches!(found.advice, Advice::RollBack | Advice::Hold) {
                return Some((at + 1) * traffic.a_minute);
            }
        }
        None
    }

    #[test]
    fn a_candidate_without_an_effect_is_stopped_in_few_rollouts() {
        let mut stops = 0;
        for seed in 0..400 {
            let weight = [500, 1000, 5000][usize::try_from(seed % 3).unwrap()];
            let traffic = Traffic { weight, errors: (0.005, 0.005), latency_ms: (20.0, 20.0), a_minute: 1000 };
            stops += usize::from(stopped(seed, &traffic, 20_000).is_some());
        }
        assert!(stops <= 20, "{stops} of 400");
    }

    #[test]
    fn four_times_the_errors_at_a_small_weight_are_found_soon() {
        let traffic = Traffic { weight: 500, errors: (0.005, 0.02), latency_ms: (0.0, 0.0), a_minute: 250 };
        let mut when: Vec<usize> =
            (1000..1200).map(|seed| stopped(seed, &traffic, 60_000).unwrap_or(usize::MAX)).collect();
        when.sort_unstable();
        assert!(when[100] <= 7_500, "median {}", when[100]);
        println!("median {}", when[100]);
        assert!(when.iter().filter(|n| **n == usize::MAX).count() <= 2, "{when:?}");
    }

    #[test]
    fn a_slow_candidate_is_found_and_a_good_one_may_be_promoted() {
        let slow = Traffic { weight: 1000, errors: (0.0, 0.0), latency_ms: (20.0, 40.0), a_minute: 500 };
        assert!(stopped(7, &slow, 20_000).is_some());
        let good = Traffic { weight: 5000, errors: (0.002, 0.002), latency_ms: (20.0, 20.0), a_minute: 2000 };
        let mut dice = Random::seeded(3);
        let mut windows = Vec::new();
        assert_eq!(judge(&windows, Guards::default(), false, Vec::new()).advice, Advice::NotEnoughData);
        for at in 0..15 {
            windows.extend(minute(&mut dice, &good, at));
        }
        let found = judge(&windows, Guards::default(), false, Vec::new());
        assert_eq!(found.advice, Advice::Promote, "{found:?}");
        // What another guard found has its say.
        let against = Finding {
            guard: "quality".into(),
            advice: Advice::RollBack,
            ln_e: None,
            stops_at: None,
            why: "auc fell".into(),
        };
        let found = judge(&windows, Guards::default(), false, vec![against]);
        assert_eq!((found.advice, found.why.as_str()), (Advice::RollBack, "quality: auc fell"));
    }

    #[test]
    fn a_split_that_is_not_as_its_weight_says_holds() {
        let odd = |sticky| {
            let traffic = Traffic { weight: 1500, errors: (0.0, 0.0), latency_ms: (20.0, 20.0), a_minute: 5000 };
            let mut dice = Random::seeded(5);
            let windows: Vec<TrafficWindow> =
                minute(&mut dice, &traffic, 1).into_iter().map(|w| TrafficWindow { weight: 1000, ..w }).collect();
            judge(&windows, Guards::default(), sticky, Vec::new()).advice
        };
        assert_eq!(odd(false), Advice::Hold);
        assert_ne!(odd(true), Advice::Hold, "unequal callers are no fault of the split");
    }
}
