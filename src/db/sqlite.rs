//! Opening a `SQLite` store: WAL, one writer, durable commits, and a refusal of network file systems.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool, Transaction};

use super::fault;
use crate::base::{Fault, fault::Result};

const READERS_MAX: u32 = 4;

/// Readers and the single writer on one file. The folder is made when missing.
pub(super) async fn open(path: &Path) -> Result<(SqlitePool, SqlitePool)> {
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|e| {
            Fault::unavailable(format!("cannot make the store's folder {}", folder.display())).why(e.to_string())
        })?;
        refuse_network_file_system(folder)?;
    } else {
        refuse_network_file_system(Path::new("."))?;
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // FULL syncs the log at each commit: an acknowledged write survives power loss.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5))
        .foreign_keys(true)
        .statement_cache_capacity(200)
        .pragma("wal_autocheckpoint", "2000");
    // A ping before each use is a trip to the connection's thread and back, as long as a small commit's own. The driver
    // still pings when a connection is given back, which is when a broken one would show.
    let writer = SqlitePoolOptions::new()
        .test_before_acquire(false)
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options.clone().pragma("cache_size", "-4000"))
        .await
        .map_err(fault)?;
    let readers = SqlitePoolOptions::new()
        .test_before_acquire(false)
        .max_connections(READERS_MAX)
        .idle_timeout(Duration::from_mins(1))
        .connect_lazy_with(options.pragma("cache_size", "-1000").read_only(true).create_if_missing(false));
    Ok((readers, writer))
}

/// Begins the writer's transaction, with the right to write from the start.
///
/// When the disk is full `SQLite` rolls back by itself. The driver's own rollback then fails, and it takes the
/// transaction for open for ever; a fresh connection ends that.
pub(super) async fn begin(writer: &SqlitePool) -> sqlx::Result<Transaction<'static, Sqlite>> {
    const BEGIN: &str = "begin immediate";
    match writer.begin_with(BEGIN).await {
        Err(sqlx::Error::InvalidSavePointStatement) => {
            writer.acquire().await?.close().await?;
            writer.begin_with(BEGIN).await
        }
        begun => begun,
    }
}

/// `SQLite`'s write-ahead log needs shared memory and honest locks, which network file systems do not give.
fn refuse_network_file_system(folder: &Path) -> Result<()> {
    let Ok(stat) = rustix::fs::statfs(folder) else { return Ok(()) };
    let Some(name) = network_file_system(stat.f_type) else { return Ok(()) };
    Err(Fault::refused(format!("the store's folder {} is on {name}", folder.display()))
        .why("SQLite can lose data on a network file system")
        .next("give a path on a local disk with --store, or use --store postgres://… for a shared store"))
}

/// File system types from statfs(2) that live on another host.
fn network_file_system(kind: i64) -> Option<&'static str> {
    Some(match kind {
        0x6969 => "NFS",
        0x517B => "SMB",
        0xFF53_4D42 | 0xFE53_4D42 => "CIFS/SMB",
        0x0102_1997 => "9P",
        0x00C3_6400 => "Ceph",
        0x0BD0_0BD0 => "Lustre",
        0x5346_414F | 0x6B41_4653 => "AFS",
        0x7375_7245 => "Coda",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nfs_and_smb_are_known_and_local_disks_pass() {
        assert_eq!(network_file_system(0x6969), Some("NFS"));
        assert_eq!(network_file_system(0xFF53_4D42), Some("CIFS/SMB"));
        assert_eq!(network_file_system(0xEF53), None, "ext4");
        assert_eq!(network_file_system(0x0102_1994), None, "tmpfs");
    }
}
