//! The SQL of traffic.

use super::{ArmRole, TrafficWindow};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::db::{Source, Tx, fault};
use crate::{on_source, on_tx};

const SEQUENCE: &str = "select sequence from traffic_batches where router = $1";
const PUT_SEQUENCE: &str = "insert into traffic_batches (router, sequence, at) values ($1, $2, $3) \
     on conflict (router) do update set sequence = excluded.sequence, at = excluded.at";
const WINDOW: &str = "select doc from traffic_windows \
     where service = $1 and minute = $2 and version = $3 and arm = $4 and weight = $5";
const PUT_WINDOW: &str = "insert into traffic_windows (service, minute, version, arm, weight, doc) \
     values ($1, $2, $3, $4, $5, $6) on conflict (service, minute, version, arm, weight) \
     do update set doc = excluded.doc";
const WINDOWS: &str = "select doc from traffic_windows \
     where service = $1 and minute >= $2 and minute < $3 order by minute, version";

const ROUTED: &str = "select distinct service from traffic_windows where minute >= $1 and minute < $2 order by service";
const BEFORE: &str =
    "select count(*), cast(coalesce(sum(length(doc)), 0) as bigint) from traffic_windows where minute < $1";
const REMOVE_BEFORE: &str = "delete from traffic_windows where minute < $1";

/// Every statement, for the test that prepares each on both engines.
pub const STATEMENTS: &[&str] = &[SEQUENCE, PUT_SEQUENCE, WINDOW, PUT_WINDOW, WINDOWS, ROUTED, BEFORE, REMOVE_BEFORE];

fn arm(role: ArmRole) -> &'static str {
    match role {
        ArmRole::Stable => "stable",
        ArmRole::Candidate => "candidate",
        ArmRole::Shadow => "shadow",
    }
}

fn read(doc: &str) -> Result<TrafficWindow> {
    serde_json::from_slice(doc.as_bytes()).map_err(|e| {
        Fault::bug("the store's traffic cannot be read").why(e.to_string()).next("restore the last backup")
    })
}

pub(super) async fn sequence(tx: &mut Tx, router: &str) -> Result<Option<i64>> {
    on_tx!(tx, t => sqlx::query_scalar(SEQUENCE).bind(router).fetch_optional(&mut *t).await).map_err(fault)
}

pub(super) async fn put_sequence(tx: &mut Tx, router: &str, sequence: i64, now: Timestamp) -> Result<()> {
    on_tx!(tx, t => sqlx::query(PUT_SEQUENCE).bind(router).bind(sequence).bind(now.0).execute(&mut *t).await.map(drop))
        .map_err(fault)
}

/// Adds to what is there.
pub(super) async fn add(tx: &mut Tx, window: &TrafficWindow) -> Result<()> {
    let (version, weight, role) = (i64::from(window.version), i64::from(window.weight), arm(window.arm));
    let known: Option<String> = on_tx!(tx, t => sqlx::query_scalar(WINDOW)
        .bind(&window.service).bind(window.minute).bind(version).bind(role).bind(weight)
        .fetch_optional(&mut *t).await)
    .map_err(fault)?;
    let sum = match known {
        None => window.clone(),
        Some(doc) => {
            let mut known = read(&doc)?;
            known.add(window);
            known
        }
    };
    let doc = serde_json::to_string(&sum).map_err(|e| Fault::bug("window").why(e.to_string()))?;
    on_tx!(tx, t => sqlx::query(PUT_WINDOW)
        .bind(&window.service).bind(window.minute).bind(version).bind(role).bind(weight).bind(doc)
        .execute(&mut *t).await.map(drop))
    .map_err(fault)
}

pub(super) async fn windows(source: Source<'_>, service: &str, from: i64, to: i64) -> Result<Vec<TrafficWindow>> {
    let docs: Vec<String> =
        on_source!(source, e => sqlx::query_scalar(WINDOWS).bind(service).bind(from).bind(to).fetch_all(e).await)
            .map_err(fault)?;
    docs.iter().map(|d| read(d)).collect()
}

pub(super) async fn routed(source: Source<'_>, from: i64, to: i64) -> Result<Vec<String>> {
    on_source!(source, e => sqlx::query_scalar(ROUTED).bind(from).bind(to).fetch_all(e).await).map_err(fault)
}

/// Number and bytes of the windows before a minute.
pub(super) async fn before(source: Source<'_>, minute: i64) -> Result<(i64, i64)> {
    on_source!(source, e => sqlx::query_as(BEFORE).bind(minute).fetch_one(e).await).map_err(fault)
}

pub(super) async fn remove_before(tx: &mut Tx, minute: i64) -> Result<()> {
    on_tx!(tx, t => sqlx::query(REMOVE_BEFORE).bind(minute).execute(&mut *t).await.map(drop)).map_err(fault)
}
