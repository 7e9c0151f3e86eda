//! Stores of both engines for tests: one body runs on `SQLite`, and on `PostgreSQL` where a server is named.
#![allow(dead_code)] // each test takes what it needs

use std::path::{Path, PathBuf};
use std::sync::Arc;

use opsroom::base::{Clock, Timestamp};
use opsroom::capability::access::Role;
use opsroom::capability::audit::{Via, Who};
use opsroom::capability::monitoring::counters::Counters;
use opsroom::capability::tracking::{Artifacts, Tracking};
use opsroom::capability::{Actor, Ctx, Hints, Settings};
use opsroom::db::blobs::Blobs;
use opsroom::db::{Db, StoreUrl, migrate};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Names a `PostgreSQL` server on which databases may be made: `postgres://USER@HOST:PORT/DATABASE`.
const SERVER: &str = "OPSROOM_TEST_POSTGRES";

/// An empty place for a store, thrown away in the end.
pub struct Place {
    pub url: StoreUrl,
    pub folder: tempfile::TempDir,
}

impl Place {
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { url: StoreUrl::Sqlite(folder.path().join("opsroom.db")), folder }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The whole address, for a session beside the store's own.
    pub fn url_text(&self) -> String {
        match &self.url {
            StoreUrl::Sqlite(path) => path.display().to_string(),
            StoreUrl::Postgres(url) => url.clone(),
        }
    }

    /// The file of a `SQLite` store.
    pub fn file(&self) -> PathBuf {
        self.path().join("opsroom.db")
    }

    /// Opens the store and brings its schema up to date.
    pub async fn db(&self) -> Db {
        let db = Db::open(&self.url).await.unwrap();
        migrate::bring_up_to_date(&db, &self.url, false).await.unwrap();
        db
    }

    /// Everything the rooms work with, on this store.
    pub async fn ctx(&self) -> Ctx {
        self.ctx_with(Settings::default()).await
    }

    pub async fn ctx_with(&self, settings: Settings) -> Ctx {
        let db = self.db().await;
        let hints = Hints::default();
        let tracking = Tracking::open(db.clone(), hints.clone()).await.unwrap();
        tracking.ensure_default(Timestamp(0)).await.unwrap();
        let blobs = Blobs::open(&self.path().join("artifacts").to_string_lossy()).unwrap();
        let artifacts = Artifacts::open(&db, blobs).await.unwrap();
        let counters = Counters::open(db.clone(), Some(artifacts.blobs().clone())).await.unwrap();
        Ctx {
            db,
            clock: Arc::new(Ticking::default()),
            hints,
            tracking,
            artifacts,
            hours: opsroom::capability::cost::Hours::default(),
            gathered: opsroom::capability::rollout::judge::Gathered::default(),
            counters,
            settings: Arc::new(settings),
        }
    }
}

/// A clock that goes one second on with each look.
#[derive(Default)]
pub struct Ticking(std::sync::atomic::AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp(1_000_000 * (1 + self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed)))
    }
}

pub fn actor(name: &str, role: Role) -> Actor {
    Actor { who: Who { name: name.to_owned(), verified: true, via: Via::Cli }, role, can_give_reason: true }
}

pub fn kim() -> Actor {
    actor("kim", Role::Admin)
}

/// Runs a test on `SQLite`, and on `PostgreSQL` if a server is named. In CI it has to be.
pub async fn on_each_engine(test: impl AsyncFn(&Place)) {
    test(&Place::sqlite()).await;
    on_postgres(test).await;
}

pub async fn on_postgres(test: impl AsyncFn(&Place)) {
    let Ok(server) = std::env::var(SERVER) else {
        assert!(std::env::var("CI").is_err(), "PostgreSQL tests need {SERVER}; `.ci/postgres.sh start` gives one");
        eprintln!("skipped: PostgreSQL tests need {SERVER}");
        return;
    };
    let name = format!("opsroom_{:032x}", opsroom::base::id::random_u128());
    let mut admin = PgConnection::connect(&server).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("create database {name}"))).execute(&mut admin).await.unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    let place = Place { url: StoreUrl::Postgres(format!("{base}/{name}")), folder: tempfile::tempdir().unwrap() };
    test(&place).await;
    sqlx::raw_sql(AssertSqlSafe(format!("drop database {name} with (force)"))).execute(&mut admin).await.unwrap();
}
