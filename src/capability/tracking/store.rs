//! The SQL of tracking: documents, journal and chunks of metric points.

use sqlx::Row as _;

use super::effect::Effect;
use super::points::{self, Point};
use super::types::{Experiment, LoggedModel, Run};
use crate::base::{Fault, fault::Result};
use crate::db::{Db, Pool, Tx, fault};
use crate::{on_db, on_tx};

const EXPERIMENTS: &str = "select doc from experiments";
const RUNS: &str = "select doc from runs";
const MODELS: &str = "select doc from logged_models";
const JOURNAL: &str = "select seq, effects from tracking_journal order by seq";
const OLDEST: &str = "select min(seq) from tracking_journal";
const APPEND: &str = "insert into tracking_journal (seq, effects) values ($1, $2)";
const FORGET: &str = "delete from tracking_journal where seq <= $1";
const PUT_EXPERIMENT: &str = "insert into experiments (experiment_id, doc) values ($1, $2) \
     on conflict (experiment_id) do update set doc = excluded.doc";
const PUT_RUN: &str = "insert into runs (run_id, doc) values ($1, $2) \
     on conflict (run_id) do update set doc = excluded.doc";
const PUT_MODEL: &str = "insert into logged_models (model_id, doc) values ($1, $2) \
     on conflict (model_id) do update set doc = excluded.doc";
const LAST_CHUNK: &str = "select seq, points, payload from metric_chunks \
     where run_id = $1 and key = $2 order by seq desc limit 1";
const PUT_CHUNK: &str = "insert into metric_chunks \
     (run_id, key, seq, points, value_min, value_max, step_min, step_max, payload) \
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
     on conflict (run_id, key, seq) do update set points = excluded.points, value_min = excluded.value_min, \
     value_max = excluded.value_max, step_min = excluded.step_min, step_max = excluded.step_max, \
     payload = excluded.payload";
const CHUNKS: &str = "select payload from metric_chunks where run_id = $1 and key = $2 order by seq";
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
    FROZEN,
    FREEZE,
    THAW,
];

/// A chunk takes no more points than this.
pub const CHUNK_POINTS_MAX: usize = 4096;

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
            take(serde_json::from_str(text).map_err(|e| corrupt(what, &e))?);
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

/// What was acknowledged since the last fold, oldest first: the number of each group, its length in bytes, its effects.
pub(super) async fn journal(pool: &Pool) -> Result<Vec<(i64, usize, Vec<Effect>)>> {
    let rows: Vec<(i64, String)> = on_db!(pool, p => sqlx::query_as(JOURNAL).fetch_all(p).await).map_err(fault)?;
    let parse = |(seq, text): (i64, String)| {
        let effects = serde_json::from_str(&text).map_err(|e| corrupt("journal", &e))?;
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
pub(super) async fn append(pool: &Pool, seq: i64, effects: &[Effect]) -> Result<usize> {
    let text = journal_text(effects)?;
    let bytes = text.len();
    on_db!(pool, p => sqlx::query(APPEND).bind(seq).bind(text).execute(p).await.map(|_| bytes)).map_err(fault)
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

pub(super) async fn put_experiment(tx: &mut Tx, experiment: &Experiment) -> Result<()> {
    let (id, doc) = (i64::try_from(experiment.id.0).unwrap_or(i64::MAX), document(experiment)?);
    on_tx!(tx, t => sqlx::query(PUT_EXPERIMENT).bind(id).bind(doc).execute(&mut *t).await.map(drop)).map_err(fault)
}

pub(super) async fn put_run(tx: &mut Tx, run: &Run) -> Result<()> {
    let (id, doc) = (run.id.to_string(), document(run)?);
    on_tx!(tx, t => sqlx::query(PUT_RUN).bind(id).bind(doc).execute(&mut *t).await.map(drop)).map_err(fault)
}

pub(super) async fn put_model(tx: &mut Tx, model: &LoggedModel) -> Result<()> {
    let (id, doc) = (model.id.to_string(), document(model)?);
    on_tx!(tx, t => sqlx::query(PUT_MODEL).bind(id).bind(doc).execute(&mut *t).await.map(drop)).map_err(fault)
}

/// Adds points to a metric's chunks: fills the last one, then begins new ones.
pub(super) async fn add_points(tx: &mut Tx, run: &str, key: &str, new: &[Point]) -> Result<()> {
    let last = on_tx!(tx, t => {
        let row = sqlx::query(LAST_CHUNK).bind(run).bind(key).fetch_optional(&mut *t).await.map_err(fault)?;
        row.map(|r| Ok::<_, sqlx::Error>((r.try_get::<i64, _>(0)?, r.try_get::<i64, _>(1)?, r.try_get::<Vec<u8>, _>(2)?)))
            .transpose()
            .map_err(fault)?
    });
    let (mut seq, mut points) = match last {
        Some((seq, count, payload)) if usize::try_from(count).unwrap_or(CHUNK_POINTS_MAX) < CHUNK_POINTS_MAX => {
            (seq, points::unpack(&payload).map_err(|e| corrupt("metric points", &e))?)
        }
        Some((seq, ..)) => (seq + 1, Vec::new()),
        None => (0, Vec::new()),
    };
    points.extend_from_slice(new);
    for chunk in points.chunks(CHUNK_POINTS_MAX) {
        put_chunk(tx, run, key, seq, chunk).await?;
        seq += 1;
    }
    Ok(())
}

async fn put_chunk(tx: &mut Tx, run: &str, key: &str, seq: i64, chunk: &[Point]) -> Result<()> {
    let numbers = || chunk.iter().map(|p| p.value).filter(|v| !v.is_nan());
    let (low, high) = (numbers().reduce(f64::min), numbers().reduce(f64::max));
    let steps = || chunk.iter().map(|p| p.step);
    let (first, last) = (steps().min().unwrap_or(0), steps().max().unwrap_or(0));
    let count = i64::try_from(chunk.len()).unwrap_or(i64::MAX);
    let payload = points::pack(chunk);
    on_tx!(tx, t => sqlx::query(PUT_CHUNK)
        .bind(run).bind(key).bind(seq).bind(count).bind(low).bind(high).bind(first).bind(last).bind(payload)
        .execute(&mut *t).await.map(drop))
    .map_err(fault)
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

pub(super) async fn frozen(pool: &Pool) -> Result<Vec<(String, String)>> {
    on_db!(pool, p => sqlx::query_as(FROZEN).fetch_all(p).await).map_err(fault)
}

pub(super) async fn freeze(tx: &mut Tx, prefix: &str, why: &str) -> Result<()> {
    on_tx!(tx, t => sqlx::query(FREEZE).bind(prefix).bind(why).execute(&mut *t).await.map(drop)).map_err(fault)
}

pub(super) async fn thaw(tx: &mut Tx, prefix: &str) -> Result<()> {
    on_tx!(tx, t => sqlx::query(THAW).bind(prefix).execute(&mut *t).await.map(drop)).map_err(fault)
}
