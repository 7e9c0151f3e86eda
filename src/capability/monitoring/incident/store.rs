//! The SQL of alerts and incidents.

use super::{AlertRule, Incident, Notice};
use crate::base::{Fault, fault::Result};
use crate::db::{Source, Tx, fault};
use crate::{on_source, on_tx};

const RULES: &str = "select doc from alert_rules order by name";
const PUT_RULE: &str = "insert into alert_rules (name, doc) values ($1, $2) \
     on conflict (name) do update set doc = excluded.doc";
const HAS_RULE: &str = "select cast(count(*) as bigint) from alert_rules where name = $1";
const REMOVE_RULE: &str = "delete from alert_rules where name = $1";
const INCIDENTS: &str = "select doc from incidents where ($1 = '' or service = $1) order by id desc limit 500";
const INCIDENT: &str = "select doc from incidents where id = $1";
const NEWEST: &str = "select doc from incidents where service = $1 order by id desc limit 1";
const NEXT_ID: &str = "select coalesce(max(id), 0) + 1 from incidents";
const PUT_INCIDENT: &str = "insert into incidents (id, service, doc) values ($1, $2, $3) \
     on conflict (id) do update set doc = excluded.doc";
const ADD_NOTICE: &str = "insert into incident_notices (id, doc) \
     values ((select coalesce(max(id), 0) + 1 from incident_notices), $1)";
const NOTICES: &str = "select id, doc from incident_notices where told = 0 order by id limit 1000";
const END_NOTICE: &str = "update incident_notices set told = 1 where id = $1";

/// Every statement, for the test that prepares each on both engines.
pub const STATEMENTS: &[&str] = &[
    RULES,
    PUT_RULE,
    HAS_RULE,
    REMOVE_RULE,
    INCIDENTS,
    INCIDENT,
    NEWEST,
    NEXT_ID,
    PUT_INCIDENT,
    ADD_NOTICE,
    NOTICES,
    END_NOTICE,
];

fn read<T: serde::de::DeserializeOwned>(doc: &str) -> Result<T> {
    serde_json::from_slice(doc.as_bytes()).map_err(|e| {
        Fault::bug("the store's incidents cannot be read").why(e.to_string()).next("restore the last backup")
    })
}

fn text(doc: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(doc).map_err(|e| Fault::bug("document").why(e.to_string()))
}

pub(super) async fn rules(source: Source<'_>) -> Result<Vec<AlertRule>> {
    let docs: Vec<String> = on_source!(source, e => sqlx::query_scalar(RULES).fetch_all(e).await).map_err(fault)?;
    docs.iter().map(|d| read(d)).collect()
}

/// Whether there was one of that name.
pub(super) async fn put_rule(tx: &mut Tx, rule: &AlertRule) -> Result<bool> {
    let before: i64 =
        on_tx!(tx, t => sqlx::query_scalar(HAS_RULE).bind(&rule.name).fetch_one(&mut *t).await).map_err(fault)?;
    let doc = text(rule)?;
    on_tx!(tx, t => sqlx::query(PUT_RULE).bind(&rule.name).bind(doc).execute(&mut *t).await.map(drop))
        .map_err(fault)?;
    Ok(before > 0)
}

pub(super) async fn remove_rule(tx: &mut Tx, name: &str) -> Result<u64> {
    on_tx!(tx, t => sqlx::query(REMOVE_RULE).bind(name).execute(&mut *t).await.map(|done| done.rows_affected()))
        .map_err(fault)
}

/// Newest first.
pub(super) async fn incidents(source: Source<'_>, service: Option<&str>) -> Result<Vec<Incident>> {
    let service = service.unwrap_or_default();
    let docs: Vec<String> =
        on_source!(source, e => sqlx::query_scalar(INCIDENTS).bind(service).fetch_all(e).await).map_err(fault)?;
    docs.iter().map(|d| read(d)).collect()
}

pub(super) async fn incident(source: Source<'_>, id: i64) -> Result<Option<Incident>> {
    let doc: Option<String> =
        on_source!(source, e => sqlx::query_scalar(INCIDENT).bind(id).fetch_optional(e).await).map_err(fault)?;
    doc.map(|d| read(&d)).transpose()
}

pub(super) async fn newest(source: Source<'_>, service: &str) -> Result<Option<Incident>> {
    let doc: Option<String> =
        on_source!(source, e => sqlx::query_scalar(NEWEST).bind(service).fetch_optional(e).await).map_err(fault)?;
    doc.map(|d| read(&d)).transpose()
}

pub(super) async fn next_id(tx: &mut Tx) -> Result<i64> {
    on_tx!(tx, t => sqlx::query_scalar(NEXT_ID).fetch_one(&mut *t).await).map_err(fault)
}

pub(super) async fn put_incident(tx: &mut Tx, incident: &Incident) -> Result<()> {
    let doc = text(incident)?;
    on_tx!(tx, t => sqlx::query(PUT_INCIDENT).bind(incident.id).bind(&incident.service).bind(doc)
        .execute(&mut *t).await.map(drop))
    .map_err(fault)
}

pub(super) async fn add_notice(tx: &mut Tx, notice: &Notice) -> Result<()> {
    let doc = text(notice)?;
    on_tx!(tx, t => sqlx::query(ADD_NOTICE).bind(doc).execute(&mut *t).await.map(drop)).map_err(fault)
}

/// Not told yet, oldest first.
pub(super) async fn notices(source: Source<'_>) -> Result<Vec<Notice>> {
    let rows: Vec<(i64, String)> =
        on_source!(source, e => sqlx::query_as(NOTICES).fetch_all(e).await).map_err(fault)?;
    rows.into_iter().map(|(id, doc)| Ok(Notice { id, ..read(&doc)? })).collect()
}

pub(super) async fn end_notice(tx: &mut Tx, id: i64) -> Result<()> {
    on_tx!(tx, t => sqlx::query(END_NOTICE).bind(id).execute(&mut *t).await.map(drop)).map_err(fault)
}
