//! Where files lie: the XDG folders, and the names beside a store.

use std::path::{Path, PathBuf};

/// opsroom's folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    pub config: PathBuf,
    pub data: PathBuf,
    pub state: PathBuf,
    pub cache: PathBuf,
    /// For sockets whose place beside the store would be too long a name.
    pub runtime: PathBuf,
}

/// A socket's name has to fit into `sockaddr_un` on every system, bytes.
const SOCKET_NAME_BYTES_MAX: usize = 100;

impl Paths {
    /// From the environment's XDG variables; relative ones are ignored, as the specification says.
    pub fn from_env() -> Self {
        let home = std::env::home_dir().unwrap_or_else(|| PathBuf::from("/"));
        let folder = |variable: &str, otherwise: &str| {
            let given = std::env::var_os(variable).map(PathBuf::from).filter(|p| p.is_absolute());
            given.unwrap_or_else(|| home.join(otherwise)).join("opsroom")
        };
        let state = folder("XDG_STATE_HOME", ".local/state");
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(|r| PathBuf::from(r).join("opsroom"));
        Self {
            config: folder("XDG_CONFIG_HOME", ".config"),
            data: folder("XDG_DATA_HOME", ".local/share"),
            cache: folder("XDG_CACHE_HOME", ".cache"),
            runtime: runtime.unwrap_or_else(|| {
                std::env::temp_dir().join(format!("opsroom-{}", rustix::process::geteuid().as_raw()))
            }),
            state,
        }
    }

    pub fn config_file(&self) -> PathBuf {
        self.config.join("opsroom.toml")
    }

    /// Where a detached agent writes what it has to say.
    pub fn log(&self) -> PathBuf {
        self.state.join("log")
    }

    pub fn default_store(&self) -> PathBuf {
        self.data.join("opsroom.db")
    }

    /// The socket of a store's agent: beside a file store, else by a digest of the store's address.
    pub fn socket(&self, store: &str) -> PathBuf {
        let by_digest = || {
            let digest = blake3::hash(store.as_bytes()).to_hex();
            self.runtime.join(format!("{}.sock", &digest.as_str()[..16]))
        };
        let beside = store_file(store).map(|file| with_ending(&file, ".sock"));
        beside.filter(|path| path.as_os_str().len() <= SOCKET_NAME_BYTES_MAX).unwrap_or_else(by_digest)
    }
}

/// The file of a store that is one; `None` for a database server.
pub fn store_file(store: &str) -> Option<PathBuf> {
    let path = store.strip_prefix("sqlite://").or_else(|| store.strip_prefix("sqlite:")).unwrap_or(store);
    (!path.is_empty() && !path.contains("://")).then(|| PathBuf::from(path))
}

/// `a/b.db` and `.sock` give `a/b.db.sock`.
pub fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_lies_beside_its_store_unless_its_name_would_be_too_long() {
        let paths = Paths { runtime: "/run/user/1/opsroom".into(), ..Paths::from_env() };
        assert_eq!(paths.socket("/a/b.db"), PathBuf::from("/a/b.db.sock"));
        let long = format!("/{}/b.db", "x".repeat(100));
        assert!(paths.socket(&long).starts_with("/run/user/1/opsroom"));
        assert!(paths.socket("postgres://h/d").starts_with("/run/user/1/opsroom"));
    }
}
