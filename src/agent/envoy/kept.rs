//! What must outlive the agent: the table that was written last, and how far Envoy's counters were taken.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::stats::Totals;
use crate::base::{Fault, fault::Result};
use crate::capability::monitoring::TrafficWindow;
use crate::capability::rollout::RouteTable;

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Kept {
    /// Under which its batches count once.
    pub id: String,
    pub sequence: i64,
    /// The newest batch: it is given again until it is settled, also after a crash.
    pub batch: Vec<TrafficWindow>,
    /// Counters that the batches come to, by admin address.
    pub counted: BTreeMap<String, Totals>,
    /// What is written now, and what was before it: counts that come late belong there.
    pub table: RouteTable,
    pub before: RouteTable,
}

impl Kept {
    /// # Errors
    /// `Unavailable`; `Invalid` for a file that cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| {
                Fault::invalid(format!("{} cannot be read", path.display()))
                    .why(e.to_string())
                    .next("remove it; what Envoy has counted until now counts once more then")
            }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                Ok(Self { id: crate::base::id::uuid7(), ..Self::default() })
            }
            Err(e) => Err(Fault::unavailable(format!("cannot read {}", path.display())).why(e.to_string())),
        }
    }

    /// # Errors
    /// `Unavailable`.
    pub fn write(&self, path: &Path) -> Result<()> {
        replace(path, self)
    }
}

/// Puts a document in the place of another, whole or not at all; a move into the folder is what Envoy watches for.
///
/// # Errors
/// `Unavailable`.
pub fn replace(path: &Path, document: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec(document).map_err(|e| Fault::bug("document").why(e.to_string()))?;
    let new = path.with_extension("new");
    let written = std::fs::File::create(&new).and_then(|mut file| {
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    });
    written.map_err(|e| Fault::unavailable(format!("cannot write {}", path.display())).why(e.to_string()))
}
