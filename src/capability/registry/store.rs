//! The SQL of the registry.

use std::collections::BTreeMap;

use super::types::{HistoryEntry, ModelVersion, RegisteredModel, Stage, VersionDoc};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::db::{Source, Tx, fault};
use crate::{on_source, on_tx, row_struct};

const MODELS: &str =
    "select name, created, updated, description, tags, generation from registered_models order by name";
const MODEL: &str =
    "select name, created, updated, description, tags, generation from registered_models where name = $1";
const VERSIONS: &str =
    "select model, version, created, updated, stage, doc from model_versions order by model, version desc";
const VERSIONS_OF: &str =
    "select model, version, created, updated, stage, doc from model_versions where model = $1 order by version desc";
const ALIASES: &str = "select model, alias, version from model_aliases order by model, alias";
const ALIASES_OF: &str = "select model, alias, version from model_aliases where model = $1 order by alias";
const PUT_MODEL: &str = "insert into registered_models (name, created, updated, description, tags, generation, last_version) \
     values ($1, $2, $3, $4, $5, $6, 0) \
     on conflict (name) do update set updated = excluded.updated, description = excluded.description, \
     tags = excluded.tags, generation = excluded.generation";
const NEXT_VERSION: &str =
    "update registered_models set last_version = last_version + 1 where name = $1 returning last_version";
const RAISE_LAST_VERSION: &str = "update registered_models set last_version = $2 where name = $1 and last_version < $2";
const RENAME: &str =
    "update registered_models set name = $2, updated = $3, generation = generation + 1 where name = $1";
const RENAME_HISTORY: &str = "update registry_history set model = $2 where model = $1";
const DELETE_MODEL: &str = "delete from registered_models where name = $1";
const PUT_VERSION: &str = "insert into model_versions (model, version, created, updated, stage, doc) \
     values ($1, $2, $3, $4, $5, $6) \
     on conflict (model, version) do update set updated = excluded.updated, stage = excluded.stage, doc = excluded.doc";
const DELETE_VERSION: &str = "delete from model_versions where model = $1 and version = $2";
const PUT_ALIAS: &str = "insert into model_aliases (model, alias, version) values ($1, $2, $3) \
     on conflict (model, alias) do update set version = excluded.version";
const DELETE_ALIAS: &str = "delete from model_aliases where model = $1 and alias = $2";
const ADD_HISTORY: &str = "insert into registry_history (seq, at, model, version, what, value, actor, reason, audit) \
     values ((select coalesce(max(seq), 0) + 1 from registry_history), $1, $2, $3, $4, $5, $6, $7, $8)";
const HISTORY: &str = "select seq, at, model, version, what, value, actor, reason, audit from registry_history \
     where model = $1 order by seq desc limit 2000";
const HISTORY_UNTIL: &str = "select seq, at, model, version, what, value, actor, reason, audit from registry_history \
     where at <= $1 order by seq";
const HISTORY_OF_UNTIL: &str = "select seq, at, model, version, what, value, actor, reason, audit \
     from registry_history where model = $1 and at <= $2 order by seq";

/// Every statement, for the test that prepares each on both engines.
pub const STATEMENTS: &[&str] = &[
    MODELS,
    MODEL,
    VERSIONS,
    VERSIONS_OF,
    ALIASES,
    ALIASES_OF,
    PUT_MODEL,
    NEXT_VERSION,
    RAISE_LAST_VERSION,
    RENAME,
    RENAME_HISTORY,
    DELETE_MODEL,
    PUT_VERSION,
    DELETE_VERSION,
    PUT_ALIAS,
    DELETE_ALIAS,
    ADD_HISTORY,
    HISTORY,
    HISTORY_UNTIL,
    HISTORY_OF_UNTIL,
];

row_struct! {
    struct ModelRow {
        name: String,
        created: i64,
        updated: i64,
        description: String,
        tags: String,
        generation: i64,
    }
}

row_struct! {
    struct VersionRow {
        model: String,
        version: i64,
        created: i64,
        updated: i64,
        stage: String,
        doc: String,
    }
}

row_struct! {
    struct HistoryRow {
        seq: i64,
        at: i64,
        model: String,
        version: i64,
        what: String,
        value: Option<String>,
        actor: String,
        reason: String,
        audit: Option<i64>,
    }
}

