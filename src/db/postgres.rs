//! Opening a `PostgreSQL` store: readers side by side, and one writing session that no second agent can have.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgConnection, PgPoolOptions};

use crate::base::{Fault, fault::Result};

const READERS_MAX: u32 = 8;
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// "opsroomw" in ASCII, as the number of the writing session's advisory lock.
const WRITER_KEY: i64 = 0x6F70_7372_6F6F_6D77;

const CREATE: &str = "create table if not exists store_writer (id bigint primary key, epoch bigint not null)";
const NEXT_EPOCH: &str = "insert into store_writer (id, epoch) values (1, 1) \
     on conflict (id) do update set epoch = store_writer.epoch + 1 returning epoch";
const EPOCH: &str = "select epoch from store_writer where id = 1";

/// Readers, and the single writing session.
pub(super) async fn open(url: &str) -> Result<(PgPool, PgPool)> {
    let unreachable = |e: sqlx::Error| {
        Fault::unavailable("cannot reach the PostgreSQL store")
            .why(e.to_string())
            .next("check --store, that the server runs, and its access rules")
    };
    let readers = PgPoolOptions::new()
        .max_connections(READERS_MAX)
        .acquire_timeout(ANSWER_WITHIN)
        .connect(url)
        .await
        .map_err(unreachable)?;
    let epoch = Arc::new(AtomicI64::new(0));
    let writer = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ANSWER_WITHIN)
        .idle_timeout(None)
        .max_lifetime(None)
        .after_connect(move |session, _| {
            let epoch = epoch.clone();
            Box::pin(async move { become_the_writer(session, &epoch).await })
        })
        .connect(url)
        .await
        .map_err(unreachable)?;
    Ok((readers, writer))
}

/// The memory of an agent is right only while nobody else writes. A session that breaks gives its lock up, so the one
/// that follows takes the lock again and sees that no other agent has written in between.
async fn become_the_writer(session: &mut PgConnection, epoch: &AtomicI64) -> sqlx::Result<()> {
    let alone: bool =
        sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(WRITER_KEY).fetch_one(&mut *session).await?;
    if !alone {
        return Err(sqlx::Error::Protocol("another agent writes to this store".to_owned()));
    }
    let ours = epoch.load(Ordering::Acquire);
    if ours == 0 {
        sqlx::raw_sql(CREATE).execute(&mut *session).await?;
        epoch.store(sqlx::query_scalar(NEXT_EPOCH).fetch_one(session).await?, Ordering::Release);
        return Ok(());
    }
    let now: i64 = sqlx::query_scalar(EPOCH).fetch_one(session).await?;
    if now != ours {
        return Err(sqlx::Error::Protocol(
            "another agent has written to this store since; start this one again".to_owned(),
        ));
    }
    Ok(())
}
