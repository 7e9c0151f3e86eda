//! A run's configuration: its params, and what `define_metric` said about axes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::AXES_TAG;
use super::line::metric_key;
use crate::capability::tracking::Run;
use crate::capability::tracking::rules::{PARAM_VALUE_CHARS_MAX, cut};

const DEPTH_MAX: usize = 16;

/// The configuration without the wrapping of each value, and the client's own part of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    pub values: Map<String, Value>,
    pub client: Map<String, Value>,
}

/// From `{"lr": {"value": 0.1}, "_wandb": {"value": {…}}}`.
pub fn unwrapped(config: Map<String, Value>) -> Config {
    let mut read = Config::default();
    for (key, wrapped) in config {
        let value = match wrapped {
            Value::Object(mut inner) if inner.contains_key("value") => inner.remove("value").unwrap_or_default(),
            bare => bare,
        };
        match (key.as_str(), value) {
            ("_wandb", Value::Object(client)) => read.client = client,
            ("_wandb", _) => {}
            (_, value) => drop(read.values.insert(key, value)),
        }
    }
    read
}

/// Params: nested keys joined by full stops, lists as JSON, nothing as `null`.
pub fn params(values: &Map<String, Value>) -> Vec<(String, String)> {
    let mut flat = Vec::new();
    for (key, value) in values {
        flatten(&mut flat, key, value, 0);
    }
    flat
}

fn flatten(flat: &mut Vec<(String, String)>, path: &str, value: &Value, depth: usize) {
    match value {
        Value::Object(inner) if !inner.is_empty() && depth < DEPTH_MAX => {
            for (key, value) in inner {
                flatten(flat, &format!("{path}.{key}"), value, depth + 1);
            }
        }
        Value::String(text) => flat.push((metric_key(path), cut(text, PARAM_VALUE_CHARS_MAX).to_owned())),
        other => flat.push((metric_key(path), cut(&other.to_string(), PARAM_VALUE_CHARS_MAX).to_owned())),
    }
}

/// A metric by name, or several by a pattern with `*`, and the metric that they are drawn over.
pub type Axes = BTreeMap<String, String>;

/// From the client's part of the configuration: `"m": [{"1": "epoch"}, {"2": "val/*", "5": 1}]`, where 5 names an entry of
/// the list by its number, from 1.
pub fn axes(client: &Map<String, Value>) -> Axes {
    let Some(defined) = client.get("m").and_then(Value::as_array) else { return Axes::new() };
    let name = |entry: &Value| ["1", "2"].iter().find_map(|field| entry.get(field)?.as_str()).map(str::to_owned);
    let axis = |entry: &Value| {
        let by_name = entry.get("4").and_then(Value::as_str).map(str::to_owned);
        let nth = entry.get("5").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()?.checked_sub(1));
        by_name.or_else(|| defined.get(nth?).and_then(name))
    };
    defined.iter().filter_map(|entry| Some((name(entry)?, axis(entry)?))).collect()
}

/// The metric that this one is drawn over, if it is not its own step: its name beats a pattern, a longer pattern a shorter.
pub fn axis<'a>(axes: &'a Axes, key: &str) -> Option<&'a str> {
    let by_pattern = || {
        let fitting = axes.iter().filter(|(pattern, _)| fits(pattern, key));
        fitting.max_by_key(|(pattern, _)| pattern.len()).map(|(_, axis)| axis)
    };
    axes.get(key).or_else(by_pattern).map(String::as_str).filter(|axis| *axis != key && *axis != "_step")
}

/// The same of a run, as it keeps them.
pub fn axis_of(run: &Run, key: &str) -> Option<String> {
    let axes: Axes = serde_json::from_slice(run.tags.get(AXES_TAG)?.as_bytes()).ok()?;
    axis(&axes, key).map(str::to_owned)
}

/// W&B's patterns have their one star at the end.
fn fits(pattern: &str, key: &str) -> bool {
    pattern.strip_suffix('*').is_some_and(|stem| key.starts_with(stem))
}

/// One entry of the facts about machine and program, of which each writer of a run leaves one; the newest counts.
pub fn environment(client: &Map<String, Value>) -> Option<&Map<String, Value>> {
    let all = client.get("e")?.as_object()?;
    all.values().filter_map(Value::as_object).max_by_key(|e| e.get("startedAt").and_then(Value::as_str).unwrap_or(""))
}
