//! The filters and orders with which `wandb.Api` asks for runs: documents in the manner of MongoDB, over W&B's names of fields.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::pattern::Pattern;
use super::{CONFIG_TAG, GROUP_TAG, HOST_TAG, ID_TAG, JOB_TYPE_TAG, LABELS_TAG, SWEEP_TAG};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::capability::tracking::rules;
use crate::capability::tracking::types::{Run, RunStatus};

/// Conditions within conditions.
const DEPTH_MAX: usize = 32;

/// The name that a run has in W&B's addresses: its own, or its id here.
pub fn name_of(run: &Run) -> String {
    run.tags.get(ID_TAG).map_or_else(|| run.id.to_string(), ToString::to_string)
}

/// W&B's word for how a run stands.
pub fn state_of(run: &Run) -> &'static str {
    match run.status {
        RunStatus::Running => "running",
        RunStatus::Scheduled => "pending",
        RunStatus::Finished => "finished",
        RunStatus::Failed => "failed",
        RunStatus::Killed => "killed",
    }
}

/// The configuration as the script set it; of other clients' runs their params.
pub fn config_of(run: &Run) -> Map<String, Value> {
    let own = run.tags.get(CONFIG_TAG).and_then(|text| serde_json::from_slice(text.as_bytes()).ok());
    own.unwrap_or_else(|| run.params.iter().map(|(k, v)| (k.to_string(), Value::from(v.as_str()))).collect())
}

/// The run's tags that are labels.
pub fn labels_of(run: &Run) -> Vec<String> {
    run.tags.get(LABELS_TAG).and_then(|t| serde_json::from_slice(t.as_bytes()).ok()).unwrap_or_default()
}

/// Whether a run is asked for.
///
/// # Errors
/// `Invalid` for an operator that is not known.
pub fn matches(filter: &Value, run: &Run) -> Result<bool> {
    all(filter, run, 0)
}

