//! The SQL of evals.

use super::{Evidence, Suite};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::db::{Source, Tx, fault};
use crate::{on_source, on_tx};

const SUITES: &str = "select doc from eval_suites order by name";
const PUT_SUITE: &str = "insert into eval_suites (name, updated, doc) values ($1, $2, $3) \
     on conflict (name) do update set updated = excluded.updated, doc = excluded.doc";
const REMOVE_SUITE: &str = "delete from eval_suites where name = $1";
const NEXT: &str = "select coalesce(max(id), 0) + 1 from eval_results";
const ADD: &str =
    "insert into eval_results (id, at, model, version, suite, subject, doc) values ($1, $2, $3, $4, $5, $6, $7)";
const OF_MODEL: &str = "select id, model, doc from eval_results where model = $1 order by id desc limit 2000";
const OF_SUBJECT: &str =
    "select id, model, doc from eval_results where suite = $1 and subject = $2 order by id desc limit 100";
const ONE: &str = "select id, model, doc from eval_results where id = $1";
const REWRITE: &str = "update eval_results set doc = $2 where id = $1";
const ALL: &str = "select id, model, doc from eval_results order by id";
const RENAME: &str = "update eval_results set model = $2 where model = $1";

/// Every statement, for the test that prepares each on both engines.
pub const STATEMENTS: &[&str] =
    &[SUITES, PUT_SUITE, REMOVE_SUITE, NEXT, ADD, OF_MODEL, OF_SUBJECT, ONE, ALL, REWRITE, RENAME];

fn corrupt(e: &serde_json::Error) -> Fault {
    Fault::bug("the store's evals cannot be read").why(e.to_string()).next("restore the last backup")
}

fn text(doc: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(doc).map_err(|e| Fault::bug("document").why(e.to_string()))
}

pub(super) async fn suites(source: Source<'_>) -> Result<Vec<Suite>> {
    let rows: Vec<String> = on_source!(source, e => sqlx::query_scalar(SUITES).fetch_all(e).await).map_err(fault)?;
    rows.iter().map(|doc| serde_json::from_slice(doc.as_bytes()).map_err(|e| corrupt(&e))).collect()
}

pub(super) async fn put_suite(tx: &mut Tx, suite: &Suite, now: Timestamp) -> Result<()> {
    let doc = text(suite)?;
    on_tx!(tx, t => sqlx::query(PUT_SUITE).bind(&suite.name).bind(now.0).bind(doc).execute(&mut *t).await.map(drop))
        .map_err(fault)
}

pub(super) async fn remove_suite(tx: &mut Tx, name: &str) -> Result<()> {
    on_tx!(tx, t => sqlx::query(REMOVE_SUITE).bind(name).execute(&mut *t).await.map(drop)).map_err(fault)
}

/// Gives the result its number.
pub(super) async fn add_result(tx: &mut Tx, evidence: Evidence) -> Result<i64> {
    let id: i64 = on_tx!(tx, t => sqlx::query_scalar(NEXT).fetch_one(&mut *t).await).map_err(fault)?;
    let evidence = Evidence { id, ..evidence };
    let doc = text(&evidence)?;
    on_tx!(tx, t => sqlx::query(ADD)
        .bind(id).bind(evidence.at.0).bind(&evidence.model).bind(i64::from(evidence.version)).bind(&evidence.suite)
        .bind(&evidence.subject).bind(doc).execute(&mut *t).await.map(drop))
    .map_err(fault)?;
    Ok(id)
}

type Row = (i64, String, String);

/// A model may have got another name since.
fn evidence((_, model, doc): &Row) -> Result<Evidence> {
    let evidence: Evidence = serde_json::from_slice(doc.as_bytes()).map_err(|e| corrupt(&e))?;
    Ok(Evidence { model: model.clone(), ..evidence })
}

/// Newest first.
pub(super) async fn results(source: Source<'_>, model: &str) -> Result<Vec<Evidence>> {
    let rows: Vec<Row> =
        on_source!(source, e => sqlx::query_as(OF_MODEL).bind(model).fetch_all(e).await).map_err(fault)?;
    rows.iter().map(evidence).collect()
}

/// Newest first.
pub(super) async fn of_subject(source: Source<'_>, suite: &str, subject: &str) -> Result<Vec<Evidence>> {
    let rows: Vec<Row> =
        on_source!(source, e => sqlx::query_as(OF_SUBJECT).bind(suite).bind(subject).fetch_all(e).await)
            .map_err(fault)?;
    rows.iter().map(evidence).collect()
}

/// A result in other words; its figures stay.
pub(super) async fn rewrite(tx: &mut Tx, evidence: &Evidence) -> Result<()> {
    let doc = text(evidence)?;
    on_tx!(tx, t => sqlx::query(REWRITE).bind(evidence.id).bind(doc).execute(&mut *t).await.map(drop)).map_err(fault)
}

/// Oldest first.
pub(super) async fn all(source: Source<'_>) -> Result<Vec<Evidence>> {
    let rows: Vec<Row> = on_source!(source, e => sqlx::query_as(ALL).fetch_all(e).await).map_err(fault)?;
    rows.iter().map(evidence).collect()
}

pub(super) async fn result(source: Source<'_>, id: i64) -> Result<Option<Evidence>> {
    let row: Option<Row> =
        on_source!(source, e => sqlx::query_as(ONE).bind(id).fetch_optional(e).await).map_err(fault)?;
    row.as_ref().map(evidence).transpose()
}

pub(super) async fn rename(tx: &mut Tx, from: &str, to: &str) -> Result<()> {
    on_tx!(tx, t => sqlx::query(RENAME).bind(from).bind(to).execute(&mut *t).await.map(drop)).map_err(fault)
}