fn number(version: i64) -> u32 {
    u32::try_from(version).unwrap_or(0)
}

fn corrupt(what: &str, e: &serde_json::Error) -> Fault {
    Fault::bug(format!("the store's {what} cannot be read")).why(e.to_string()).next("restore the last backup")
}

fn document(doc: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(doc).map_err(|e| Fault::bug("document").why(e.to_string()))
}

/// Every model with its versions, or one of them. Two or three statements, however many there are.
pub(super) async fn load(
    mut source: Source<'_>,
    name: Option<&str>,
) -> Result<Vec<(RegisteredModel, Vec<ModelVersion>)>> {
    let models: Vec<ModelRow> = match name {
        Some(name) => on_source!(source.again(), e => sqlx::query_as(MODEL).bind(name).fetch_all(e).await),
        None => on_source!(source.again(), e => sqlx::query_as(MODELS).fetch_all(e).await),
    }
    .map_err(fault)?;
    let versions: Vec<VersionRow> = match name {
        Some(name) => on_source!(source.again(), e => sqlx::query_as(VERSIONS_OF).bind(name).fetch_all(e).await),
        None => on_source!(source.again(), e => sqlx::query_as(VERSIONS).fetch_all(e).await),
    }
    .map_err(fault)?;
    let aliases: Vec<(String, String, i64)> = match name {
        Some(name) => on_source!(source.again(), e => sqlx::query_as(ALIASES_OF).bind(name).fetch_all(e).await),
        None => on_source!(source.again(), e => sqlx::query_as(ALIASES).fetch_all(e).await),
    }
    .map_err(fault)?;
    let mut of_model: BTreeMap<String, (BTreeMap<String, u32>, Vec<ModelVersion>)> = BTreeMap::new();
    for (model, alias, version) in aliases {
        of_model.entry(model).or_default().0.insert(alias, number(version));
    }
    for row in versions {
        let version = version_of(row)?;
        let slot = of_model.entry(version.model.clone()).or_default();
        let pointing = slot.0.iter().filter(|(_, v)| **v == version.version).map(|(a, _)| a.clone()).collect();
        slot.1.push(ModelVersion { aliases: pointing, ..version });
    }
    let assemble = |row: ModelRow| {
        let (aliases, versions) = of_model.remove(&row.name).unwrap_or_default();
        let model = RegisteredModel {
            created: Timestamp(row.created),
            updated: Timestamp(row.updated),
            description: row.description,
            tags: serde_json::from_slice(row.tags.as_bytes()).map_err(|e| corrupt("registered models", &e))?,
            generation: row.generation,
            aliases,
            name: row.name,
        };
        Ok((model, versions))
    };
    models.into_iter().map(assemble).collect()
}

fn version_of(row: VersionRow) -> Result<ModelVersion> {
    let doc: VersionDoc = serde_json::from_slice(row.doc.as_bytes()).map_err(|e| corrupt("model versions", &e))?;
    Ok(ModelVersion {
        model: row.model,
        version: number(row.version),
        created: Timestamp(row.created),
        updated: Timestamp(row.updated),
        stage: Stage::parse(&row.stage).unwrap_or_default(),
        doc,
        aliases: Vec::new(),
    })
}

pub(super) async fn put_model(tx: &mut Tx, model: &RegisteredModel) -> Result<()> {
    let tags = document(&model.tags)?;
    on_tx!(tx, t => sqlx::query(PUT_MODEL)
        .bind(&model.name).bind(model.created.0).bind(model.updated.0).bind(&model.description).bind(tags)
        .bind(model.generation).execute(&mut *t).await.map(drop))
    .map_err(fault)
}

/// Counts up; a number is never given twice.
pub(super) async fn next_version(tx: &mut Tx, model: &str) -> Result<u32> {
    let next: i64 =
        on_tx!(tx, t => sqlx::query_scalar(NEXT_VERSION).bind(model).fetch_one(&mut *t).await).map_err(fault)?;
    Ok(number(next))
}

pub(super) async fn raise_last_version(tx: &mut Tx, model: &str, version: u32) -> Result<()> {
    on_tx!(tx, t => sqlx::query(RAISE_LAST_VERSION).bind(model).bind(i64::from(version)).execute(&mut *t).await.map(drop))
        .map_err(fault)
}

