//! A service: a registered model behind an address, where its versions answer, and how a new one takes over. Written in
//! TOML as `[service.NAME]`.

use serde::{Deserialize, Serialize};

use super::judge::Guards;
use super::split::BUCKETS;
use super::{Limits, Protocol, StickyKey};
use crate::base::fault::Result;
use crate::capability::form::{self, Document, Entry};

/// A service as it is applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    pub name: String,
    pub model: String,
    pub protocol: Protocol,
    pub key: StickyKey,
    pub backend: Vec<Backend>,
    /// Path of a health check at each address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
    pub rollout: Plan,
    #[serde(default)]
    pub guards: Guards,
    #[serde(default)]
    pub limits: Limits,
}

/// Where a version answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    pub version: u32,
    pub url: String,
}

/// How a new version takes over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// Goes from step to step by itself, and to prod at the end when the gates let it.
    pub automatic: bool,
    /// The candidate answers too before the first step, and nobody sees it.
    #[serde(default)]
    pub shadow: bool,
}

/// One step of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Buckets of 10,000.
    pub weight: u16,
    pub seconds: u64,
    /// Requests that the candidate must have answered at this weight.
    pub requests: u64,
}

impl Default for Plan {
    fn default() -> Self {
        let step =
            |percent: u16, minutes: u64, requests| Step { weight: percent * 100, seconds: minutes * 60, requests };
        Self { steps: vec![step(5, 10, 1000), step(25, 10, 1000), step(50, 10, 1000)], automatic: false, shadow: false }
    }
}

impl Service {
    /// Addresses of a version.
    pub fn urls(&self, version: u32) -> Vec<String> {
        self.backend.iter().filter(|b| b.version == version).map(|b| b.url.clone()).collect()
    }

    /// Sticky by caller.
    pub fn is_sticky(&self) -> bool {
        self.key != StickyKey::None
    }
}

