//! The SQL of tracking: documents, journal and chunks of metric points.

use sqlx::{AssertSqlSafe, Row as _};

use super::effect::Effect;
use super::points::{self, Point};
use super::state::Tail;
use super::types::{Experiment, Key, LoggedModel, Run};
use crate::base::{Fault, fault::Result};
use crate::db::{Db, Pool, Single, Source, Turn, Tx, fault};
use crate::{on_db, on_source, on_tx};

const EXPERIMENTS: &str = "select doc from experiments";
const RUNS: &str = "select doc from runs";
const MODELS: &str = "select doc from logged_models";
const JOURNAL: &str = "select seq, effects from tracking_journal where seq > $1 order by seq";
const OLDEST: &str = "select min(seq) from tracking_journal";
const APPEND: &str = "insert into tracking_journal (seq, effects) values ($1, $2)";
const FORGET: &str = "delete from tracking_journal where seq <= $1";
const PUT_EXPERIMENT: &str = "insert into experiments (experiment_id, doc) values ($1, $2) \
     on conflict (experiment_id) do update set doc = excluded.doc";
const PUT_RUN: &str = "insert into runs (run_id, doc) values ($1, $2) \
     on conflict (run_id) do update set doc = excluded.doc";
const PUT_MODEL: &str = "insert into logged_models (model_id, doc) values ($1, $2) \
     on conflict (model_id) do update set doc = excluded.doc";
const LAST_CHUNK: &str = "select seq, points, case when points < $3 then payload end from metric_chunks \
     where run_id = $1 and key = $2 order by seq desc limit 1";
const PUT_CHUNK: &str = "insert into metric_chunks \
     (run_id, key, seq, points, value_min, value_max, step_min, step_max, payload) \
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
     on conflict (run_id, key, seq) do update set points = excluded.points, value_min = excluded.value_min, \
     value_max = excluded.value_max, step_min = excluded.step_min, step_max = excluded.step_max, \
     payload = excluded.payload";
const CHUNKS: &str = "select payload from metric_chunks where run_id = $1 and key = $2 order by seq";
const RUN_BYTES: &str = "select cast(coalesce(sum(length(payload)), 0) as bigint) from metric_chunks where run_id = $1";
const REMOVE_CHUNKS: &str = "delete from metric_chunks where run_id = $1";
const REMOVE_RUN: &str = "delete from runs where run_id = $1";
const REMOVE_MODEL: &str = "delete from logged_models where model_id = $1";
const FROZEN: &str = "select prefix, why from frozen_artifacts";
const FREEZE: &str = "insert into frozen_artifacts (prefix, why) values ($1, $2) \
     on conflict (prefix) do update set why = excluded.why";
const THAW: &str = "delete from frozen_artifacts where prefix = $1";

/// Every statement, for the test that prepares each on both engines.
pub const STATEMENTS: &[&str] = &[
    EXPERIMENTS,
    RUNS,
    MODELS,
    JOURNAL,
    APPEND,
    FORGET,
    PUT_EXPERIMENT,
    PUT_RUN,
    PUT_MODEL,
    LAST_CHUNK,
    PUT_CHUNK,
    CHUNKS,
    RUN_BYTES,
    REMOVE_CHUNKS,
    REMOVE_RUN,
    REMOVE_MODEL,
    FROZEN,
    FREEZE,
    THAW,
];

/// A chunk takes no more points than this.
pub const CHUNK_POINTS_MAX: usize = 4096;
/// A chunk of this many points is left as it is: going on with a long one writes all of it again for a few points.
const CHUNK_GOES_ON_POINTS_MAX: usize = 512;

fn corrupt(what: &str, e: &dyn std::fmt::Display) -> Fault {
    Fault::bug(format!("the store's {what} cannot be read")).why(e.to_string()).next("restore the last backup")
}

async fn documents<T: serde::de::DeserializeOwned>(
    pool: &Pool,
    sql: &'static str,
    what: &str,
    mut take: impl FnMut(T),
) -> Result<()> {
    use futures::TryStreamExt as _;
    on_db!(pool, p => {
        let mut rows = sqlx::query(sql).fetch(p);
        while let Some(row) = rows.try_next().await.map_err(fault)? {
            let text: &str = row.try_get(0).map_err(fault)?;
            take(serde_json::from_slice(text.as_bytes()).map_err(|e| corrupt(what, &e))?);
        }
        Ok(())
    })
}

pub(super) async fn experiments(pool: &Pool, take: impl FnMut(Experiment)) -> Result<()> {
    documents(pool, EXPERIMENTS, "experiments", take).await
}

pub(super) async fn runs(pool: &Pool, take: impl FnMut(Run)) -> Result<()> {
    documents(pool, RUNS, "runs", take).await
}

pub(super) async fn models(pool: &Pool, take: impl FnMut(LoggedModel)) -> Result<()> {
    documents(pool, MODELS, "logged models", take).await
}

