//! The SQL of the audit trail. There is no update and no delete of the chain here, on purpose.

use super::{AuditPage, AuditQuery, Detail, PAGE_ROWS_MAX, Record};
use crate::base::{Timestamp, fault::Result};
use crate::db::{Pool, Source, Tx, fault};
use crate::{on_db, on_source, on_tx, row_struct};

const TIP: &str = "select seq, digest from audit_chain order by seq desc limit 1";
const PUT: &str = "insert into audit_chain \
     (seq, at, actor, verified, via, command, target, outcome, idempotency_key, detail_digest, previous, digest) \
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
const PUT_DETAIL: &str = "insert into audit_details (seq, salt, detail) values ($1, $2, $3)";
const LIST: &str = "select c.seq, c.at, c.actor, c.verified, c.via, c.command, c.target, c.outcome, \
     c.idempotency_key, c.detail_digest, c.previous, c.digest, d.salt, d.detail \
     from audit_chain c left join audit_details d on d.seq = c.seq \
     where c.seq < $1 and c.at >= $2 and c.at < $3 \
     and ($4 = '' or lower(c.actor) = $4) and ($5 = '' or c.command = $5) \
     and ($6 = '' or lower(c.target) like $6 escape '!') \
     and ($7 = '' or ($7 = 'ok' and c.outcome = 'ok') or ($7 = 'refused' and c.outcome <> 'ok')) \
     and ($8 = '' or c.via = $8) and ($9 = '' or lower(c.actor) <> $9) \
     and ($10 = '' or lower(c.actor || ' ' || c.command || ' ' || c.target) like $10 escape '!' \
          or lower(d.detail) like $10 escape '!') \
     order by c.seq desc limit $11 offset $12";
const MATCHED: &str = "select count(*) from audit_chain c left join audit_details d on d.seq = c.seq \
     where c.at >= $1 and c.at < $2 \
     and ($3 = '' or lower(c.actor) = $3) and ($4 = '' or c.command = $4) \
     and ($5 = '' or lower(c.target) like $5 escape '!') \
     and ($6 = '' or ($6 = 'ok' and c.outcome = 'ok') or ($6 = 'refused' and c.outcome <> 'ok')) \
     and ($7 = '' or c.via = $7) and ($8 = '' or lower(c.actor) <> $8) \
     and ($9 = '' or lower(c.actor || ' ' || c.command || ' ' || c.target) like $9 escape '!' \
          or lower(d.detail) like $9 escape '!')";
const ONE: &str = "select c.seq, c.at, c.actor, c.verified, c.via, c.command, c.target, c.outcome, \
     c.idempotency_key, c.detail_digest, c.previous, c.digest, d.salt, d.detail \
     from audit_chain c left join audit_details d on d.seq = c.seq where c.seq = $1";
const BY_KEY: &str = "select c.seq, c.at, c.actor, c.verified, c.via, c.command, c.target, c.outcome, \
     c.idempotency_key, c.detail_digest, c.previous, c.digest, d.salt, d.detail \
     from audit_chain c left join audit_details d on d.seq = c.seq where c.idempotency_key = $1";
const ONWARD: &str = "select c.seq, c.at, c.actor, c.verified, c.via, c.command, c.target, c.outcome, \
     c.idempotency_key, c.detail_digest, c.previous, c.digest, d.salt, d.detail \
     from audit_chain c left join audit_details d on d.seq = c.seq where c.seq > $1 order by c.seq limit 1000";
const COUNT: &str = "select count(*) from audit_chain";
const LAST: &str =
    "select target, cast(max(at) as bigint) from audit_chain where command = $1 and outcome = 'ok' group by target";

/// Every statement, for the test that prepares each on both engines.
pub const STATEMENTS: &[&str] = &[TIP, PUT, PUT_DETAIL, LIST, MATCHED, ONE, BY_KEY, ONWARD, COUNT, LAST];

row_struct! {
    /// A link with what is needed to check its texts.
    #[derive(Debug)]
    pub(super) struct Row {
        seq: i64,
        at: i64,
        actor: String,
        verified: bool,
        via: String,
        command: String,
        target: String,
        outcome: String,
        idempotency_key: Option<String>,
        detail_digest: String,
        previous: String,
        digest: String,
        pub(super) salt: Option<String>,
        pub(super) detail: Option<String>,
    }
}

