//! How services stand: their arms, and the rollout that goes on.

use serde::{Deserialize, Serialize};

use super::judge::Judgement;
use super::service::Service;
use super::{Arm, Route};
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
    /// Grows with every change of this service.
    #[serde(default)]
    pub generation: i64,
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
}

impl Standing {
    fn arm(&self, version: u32) -> Arm {
        Arm { version, urls: self.service.urls(version), health: self.service.health.clone() }
    }

    /// What a router serves by; `None` while no version answers.
    pub fn route(&self) -> Option<Route> {
        let stable = self.stable.filter(|v| !self.service.urls(*v).is_empty())?;
        let on_its_way = self.candidate.as_ref();
        Some(Route {
            service: self.service.name.clone(),
            model: self.service.model.clone(),
            protocol: self.service.protocol,
            key: self.service.key.clone(),
            salt: on_its_way.map(|r| r.salt.clone()).unwrap_or_default(),
            listen: None,
            stable: self.arm(stable),
            candidate: on_its_way.map(|r| self.arm(r.version)),
            previous: self.previous.filter(|v| !self.service.urls(*v).is_empty()).map(|v| self.arm(v)),
            weight: on_its_way.map_or(0, |r| r.weight),
            shadow: on_its_way.is_some_and(|r| r.shadow),
            limits: self.service.limits.clone(),
        })
    }
}
