//! A number that can say where it came from: every figure on a screen travels as one.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// A value with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// `None` is unknown, which is never shown as zero.
    #[serde(with = "super::number::option")]
    pub value: Option<f64>,
    /// How many observations stand behind it.
    pub n: u64,
    /// Closed-open window of time that it speaks of; `None` is "as of now".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<(Timestamp, Timestamp)>,
    /// The read that gives it again, in the words of the command line.
    pub query: String,
    /// Seconds between the newest observation and the moment the figure was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<f64>,
}
