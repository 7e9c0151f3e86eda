//! What versions were measured with, and what came out.

use serde::{Deserialize, Serialize};

use crate::capability::evals::{Evidence, Suite};

/// All suites, and results newest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub suites: Vec<Suite>,
    pub results: Vec<Evidence>,
}
