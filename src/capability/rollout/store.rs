//! The SQL of services and rollouts.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::server::Server;
use super::standing::{Forbidden, Rollout, Standing};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::db::{Source, Tx, fault};
use crate::{on_source, on_tx};

const SERVICES: &str = "select doc from services order by name";
const SERVICE: &str = "select doc from services where name = $1";
const PUT_SERVICE: &str = "insert into services (name, model, doc) values ($1, $2, $3) \
     on conflict (name) do update set model = excluded.model, doc = excluded.doc";
const REMOVE_SERVICE: &str = "delete from services where name = $1";
const NEXT_ROLLOUT: &str = "select coalesce(max(id), 0) + 1 from rollouts";
const ADD_ROLLOUT: &str = "insert into rollouts (id, service, doc) values ($1, $2, $3)";
const PUT_ROLLOUT: &str = "update rollouts set doc = $2 where id = $1";
const ROLLOUTS: &str = "select doc from rollouts where service = $1 order by id desc limit 50";
const FORBIDDEN: &str = "select reason from forbidden_versions where model = $1 and version = $2";
const FORBIDDEN_OF: &str = "select version, reason from forbidden_versions where model = $1 order by version";
const FORBID: &str = "insert into forbidden_versions (model, version, at, actor, reason) values ($1, $2, $3, $4, $5)";
const ALLOW: &str = "delete from forbidden_versions where model = $1 and version = $2";
const GENERATION: &str = "select generation from route_generation where one = 1";
const RAISE: &str = "update route_generation set generation = generation + 1 where one = 1";
const RAISE_TO: &str = "update route_generation set generation = $1 where one = 1 and generation < $1";
const SERVERS: &str = "select doc from model_servers order by service, version";
const SERVERS_OF: &str = "select doc from model_servers where service = $1 order by version";
const PUT_SERVER: &str = "insert into model_servers (service, version, doc) values ($1, $2, $3) \
     on conflict (service, version) do update set doc = excluded.doc";
const REMOVE_SERVER: &str = "delete from model_servers where service = $1 and version = $2";
const RENAME: &str = "select doc from services where model = $1";

/// Every statement, for the test that prepares each on both engines.
pub const STATEMENTS: &[&str] = &[
    SERVICES,
    SERVICE,
    PUT_SERVICE,
    REMOVE_SERVICE,
    NEXT_ROLLOUT,
    ADD_ROLLOUT,
    PUT_ROLLOUT,
    ROLLOUTS,
    FORBIDDEN,
    FORBID,
    ALLOW,
    GENERATION,
    RAISE,
    RAISE_TO,
    SERVERS,
    SERVERS_OF,
    PUT_SERVER,
    REMOVE_SERVER,
    RENAME,
];

fn read<T: DeserializeOwned>(doc: &str) -> Result<T> {
    serde_json::from_slice(doc.as_bytes()).map_err(|e| {
        Fault::bug("the store's services cannot be read").why(e.to_string()).next("restore the last backup")
    })
}

fn text(doc: &impl Serialize) -> Result<String> {
    serde_json::to_string(doc).map_err(|e| Fault::bug("document").why(e.to_string()))
}

pub(super) async fn services(source: Source<'_>) -> Result<Vec<Standing>> {
    let docs: Vec<String> = on_source!(source, e => sqlx::query_scalar(SERVICES).fetch_all(e).await).map_err(fault)?;
    docs.iter().map(|d| read(d)).collect()
}

pub(super) async fn of_model(source: Source<'_>, model: &str) -> Result<Vec<Standing>> {
    let docs: Vec<String> =
        on_source!(source, e => sqlx::query_scalar(RENAME).bind(model).fetch_all(e).await).map_err(fault)?;
    docs.iter().map(|d| read(d)).collect()
}

pub(super) async fn service(source: Source<'_>, name: &str) -> Result<Option<Standing>> {
    let doc: Option<String> =
        on_source!(source, e => sqlx::query_scalar(SERVICE).bind(name).fetch_optional(e).await).map_err(fault)?;
    doc.map(|d| read(&d)).transpose()
}

pub(super) async fn put_service(tx: &mut Tx, standing: &Standing) -> Result<()> {
    let doc = text(standing)?;
    on_tx!(tx, t => sqlx::query(PUT_SERVICE).bind(&standing.service.name).bind(&standing.service.model).bind(doc)
        .execute(&mut *t).await.map(drop))
    .map_err(fault)
}

pub(super) async fn remove_service(tx: &mut Tx, name: &str) -> Result<u64> {
    on_tx!(tx, t => sqlx::query(REMOVE_SERVICE).bind(name).execute(&mut *t).await.map(|done| done.rows_affected()))
        .map_err(fault)
}

