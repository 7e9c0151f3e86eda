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
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Sqlite, SqliteConnection, SqlitePool};
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
    turn: Arc<Mutex<Kept>>,
    passing: Arc<AtomicBool>,
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
        Ok(Self { readers, writer, turn: Arc::default(), passing: Arc::default() })
    }

    /// For a store that goes with its process: nothing waits for the disk any more, and nothing is written that only a next
    /// process would read.
    ///
    /// # Errors
    /// `Unavailable` when the store refuses.
    pub async fn need_not_last(&self) -> Result<()> {
        let mut turn = self.turn().await;
        self.passing.store(true, Ordering::Relaxed);
        match turn.pool() {
            Pool::Sqlite(p) => sqlx::query("pragma synchronous = off").execute(p).await.map(drop).map_err(fault),
            Pool::Postgres(_) => Ok(()),
        }
    }

    /// Whether it goes with its process.
    pub fn is_passing(&self) -> bool {
        self.passing.load(Ordering::Relaxed)
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
        Turn { kept: self.turn.clone().lock_owned().await, pool: self.writer.clone() }
    }

    /// Waits for the writer's turn and begins a transaction.
    ///
    /// # Errors
    /// As [`Turn::begin`].
    pub async fn begin(&self) -> Result<Tx> {
        self.turn().await.begin().await
    }

    /// As [`Self::begin`], and what is deleted or overwritten is wiped in the file as well.
    ///
    /// # Errors
    /// As [`Turn::begin`].
    pub async fn begin_erasing(&self) -> Result<Tx> {
        let mut turn = self.turn().await;
        if let Pool::Sqlite(p) = turn.pool() {
            sqlx::query("pragma secure_delete = on").execute(p).await.map_err(fault)?;
        }
        turn.begin().await
    }

    /// Rewrites what holds earlier states of rows: what was deleted or overwritten long ago still lies in free pages. Writers
    /// wait meanwhile, and the disk needs room for the tables once more.
    ///
    /// # Errors
    /// `Unavailable` when the store refuses.
    pub async fn wipe(&self, tables: &[&'static str]) -> Result<()> {
        let mut turn = self.turn().await;
        match turn.pool() {
            Pool::Sqlite(p) => sqlx::query("vacuum").execute(p).await.map(drop).map_err(fault),
            Pool::Postgres(p) => {
                for table in tables {
                    let full = sqlx::AssertSqlSafe(format!("vacuum full {table}"));
                    sqlx::query(full).execute(p).await.map_err(fault)?;
                }
                Ok(())
            }
        }
    }

    /// After erasing: the write-ahead log lets go of what was overwritten.
    ///
    /// # Errors
    /// `Unavailable` when the store refuses, or when somebody reads an earlier state for longer than the store waits.
    pub async fn end_erasing(&self) -> Result<()> {
        let mut turn = self.turn().await;
        let Pool::Sqlite(p) = turn.pool() else { return Ok(()) };
        sqlx::query("pragma secure_delete = off").execute(p).await.map_err(fault)?;
        let (busy, _, _): (i64, i64, i64) =
            sqlx::query_as("pragma wal_checkpoint(truncate)").fetch_one(p).await.map_err(fault)?;
        if busy != 0 {
            return Err(Fault::unavailable("the store's log still holds earlier states").why("somebody is reading one"));
        }
        Ok(())
    }

    /// Closes all connections; on `SQLite` this also folds the write-ahead log into the file.
    pub async fn close(&self) {
        self.turn.lock().await.give_back();
        // The writer last: a reader cannot fold the log.
        on_db!(&self.readers, p => p.close().await);
        on_db!(&self.writer, p => p.close().await);
    }
}

/// The writer's connection of `SQLite`, kept out of its pool between group commits: a pool's use costs a trip to the
/// connection's thread besides the statement's own, which is as long as a small commit.
#[derive(Debug, Default)]
pub struct Kept(Option<PoolConnection<Sqlite>>);

impl Kept {
    fn give_back(&mut self) {
        if let Some(connection) = self.0.take() {
            match tokio::runtime::Handle::try_current() {
                Ok(_) => drop(connection),
                // Giving it back is a task; at the very end there is nobody to run one.
                Err(_) => drop(connection.detach()),
            }
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Where a single statement that commits by itself is run.
#[derive(Debug)]
pub enum Single<'a> {
    Sqlite(&'a mut SqliteConnection),
    Postgres(&'a PgPool),
}

/// The right to write, held by one at a time.
#[derive(Debug)]
pub struct Turn {
    kept: OwnedMutexGuard<Kept>,
    pool: Pool,
}

impl Turn {
    /// For a statement that commits by itself.
    pub fn pool(&mut self) -> &Pool {
        self.kept.give_back();
        &self.pool
    }

    /// The same for one that comes again and again: the connection is kept for the next turn.
    ///
    /// # Errors
    /// `Unavailable` when the store cannot be opened.
    pub async fn single(&mut self) -> Result<Single<'_>> {
        match &self.pool {
            Pool::Postgres(pool) => Ok(Single::Postgres(pool)),
            Pool::Sqlite(pool) => {
                if self.kept.0.is_none() {
                    self.kept.0 = Some(pool.acquire().await.map_err(fault)?);
                }
                let kept = self.kept.0.as_mut().ok_or_else(|| Fault::bug("no connection"))?;
                Ok(Single::Sqlite(kept))
            }
        }
    }

    /// After a failure: the pool looks at the connection before it is used again.
    pub fn doubt(&mut self) {
        self.kept.give_back();
    }

    /// Begins a transaction that keeps the turn until it ends.
    ///
    /// # Errors
    /// `Unavailable` when the store refuses.
    pub async fn begin(mut self) -> Result<Tx> {
        let inner = match self.pool() {
            Pool::Sqlite(p) => TxInner::Sqlite(sqlite::begin(p).await.map_err(fault)?),
            Pool::Postgres(p) => TxInner::Postgres(p.begin().await.map_err(fault)?),
        };
        Ok(Tx { inner, turn: self.kept })
    }
}

/// A transaction that holds the writer's turn. Dropped without [`Tx::commit`], it is rolled back.
#[derive(Debug)]
pub struct Tx {
    inner: TxInner,
    turn: OwnedMutexGuard<Kept>,
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
    pub async fn commit(self) -> Result<OwnedMutexGuard<Kept>> {
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
