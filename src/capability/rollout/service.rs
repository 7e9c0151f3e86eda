//! A service: a registered model behind an address, where its versions answer, and how a new one takes over.

use serde::{Deserialize, Serialize};

use super::judge::Guards;
use super::split::BUCKETS;
use super::{Answers, Limits, Protocol, StickyKey};

/// A service as it is applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    pub name: String,
    pub model: String,
    pub protocol: Protocol,
    pub key: StickyKey,
    #[serde(default)]
    pub answers: Answers,
    /// Features that its predictions are sliced by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<String>,
    pub backend: Vec<Backend>,
    /// How versions without a backend are started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch: Option<Launch>,
    /// Who carries the traffic.
    #[serde(default)]
    pub traffic: Traffic,
    /// How the team's own deployment is told; only where opsroom does not route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy: Option<Deploy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envoy: Option<Envoy>,
    /// `HOST:PORT` of its own, beside `/SERVICE/…` on the router's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
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

/// Who carries the requests of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Traffic {
    /// opsroom's own router.
    #[default]
    Router,
    /// The team's deployment: opsroom decides, tells it, and looks which version the predictions name.
    External,
    /// The team's Envoy: opsroom writes its routes and clusters, and reads back that it serves by them.
    Envoy,
}

/// Where a team's Envoys tell what they serve by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envoy {
    /// Addresses of their admin interfaces, `http://HOST:PORT`.
    pub admin: Vec<String>,
}

/// How a version is started, and what it may use. `{artifact}`, `{port}`, `{model}` and `{version}` stand for the
/// version's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    pub command: Vec<String>,
    /// Path that answers 2xx once it is ready.
    #[serde(default = "ready")]
    pub ready: String,
    /// It is started anew when it is not ready by then.
    #[serde(default = "ready_seconds")]
    pub ready_seconds: u64,
    /// Resident memory of all its processes, beyond which it is started anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
}

/// What takes a version to production outside of opsroom; `{version}`, `{model}` and `{service}` stand for what they say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deploy {
    pub command: Vec<String>,
    /// The agent runs it; otherwise the line is shown, and a person runs it.
    #[serde(default)]
    pub run: bool,
}

fn ready() -> String {
    "/ping".to_owned()
}

fn ready_seconds() -> u64 {
    60
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

    /// Whether a version can answer: it has an address, can be started, is deployed by the team, or answers in batches.
    pub fn can_serve(&self, version: u32) -> bool {
        let told = self.traffic == Traffic::External || self.protocol == Protocol::None;
        told || self.launch.is_some() || self.backend.iter().any(|b| b.version == version)
    }

    /// Whether opsroom starts this version itself.
    pub fn launches(&self, version: u32) -> bool {
        self.launch.is_some() && !self.backend.iter().any(|b| b.version == version)
    }

    /// Whether the agent runs programs for it.
    pub fn runs_programs(&self) -> bool {
        self.launch.is_some() || self.deploy.as_ref().is_some_and(|d| d.run)
    }

    /// The line that deploys a version; empty when none is given.
    pub fn deploy_line(&self, version: u32) -> Vec<String> {
        let command = self.deploy.as_ref().map(|d| d.command.as_slice()).unwrap_or_default();
        let fill = |word: &String| {
            let word = word.replace("{version}", &version.to_string());
            word.replace("{model}", &self.model).replace("{service}", &self.name)
        };
        command.iter().map(fill).collect()
    }

    /// Sticky by caller.
    pub fn is_sticky(&self) -> bool {
        self.key != StickyKey::None && self.splits_otherwise().is_none()
    }

    /// How the split differs from what the key asks for; `None` where it does not.
    pub fn splits_otherwise(&self) -> Option<&'static str> {
        let unread = self.traffic == Traffic::Envoy && matches!(self.key, StickyKey::Json(_));
        unread.then_some("Envoy reads no body to split by: each request is split by itself, not by its caller")
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
