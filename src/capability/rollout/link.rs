//! What an agent and its router say to each other over the router's own socket.

use serde::{Deserialize, Serialize};

use crate::base::Timestamp;
use crate::capability::monitoring::TrafficWindow;

/// The control socket's file in the router's folder.
pub const SOCKET: &str = "router.sock";

/// How a router does.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RouterStatus {
    /// Of this process: windows are counted once by it and their sequence.
    pub id: String,
    pub pid: u32,
    /// `http://HOST:PORT`.
    pub address: String,
    pub version: String,
    /// Which program it is: an agent of another one replaces it.
    #[serde(default)]
    pub build: String,
    /// What it cannot do as the table says, such as an address that is taken.
    #[serde(default)]
    pub problems: Vec<String>,
    pub generation: i64,
    pub started: Timestamp,
    /// Requests that are open.
    pub open: u64,
    /// Prediction events that found the queue full, or were too long to be looked at.
    pub events_dropped: u64,
    pub events_kept: u64,
}

/// Counts that have not been taken yet. A batch is given again until one with a higher sequence is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Windows {
    pub router: String,
    pub sequence: i64,
    pub windows: Vec<TrafficWindow>,
}

/// What a router that was replaced still counted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Leftovers {
    pub windows: Vec<TrafficWindow>,
    /// Requests that nobody will make events of.
    pub events_dropped: u64,
}

/// Something decided at the router while no agent could be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The idempotency key under which the agent does it again.
    pub id: String,
    pub at: Timestamp,
    pub who: String,
    pub reason: String,
    pub service: String,
    pub what: Wish,
}

/// What lowers the risk, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wish {
    /// The candidate answers nobody any more.
    Drop,
    /// The version before answers everybody.
    Rollback,
}

/// What was done, with the proof as far as the router knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Swapped {
    pub generation: i64,
    /// From asking to the swap, microseconds.
    pub took_us: u64,
    /// The version that answers everybody now.
    pub version: u32,
    /// Requests of other versions that were still open at the swap.
    pub open: u64,
}