/// What was acknowledged after a group and since the last fold, oldest first: the number of each group, its length in bytes, its effects.
pub(super) async fn journal(pool: &Pool, after: i64) -> Result<Vec<(i64, usize, Vec<Effect>)>> {
    let rows: Vec<(i64, String)> =
        on_db!(pool, p => sqlx::query_as(JOURNAL).bind(after).fetch_all(p).await).map_err(fault)?;
    let parse = |(seq, text): (i64, String)| {
        let effects = serde_json::from_slice(text.as_bytes()).map_err(|e| corrupt("journal", &e))?;
        Ok((seq, text.len(), effects))
    };
    rows.into_iter().map(parse).collect()
}

/// Number of the oldest group since the last fold.
pub(super) async fn oldest(pool: &Pool) -> Result<Option<i64>> {
    on_db!(pool, p => sqlx::query_scalar(OLDEST).fetch_one(p).await).map_err(fault)
}

fn journal_text(effects: &[Effect]) -> Result<String> {
    serde_json::to_string(effects).map_err(|e| Fault::bug("journal").why(e.to_string()))
}

/// Appends one group by itself: when this returns, it is durable. Answers its length in bytes.
pub(super) async fn append(turn: &mut Turn, seq: i64, effects: &[Effect]) -> Result<usize> {
    let text = journal_text(effects)?;
    let bytes = text.len();
    let done = match turn.single().await? {
        Single::Sqlite(c) => sqlx::query(APPEND).bind(seq).bind(text).execute(c).await.map(drop),
        Single::Postgres(p) => sqlx::query(APPEND).bind(seq).bind(text).execute(p).await.map(drop),
    };
    done.inspect_err(|_| turn.doubt()).map_err(fault)?;
    Ok(bytes)
}

/// Appends one group within a command's transaction. Answers its length in bytes.
pub(super) async fn append_in(tx: &mut Tx, seq: i64, effects: &[Effect]) -> Result<usize> {
    let text = journal_text(effects)?;
    let bytes = text.len();
    on_tx!(tx, t => sqlx::query(APPEND).bind(seq).bind(text).execute(&mut *t).await.map(|_| bytes)).map_err(fault)
}

pub(super) async fn forget(tx: &mut Tx, up_to: i64) -> Result<()> {
    on_tx!(tx, t => sqlx::query(FORGET).bind(up_to).execute(&mut *t).await.map(drop)).map_err(fault)
}

fn document(doc: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(doc).map_err(|e| Fault::bug("document").why(e.to_string()))
}

/// A row of one of the tables of documents.
pub(super) type DocumentRow<Id> = (Id, String);

pub(super) fn experiment_row(experiment: &Experiment) -> Result<DocumentRow<i64>> {
    Ok((i64::try_from(experiment.id.0).unwrap_or(i64::MAX), document(experiment)?))
}

pub(super) fn run_row(run: &Run) -> Result<DocumentRow<String>> {
    Ok((run.id.to_string(), document(run)?))
}

pub(super) fn model_row(model: &LoggedModel) -> Result<DocumentRow<String>> {
    Ok((model.id.to_string(), document(model)?))
}

/// Rows that go in one statement: a call to the store costs more than a row.
const ROWS_AT_ONCE: usize = 64;

/// A statement that puts one row, for so many.
fn for_rows(put: &str, columns: usize, rows: usize) -> AssertSqlSafe<String> {
    let places = |row: usize| {
        let places: Vec<_> = (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", places.join(", "))
    };
    AssertSqlSafe(put.replace(&places(0), &(0..rows).map(places).collect::<Vec<_>>().join(", ")))
}

/// Whole groups of rows, and the rest one by one: the driver keeps few statements prepared.
fn in_groups<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    let groups = rows.chunks_exact(ROWS_AT_ONCE);
    let rest = groups.remainder();
    groups.chain(rest.chunks(1))
}

macro_rules! put_documents {
    ($tx:expr, $put:expr, $rows:expr) => {{
        for group in in_groups($rows) {
            on_tx!($tx, t => {
                let mut query = sqlx::query(for_rows($put, 2, group.len()));
                for (id, doc) in group {
                    query = query.bind(id).bind(doc);
                }
                query.execute(&mut *t).await.map(drop)
            })
            .map_err(fault)?;
        }
        Ok(())
    }};
}

pub(super) async fn put_experiments(tx: &mut Tx, rows: &[DocumentRow<i64>]) -> Result<()> {
    put_documents!(tx, PUT_EXPERIMENT, rows)
}

pub(super) async fn put_runs(tx: &mut Tx, rows: &[DocumentRow<String>]) -> Result<()> {
    put_documents!(tx, PUT_RUN, rows)
}

pub(super) async fn put_models(tx: &mut Tx, rows: &[DocumentRow<String>]) -> Result<()> {
    put_documents!(tx, PUT_MODEL, rows)
}

