//! The rooms: one folder a capability, with its rules, its SQL and its settings. [`command::perform`] is the only way
//! to change anything that is decided; streams (what scripts log) go through [`tracking::Tracking`].

pub mod access;
mod admission;
pub mod audit;
pub mod command;
pub mod cost;
pub mod datasets;
pub mod drift;
pub mod envelope;
pub mod evals;
pub mod event;
pub mod fleet;
pub mod form;
pub mod gates;
mod handed;
pub mod hosts;
pub mod inverse;
mod judged;
pub mod keeping;
pub mod monitoring;
mod recorded;
pub mod registry;
pub mod rollout;
pub mod tracking;
pub mod training;
pub mod wire;

use std::sync::Arc;

use crate::base::Clock;
use crate::db::Db;

pub use command::{Command, monitor, perform};
pub use envelope::{Actor, Envelope, Outcome};
pub use event::{Hint, Hints};

/// What a room works with.
#[derive(Clone)]
pub struct Ctx {
    pub db: Db,
    pub clock: Arc<dyn Clock>,
    pub hints: Hints,
    pub tracking: tracking::Tracking,
    pub artifacts: tracking::Artifacts,
    pub counters: monitoring::counters::Counters,
    pub hours: cost::Hours,
    pub gathered: rollout::judge::Gathered,
    pub settings: Arc<Settings>,
}

/// The rooms' settings, as the configuration gives them.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub registry: registry::Settings,
    pub gates: gates::Settings,
    pub retention: keeping::Settings,
}
