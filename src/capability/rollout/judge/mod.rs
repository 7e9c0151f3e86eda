//! The judge of a rollout: pure, and always valid. Guards are e-processes that may be looked at after every request, or ask for so
//! much that chance never gives it; together they stop a candidate without an effect in at most five of a hundred rollouts.

mod evidence;
mod inputs;
mod quality;
mod spend;
#[cfg(test)]
mod tests;
mod traffic;

use serde::{Deserialize, Serialize};

use crate::base::show;
use crate::base::stats::sequential::confidence_sequence;
use crate::base::stats::sketch::Sketch;
use crate::capability::monitoring::{ArmRole, TrafficWindow};

pub use evidence::{Evidence, Gathered};
pub use inputs::Inputs;
pub use quality::{Answers, Beside, Losses};
pub use spend::Spend;

/// How the five per cent are shared out. What is left of it is for the guards that chance hardly ever trips.
const ALPHA_ERRORS: f64 = 0.036;
const ALPHA_LATENCY: f64 = 0.004;
const ALPHA_RATIO: f64 = 0.002;
const ALPHA_QUALITY: f64 = 0.007;
/// Of the confidence sequence that promotion needs.
const ALPHA_PROMOTE: f64 = 0.05;
/// Tightest at about a thousand requests.
const RHO2: f64 = 0.001;

/// What a service asks of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Guards {
    /// Requests of the candidate before it may be promoted.
    pub requests_min: u64,
    /// Share of requests by which its errors may exceed the stable version's at promotion.
    pub error_margin: f64,
    /// Share by which it may be slower than the stable version's 95th percentile before a request counts as slow. A server
    /// that gets few requests is colder than one that gets many: that alone is no reason to take it back.
    pub latency_margin: f64,
    /// A judge that says roll back is obeyed; else it only says so.
    pub rollback: bool,
    /// Labelled answers of the candidate before it may be promoted; 0: promotion does not wait for labels.
    pub labels_min: u64,
    /// Share of labelled answers by which it may be wrong more often at promotion; of the stable version's error for numbers.
    pub quality_margin: f64,
    /// Share by which a prediction may cost more than the stable version's; unset: cost is told, and stops nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_rise_max: Option<f64>,
}

impl Guards {
    /// # Errors
    /// What is wrong with them.
    pub fn check(&self) -> Result<(), &'static str> {
        if !(0.0..=1.0).contains(&self.error_margin) {
            return Err("error_margin is a share of requests, between 0 and 1");
        }
        if !(0.0..=100.0).contains(&self.latency_margin) {
            return Err("latency_margin is a share, 0.25 is a quarter slower; between 0 and 100");
        }
        if !(0.0..=1.0).contains(&self.quality_margin) {
            return Err("quality_margin is a share of labelled answers, between 0 and 1");
        }
        if self.cost_rise_max.is_some_and(|rise| !(0.0..=100.0).contains(&rise)) {
            return Err("cost_rise_max is a share, 0.25 is a quarter more; between 0 and 100");
        }
        Ok(())
    }

    /// Whether a guard that knows too little holds up a promotion: what nobody asked for is told as unknown.
    fn waits_for(&self, guard: &str) -> bool {
        match guard {
            quality::NAME => self.labels_min > 0,
            inputs::NAME => false,
            spend::NAME => self.cost_rise_max.is_some(),
            _ => true,
        }
    }
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            requests_min: 1000,
            error_margin: 0.01,
            latency_margin: 0.25,
            rollback: true,
            labels_min: 0,
            quality_margin: 0.02,
            cost_rise_max: None,
        }
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

/// Judges a candidate by the windows since its rollout began. `sticky`: callers stay on their arm, so that requests do not
/// fall independently and their ratio is only told.
pub fn judge(windows: &[TrafficWindow], guards: Guards, sticky: bool, seen: &Evidence) -> Judgement {
    let (stable, candidate) = (sums(windows, ArmRole::Stable), sums(windows, ArmRole::Candidate));
    let mut findings = traffic::findings(windows, sticky, guards.latency_margin);
    findings.extend([quality::finding(&seen.labelled, guards), inputs::finding(seen.inputs.as_ref(), sticky)]);
    findings.push(spend::finding(seen.spend.as_ref(), guards));
    let passed = |f: &Finding| match f.advice {
        Advice::Continue | Advice::Promote => true,
        Advice::NotEnoughData => !guards.waits_for(&f.guard),
        Advice::RollBack | Advice::Hold => false,
    };
    let clear = |all: &[Finding]| all.iter().all(passed);
    let enough = promotable(&stable, &candidate, guards);
    let worst = |advice: Advice| findings.iter().find(|f| f.advice == advice);
    let (advice, why) = if let Some(f) = worst(Advice::RollBack) {
        (Advice::RollBack, format!("{}: {}", f.guard, f.why))
    } else if let Some(f) = worst(Advice::Hold) {
        (Advice::Hold, format!("{}: {}", f.guard, f.why))
    } else if candidate.requests == 0 {
        (Advice::NotEnoughData, "the candidate has answered nothing yet".to_owned())
    } else if enough.advice == Advice::Promote && clear(&findings) {
        let unknown: Vec<&str> =
            findings.iter().filter(|f| f.advice == Advice::NotEnoughData).map(|f| f.guard.as_str()).collect();
        let not_known = if unknown.is_empty() { String::new() } else { format!("; not known: {}", unknown.join(", ")) };
        (Advice::Promote, format!("{}{not_known}", enough.why))
    } else {
        (Advice::Continue, "no guard has enough against it".to_owned())
    };
    findings.push(enough);
    Judgement { advice, why, findings, stable, candidate }
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
