//! Saved views of the runs: filter, order, columns and groups under a name, kept in the person's state folder.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::model::Experiment;
use super::msg::RunOrder;
use super::screen::runs::Column;
use crate::capability::tracking::GroupBy;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedView {
    pub name: String,
    pub filter: String,
    pub experiment: Option<Experiment>,
    pub order: RunOrder,
    pub descending: bool,
    /// `None`: chosen by what the runs have.
    pub columns: Option<Vec<Column>>,
    pub group: Option<GroupBy>,
    pub metric: Option<String>,
}

/// `$XDG_STATE_HOME/opsroom/views.json`.
fn file() -> Option<PathBuf> {
    let dirs = directories::ProjectDirs::from("", "", "opsroom")?;
    Some(dirs.state_dir()?.join("views.json"))
}

/// The views saved so far. A file that cannot be read is left as it is and named.
///
/// # Errors
/// What is wrong with the file.
pub fn load() -> Result<Vec<SavedView>, String> {
    let Some(path) = file() else { return Ok(Vec::new()) };
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            serde_json::from_slice(text.as_bytes()).map_err(|e| format!("{}: {e}; no saved views", path.display()))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(format!("{}: {e}; no saved views", path.display())),
    }
}

/// Writes all views, beside the old file first, so that a full disk loses nothing.
///
/// # Errors
/// The folder cannot be written.
pub fn save(views: &[SavedView]) -> Result<String, String> {
    let path = file().ok_or("there is no state folder; set XDG_STATE_HOME or HOME")?;
    let failed = |e: std::io::Error| format!("{}: {e}", path.display());
    let text = serde_json::to_string_pretty(views).map_err(|e| e.to_string())?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let new = path.with_extension("new");
    std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &path)).map_err(failed)?;
    Ok(format!("{} views in {}", views.len(), path.display()))
}
