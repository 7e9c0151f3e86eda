//! One store, two engines: a pool that is `SQLite` or `PostgreSQL`, one SQL text for both, one writer at a time.

pub mod backup;
pub mod blobs;
pub mod lock;
pub mod migrate;
mod postgres;
pub mod row;
mod sqlite;
pub mod tables;
pub mod url;

use std::sync::Arc;

use sqlx::{PgPool, SqlitePool};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::base::{Fault, fault::Result};

pub use url::StoreUrl;

/// Runs one body on whichever engine stands behind a pool or a transaction: `on_db!(pool, p => query.fetch_all(p).await)`.
#[macro_export]
macro_rules! on_db {
    ($pool:expr, $p:ident => $body:expr) => {
        match $pool {
            $crate::db::Pool::Sqlite($p) => $body,
            $crate::db::Pool::Postgres($p) => $body,
        }
    };
}

/// As [`on_db!`], inside a transaction.
#[macro_export]
macro_rules! on_tx {
    ($tx:expr, $t:ident => $body:expr) => {
        match $tx.inner() {
            $crate::db::TxInner::Sqlite(t) => {
                let $t = &mut **t;
                $body
            }
            $crate::db::TxInner::Postgres(t) => {
                let $t = &mut **t;
                $body
            }
        }
    };
}

/// As [`on_db!`], on a [`Source`]: inside a transaction or outside of one.
#[macro_export]
macro_rules! on_source {
    ($source:expr, $e:ident => $body:expr) => {
        match $source {
            $crate::db::Source::Pool($crate::db::Pool::Sqlite($e)) => $body,
            $crate::db::Source::Pool($crate::db::Pool::Postgres($e)) => $body,
            $crate::db::Source::Tx(tx) => $crate::on_tx!(tx, $e => $body),
        }
    };
}

/// Where a read looks: what is committed, or what a transaction sees.
#[derive(Debug)]
pub enum Source<'a> {
    Pool(&'a Pool),
    Tx(&'a mut Tx),
}

impl Source<'_> {
    /// The same source for a further read.
    pub fn again(&mut self) -> Source<'_> {
        match self {
            Source::Pool(pool) => Source::Pool(pool),
            Source::Tx(tx) => Source::Tx(tx),
        }
    }
}

/// Readers' pool of either engine.
#[derive(Debug, Clone)]
pub enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// The store: readers side by side, one writer. The agent holds the store alone (see [`lock`]), so the writer's
/// lock here is all the order there is between a group commit and a command.
#[derive(Debug, Clone)]
pub struct Db {
    readers: Pool,
    writer: Pool,
    turn: Arc<Mutex<()>>,
}

impl Db {
    /// Opens the store without migrating it.
    ///
    /// # Errors
    /// `Unavailable` when the engine cannot be reached or the file cannot be opened.
    pub async fn open(url: &StoreUrl) -> Result<Self> {
        let (readers, writer) = match url {
            StoreUrl::Sqlite(path) => {
                let (readers, writer) = sqlite::open(path).await?;
                (Pool::Sqlite(readers), Pool::Sqlite(writer))
            }
            StoreUrl::Postgres(url) => {
                let (readers, writer) = postgres::open(url).await?;
                (Pool::Postgres(readers), Pool::Postgres(writer))
            }
        };
        Ok(Self { readers, writer, turn: Arc::new(Mutex::new(())) })
    }

    /// For reads outside of a transaction.
    pub fn read(&self) -> &Pool {
        &self.readers
    }

    pub fn is_sqlite(&self) -> bool {
        matches!(self.writer, Pool::Sqlite(_))
    }

    /// Waits for the writer's turn. Whoever holds it may write, alone.
    pub async fn turn(&self) -> Turn {
        Turn { guard: self.turn.clone().lock_owned().await, pool: self.writer.clone() }
    }

    /// Waits for the writer's turn and begins a transaction.
    ///
    /// # Errors
    /// As [`Turn::begin`].
    pub async fn begin(&self) -> Result<Tx> {
        self.turn().await.begin().await
    }

    /// Closes all connections; on `SQLite` this also folds the write-ahead log into the file.
    pub async fn close(&self) {
        let _turn = self.turn.lock().await;
        // The writer last: a reader cannot fold the log.
        on_db!(&self.readers, p => p.close().await);
        on_db!(&self.writer, p => p.close().await);
    }
}

/// The right to write, held by one at a time.
#[derive(Debug)]
pub struct Turn {
    guard: OwnedMutexGuard<()>,
    pool: Pool,
}

impl Turn {
    /// For a single statement that commits by itself.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Begins a transaction that keeps the turn until it ends.
    ///
    /// # Errors
    /// `Unavailable` when the store refuses.
    pub async fn begin(self) -> Result<Tx> {
        let inner = match &self.pool {
            Pool::Sqlite(p) => TxInner::Sqlite(sqlite::begin(p).await.map_err(fault)?),
            Pool::Postgres(p) => TxInner::Postgres(p.begin().await.map_err(fault)?),
        };
        Ok(Tx { inner, turn: self.guard })
    }
}

/// A transaction that holds the writer's turn. Dropped without [`Tx::commit`], it is rolled back.
#[derive(Debug)]
pub struct Tx {
    inner: TxInner,
    turn: OwnedMutexGuard<()>,
}

/// The engine's own transaction; for [`on_tx!`] only.
#[derive(Debug)]
pub enum TxInner {
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

impl Tx {
    pub fn inner(&mut self) -> &mut TxInner {
        &mut self.inner
    }

    /// Commits, and gives the turn on to the caller, so that what the commit made true can be published before
    /// anyone else writes.
    ///
    /// # Errors
    /// `Unavailable` when the store refuses; then nothing of the transaction holds.
    pub async fn commit(self) -> Result<OwnedMutexGuard<()>> {
        match self.inner {
            TxInner::Sqlite(t) => t.commit().await.map_err(fault)?,
            TxInner::Postgres(t) => t.commit().await.map_err(fault)?,
        }
        Ok(self.turn)
    }

    /// Rolls back now rather than at some later time.
    pub async fn rollback(self) {
        let ended = match self.inner {
            TxInner::Sqlite(t) => t.rollback().await,
            TxInner::Postgres(t) => t.rollback().await,
        };
        if let Err(e) = ended {
            tracing::warn!("rollback: {e}");
        }
    }
}

/// What the store says, as something a caller can act on.
#[allow(clippy::needless_pass_by_value)] // used as `map_err(fault)`
pub fn fault(e: sqlx::Error) -> Fault {
    let text = e.to_string();
    let lower = text.to_lowercase();
    if lower.contains("disk is full") || lower.contains("no space left") || lower.contains("disk full") {
        return Fault::unavailable("the store's disk is full; nothing was written")
            .why(text)
            .next("free space on the store's disk and send it again");
    }
    if lower.contains("database is locked") || lower.contains("database table is locked") {
        return Fault::unavailable("the store is locked by another program; nothing was written")
            .why(text)
            .next("end the program that holds the file open for writing and send it again");
    }
    match e {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => {
            Fault::unavailable("the store does not answer").why(text).next("see `opsroom agent status`")
        }
        _ => Fault::unavailable("the store refused").why(text).next("see `opsroom agent status` and the agent's log"),
    }
}
