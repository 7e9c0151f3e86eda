//! The SQL of hosts.

use super::{Host, MINUTE_US, Minute, Told};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::db::{Source, Tx, fault};
use crate::{on_source, on_tx};

const SEQUENCE: &str = "select sequence from host_edges where edge = $1";
const PUT_EDGE: &str = "insert into host_edges (edge, host, sequence, seen, doc) values ($1, $2, $3, $4, $5) \
     on conflict (edge) do update set host = excluded.host, sequence = excluded.sequence, seen = excluded.seen, \
     doc = excluded.doc";
const EDGE: &str = "select doc from host_edges where edge = $1";
const HOSTS: &str = "select doc from host_edges order by host, edge";
const PUT_MINUTE: &str = "insert into host_minutes (host, minute, doc) values ($1, $2, $3) \
     on conflict (host, minute) do update set doc = excluded.doc";
const MINUTES: &str = "select doc from host_minutes where host = $1 and minute >= $2 and minute < $3 order by minute";
const BEFORE: &str =
    "select count(*), cast(coalesce(sum(length(doc)), 0) as bigint) from host_minutes where minute < $1";
const REMOVE_BEFORE: &str = "delete from host_minutes where minute < $1";

/// Every statement, for the test that prepares each on both engines.
pub const STATEMENTS: &[&str] = &[SEQUENCE, PUT_EDGE, EDGE, HOSTS, PUT_MINUTE, MINUTES, BEFORE, REMOVE_BEFORE];

fn read<T: serde::de::DeserializeOwned>(doc: &str) -> Result<T> {
    serde_json::from_slice(doc.as_bytes())
        .map_err(|e| Fault::bug("the store's hosts cannot be read").why(e.to_string()).next("restore the last backup"))
}

fn text(doc: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(doc).map_err(|e| Fault::bug("document").why(e.to_string()))
}

pub(super) async fn sequence(tx: &mut Tx, edge: &str) -> Result<Option<i64>> {
    on_tx!(tx, t => sqlx::query_scalar(SEQUENCE).bind(edge).fetch_optional(&mut *t).await).map_err(fault)
}

/// How the edge stands now; without a newer minute the one that is known stays.
pub(super) async fn put_edge(
    tx: &mut Tx,
    told: &Told,
    newest: i64,
    edge: bool,
    last: Option<&Minute>,
    now: Timestamp,
) -> Result<()> {
    let known: Option<String> =
        on_tx!(tx, t => sqlx::query_scalar(EDGE).bind(&told.edge).fetch_optional(&mut *t).await).map_err(fault)?;
    let known: Option<Host> = known.map(|doc| read(&doc)).transpose()?;
    let host = Host {
        name: told.host.clone(),
        edge,
        version: told.version.clone(),
        seen: now,
        away: false,
        dropped: told.dropped,
        newest: last.cloned().or_else(|| known.and_then(|k| k.newest)),
    };
    let doc = text(&host)?;
    on_tx!(tx, t => sqlx::query(PUT_EDGE).bind(&told.edge).bind(&told.host).bind(newest).bind(now.0).bind(doc)
        .execute(&mut *t).await.map(drop))
    .map_err(fault)
}

pub(super) async fn hosts(source: Source<'_>) -> Result<Vec<Host>> {
    let docs: Vec<String> = on_source!(source, e => sqlx::query_scalar(HOSTS).fetch_all(e).await).map_err(fault)?;
    docs.iter().map(|d| read(d)).collect()
}

pub(super) async fn put_minute(tx: &mut Tx, host: &str, minute: &Minute) -> Result<()> {
    let doc = text(minute)?;
    let number = minute.at.0.div_euclid(MINUTE_US);
    on_tx!(tx, t => sqlx::query(PUT_MINUTE).bind(host).bind(number).bind(doc).execute(&mut *t).await.map(drop))
        .map_err(fault)
}

pub(super) async fn minutes(source: Source<'_>, host: &str, from: Timestamp, to: Timestamp) -> Result<Vec<Minute>> {
    let (from, to) = (from.0.div_euclid(MINUTE_US), to.0.div_euclid(MINUTE_US) + 1);
    let docs: Vec<String> =
        on_source!(source, e => sqlx::query_scalar(MINUTES).bind(host).bind(from).bind(to).fetch_all(e).await)
            .map_err(fault)?;
    docs.iter().map(|d| read(d)).collect()
}

pub(super) async fn before(source: Source<'_>, before: Timestamp) -> Result<(u64, u64)> {
    let minute = before.0.div_euclid(MINUTE_US);
    let (n, bytes): (i64, i64) =
        on_source!(source, e => sqlx::query_as(BEFORE).bind(minute).fetch_one(e).await).map_err(fault)?;
    Ok((u64::try_from(n).unwrap_or(0), u64::try_from(bytes).unwrap_or(0)))
}

pub(super) async fn remove_before(tx: &mut Tx, before: Timestamp) -> Result<()> {
    let minute = before.0.div_euclid(MINUTE_US);
    on_tx!(tx, t => sqlx::query(REMOVE_BEFORE).bind(minute).execute(&mut *t).await.map(drop)).map_err(fault)
}