impl Row {
    pub(super) fn record(self) -> Record {
        let detail: Option<Detail> = self.detail.and_then(|text| serde_json::from_slice(text.as_bytes()).ok());
        Record {
            seq: self.seq,
            at: Timestamp(self.at),
            actor: self.actor,
            verified: self.verified,
            via: self.via,
            command: self.command,
            target: self.target,
            outcome: self.outcome,
            idempotency_key: self.idempotency_key,
            detail_digest: self.detail_digest,
            previous: self.previous,
            digest: self.digest,
            detail,
        }
    }
}

pub(super) async fn tip(source: Source<'_>) -> Result<Option<(i64, String)>> {
    on_source!(source, e => sqlx::query_as(TIP).fetch_optional(e).await).map_err(fault)
}

pub(super) async fn put(tx: &mut Tx, r: &Record, salt: &str, detail: &str) -> Result<()> {
    on_tx!(tx, t => sqlx::query(PUT)
        .bind(r.seq).bind(r.at.0).bind(&r.actor).bind(r.verified).bind(&r.via).bind(&r.command).bind(&r.target)
        .bind(&r.outcome).bind(&r.idempotency_key).bind(&r.detail_digest).bind(&r.previous).bind(&r.digest)
        .execute(&mut *t).await.map(drop))
    .map_err(fault)?;
    on_tx!(tx, t => sqlx::query(PUT_DETAIL).bind(r.seq).bind(salt).bind(detail).execute(&mut *t).await.map(drop))
        .map_err(fault)
}

/// A text as `like` takes it, anywhere; nothing for no text.
fn part(text: Option<&String>) -> String {
    let escaped = |t: &String| t.to_lowercase().replace('!', "!!").replace('%', "!%").replace('_', "!_");
    text.map(|t| format!("%{}%", escaped(t))).unwrap_or_default()
}

pub(super) async fn list(pool: &Pool, query: &AuditQuery) -> Result<AuditPage> {
    let limit = if query.limit == 0 { 100 } else { query.limit.min(PAGE_ROWS_MAX) };
    let outcome = match query.refused {
        None => "",
        Some(false) => "ok",
        Some(true) => "refused",
    };
    let (since, until) = (query.since.map_or(i64::MIN, |t| t.0), query.until.map_or(i64::MAX, |t| t.0));
    let given = |text: &Option<String>| text.clone().unwrap_or_default().to_lowercase();
    let rows: Vec<Row> = on_db!(pool, p => sqlx::query_as(LIST)
        .bind(query.before.unwrap_or(i64::MAX)).bind(since).bind(until)
        .bind(given(&query.actor)).bind(given(&query.command)).bind(part(query.target.as_ref())).bind(outcome)
        .bind(given(&query.via)).bind(given(&query.not_actor)).bind(part(query.text.as_ref()))
        .bind(i64::try_from(limit).unwrap_or(100)).bind(i64::try_from(query.offset).unwrap_or(0))
        .fetch_all(p).await)
    .map_err(fault)?;
    let total: i64 = on_db!(pool, p => sqlx::query_scalar(COUNT).fetch_one(p).await).map_err(fault)?;
    let matched: i64 = if query.fits_all() {
        total
    } else {
        on_db!(pool, p => sqlx::query_scalar(MATCHED)
            .bind(since).bind(until)
            .bind(given(&query.actor)).bind(given(&query.command)).bind(part(query.target.as_ref())).bind(outcome)
            .bind(given(&query.via)).bind(given(&query.not_actor)).bind(part(query.text.as_ref()))
            .fetch_one(p).await)
        .map_err(fault)?
    };
    Ok(AuditPage { records: rows.into_iter().map(Row::record).collect(), total, matched })
}

pub(super) async fn one(source: Source<'_>, seq: i64) -> Result<Option<Record>> {
    let row: Option<Row> =
        on_source!(source, e => sqlx::query_as(ONE).bind(seq).fetch_optional(e).await).map_err(fault)?;
    Ok(row.map(Row::record))
}

pub(super) async fn by_key(source: Source<'_>, key: &str) -> Result<Option<Record>> {
    let row: Option<Row> =
        on_source!(source, e => sqlx::query_as(BY_KEY).bind(key).fetch_optional(e).await).map_err(fault)?;
    Ok(row.map(Row::record))
}

/// The next thousand links after `seq`, oldest first.
pub(super) async fn onward(pool: &Pool, seq: i64) -> Result<Vec<Row>> {
    on_db!(pool, p => sqlx::query_as(ONWARD).bind(seq).fetch_all(p).await).map_err(fault)
}

/// When each target last had a command done to it.
pub(super) async fn last(pool: &Pool, command: &str) -> Result<Vec<(String, i64)>> {
    on_db!(pool, p => sqlx::query_as(LAST).bind(command).fetch_all(p).await).map_err(fault)
}
