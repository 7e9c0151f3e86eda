//! One line of a stream: what a script logged at a step, or what its machine said of itself.

use serde_json::{Map, Value};

use super::json::number;
use crate::capability::tracking::rules::{KEY_CHARS_MAX, cut};

/// Deeper than this, an object is no metric any more.
const DEPTH_MAX: usize = 16;

/// What a line says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Line {
    /// The script's own count.
    pub step: Option<i64>,
    /// Milliseconds since 1970.
    pub at_ms: Option<i64>,
    /// Seconds since the script began.
    pub runtime: Option<f64>,
    pub values: Vec<(String, f64)>,
    /// Objects that are no numbers but name their type: histograms, and references to files.
    pub media: Vec<(String, Value)>,
}

/// A line of the history. Nested keys are joined by full stops, as W&B's own pages show them.
pub fn history(line: &Map<String, Value>) -> Line {
    let mut read = times(line);
    for (key, value) in line {
        if !is_own(key) {
            take(&mut read, key, value, 0);
        }
    }
    read
}

/// A line of the machine's figures: `system.cpu` is `system/cpu`, as the room and `MLflow` name such metrics.
pub fn machine(line: &Map<String, Value>) -> Line {
    let mut read = times(line);
    for (key, value) in line {
        if let (false, Some(value)) = (is_own(key), number(value)) {
            read.values.push((machine_key(key), value));
        }
    }
    read
}

/// The metric's name of a figure of the machine.
pub fn machine_key(key: &str) -> String {
    metric_key(&format!("system/{}", key.strip_prefix("system.").unwrap_or(key)))
}

/// The numbers of a summary.
pub fn summary(whole: &Map<String, Value>) -> Vec<(String, f64)> {
    history(whole).values
}

/// A name as tracking keeps it: at most so long, without control characters.
pub fn metric_key(key: &str) -> String {
    let plain: String = cut(key, KEY_CHARS_MAX).chars().map(|c| if c.is_control() { '_' } else { c }).collect();
    if plain.is_empty() { "_".to_owned() } else { plain }
}

/// Milliseconds of a time in seconds.
#[allow(clippy::cast_possible_truncation)] // times of our age; what is none saturates
pub fn millis(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

/// A step as a whole number; clients also write it with an exponent.
#[allow(clippy::cast_possible_truncation)] // the fraction was looked at
pub fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().filter(|x| x.fract() == 0.0 && x.abs() < 9e15).map(|x| x as i64))
}

fn is_own(key: &str) -> bool {
    matches!(key, "_step" | "_runtime" | "_timestamp" | "_wandb")
}

fn times(line: &Map<String, Value>) -> Line {
    Line {
        step: line.get("_step").and_then(whole),
        at_ms: line.get("_timestamp").and_then(Value::as_f64).map(millis).filter(|ms| *ms >= 0),
        runtime: line.get("_runtime").and_then(Value::as_f64),
        ..Line::default()
    }
}

fn take(read: &mut Line, path: &str, value: &Value, depth: usize) {
    if let Some(number) = number(value) {
        read.values.push((metric_key(path), number));
        return;
    }
    let Value::Object(inner) = value else { return };
    if inner.contains_key("_type") {
        read.media.push((path.to_owned(), value.clone()));
    } else if depth < DEPTH_MAX {
        for (key, value) in inner {
            take(read, &format!("{path}.{key}"), value, depth + 1);
        }
    }
}
