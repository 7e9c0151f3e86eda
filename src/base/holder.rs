//! Who is the primary of a store, as its lock says.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// Who holds a store, and where it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub host: String,
    pub pid: u32,
    /// `http://HOST:PORT`.
    pub address: String,
    /// The Unix socket's path.
    pub socket: Option<String>,
    pub since: Timestamp,
}

/// Where a file store's lock lies.
pub fn lock_beside(store: &Path) -> PathBuf {
    let mut path = store.as_os_str().to_owned();
    path.push(".lock");
    PathBuf::from(path)
}
