//! One primary a store: a lock that says who holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, Write};
use std::path::Path;

use sqlx::Connection;

use super::{StoreUrl, fault};
pub use crate::base::Holder;
use crate::base::holder::lock_beside;
use crate::base::{Fault, fault::Result};

/// Held while this lives.
#[derive(Debug)]
pub struct StoreLock {
    kind: Held,
}

#[derive(Debug)]
enum Held {
    File(File),
    // The advisory lock lives as long as its session.
    Postgres { session: Box<sqlx::PgConnection> },
}

/// "opsroom" in ASCII, as the advisory lock's number.
const ADVISORY_KEY: i64 = 0x006F_7073_726F_6F6D;

/// The holder that a lock file names; whether it still holds it is the lock's to say.
fn named_in(lock: &Path) -> Option<Holder> {
    serde_json::from_slice(std::fs::read_to_string(lock).ok()?.as_bytes()).ok()
}

impl StoreLock {
    /// Takes the lock, or says who has it.
    ///
    /// # Errors
    /// `Unavailable` naming the holder.
    pub async fn take(url: &StoreUrl) -> Result<Self> {
        match url {
            StoreUrl::Sqlite(path) => take_file(path),
            StoreUrl::Postgres(url) => take_postgres(url).await,
        }
    }

    /// Writes who holds it, once the address is known.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be written.
    pub async fn announce(&mut self, holder: &Holder) -> Result<()> {
        let text = serde_json::to_string(holder).map_err(|e| Fault::bug(e.to_string()))?;
        match &mut self.kind {
            Held::File(file) => (|| {
                file.set_len(0)?;
                file.rewind()?;
                file.write_all(text.as_bytes())?;
                file.sync_data()
            })()
            .map_err(|e: std::io::Error| Fault::unavailable("cannot write the store's lock").why(e.to_string())),
            Held::Postgres { session } => {
                sqlx::query(PUT_HOLDER).bind(text).execute(&mut **session).await.map_err(fault)?;
                Ok(())
            }
        }
    }
}

const PUT_HOLDER: &str =
    "insert into store_holder (id, holder) values (1, $1) on conflict (id) do update set holder = excluded.holder";

fn take_file(store: &Path) -> Result<StoreLock> {
    let path = lock_beside(store);
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|e| {
            Fault::unavailable(format!("cannot make the store's folder {}", folder.display())).why(e.to_string())
        })?;
    }
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(|e| {
        Fault::unavailable(format!("cannot open the store's lock {}", path.display())).why(e.to_string())
    })?;
    match file.try_lock() {
        Ok(()) => Ok(StoreLock { kind: Held::File(file) }),
        Err(TryLockError::WouldBlock) => Err(held_by(named_in(&path))),
        Err(TryLockError::Error(e)) => {
            Err(Fault::unavailable("cannot lock the store").why(e.to_string()).next("use a local disk"))
        }
    }
}

async fn take_postgres(url: &str) -> Result<StoreLock> {
    let mut session = sqlx::PgConnection::connect(url).await.map_err(fault)?;
    let got: bool = sqlx::query_scalar("select pg_try_advisory_lock($1)")
        .bind(ADVISORY_KEY)
        .fetch_one(&mut session)
        .await
        .map_err(fault)?;
    if got {
        sqlx::raw_sql("create table if not exists store_holder (id bigint primary key, holder text not null)")
            .execute(&mut session)
            .await
            .map_err(fault)?;
        return Ok(StoreLock { kind: Held::Postgres { session: Box::new(session) } });
    }
    let text: Option<String> = sqlx::query_scalar("select holder from store_holder where id = 1")
        .fetch_optional(&mut session)
        .await
        .ok()
        .flatten();
    Err(held_by(text.and_then(|t| serde_json::from_slice(t.as_bytes()).ok())))
}

fn held_by(holder: Option<Holder>) -> Fault {
    let who = holder.map_or_else(
        || "another agent".to_owned(),
        |h| format!("the agent at {} (pid {} on {}, since {})", h.address, h.pid, h.host, h.since),
    );
    Fault::unavailable("the store is in use")
        .why(format!("{who} is its primary"))
        .next("use that agent, stop it with `opsroom agent stop`, or give another --store")
}
