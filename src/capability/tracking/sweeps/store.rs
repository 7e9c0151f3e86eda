//! The SQL of sweeps.

use super::Sweep;
use crate::base::id::ExperimentId;
use crate::base::{Fault, fault::Result};
use crate::db::{Source, Tx, fault};
use crate::{on_source, on_tx};

const PUT: &str = "insert into sweeps (id, experiment, doc) values ($1, $2, $3) \
     on conflict (id) do update set doc = excluded.doc";
const BY_ID: &str = "select doc from sweeps where id = $1";
const OF: &str = "select doc from sweeps where experiment = $1 order by id";

/// Every statement, for the test that prepares each on both engines.
pub const STATEMENTS: &[&str] = &[PUT, BY_ID, OF];

fn number(experiment: ExperimentId) -> i64 {
    i64::try_from(experiment.0).unwrap_or(i64::MAX)
}

fn read(doc: &str) -> Result<Sweep> {
    serde_json::from_slice(doc.as_bytes())
        .map_err(|e| Fault::bug("the store's sweeps cannot be read").why(e.to_string()).next("restore the last backup"))
}

pub(super) async fn put(tx: &mut Tx, sweep: &Sweep) -> Result<()> {
    let doc = serde_json::to_string(sweep).map_err(|e| Fault::bug("document").why(e.to_string()))?;
    on_tx!(tx, t => sqlx::query(PUT)
        .bind(&sweep.id).bind(number(sweep.experiment())).bind(doc).execute(&mut *t).await.map(drop))
    .map_err(fault)
}

pub(super) async fn by_id(source: Source<'_>, id: &str) -> Result<Option<Sweep>> {
    let doc: Option<String> =
        on_source!(source, e => sqlx::query_scalar(BY_ID).bind(id).fetch_optional(e).await).map_err(fault)?;
    doc.map(|d| read(&d)).transpose()
}

pub(super) async fn of(source: Source<'_>, experiment: ExperimentId) -> Result<Vec<Sweep>> {
    let docs: Vec<String> =
        on_source!(source, e => sqlx::query_scalar(OF).bind(number(experiment)).fetch_all(e).await).map_err(fault)?;
    docs.iter().map(|d| read(d)).collect()
}
