//! Running a command under capture on this machine, and running it again.

mod environment;
mod gather;
mod git;
mod launch;
mod repeat;
mod rerun;
mod sample;
mod start;

pub use environment::Restore;
pub use launch::{Echo, in_session};
pub use rerun::{Rerun, rehearse, rerun};
pub use start::{Data, Finished, Start, start};

use std::path::{Path, PathBuf};

use crate::base::{Fault, fault::Result};

/// The file behind a program's name, as a shell finds it. Links stay: a virtual environment is known by its link.
///
/// # Errors
/// `NotFound`.
pub fn find_program(name: &str, folder: &Path) -> Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let runs = |p: &Path| std::fs::metadata(p).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    if name.contains('/') {
        let path = folder.join(name);
        if runs(&path) {
            return Ok(path);
        }
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if let Some(found) = std::env::split_paths(&path).map(|p| folder.join(p).join(name)).find(|p| runs(p)) {
            return Ok(found);
        }
    }
    Err(Fault::not_found(format!("no program {name}")).next("give the path of a program, or see what PATH holds"))
}
