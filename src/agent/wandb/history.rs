//! Histories as `wandb.Api` reads them: samples of the whole, samples of some metrics, and page by page.

use serde_json::{Map, Value, json};

use super::call::Call;
use super::reads::{count, find};
use crate::base::{Fault, fault::Result};
use crate::capability::tracking::wandb::{Stream, thinned};

/// Rows that one answer may have.
const ROWS_MAX: usize = 100_000;
const SAMPLES: usize = 500;

#[allow(clippy::needless_pass_by_value)] // it goes into the answer
fn answer(run: Value) -> Value {
    json!({ "project": { "run": run } })
}

fn lines(rows: Vec<Map<String, Value>>) -> Vec<String> {
    rows.into_iter().map(|row| Value::Object(row).to_string()).collect()
}

/// Samples of all that was logged, a line of JSON each; of the machine's figures where the query wants `events`.
pub(super) async fn whole(call: &Call<'_>, query: &str) -> Result<Value> {
    let Some(run) = find(call) else { return Ok(answer(Value::Null)) };
    let tracking = &call.app.ctx().tracking;
    let most = count(call, "samples").unwrap_or(SAMPLES).min(ROWS_MAX);
    let (stream, node) =
        if query.contains("events(") { (Stream::Machine, "events") } else { (Stream::History, "history") };
    let rows = thinned(tracking.wandb_rows(run.id, stream, None, 0..i64::MAX).await?, most);
    Ok(answer(json!({ node: lines(rows) })))
}

/// Samples of the rows that have all of some metrics; a list for each question.
pub(super) async fn sampled(call: &Call<'_>) -> Result<Value> {
    let Some(run) = find(call) else { return Ok(answer(Value::Null)) };
    let one = call.text(&["spec"]).map(|spec| vec![spec]);
    let specs = call.texts(&["specs"]).or(one).unwrap_or_default();
    let mut all = Vec::with_capacity(specs.len());
    for spec in specs {
        let spec: Value = serde_json::from_slice(spec.as_bytes())
            .map_err(|e| Fault::invalid("a question for a history is no JSON").why(e.to_string()))?;
        let keys: Vec<String> =
            spec["keys"].as_array().into_iter().flatten().filter_map(|k| k.as_str().map(str::to_owned)).collect();
        let most = spec["samples"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(SAMPLES).min(ROWS_MAX);
        let of_machine = keys.iter().any(|k| k.starts_with("system."));
        let stream = if of_machine { Stream::Machine } else { Stream::History };
        // The last step belongs to these pages, as it does not to the others.
        let end = spec["maxStep"].as_i64().map_or(i64::MAX, |last| last.saturating_add(1));
        let steps = spec["minStep"].as_i64().unwrap_or(0)..end;
        let mut rows = call.app.ctx().tracking.wandb_rows(run.id, stream, Some(&keys), steps).await?;
        rows.retain(|row| keys.iter().all(|key| row.contains_key(key)));
        rows.iter_mut().for_each(|row| row.retain(|key, _| keys.contains(key)));
        all.push(thinned(rows, most));
    }
    Ok(answer(json!({ "sampledHistory": all })))
}

/// The rows from one step to another.
pub(super) async fn page(call: &Call<'_>) -> Result<Value> {
    let Some(run) = find(call) else { return Ok(answer(Value::Null)) };
    let step = |name: &str| call.value(&[name]).and_then(Value::as_i64);
    let steps = step("minStep").unwrap_or(0)..step("maxStep").unwrap_or(i64::MAX);
    let rows = call.app.ctx().tracking.wandb_rows(run.id, Stream::History, None, steps).await?;
    let most = count(call, "pageSize").unwrap_or(SAMPLES).min(ROWS_MAX);
    Ok(answer(json!({ "history": lines(rows.into_iter().take(most).collect()) })))
}

/// There are no exports: all of the history is live.
pub(super) fn exports(call: &Call<'_>) -> Value {
    let run = find(call).map_or(Value::Null, |_| json!({ "parquetHistory": { "parquetUrls": [], "liveData": [] } }));
    answer(run)
}
