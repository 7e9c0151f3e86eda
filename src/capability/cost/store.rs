//! The SQL of prices, placements and budgets.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::rates::{Listed, Rates};
use super::serving::{Budget, Placement};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::db::{Source, Tx, fault};
use crate::{on_source, on_tx};

const RATES: &str = "select since, doc from cost_rates order by since";
const PUT_RATES: &str = "insert into cost_rates (since, doc) values ($1, $2) \
     on conflict (since) do update set doc = excluded.doc";
const SERVINGS: &str = "select doc from cost_servings order by service";
const PUT_SERVING: &str = "insert into cost_servings (service, doc) values ($1, $2) \
     on conflict (service) do update set doc = excluded.doc";
const REMOVE_SERVING: &str = "delete from cost_servings where service = $1";
const BUDGETS: &str = "select doc from cost_budgets order by name";
const PUT_BUDGET: &str = "insert into cost_budgets (name, doc) values ($1, $2) \
     on conflict (name) do update set doc = excluded.doc";
const REMOVE_BUDGET: &str = "delete from cost_budgets where name = $1";

/// Every statement, for the test that prepares each on both engines.
pub const STATEMENTS: &[&str] =
    &[RATES, PUT_RATES, SERVINGS, PUT_SERVING, REMOVE_SERVING, BUDGETS, PUT_BUDGET, REMOVE_BUDGET];

fn read<T: DeserializeOwned>(doc: &str) -> Result<T> {
    serde_json::from_slice(doc.as_bytes())
        .map_err(|e| Fault::bug("the store's prices cannot be read").why(e.to_string()).next("restore the last backup"))
}

fn text(doc: &(impl Serialize + ?Sized)) -> Result<String> {
    serde_json::to_string(doc).map_err(|e| Fault::bug("document").why(e.to_string()))
}

/// By moment.
pub(super) async fn rates(source: Source<'_>) -> Result<Vec<Listed>> {
    let rows: Vec<(i64, String)> = on_source!(source, e => sqlx::query_as(RATES).fetch_all(e).await).map_err(fault)?;
    let list = |(since, doc): (i64, String)| {
        Ok(Listed { since: Timestamp(since), defaults: false, rates: read::<Rates>(&doc)? })
    };
    rows.into_iter().map(list).collect()
}

pub(super) async fn put_rates(tx: &mut Tx, since: Timestamp, rates: &Rates) -> Result<()> {
    let doc = text(rates)?;
    on_tx!(tx, t => sqlx::query(PUT_RATES).bind(since.0).bind(doc).execute(&mut *t).await.map(drop)).map_err(fault)
}

pub(super) async fn servings(source: Source<'_>) -> Result<Vec<Placement>> {
    let docs: Vec<String> = on_source!(source, e => sqlx::query_scalar(SERVINGS).fetch_all(e).await).map_err(fault)?;
    let all: Vec<Vec<Placement>> = docs.iter().map(|d| read(d)).collect::<Result<_>>()?;
    Ok(all.into_iter().flatten().collect())
}

pub(super) async fn put_serving(tx: &mut Tx, service: &str, placements: &[Placement]) -> Result<()> {
    if placements.is_empty() {
        return on_tx!(tx, t => sqlx::query(REMOVE_SERVING).bind(service).execute(&mut *t).await.map(drop))
            .map_err(fault);
    }
    let doc = text(placements)?;
    on_tx!(tx, t => sqlx::query(PUT_SERVING).bind(service).bind(doc).execute(&mut *t).await.map(drop)).map_err(fault)
}

pub(super) async fn budgets(source: Source<'_>) -> Result<Vec<Budget>> {
    let docs: Vec<String> = on_source!(source, e => sqlx::query_scalar(BUDGETS).fetch_all(e).await).map_err(fault)?;
    docs.iter().map(|d| read(d)).collect()
}

pub(super) async fn put_budget(tx: &mut Tx, budget: &Budget) -> Result<()> {
    let doc = text(budget)?;
    on_tx!(tx, t => sqlx::query(PUT_BUDGET).bind(&budget.name).bind(doc).execute(&mut *t).await.map(drop))
        .map_err(fault)
}

pub(super) async fn remove_budget(tx: &mut Tx, name: &str) -> Result<u64> {
    on_tx!(tx, t => sqlx::query(REMOVE_BUDGET).bind(name).execute(&mut *t).await.map(|done| done.rows_affected()))
        .map_err(fault)
}