fn all(filter: &Value, run: &Run, depth: usize) -> Result<bool> {
    let Some(filter) = filter.as_object() else { return Ok(true) };
    if depth > DEPTH_MAX {
        return Err(Fault::invalid(format!("a filter has at most {DEPTH_MAX} levels")));
    }
    let each = |of: &Value| -> Result<Vec<bool>> {
        of.as_array().into_iter().flatten().map(|f| all(f, run, depth + 1)).collect()
    };
    for (key, wanted) in filter {
        let holds = match key.as_str() {
            "$and" => each(wanted)?.into_iter().all(|x| x),
            "$or" => {
                let any = each(wanted)?;
                any.is_empty() || any.into_iter().any(|x| x)
            }
            "$nor" => !each(wanted)?.into_iter().any(|x| x),
            operator if operator.starts_with('$') => return Err(unknown(operator)),
            path => condition(&value_of(run, path), wanted)?,
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

fn unknown(operator: &str) -> Fault {
    Fault::invalid(format!("the operator {operator} of a filter is not known"))
        .next("use $and, $or, $nor, $not, $eq, $ne, $gt, $gte, $lt, $lte, $in, $nin, $exists or $regex")
}

fn condition(value: &Value, wanted: &Value) -> Result<bool> {
    let operators = wanted.as_object().filter(|o| o.keys().any(|k| k.starts_with('$')));
    let Some(operators) = operators else { return Ok(is(value, wanted)) };
    let listed = |of: &Value| of.as_array().is_some_and(|list| list.iter().any(|one| is(value, one)));
    for (operator, operand) in operators {
        let order = || compared(value, operand);
        let holds = match operator.as_str() {
            "$eq" => is(value, operand),
            "$ne" => !is(value, operand),
            "$gt" => order() == Some(Ordering::Greater),
            "$gte" => matches!(order(), Some(Ordering::Greater | Ordering::Equal)),
            "$lt" => order() == Some(Ordering::Less),
            "$lte" => matches!(order(), Some(Ordering::Less | Ordering::Equal)),
            "$in" => listed(operand),
            "$nin" => !listed(operand),
            "$exists" => value.is_null() != operand.as_bool().unwrap_or(true),
            "$not" => !condition(value, operand)?,
            "$regex" => expression(value, operand.as_str().unwrap_or_default())?,
            other => return Err(unknown(other)),
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

fn expression(value: &Value, pattern: &str) -> Result<bool> {
    let pattern = Pattern::parse(pattern)
        .map_err(|why| Fault::invalid(format!("the expression {pattern:?} of a filter cannot be read")).why(why))?;
    let one = |v: &Value| v.as_str().is_some_and(|text| pattern.finds(text));
    Ok(one(value) || value.as_array().is_some_and(|list| list.iter().any(one)))
}

/// Equal; a list holds its elements.
fn is(value: &Value, wanted: &Value) -> bool {
    if let (Value::Array(list), false) = (value, wanted.is_array()) {
        return list.iter().any(|one| is(one, wanted));
    }
    value == wanted || compared(value, wanted) == Some(Ordering::Equal)
}

/// The order of two values of one kind; times as times, numbers as numbers.
fn compared(a: &Value, b: &Value) -> Option<Ordering> {
    if let (Value::String(a), Value::String(b)) = (a, b) {
        let times = Timestamp::parse(a).zip(Timestamp::parse(b));
        return Some(times.map_or_else(|| a.cmp(b), |(a, b)| a.cmp(&b)));
    }
    let number = |v: &Value| v.as_f64().or_else(|| v.as_str()?.parse().ok());
    number(a)?.partial_cmp(&number(b)?)
}

/// What a run has under one of W&B's names; nothing for what it has not.
pub fn value_of(run: &Run, path: &str) -> Value {
    let tag = |key: &str| run.tags.get(key).map_or(Value::Null, |t| Value::from(t.as_str()));
    if let Some(path) = path.strip_prefix("config.") {
        return configured(run, path.strip_suffix(".value").unwrap_or(path));
    }
    let summary = path.strip_prefix("summary_metrics.").or_else(|| path.strip_prefix("summaryMetrics."));
    if let Some(key) = summary.or_else(|| path.strip_prefix("summary.")) {
        let number = run.metrics.get(key).map(|latest| Value::from(latest.value));
        return number.unwrap_or_else(|| tag(&format!("summary.{key}")));
    }
    if let Some(label) = path.strip_prefix("tags.") {
        return labels_of(run).iter().any(|l| l == label).into();
    }
    match path {
        "name" => name_of(run).into(),
        "state" => state_of(run).into(),
        "display_name" | "displayName" => run.name.as_str().into(),
        "group" => tag(GROUP_TAG),
        "job_type" | "jobType" => tag(JOB_TYPE_TAG),
        "sweep" | "sweepName" => tag(SWEEP_TAG),
        "notes" => tag(rules::NOTE_TAG),
        "host" => tag(HOST_TAG),
        "tags" => labels_of(run).into(),
        "username" | "user.name" | "user.username" => run.user.as_str().into(),
        "created_at" | "createdAt" => time(run.start_ms),
        "heartbeat_at" | "heartbeatAt" | "updated_at" | "updatedAt" => time(run.end_ms.unwrap_or(run.start_ms)),
        "duration" => run.end_ms.map_or(Value::Null, |end| Value::from((end - run.start_ms) as f64 / 1000.0)),
        _ => Value::Null,
    }
}

fn time(ms: i64) -> Value {
    Timestamp::from_millis(ms).to_string().into()
}

/// A value of the configuration: by its whole name, or walking inwards.
fn configured(run: &Run, path: &str) -> Value {
    let config = config_of(run);
    if let Some(value) = config.get(path) {
        return value.clone();
    }
    let mut names = path.split('.').filter(|name| *name != "value");
    let outermost = names.next().and_then(|name| config.get(name));
    names.try_fold(outermost, |value, name| Some(value?.get(name))).flatten().cloned().unwrap_or_default()
}

/// Orders two runs as `+created_at` or `-summary_metrics.loss` say; what has no value comes last.
pub fn ordered(a: &Run, b: &Run, order: &str) -> Ordering {
    let (descending, path) = match order.strip_prefix('-') {
        Some(path) => (true, path),
        None => (false, order.strip_prefix('+').unwrap_or(order)),
    };
    let by_time = (a.start_ms, a.id).cmp(&(b.start_ms, b.id));
    if matches!(path, "created_at" | "createdAt" | "") {
        return if descending { by_time.reverse() } else { by_time };
    }
    let (x, y) = (value_of(a, path), value_of(b, path));
    let by_value = match (x.is_null(), y.is_null()) {
        (false, false) => {
            let order = compared(&x, &y).unwrap_or(Ordering::Equal);
            if descending { order.reverse() } else { order }
        }
        (x, y) => x.cmp(&y),
    };
    by_value.then(by_time)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::open::bare;
    use super::*;
    use crate::base::id::{ExperimentId, RunId};
    use crate::capability::tracking::types::{Key, KeyMap, Latest, Text};

    fn run() -> Run {
        let began = Timestamp::from_millis(1_700_000_000_000);
        let mut run = bare(RunId(7), ExperimentId(1), "nice", began);
        let mut tag = |k: &str, v: &str| run.tags.insert(Key::from(k), Text::from(v));
        tag(ID_TAG, "abc");
        tag(LABELS_TAG, "[\"base\",\"v 2\"]");
        tag(GROUP_TAG, "g1");
        tag(CONFIG_TAG, "{\"lr\":0.1,\"net\":{\"depth\":3},\"a.b\":\"x\"}");
        run.metrics.insert(Key::from("loss"), Latest { value: 0.25, step: 1, timestamp: 0, count: 1 });
        run.status = RunStatus::Finished;
        run
    }

    #[test]
    fn filters_hold_as_in_mongodb() {
        let run = run();
        let holds = |filter: Value| matches(&filter, &run).unwrap();
        for filter in [
            json!({}),
            json!({ "state": "finished" }),
            json!({ "config.lr": 0.1, "config.net.depth": { "$gte": 3 } }),
            json!({ "config.lr.value": { "$lt": 0.2 } }),
            json!({ "config.a.b": "x" }),
            json!({ "summary_metrics.loss": { "$gt": 0.2, "$lte": 0.25 } }),
            json!({ "tags": "base" }),
            json!({ "tags": { "$in": ["base", "other"] } }),
            json!({ "$or": [{ "group": "g2" }, { "group": "g1" }] }),
            json!({ "$and": [{ "name": "abc" }, { "display_name": { "$regex": "^ni" } }] }),
            json!({ "created_at": { "$gt": "2023-11-01", "$lt": "2023-12-01T00:00:00Z" } }),
            json!({ "config.none": null }),
            json!({ "config.none": { "$exists": false } }),
            json!({ "sweep": { "$ne": "s" }, "$nor": [{ "state": "failed" }] }),
            json!({ "config.lr": { "$not": { "$gt": 1 } } }),
        ] {
            assert!(holds(filter.clone()), "{filter}");
            assert!(filter == json!({}) || !holds(json!({ "$nor": [filter.clone()] })), "{filter}");
        }
        assert!(!holds(json!({ "tags": { "$nin": ["base"] } })));
        assert!(matches(&json!({ "state": { "$near": 1 } }), &run).unwrap_err().to_string().contains("$near"));
        assert!(matches(&json!({ "name": { "$regex": "(" } }), &run).is_err());
        let deep = (0..40).fold(json!({}), |inner, _| json!({ "$and": [inner] }));
        assert!(matches(&deep, &run).is_err());
    }

    #[test]
    fn what_has_no_value_comes_last_in_either_order() {
        let mut other = run();
        other.id = RunId(8);
        other.metrics = KeyMap::default();
        for order in ["+summary_metrics.loss", "-summary_metrics.loss"] {
            assert_eq!(ordered(&run(), &other, order), Ordering::Less);
        }
        assert_eq!(ordered(&run(), &other, "-created_at"), Ordering::Greater);
    }
}
