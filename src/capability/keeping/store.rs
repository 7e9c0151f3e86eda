//! The SQL of keeping: erasures, backups that were made, and where texts of other rooms mention somebody.

use super::erase::{Begun, Erasure, State};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::db::{Pool, Tx, fault};
use crate::{on_db, on_tx};

const ANNOUNCE: &str = "insert into erasures (digest, at, state, kind, subject, doc) values ($1, $2, 'announced', $3, $4, '{}') \
     on conflict (digest) do update set at = excluded.at, state = 'announced', subject = excluded.subject";
const BEGIN: &str = "update erasures set state = 'begun', at = $2 where digest = $1 and subject is not null";
const CLEAR: &str = "update erasures set subject = null, doc = $2 where digest = $1";
const CLEARED: &str = "select count(*) from erasures where state = 'begun' and subject is null";
const END: &str = "update erasures set state = 'done' where state = 'begun' and subject is null";
const FORGET: &str = "delete from erasures where state = 'announced' and at < $1";
const BEGUN: &str = "select digest, kind, subject from erasures where state = 'begun' order by at, digest";
const ALL: &str = "select digest, at, state, kind, doc from erasures order by at desc, digest";
const ADD_BACKUP: &str = "insert into backups_made (made, place, bytes) values ($1, $2, $3) on conflict do nothing";
const BACKUPS: &str = "select made, place from backups_made order by made desc";

const IN_RUNS: &str = "select run_id from runs where doc like $1 escape '!' order by run_id limit 100";
const IN_MODELS: &str = "select model || ' v' || version from model_versions where doc like $1 escape '!' \
     order by model, version limit 100";
const IN_DECISIONS: &str =
    "select cast(id as text) from gate_decisions where doc like $1 escape '!' order by id limit 100";
const IN_INCIDENTS: &str = "select cast(id as text) from incidents where doc like $1 escape '!' order by id limit 100";
const IN_AUDIT: &str =
    "select cast(seq as text) from audit_details where detail like $1 escape '!' order by seq limit 100";

/// What may mention somebody, in words, and how it is asked.
const MENTIONS: &[(&str, &str)] = &[
    ("run", IN_RUNS),
    ("model version", IN_MODELS),
    ("gate decision", IN_DECISIONS),
    ("incident", IN_INCIDENTS),
    ("audit record", IN_AUDIT),
];

/// Every statement, for the test that prepares each on both engines.
pub const STATEMENTS: &[&str] = &[
    ANNOUNCE,
    BEGIN,
    END,
    FORGET,
    BEGUN,
    CLEAR,
    CLEARED,
    ALL,
    ADD_BACKUP,
    BACKUPS,
    IN_RUNS,
    IN_MODELS,
    IN_DECISIONS,
    IN_INCIDENTS,
    IN_AUDIT,
];

/// Announcements that nobody decided on go again.
pub(super) async fn announce(
    tx: &mut Tx,
    digest: &str,
    kind: &str,
    subject: &str,
    now: Timestamp,
    old: Timestamp,
) -> Result<()> {
    on_tx!(tx, t => sqlx::query(FORGET).bind(old.0).execute(&mut *t).await.map(drop)).map_err(fault)?;
    on_tx!(tx, t => sqlx::query(ANNOUNCE).bind(digest).bind(now.0).bind(kind).bind(subject).execute(&mut *t).await.map(drop))
        .map_err(fault)
}

/// Whether there was one to begin.
pub(super) async fn begin(tx: &mut Tx, digest: &str, now: Timestamp) -> Result<bool> {
    let rows =
        on_tx!(tx, t => sqlx::query(BEGIN).bind(digest).bind(now.0).execute(&mut *t).await.map(|d| d.rows_affected()))
            .map_err(fault)?;
    Ok(rows > 0)
}

/// The name goes; the store's log may still hold it.
pub(super) async fn clear(tx: &mut Tx, digest: &str, doc: &str) -> Result<()> {
    on_tx!(tx, t => sqlx::query(CLEAR).bind(digest).bind(doc).execute(&mut *t).await.map(drop)).map_err(fault)
}

/// Whether one is cleared of which the log is not known to have let go.
pub(super) async fn cleared(pool: &Pool) -> Result<bool> {
    let n: i64 = on_db!(pool, p => sqlx::query_scalar(CLEARED).fetch_one(p).await).map_err(fault)?;
    Ok(n > 0)
}

pub(super) async fn end(tx: &mut Tx) -> Result<()> {
    on_tx!(tx, t => sqlx::query(END).execute(&mut *t).await.map(drop)).map_err(fault)
}

pub(super) async fn begun(pool: &Pool) -> Result<Vec<Begun>> {
    let rows: Vec<(String, String, Option<String>)> =
        on_db!(pool, p => sqlx::query_as(BEGUN).fetch_all(p).await).map_err(fault)?;
    let one = |(digest, kind, subject): (String, String, Option<String>)| {
        Some(Begun { person: super::erase::person(&kind, subject?)?, digest })
    };
    Ok(rows.into_iter().filter_map(one).collect())
}

pub(super) async fn all(pool: &Pool) -> Result<Vec<Erasure>> {
    let rows: Vec<(String, i64, String, String, String)> =
        on_db!(pool, p => sqlx::query_as(ALL).fetch_all(p).await).map_err(fault)?;
    let one = |(digest, at, state, kind, doc): (String, i64, String, String, String)| {
        let state = State::parse(&state);
        let damaged = |e: serde_json::Error| {
            Fault::bug("the store's erasures cannot be read").why(e.to_string()).next("restore the last backup")
        };
        let found =
            (state == State::Done).then(|| serde_json::from_slice(doc.as_bytes()).map_err(damaged)).transpose()?;
        Ok(Erasure { digest, at: Timestamp(at), state, kind, found })
    };
    rows.into_iter().map(one).collect()
}

pub(super) async fn add_backup(tx: &mut Tx, made: Timestamp, place: &str, bytes: u64) -> Result<()> {
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    on_tx!(tx, t => sqlx::query(ADD_BACKUP).bind(made.0).bind(place).bind(bytes).execute(&mut *t).await.map(drop))
        .map_err(fault)
}

pub(super) async fn backups(pool: &Pool) -> Result<Vec<(i64, String)>> {
    on_db!(pool, p => sqlx::query_as(BACKUPS).fetch_all(p).await).map_err(fault)
}

/// What mentions a text, in any case of its letters that the engine takes for the same: kind and name.
pub(super) async fn mentions(pool: &Pool, text: &str) -> Result<Vec<(&'static str, String)>> {
    let mut found = Vec::new();
    let inside = serde_json::to_string(text).map_err(|e| Fault::bug("text").why(e.to_string()))?;
    let inside = inside.trim_matches('"').replace('!', "!!").replace('%', "!%").replace('_', "!_");
    let pattern = format!("%{inside}%");
    for (kind, sql) in MENTIONS {
        let names: Vec<String> =
            on_db!(pool, p => sqlx::query_scalar(*sql).bind(&pattern).fetch_all(p).await).map_err(fault)?;
        found.extend(names.into_iter().map(|name| (*kind, name)));
    }
    Ok(found)
}