/// Keeps a rollout from its beginning, so that its number is never given twice.
pub(super) async fn add_rollout(tx: &mut Tx, rollout: &Rollout) -> Result<Rollout> {
    let id: i64 = on_tx!(tx, t => sqlx::query_scalar(NEXT_ROLLOUT).fetch_one(&mut *t).await).map_err(fault)?;
    let kept = Rollout { id, ..rollout.clone() };
    let doc = text(&kept)?;
    on_tx!(tx, t => sqlx::query(ADD_ROLLOUT).bind(id).bind(&kept.service).bind(doc).execute(&mut *t).await.map(drop))
        .map_err(fault)?;
    Ok(kept)
}

pub(super) async fn put_rollout(tx: &mut Tx, rollout: &Rollout) -> Result<()> {
    let doc = text(rollout)?;
    on_tx!(tx, t => sqlx::query(PUT_ROLLOUT).bind(rollout.id).bind(doc).execute(&mut *t).await.map(drop)).map_err(fault)
}

/// Newest first.
pub(super) async fn rollouts(source: Source<'_>, service: &str) -> Result<Vec<Rollout>> {
    let docs: Vec<String> =
        on_source!(source, e => sqlx::query_scalar(ROLLOUTS).bind(service).fetch_all(e).await).map_err(fault)?;
    docs.iter().map(|d| read(d)).collect()
}

/// Why a version may not be rolled out.
pub(super) async fn forbidden(source: Source<'_>, model: &str, version: u32) -> Result<Option<String>> {
    let version = i64::from(version);
    on_source!(source, e => sqlx::query_scalar(FORBIDDEN).bind(model).bind(version).fetch_optional(e).await)
        .map_err(fault)
}

/// All versions of a model that may not be rolled out.
pub(super) async fn forbidden_of(source: Source<'_>, model: &str) -> Result<Vec<Forbidden>> {
    let rows: Vec<(i64, String)> =
        on_source!(source, e => sqlx::query_as(FORBIDDEN_OF).bind(model).fetch_all(e).await).map_err(fault)?;
    let read = |(version, reason)| Some(Forbidden { version: u32::try_from(version).ok()?, reason });
    Ok(rows.into_iter().filter_map(read).collect())
}

pub(super) async fn forbid(
    tx: &mut Tx,
    (model, version): (&str, u32),
    now: Timestamp,
    actor: &str,
    reason: &str,
) -> Result<()> {
    allow(tx, model, version).await?;
    on_tx!(tx, t => sqlx::query(FORBID).bind(model).bind(i64::from(version)).bind(now.0).bind(actor).bind(reason)
        .execute(&mut *t).await.map(drop))
    .map_err(fault)
}

pub(super) async fn allow(tx: &mut Tx, model: &str, version: u32) -> Result<u64> {
    on_tx!(tx, t => sqlx::query(ALLOW).bind(model).bind(i64::from(version))
        .execute(&mut *t).await.map(|done| done.rows_affected()))
    .map_err(fault)
}

pub(super) async fn generation(source: Source<'_>) -> Result<i64> {
    on_source!(source, e => sqlx::query_scalar(GENERATION).fetch_one(e).await).map_err(fault)
}

pub(super) async fn raise(tx: &mut Tx) -> Result<()> {
    on_tx!(tx, t => sqlx::query(RAISE).execute(&mut *t).await.map(drop)).map_err(fault)
}

/// A router went on by itself: what comes next is newer than that.
pub(super) async fn raise_to(tx: &mut Tx, generation: i64) -> Result<()> {
    on_tx!(tx, t => sqlx::query(RAISE_TO).bind(generation).execute(&mut *t).await.map(drop)).map_err(fault)
}

/// Of one service, or of all.
pub(super) async fn servers(source: Source<'_>, service: Option<&str>) -> Result<Vec<Server>> {
    let docs: Vec<String> = match service {
        None => on_source!(source, e => sqlx::query_scalar(SERVERS).fetch_all(e).await),
        Some(name) => on_source!(source, e => sqlx::query_scalar(SERVERS_OF).bind(name).fetch_all(e).await),
    }
    .map_err(fault)?;
    docs.iter().map(|d| read(d)).collect()
}

pub(super) async fn put_server(tx: &mut Tx, server: &Server) -> Result<()> {
    let doc = text(server)?;
    on_tx!(tx, t => sqlx::query(PUT_SERVER).bind(&server.service).bind(i64::from(server.version)).bind(doc)
        .execute(&mut *t).await.map(drop))
    .map_err(fault)
}

pub(super) async fn remove_server(tx: &mut Tx, service: &str, version: u32) -> Result<()> {
    on_tx!(tx, t => sqlx::query(REMOVE_SERVER).bind(service).bind(i64::from(version)).execute(&mut *t).await.map(drop))
        .map_err(fault)
}
