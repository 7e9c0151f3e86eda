//! The SQL of collections.

use super::Version;
use crate::base::id::ExperimentId;
use crate::base::{Fault, fault::Result};
use crate::db::{Source, Tx, fault};
use crate::{on_source, on_tx};

const PUT: &str = "insert into collection_versions (id, experiment, collection, version, doc) \
     values ($1, $2, $3, $4, $5) on conflict (id) do update set doc = excluded.doc";
const BY_ID: &str = "select doc from collection_versions where id = $1";
const OF: &str = "select doc from collection_versions where experiment = $1 and collection = $2 order by version";
const ALL: &str = "select doc from collection_versions order by id";
const OF_EXPERIMENT: &str = "select doc from collection_versions where experiment = $1 order by collection, version";

/// Every statement, for the test that prepares each on both engines.
pub const STATEMENTS: &[&str] = &[PUT, BY_ID, OF, ALL, OF_EXPERIMENT];

fn number(experiment: ExperimentId) -> i64 {
    i64::try_from(experiment.0).unwrap_or(i64::MAX)
}

fn read(doc: &str) -> Result<Version> {
    serde_json::from_slice(doc.as_bytes()).map_err(|e| {
        Fault::bug("the store's collections cannot be read").why(e.to_string()).next("restore the last backup")
    })
}

pub(super) async fn put(tx: &mut Tx, version: &Version) -> Result<()> {
    let doc = serde_json::to_string(version).map_err(|e| Fault::bug("document").why(e.to_string()))?;
    on_tx!(tx, t => sqlx::query(PUT)
        .bind(&version.id).bind(number(version.experiment)).bind(&version.collection)
        .bind(i64::from(version.number)).bind(doc).execute(&mut *t).await.map(drop))
    .map_err(fault)
}

pub(super) async fn by_id(source: Source<'_>, id: &str) -> Result<Option<Version>> {
    let doc: Option<String> =
        on_source!(source, e => sqlx::query_scalar(BY_ID).bind(id).fetch_optional(e).await).map_err(fault)?;
    doc.map(|d| read(&d)).transpose()
}

/// Oldest first.
pub(super) async fn of(source: Source<'_>, experiment: ExperimentId, collection: &str) -> Result<Vec<Version>> {
    let docs: Vec<String> = on_source!(source, e => sqlx::query_scalar(OF)
        .bind(number(experiment)).bind(collection).fetch_all(e).await)
    .map_err(fault)?;
    docs.iter().map(|d| read(d)).collect()
}

pub(super) async fn all(source: Source<'_>) -> Result<Vec<Version>> {
    let docs: Vec<String> = on_source!(source, e => sqlx::query_scalar(ALL).fetch_all(e).await).map_err(fault)?;
    docs.iter().map(|d| read(d)).collect()
}

/// Each collection's oldest first.
pub(super) async fn of_experiment(source: Source<'_>, experiment: ExperimentId) -> Result<Vec<Version>> {
    let docs: Vec<String> = on_source!(source, e => sqlx::query_scalar(OF_EXPERIMENT)
        .bind(number(experiment)).fetch_all(e).await)
    .map_err(fault)?;
    docs.iter().map(|d| read(d)).collect()
}
