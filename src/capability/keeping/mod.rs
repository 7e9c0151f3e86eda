//! Keeping the store: how long things stay, collecting what nobody refers to, and erasing persons.
//!
//! A command decides; what it decided is then carried out step by step, each step whole, so that one which was interrupted is
//! gone on with. Invariants: nothing goes that a version, a run or a result stands on; a prediction whose label may still
//! come stays.

mod command;
mod erase;
mod holders;
mod plan;
mod retention;
mod store;
mod sweep;

use serde::{Deserialize, Serialize};

use crate::base::{Timestamp, fault::Result};
use crate::db::Db;

pub use command::{Command, Prepared, apply, carry_out, prepare};
pub use erase::{Asked, Erasure, Found, Holder, State, announce, erasures, finish, look};
pub use holders::Unread;
pub use plan::plan;
pub use store::STATEMENTS;

/// Days that things are kept; 0: for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Predictions and labels one by one.
    pub ledger_days: u32,
    /// The first predictions of a version that never became a reference.
    pub samples_days: u32,
    /// Counters of predictions and of routers, by minute and hour.
    pub counters_days: u32,
    /// Console output of runs that have ended.
    pub logs_days: u32,
    /// Deleted runs with their files.
    pub deleted_runs_days: u32,
    /// What hosts did, by minute.
    pub hosts_days: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { ledger_days: 0, samples_days: 0, counters_days: 0, logs_days: 0, deleted_runs_days: 0, hosts_days: 30 }
    }
}

/// What would be collected, or was.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    pub items: Vec<Item>,
    pub warnings: Vec<String>,
}

/// One kind of things that go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub what: String,
    pub n: u64,
    pub bytes: u64,
    pub why: String,
}

impl Plan {
    pub fn bytes(&self) -> u64 {
        self.items.iter().map(|i| i.bytes).sum()
    }

    /// In one line, for the audit record.
    pub fn words(&self) -> String {
        if self.items.is_empty() {
            return "nothing".to_owned();
        }
        let items: Vec<String> = self.items.iter().map(|i| format!("{} {}", i.n, i.what)).collect();
        format!("{} ({} bytes)", items.join(", "), self.bytes())
    }
}

/// Remembers that a backup was made: what is erased later still stands in it.
///
/// # Errors
/// The store's.
pub async fn backed_up(db: &Db, made: Timestamp, place: &str, bytes: u64) -> Result<()> {
    let mut tx = db.begin().await?;
    store::add_backup(&mut tx, made, place, bytes).await?;
    tx.commit().await.map(drop)
}
