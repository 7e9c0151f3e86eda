//! Bringing a store's schema up to date: refused when newer, copied first when older.

use std::path::{Path, PathBuf};

use super::{Db, Pool, StoreUrl, fault};
use crate::base::{Fault, fault::Result};
use crate::{on_db, on_tx};

/// The schema's steps, oldest first; the version of a store is how many of them it has taken.
pub const STEPS: &[(&str, &str)] = &[
    ("tracking", include_str!("migrations/0001_tracking.sql")),
    ("registry", include_str!("migrations/0002_registry.sql")),
    ("audit", include_str!("migrations/0003_audit.sql")),
    ("access", include_str!("migrations/0004_access.sql")),
    ("history-audit", include_str!("migrations/0005_history_audit.sql")),
    ("datasets", include_str!("migrations/0006_datasets.sql")),
    ("evals", include_str!("migrations/0007_evals.sql")),
    ("gates", include_str!("migrations/0008_gates.sql")),
    ("training", include_str!("migrations/0022_training.sql")),
    ("incidents", include_str!("migrations/0024_incidents.sql")),
    ("services", include_str!("migrations/0028_services.sql")),
    ("monitoring", include_str!("migrations/0031_monitoring.sql")),
    ("policies", include_str!("migrations/0037_policies.sql")),
    ("cost", include_str!("migrations/0041_cost.sql")),
    ("servers", include_str!("migrations/0042_servers.sql")),
    ("collections", include_str!("migrations/0040_collections.sql")),
    ("keeping", include_str!("migrations/0043_keeping.sql")),
    ("sweeps", include_str!("migrations/0044_sweeps.sql")),
    ("first windows", include_str!("migrations/0045_first_windows.sql")),
    ("hosts", include_str!("migrations/0046_hosts.sql")),
];

/// What this binary reads and writes.
pub fn newest() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

/// How a store stands to this binary.
#[derive(Debug, PartialEq, Eq)]
pub enum Standing {
    /// No schema yet.
    Empty,
    Current,
    /// The version it has.
    Older(i64),
}

/// # Errors
/// `Refused` when a newer opsroom has written the store.
pub async fn standing(db: &Db) -> Result<Standing> {
    let version = version(db.read()).await?;
    match version {
        None => Ok(Standing::Empty),
        Some(v) if v == newest() => Ok(Standing::Current),
        Some(v) if v < newest() => Ok(Standing::Older(v)),
        Some(v) => Err(Fault::refused(format!("the store has schema {v}, this opsroom knows up to {}", newest()))
            .why("a newer opsroom has written it")
            .next("run that newer opsroom, or restore the backup taken before the upgrade")),
    }
}

/// Opens for the agent: a new store gets its schema; an older `SQLite` store is copied beside itself and brought
/// up to date; an older `PostgreSQL` store waits for an explicit `opsroom agent migrate`.
///
/// # Errors
/// `Refused` as said; `Unavailable` when the store cannot be read or written.
pub async fn bring_up_to_date(db: &Db, url: &StoreUrl, explicit: bool) -> Result<()> {
    match standing(db).await? {
        Standing::Current => Ok(()),
        Standing::Empty => apply(db, 0, newest()).await,
        Standing::Older(v) => match url {
            StoreUrl::Sqlite(path) => {
                let copy = copy_before(db, path, v).await?;
                tracing::info!("store migrated from schema {v} to {}; copy kept at {}", newest(), copy.display());
                apply(db, v, newest()).await
            }
            StoreUrl::Postgres(_) if explicit => apply(db, v, newest()).await,
            StoreUrl::Postgres(_) => {
                Err(Fault::refused(format!("the PostgreSQL store has schema {v}, this opsroom needs {}", newest()))
                    .next("take a dump, then run `opsroom agent migrate --store …`"))
            }
        },
    }
}

/// `None` when there is no schema.
async fn version(pool: &Pool) -> Result<Option<i64>> {
    const VERSION: &str = "select coalesce(max(version), cast(0 as bigint)) from schema_version";
    match on_db!(pool, p => sqlx::query_scalar::<_, i64>(VERSION).fetch_one(p).await) {
        Ok(version) => Ok(Some(version)),
        Err(e) if no_such_table(&e) => Ok(None),
        Err(e) => Err(fault(e)),
    }
}

/// Nothing else may pass for an empty store: a locked or unreachable one would be given a schema a second time.
fn no_such_table(e: &sqlx::Error) -> bool {
    e.as_database_error()
        .is_some_and(|e| e.code().as_deref() == Some("42P01") || e.message().starts_with("no such table"))
}

/// Takes the store from one version of the schema to another, in one transaction.
///
/// # Errors
/// `Unavailable` when the store refuses; then it stays as it was.
pub async fn apply(db: &Db, from: i64, to: i64) -> Result<()> {
    const CREATE: &str = "create table if not exists schema_version (version bigint not null, name text not null)";
    const ADD: &str = "insert into schema_version (version, name) values ($1, $2)";
    let mut tx = db.begin().await?;
    on_tx!(tx, t => sqlx::raw_sql(CREATE).execute(&mut *t).await.map(drop)).map_err(fault)?;
    for (version, (name, sql)) in (1_i64..).zip(STEPS).filter(|(version, _)| *version > from && *version <= to) {
        on_tx!(tx, t => sqlx::raw_sql(*sql).execute(&mut *t).await.map(drop))
            .map_err(fault)
            .map_err(|f| Fault { what: format!("migration {name}: {}", f.what), ..f })?;
        on_tx!(tx, t => sqlx::query(ADD).bind(version).bind(*name).execute(&mut *t).await.map(drop)).map_err(fault)?;
    }
    tx.commit().await?;
    Ok(())
}

/// A consistent copy of a `SQLite` store into a file that does not exist yet.
///
/// # Errors
/// `Exists` when something is there; `Unavailable` when it cannot be written.
pub async fn copy_sqlite(db: &Db, to: &Path) -> Result<()> {
    if to.exists() {
        return Err(Fault::exists(format!("{} exists already", to.display())).next("name a place that is empty"));
    }
    let Pool::Sqlite(pool) = db.read() else {
        return Err(Fault::invalid("not a SQLite store").next("use pg_dump for a PostgreSQL store"));
    };
    // `vacuum into` reads one snapshot while writers go on.
    let target = to.to_string_lossy().into_owned();
    sqlx::query("vacuum into $1").bind(target).execute(pool).await.map_err(fault)?;
    std::fs::File::open(to)
        .and_then(|file| file.sync_all())
        .map_err(|e| Fault::unavailable(format!("cannot write {}", to.display())).why(e.to_string()))
}

async fn copy_before(db: &Db, path: &Path, version: i64) -> Result<PathBuf> {
    let mut copy = path.as_os_str().to_owned();
    copy.push(format!(".before-schema-{}", newest()));
    let copy = PathBuf::from(copy);
    if copy.exists() {
        return Err(Fault::exists(format!("the copy {} exists already", copy.display()))
            .why(format!("an earlier migration from schema {version} did not end"))
            .next("look at it, move it away, and start again"));
    }
    copy_sqlite(db, &copy).await?;
    Ok(copy)
}