/// A chunk as it stands in its table.
#[derive(Debug)]
pub(super) struct ChunkRow {
    run: String,
    key: Key,
    seq: i64,
    points: i64,
    value_min: Option<f64>,
    value_max: Option<f64>,
    step_min: i64,
    step_max: i64,
    pub(super) payload: Vec<u8>,
}

impl ChunkRow {
    fn new(tail: &Tail, seq: i64, points: &[Point]) -> Self {
        let numbers = || points.iter().map(|p| p.value).filter(|v| !v.is_nan());
        let steps = || points.iter().map(|p| p.step);
        Self {
            run: tail.run.to_string(),
            key: tail.key,
            seq,
            points: i64::try_from(points.len()).unwrap_or(i64::MAX),
            value_min: numbers().reduce(f64::min),
            value_max: numbers().reduce(f64::max),
            step_min: steps().min().unwrap_or(0),
            step_max: steps().max().unwrap_or(0),
            payload: points::pack(points),
        }
    }
}

/// The chunks that a series gets by its new points: the last one goes on while it is short, then new ones begin.
pub(super) async fn chunk_rows(source: Source<'_>, tail: &Tail) -> Result<Vec<ChunkRow>> {
    let mut before = Vec::new();
    let mut seq = 0;
    if tail.has_chunks {
        let (run, short) = (tail.run.to_string(), i64::try_from(CHUNK_GOES_ON_POINTS_MAX).unwrap_or(i64::MAX));
        let last: Option<(i64, i64, Option<Vec<u8>>)> = on_source!(source, e => {
            sqlx::query_as(LAST_CHUNK).bind(run).bind(tail.key.as_str()).bind(short).fetch_optional(e).await
        })
        .map_err(fault)?;
        if let Some((last, _, payload)) = last {
            seq = if payload.is_some() { last } else { last + 1 };
            before =
                payload.map_or(Ok(Vec::new()), |p| points::unpack(&p)).map_err(|e| corrupt("metric points", &e))?;
        }
    }
    before.extend_from_slice(&tail.points);
    Ok((seq..).zip(before.chunks(CHUNK_POINTS_MAX)).map(|(seq, points)| ChunkRow::new(tail, seq, points)).collect())
}

pub(super) async fn put_chunks(tx: &mut Tx, rows: &[ChunkRow]) -> Result<()> {
    for group in in_groups(rows) {
        on_tx!(tx, t => {
            let mut query = sqlx::query(for_rows(PUT_CHUNK, 9, group.len()));
            for row in group {
                query = query.bind(&row.run).bind(row.key.as_str()).bind(row.seq).bind(row.points)
                    .bind(row.value_min).bind(row.value_max).bind(row.step_min).bind(row.step_max).bind(&row.payload);
            }
            query.execute(&mut *t).await.map(drop)
        })
        .map_err(fault)?;
    }
    Ok(())
}

/// A metric's chunked points, in order of arrival.
pub(super) async fn points(db: &Db, run: &str, key: &str) -> Result<Vec<Point>> {
    let payloads: Vec<(Vec<u8>,)> =
        on_db!(db.read(), p => sqlx::query_as(CHUNKS).bind(run).bind(key).fetch_all(p).await).map_err(fault)?;
    let mut all = Vec::new();
    for (payload,) in payloads {
        all.extend(points::unpack(&payload).map_err(|e| corrupt("metric points", &e))?);
    }
    Ok(all)
}

/// Bytes of a run's chunks.
pub(super) async fn run_bytes(pool: &Pool, run: &str) -> Result<i64> {
    on_db!(pool, p => sqlx::query_scalar(RUN_BYTES).bind(run).fetch_one(p).await).map_err(fault)
}

pub(super) async fn remove_run(tx: &mut Tx, run: &str) -> Result<()> {
    for remove in [REMOVE_CHUNKS, REMOVE_RUN] {
        on_tx!(tx, t => sqlx::query(remove).bind(run).execute(&mut *t).await.map(drop)).map_err(fault)?;
    }
    Ok(())
}

pub(super) async fn remove_model(tx: &mut Tx, model: &str) -> Result<()> {
    on_tx!(tx, t => sqlx::query(REMOVE_MODEL).bind(model).execute(&mut *t).await.map(drop)).map_err(fault)
}

pub(super) async fn frozen(pool: &Pool) -> Result<Vec<(String, String)>> {
    on_db!(pool, p => sqlx::query_as(FROZEN).fetch_all(p).await).map_err(fault)
}

pub(super) async fn freeze(tx: &mut Tx, prefix: &str, why: &str) -> Result<()> {
    on_tx!(tx, t => sqlx::query(FREEZE).bind(prefix).bind(why).execute(&mut *t).await.map(drop)).map_err(fault)
}

pub(super) async fn thaw(tx: &mut Tx, prefix: &str) -> Result<()> {
    on_tx!(tx, t => sqlx::query(THAW).bind(prefix).execute(&mut *t).await.map(drop)).map_err(fault)
}
