//! How services stand: their arms, and the rollout that goes on.

use serde::{Deserialize, Serialize};

use super::judge::Judgement;
use super::recovery::{Recovery, Turn};
use super::server::Server;
use super::service::{Service, Traffic};
use super::{Arm, Protocol, Route};
use crate::base::Timestamp;

/// A service with its arms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    #[serde(flatten)]
    pub service: Service,
    /// The version that answers; the model's prod version at first.
    #[serde(default)]
    pub stable: Option<u32>,
    /// The one before, kept warm: where a rollback goes.
    #[serde(default)]
    pub previous: Option<u32>,
    #[serde(default)]
    pub candidate: Option<Rollout>,
    /// Where others carry the traffic: what was decided and is not yet deployed.
    #[serde(default)]
    pub awaited: Option<Awaited>,
    /// The newest way back that was taken.
    #[serde(default)]
    pub turned: Option<Turn>,
    /// Grows with every change of this service.
    #[serde(default)]
    pub generation: i64,
}

/// A version that the team's own deployment is to bring.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Awaited {
    pub version: u32,
    pub since: Timestamp,
    pub by: String,
    pub reason: String,
    /// The line that deploys it; empty when the service names none.
    #[serde(default)]
    pub command: Vec<String>,
    /// The agent has begun to run it.
    #[serde(default)]
    pub begun: bool,
    /// How it went when the agent ran it.
    #[serde(default)]
    pub failed: Option<String>,
}

/// How a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Goes from step to step.
    Running,
    /// Stays at its weight until somebody says otherwise.
    Held,
    /// The candidate is the stable version now.
    Promoted,
    /// Taken back.
    Dropped,
}

impl State {
    pub fn words(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Held => "held",
            Self::Promoted => "promoted",
            Self::Dropped => "dropped",
        }
    }

    pub fn is_over(self) -> bool {
        matches!(self, Self::Promoted | Self::Dropped)
    }
}

/// A version on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    pub id: i64,
    pub service: String,
    pub version: u32,
    /// The version that it would replace.
    pub against: u32,
    /// Which callers it gets: another rollout picks others.
    pub salt: String,
    pub state: State,
    /// The step of the plan; past the last one by a weight of somebody's own.
    pub step: usize,
    /// Buckets of 10,000.
    pub weight: u16,
    pub shadow: bool,
    pub started: Timestamp,
    pub step_since: Timestamp,
    pub by: String,
    pub reason: String,
    #[serde(default)]
    pub ended: Option<Timestamp>,
    /// Why it is held, or how it ended.
    #[serde(default)]
    pub why: String,
}

/// What a screen shows of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceView {
    #[serde(flatten)]
    pub standing: Standing,
    /// Of the rollout that goes on.
    #[serde(default)]
    pub judgement: Option<Judgement>,
    /// Ended rollouts, newest first.
    #[serde(default)]
    pub history: Vec<Rollout>,
    /// What the counts prove of the newest way back.
    #[serde(default)]
    pub recovery: Option<Recovery>,
    /// Versions that the agent runs.
    #[serde(default)]
    pub servers: Vec<Server>,
    /// Versions of its model that may not be rolled out.
    #[serde(default)]
    pub forbidden: Vec<Forbidden>,
    /// Versions that predictions name, newest first: the proof of what answers.
    #[serde(default)]
    pub seen: Vec<Seen>,
    /// How far the team's Envoys have come, where they carry the traffic.
    #[serde(default)]
    pub envoy_status: Option<EnvoyStatus>,
}

/// A version that may not be rolled out, until somebody allows it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forbidden {
    pub version: u32,
    pub reason: String,
}

/// What the team's Envoys serve by.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EnvoyStatus {
    /// Where its clusters and routes are written.
    pub folder: String,
    /// The generation that was written last.
    pub generation: i64,
    /// All of them have said that they serve by it, and when.
    #[serde(default)]
    pub confirmed: Option<Timestamp>,
    /// Why not.
    #[serde(default)]
    pub problem: Option<String>,
}

impl EnvoyStatus {
    /// One sentence.
    pub fn words(&self) -> String {
        let Self { folder, generation, confirmed, problem } = self;
        match (confirmed, problem) {
            (None, Some(problem)) => format!("Envoy has not confirmed generation {generation}: {problem}"),
            (Some(at), Some(problem)) => format!("Envoy confirmed generation {generation} at {at}, but now: {problem}"),
            (Some(at), None) => format!("Envoy confirmed generation {generation} at {at} (read from {folder})"),
            (None, None) => format!("Envoy has not yet confirmed generation {generation} (in {folder})"),
        }
    }
}

/// A version that predictions name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub version: String,
    pub last: Timestamp,
}

impl Standing {
    /// A version with the addresses that it is given, or the one that it was started at once it was ready.
    fn arm(&self, version: u32, servers: &[Server]) -> Option<Arm> {
        let mut urls = self.service.urls(version);
        if urls.is_empty() && self.service.launches(version) {
            let of = |s: &&Server| s.service == self.service.name && s.version == version && s.was_ready();
            urls = servers.iter().find(of).map(|s| s.url.clone()).into_iter().collect();
        }
        (!urls.is_empty()).then(|| Arm { version, urls, health: self.service.health.clone() })
    }

    /// What this carrier serves by; `None` while no version answers, or another one carries the traffic.
    pub fn route(&self, by: Traffic, servers: &[Server]) -> Option<Route> {
        if self.service.traffic != by || self.service.protocol == Protocol::None {
            return None;
        }
        let stable = self.arm(self.stable?, servers)?;
        let on_its_way = self.candidate.as_ref();
        Some(Route {
            service: self.service.name.clone(),
            model: self.service.model.clone(),
            protocol: self.service.protocol,
            key: self.service.key.clone(),
            answers: self.service.answers,
            slices: self.service.slices.clone(),
            salt: on_its_way.map(|r| r.salt.clone()).unwrap_or_default(),
            listen: self.service.listen.clone(),
            stable,
            candidate: on_its_way.and_then(|r| self.arm(r.version, servers)),
            previous: self.previous.and_then(|v| self.arm(v, servers)),
            weight: on_its_way.map_or(0, |r| r.weight),
            shadow: on_its_way.is_some_and(|r| r.shadow),
            limits: self.service.limits.clone(),
        })
    }
}

impl ServiceView {
    /// What predictions say of the last minute, where others carry the traffic and it is not what is decided.
    pub fn difference(&self) -> Option<String> {
        const RECENT_US: i64 = 60_000_000;
        if self.standing.service.traffic != Traffic::External {
            return None;
        }
        let stable = self.standing.stable?;
        let newest = self.seen.first()?;
        let on_its_way = self.standing.candidate.as_ref().map(|r| r.version);
        let expected = |v: &str| [Some(stable), on_its_way].iter().flatten().any(|e| e.to_string() == v);
        let recent = |s: &&Seen| newest.last.0 - s.last.0 < RECENT_US;
        let others: Vec<&str> = self.seen.iter().filter(recent).map(|s| s.version.as_str()).collect();
        let odd: Vec<String> = others.iter().filter(|v| !expected(v)).map(|v| format!("v{v}")).collect();
        (!odd.is_empty()).then(|| {
            let also = if others.contains(&stable.to_string().as_str()) { "also " } else { "" };
            format!("predictions {also}come from {}, decided is v{stable}", odd.join(" and "))
        })
    }
}
