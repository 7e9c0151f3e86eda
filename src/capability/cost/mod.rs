//! Cost: what a prediction, a correct prediction, a version and a run come to.
//!
//! Invariants: amounts are whole millionths; the lines of one thing that is paid for come to its price; what has no price is
//! unknown and never zero; a candidate and a shadow pay for themselves.

mod advice;
mod bill;
mod budget;
mod command;
mod gather;
mod hosts;
mod hours;
mod rates;
mod report;
mod rows;
mod serving;
mod store;
mod training;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use advice::Advice;
pub use budget::{Forecast, Standing};
pub use command::{Command, apply};
pub use gather::{Book, HOST_TAG, book};
pub use hosts::hosts;
pub use hours::Hours;
pub use rates::{Declared, Listed, Rates, at, parse as parse_rates};
pub use report::{month_start, report};
pub use serving::{Budget, On, Placement, budgets as parse_budgets, parse as parse_serving};
pub use store::STATEMENTS;
pub use training::RunCost;

use crate::base::Timestamp;
use crate::base::id::RunId;
use crate::base::money::Micro;
use crate::capability::hosts::Host;
use crate::capability::monitoring::quality::Window;

/// What rows are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    #[default]
    Service,
    Version,
    Run,
    Slice,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Asked {
    #[serde(default)]
    pub by: By,
    /// The month's begin, if nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// So many days one by one, today the last.
    #[serde(default)]
    pub days: u32,
    /// As it stood at a moment, to the hour before it: without hosts and advice, which are of now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
}

/// What a window cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostReport {
    pub currency: String,
    pub window: Window,
    pub by: By,
    pub prices: Vec<Prices>,
    /// Of what is known.
    #[serde(rename = "total_micros")]
    pub total: Micro,
    /// Nothing is unknown.
    pub complete: bool,
    pub unknown: Vec<String>,
    #[serde(flatten)]
    pub parts: Parts,
    pub rows: Vec<Row>,
    #[serde(default)]
    pub rows_left_off: usize,
    #[serde(default)]
    pub budgets: Vec<Standing>,
    #[serde(default)]
    pub days: Vec<Day>,
    #[serde(default)]
    pub advice: Vec<Advice>,
    /// What runs on which machine, and how busy it is.
    #[serde(default)]
    pub hosts: Vec<HostView>,
}

/// A host with the runs on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostView {
    #[serde(flatten)]
    pub host: Host,
    /// Names of runs that go on there.
    pub runs: Vec<String>,
    /// Those that stand still while it does nothing.
    pub stalled: Vec<Stalled>,
}

impl HostView {
    /// `gpu-13: GPU 94%`, or that it is away.
    pub fn words(&self) -> String {
        match &self.host.newest {
            _ if self.host.away => format!("{}: away", self.host.name),
            Some(minute) => format!("{}: {}", self.host.name, minute.figures.use_words()),
            None => self.host.name.clone(),
        }
    }
}

/// A run that stands still.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stalled {
    pub run: RunId,
    pub name: String,
    pub why: String,
    /// What an hour of it costs.
    #[serde(rename = "hour_micros")]
    pub hour: Option<Micro>,
}

/// A price list that the window was priced by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prices {
    pub since: Timestamp,
    pub defaults: bool,
}

/// What it was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Parts {
    #[serde(rename = "busy_micros")]
    pub busy: Micro,
    #[serde(rename = "idle_micros")]
    pub idle: Micro,
    /// Machines whose busy and idle time cannot be told apart.
    #[serde(rename = "kept_micros")]
    pub kept: Micro,
    #[serde(rename = "storage_micros")]
    pub storage: Micro,
    #[serde(rename = "egress_micros")]
    pub egress: Micro,
    #[serde(rename = "tokens_micros")]
    pub tokens: Micro,
    #[serde(rename = "training_micros")]
    pub training: Micro,
}

/// A service, a version, a slice or a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Row {
    pub what: String,
    /// `serve` or `train`.
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// What the service says it is a version of; its own name, if it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Of a run, within the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<f64>,
    /// Fully loaded; `None`: unknown. With something in `unknown`: of what is known.
    #[serde(rename = "total_micros")]
    pub total: Option<Micro>,
    #[serde(flatten)]
    pub parts: Parts,
    /// Of the total: of versions on their way, and of those that answer too and nobody sees.
    #[serde(rename = "candidate_micros")]
    pub candidate: Micro,
    #[serde(rename = "shadow_micros")]
    pub shadow: Micro,
    /// Requests that were answered well.
    pub served: u64,
    pub errors: u64,
    pub shadow_requests: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// In units of the currency, fully loaded.
    pub per_prediction: Option<f64>,
    pub per_1k: Option<f64>,
    /// Without idle time.
    pub marginal_per_prediction: Option<f64>,
    /// What idle time adds to it.
    pub idle_per_prediction: Option<f64>,
    pub per_correct: Option<PerCorrect>,
    pub accuracy: Option<f64>,
    /// Shown apart: what the version's training cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<Training>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<RunCost>,
    #[serde(default)]
    pub unknown: Vec<String>,
}

/// What a correct prediction costs, with what the accuracy's interval leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PerCorrect {
    pub value: f64,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub labelled: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Training {
    pub run: String,
    #[serde(rename = "total_micros")]
    pub total: Micro,
    /// Over the predictions that are expected of the version's life.
    pub per_prediction: Option<f64>,
}

/// One day, UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    pub day: Timestamp,
    #[serde(rename = "serving_micros")]
    pub serving: Micro,
    #[serde(rename = "training_micros")]
    pub training: Micro,
    /// Of serving.
    #[serde(rename = "storage_micros")]
    pub storage: Micro,
    pub services: BTreeMap<String, Micro>,
}