pub(super) async fn rename(tx: &mut Tx, name: &str, new_name: &str, now: Timestamp) -> Result<()> {
    on_tx!(tx, t => sqlx::query(RENAME).bind(name).bind(new_name).bind(now.0).execute(&mut *t).await.map(drop))
        .map_err(fault)?;
    on_tx!(tx, t => sqlx::query(RENAME_HISTORY).bind(name).bind(new_name).execute(&mut *t).await.map(drop))
        .map_err(fault)
}

pub(super) async fn delete_model(tx: &mut Tx, name: &str) -> Result<()> {
    on_tx!(tx, t => sqlx::query(DELETE_MODEL).bind(name).execute(&mut *t).await.map(drop)).map_err(fault)
}

pub(super) async fn put_version(tx: &mut Tx, v: &ModelVersion) -> Result<()> {
    let doc = document(&v.doc)?;
    on_tx!(tx, t => sqlx::query(PUT_VERSION)
        .bind(&v.model).bind(i64::from(v.version)).bind(v.created.0).bind(v.updated.0).bind(v.stage.name()).bind(doc)
        .execute(&mut *t).await.map(drop))
    .map_err(fault)
}

pub(super) async fn delete_version(tx: &mut Tx, model: &str, version: u32) -> Result<()> {
    on_tx!(tx, t => sqlx::query(DELETE_VERSION).bind(model).bind(i64::from(version)).execute(&mut *t).await.map(drop))
        .map_err(fault)
}

/// `None` removes the alias.
pub(super) async fn set_alias(tx: &mut Tx, model: &str, alias: &str, version: Option<u32>) -> Result<()> {
    match version {
        Some(v) => on_tx!(tx, t => sqlx::query(PUT_ALIAS).bind(model).bind(alias).bind(i64::from(v))
            .execute(&mut *t).await.map(drop)),
        None => on_tx!(tx, t => sqlx::query(DELETE_ALIAS).bind(model).bind(alias).execute(&mut *t).await.map(drop)),
    }
    .map_err(fault)
}

pub(super) async fn add_history(tx: &mut Tx, entry: &HistoryEntry) -> Result<()> {
    on_tx!(tx, t => sqlx::query(ADD_HISTORY)
        .bind(entry.at.0).bind(&entry.model).bind(i64::from(entry.version)).bind(&entry.what).bind(&entry.value)
        .bind(&entry.actor).bind(&entry.reason).bind(entry.audit).execute(&mut *t).await.map(drop))
    .map_err(fault)
}

fn entry_of(row: HistoryRow) -> HistoryEntry {
    HistoryEntry {
        seq: row.seq,
        at: Timestamp(row.at),
        model: row.model,
        version: number(row.version),
        what: row.what,
        value: row.value,
        actor: row.actor,
        reason: row.reason,
        audit: row.audit,
    }
}

/// The newest entries of a model, newest first.
pub(super) async fn history(source: Source<'_>, model: &str) -> Result<Vec<HistoryEntry>> {
    let rows: Vec<HistoryRow> =
        on_source!(source, e => sqlx::query_as(HISTORY).bind(model).fetch_all(e).await).map_err(fault)?;
    Ok(rows.into_iter().map(entry_of).collect())
}

/// What began or ended up to a moment, oldest first.
pub(super) async fn history_until(source: Source<'_>, at: Timestamp) -> Result<Vec<HistoryEntry>> {
    let rows: Vec<HistoryRow> =
        on_source!(source, e => sqlx::query_as(HISTORY_UNTIL).bind(at.0).fetch_all(e).await).map_err(fault)?;
    Ok(rows.into_iter().map(entry_of).collect())
}

/// What began or ended with one model up to a moment, oldest first: all of it, for the state then follows from it.
pub(super) async fn history_of_until(source: Source<'_>, model: &str, at: Timestamp) -> Result<Vec<HistoryEntry>> {
    let rows: Vec<HistoryRow> =
        on_source!(source, e => sqlx::query_as(HISTORY_OF_UNTIL).bind(model).bind(at.0).fetch_all(e).await)
            .map_err(fault)?;
    Ok(rows.into_iter().map(entry_of).collect())
}
