//! Experiment tracking: what scripts log, kept durable by a journal and readable at once from memory.
//!
//! A write is decided against the documents in memory, journalled with its group in one commit, and only then
//! published and acknowledged. A fold writes changed documents and metric points to their tables from time to time.
//!
//! Invariants: a reader never sees what is not durable; applying an effect cannot fail; a replayed journal gives the
//! same documents.

pub mod artifacts;
pub mod collections;
mod columns;
pub mod command;
pub mod compare;
mod effect;
pub mod experiments;
pub mod filter;
mod fold;
pub mod groups;
pub mod health;
mod history;
pub mod models;
pub mod outputs;
pub mod parts;
pub mod points;
mod purge;
pub mod query;
mod question;
pub mod rules;
mod run_search;
pub mod runs;
pub mod search;
mod state;
mod store;
pub mod sweeps;
pub mod types;
mod unfolded;
pub mod view;
pub mod wandb;
mod writer;

pub use artifacts::Artifacts;
pub use command::Command;
pub use groups::{GroupBy, GroupQuery, RunGroup, RunGroups, Spread};
pub use question::STATUS_WORDS;
pub use search::DatasetSummary;
pub use state::{Staged, State};
pub use store::STATEMENTS;
pub use types::{
    DatasetInput, Experiment, KEPT_SOURCE, Key, Latest, Lifecycle, LoggedModel, MetricPoint, Run, RunStatus, Text,
};
pub use view::{ExperimentView, RunPage, RunQuery, RunView, Series};
pub use writer::{Decision, Tracking};