/// `5`, `0.5`: per cent as buckets.
///
/// # Errors
/// Outside of 0 to 100, or finer than a hundredth of a per cent.
pub fn buckets(percent: f64) -> Result<u16, String> {
    let exact = percent * f64::from(BUCKETS) / 100.0;
    if !(0.0..=f64::from(BUCKETS)).contains(&exact) || (exact - exact.round()).abs() > 1e-6 {
        return Err(format!("a weight is a per cent between 0 and 100, in hundredths, not {percent}"));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked above
    Ok(exact.round() as u16)
}

/// Buckets as per cent.
pub fn percent(weight: u16) -> f64 {
    f64::from(weight) * 100.0 / f64::from(BUCKETS)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    model: String,
    protocol: Protocol,
    #[serde(default = "none")]
    key: StickyKey,
    #[serde(default)]
    backend: Vec<BackendForm>,
    health: Option<String>,
    rollout: Option<PlanForm>,
    #[serde(default)]
    guards: Guards,
    #[serde(default)]
    limits: Limits,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BackendForm {
    version: String,
    url: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanForm {
    steps: Vec<StepForm>,
    #[serde(default)]
    automatic: bool,
    #[serde(default)]
    shadow: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepForm {
    weight: f64,
    #[serde(rename = "for", default = "no_time")]
    time: String,
    #[serde(default)]
    requests: u64,
}

fn none() -> StickyKey {
    StickyKey::None
}

fn no_time() -> String {
    "0s".to_owned()
}

/// The `[service.NAME]` tables of a file.
///
/// # Errors
/// `Invalid` with file and line.
pub fn parse(document: &mut Document<'_>) -> Result<Vec<Service>> {
    document.entries("service", true)?.iter().map(read).collect()
}

fn read(entry: &Entry<'_>) -> Result<Service> {
    let form: Form = entry.read()?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if entry.name.is_empty() || !entry.name.chars().all(fits) {
        let what =
            format!("a service's name is a part of its path: letters, digits, - _ and . only, not {:?}", entry.name);
        return Err(entry.fault("", what));
    }
    if form.protocol != Protocol::None && form.backend.is_empty() {
        return Err(entry
            .fault("backend", "a service that is routed needs a backend")
            .why("a version and its URL each"));
    }
    let mut backend = Vec::new();
    for one in &form.backend {
        let version = one.version.trim_start_matches('v').parse();
        let version =
            version.map_err(|_| entry.fault("backend", format!("{:?} is no version's number", one.version)))?;
        if !one.url.starts_with("http://") || one.url.len() < 8 {
            let what = format!("{:?} is no address such as http://127.0.0.1:9001", one.url);
            return Err(entry.fault("backend", what));
        }
        backend.push(Backend { version, url: one.url.trim_end_matches('/').to_owned() });
    }
    let rollout = match form.rollout {
        None => Plan::default(),
        Some(plan) => plan_of(entry, &plan)?,
    };
    if !(0.0..=1.0).contains(&form.guards.error_margin) {
        return Err(entry.fault("guards", "error_margin is a share of requests, between 0 and 1"));
    }
    Ok(Service {
        name: entry.name.clone(),
        model: form.model,
        protocol: form.protocol,
        key: form.key,
        backend,
        health: form.health,
        rollout,
        guards: form.guards,
        limits: form.limits,
    })
}

fn plan_of(entry: &Entry<'_>, form: &PlanForm) -> Result<Plan> {
    let wrong = |what: String| entry.fault("rollout", what);
    let mut steps: Vec<Step> = Vec::new();
    for step in &form.steps {
        let weight = buckets(step.weight).map_err(wrong)?;
        let seconds = form::seconds(&step.time)
            .ok_or_else(|| wrong(format!("not a length of time: {:?}; write 90s, 10m or 2h", step.time)))?;
        if steps.last().is_some_and(|before| before.weight >= weight) {
            return Err(wrong("each step's weight is greater than the one before".to_owned()));
        }
        steps.push(Step { weight, seconds, requests: step.requests });
    }
    if steps.is_empty() {
        return Err(wrong("a rollout has one step at least".to_owned()));
    }
    Ok(Plan { steps, automatic: form.automatic, shadow: form.shadow })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[service.delay]\nmodel = 'flight-delay'\nprotocol = 'mlflow'\nkey = 'header:x-user'\n\
        backend = [{ version = '1', url = 'http://127.0.0.1:9001/' }, { version = '2', url = 'http://127.0.0.1:9002' }]\n\
        rollout = { steps = [{ weight = 0.5, for = '10m', requests = 100 }, { weight = 50 }], automatic = true }\n";

    fn one(text: &str) -> Result<Service> {
        parse(&mut Document::parse("s.toml", text).unwrap()).map(|mut all| all.remove(0))
    }

    #[test]
    fn a_service_is_read_and_kept_the_same() {
        let service = one(GOOD).unwrap();
        assert_eq!(service.urls(1), ["http://127.0.0.1:9001"]);
        assert_eq!(service.rollout.steps[0], Step { weight: 50, seconds: 600, requests: 100 });
        let json = serde_json::to_string(&service).unwrap();
        assert_eq!(serde_json::from_str::<Service>(&json).unwrap(), service);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_line() {
        for (from, to, words) in [
            ("'header:x-user'", "'user'", "s.toml line 4"),
            ("weight = 50", "weight = 0.4", "s.toml line 6: each step's weight"),
            ("weight = 50", "weight = 101", "s.toml line 6: a weight is a per cent"),
            ("for = '10m'", "for = 'soon'", "s.toml line 6: not a length of time"),
            ("'1', url = 'http:", "'1', url = 'ftp:", "s.toml line 5: \"ftp://127.0.0.1:9001/\" is no address"),
            ("model =", "modle =", "s.toml line 2: unknown field"),
            ("[service.delay]", "[service.'a/b']", "s.toml line 1: a service's name"),
        ] {
            let fault = one(&GOOD.replace(from, to)).unwrap_err();
            assert!(fault.to_string().contains(words), "{fault}");
        }
    }
}
