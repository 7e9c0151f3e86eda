//! The SQL of the datasets.

use futures::TryStreamExt as _;
use sqlx::Row as _;

use super::Digest;
use super::pack::Index;
use super::types::{DatasetVersion, VersionDoc};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::db::{Pool, Source, Turn, Tx, fault};
use crate::{on_db, on_source, on_tx, row_struct};

const DATASETS: &str = "select name, created from datasets order by name";
const DATASET: &str = "select name, created from datasets where name = $1";
const VERSIONS: &str = "select dataset, version, created, doc from dataset_versions order by dataset, version desc";
const VERSIONS_OF: &str =
    "select dataset, version, created, doc from dataset_versions where dataset = $1 order by version desc";
const PUT_DATASET: &str =
    "insert into datasets (name, created, last_version) values ($1, $2, 0) on conflict (name) do nothing";
const NEXT_VERSION: &str = "update datasets set last_version = last_version + 1 where name = $1 returning last_version";
const PUT_VERSION: &str = "insert into dataset_versions (dataset, version, created, doc) values ($1, $2, $3, $4)";
const PUT_PACK: &str =
    "insert into dataset_packs (pack, bytes, chunks) values ($1, $2, $3) on conflict (pack) do nothing";
const PACK: &str = "select chunks from dataset_packs where pack = $1";
const PACKS: &str = "select pack, chunks from dataset_packs order by pack";
const HAS_PACK: &str = "select bytes from dataset_packs where pack = $1";
const REMOVE_PACK: &str = "delete from dataset_packs where pack = $1";

/// Every statement, for the test that prepares each on both engines.
pub const STATEMENTS: &[&str] = &[
    DATASETS,
    DATASET,
    VERSIONS,
    VERSIONS_OF,
    PUT_DATASET,
    NEXT_VERSION,
    PUT_VERSION,
    PUT_PACK,
    PACK,
    PACKS,
    HAS_PACK,
    REMOVE_PACK,
];

row_struct! {
    struct VersionRow {
        dataset: String,
        version: i64,
        created: i64,
        doc: String,
    }
}

fn number(version: i64) -> u32 {
    u32::try_from(version).unwrap_or(0)
}

fn version_of(row: VersionRow) -> Result<DatasetVersion> {
    let doc: VersionDoc = serde_json::from_slice(row.doc.as_bytes()).map_err(|e| {
        Fault::bug("the store's dataset versions cannot be read").why(e.to_string()).next("restore the last backup")
    })?;
    Ok(DatasetVersion { dataset: row.dataset, version: number(row.version), created: Timestamp(row.created), doc })
}

/// Every dataset's name and birth, or one of them.
pub(super) async fn names(source: Source<'_>, name: Option<&str>) -> Result<Vec<(String, Timestamp)>> {
    let rows: Vec<(String, i64)> = match name {
        Some(name) => on_source!(source, e => sqlx::query_as(DATASET).bind(name).fetch_all(e).await),
        None => on_source!(source, e => sqlx::query_as(DATASETS).fetch_all(e).await),
    }
    .map_err(fault)?;
    Ok(rows.into_iter().map(|(name, created)| (name, Timestamp(created))).collect())
}

/// Versions of all datasets or of one, newest first.
pub(super) async fn versions(source: Source<'_>, name: Option<&str>) -> Result<Vec<DatasetVersion>> {
    let rows: Vec<VersionRow> = match name {
        Some(name) => on_source!(source, e => sqlx::query_as(VERSIONS_OF).bind(name).fetch_all(e).await),
        None => on_source!(source, e => sqlx::query_as(VERSIONS).fetch_all(e).await),
    }
    .map_err(fault)?;
    rows.into_iter().map(version_of).collect()
}

/// Counts up; a number is never given twice.
pub(super) async fn next_version(tx: &mut Tx, dataset: &str, now: Timestamp) -> Result<u32> {
    on_tx!(tx, t => sqlx::query(PUT_DATASET).bind(dataset).bind(now.0).execute(&mut *t).await.map(drop))
        .map_err(fault)?;
    let next: i64 =
        on_tx!(tx, t => sqlx::query_scalar(NEXT_VERSION).bind(dataset).fetch_one(&mut *t).await).map_err(fault)?;
    Ok(number(next))
}

pub(super) async fn put_version(tx: &mut Tx, v: &DatasetVersion) -> Result<()> {
    let doc = serde_json::to_string(&v.doc).map_err(|e| Fault::bug("document").why(e.to_string()))?;
    on_tx!(tx, t => sqlx::query(PUT_VERSION)
        .bind(&v.dataset).bind(i64::from(v.version)).bind(v.created.0).bind(doc)
        .execute(&mut *t).await.map(drop))
    .map_err(fault)
}

pub(super) async fn put_pack(turn: &mut Turn, name: &Digest, bytes: u64, index: &Index) -> Result<()> {
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    on_db!(turn.pool(), p => sqlx::query(PUT_PACK)
        .bind(name.to_string()).bind(bytes).bind(index.entries())
        .execute(p).await.map(drop))
    .map_err(fault)
}

/// What a pack holds; `None` when it is not here.
pub(super) async fn pack(pool: &Pool, name: &Digest) -> Result<Option<Index>> {
    let row: Option<Vec<u8>> =
        on_db!(pool, p => sqlx::query_scalar(PACK).bind(name.to_string()).fetch_optional(p).await).map_err(fault)?;
    Ok(row.map(Index::from_entries))
}

pub(super) async fn has_pack(tx: &mut Tx, name: &Digest) -> Result<bool> {
    let bytes: Option<i64> =
        on_tx!(tx, t => sqlx::query_scalar(HAS_PACK).bind(name.to_string()).fetch_optional(&mut *t).await)
            .map_err(fault)?;
    Ok(bytes.is_some())
}

pub(super) async fn remove_pack(tx: &mut Tx, name: &Digest) -> Result<()> {
    on_tx!(tx, t => sqlx::query(REMOVE_PACK).bind(name.to_string()).execute(&mut *t).await.map(drop)).map_err(fault)
}

/// Looks at every pack's index, until `take` has seen enough.
pub(super) async fn packs(pool: &Pool, mut take: impl FnMut(Digest, Index) -> bool) -> Result<()> {
    on_db!(pool, p => {
        let mut rows = sqlx::query(PACKS).fetch(p);
        while let Some(row) = rows.try_next().await.map_err(fault)? {
            let name: String = row.try_get(0).map_err(fault)?;
            let entries: Vec<u8> = row.try_get(1).map_err(fault)?;
            let Ok(name) = name.parse() else { continue };
            if !take(name, Index::from_entries(entries)) {
                break;
            }
        }
        Ok(())
    })
}
