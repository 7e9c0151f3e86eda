//! Prediction events on their way to the agent: a bounded queue that never delays a request and counts what it drops.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Bytes;
use serde_json::{Map, Value};

use super::state::Live;
use crate::base::Timestamp;
use crate::capability::monitoring::Prediction;
use crate::capability::rollout::Protocol;

/// Events that may wait.
pub const QUEUE_EVENTS_MAX: usize = 50_000;
/// Bytes of a request or answer that is looked at.
pub const BODY_BYTES_MAX: usize = 64 << 10;
/// Rows of one request that become events.
const ROWS_MAX: usize = 256;

/// Bytes of all that wait.
const QUEUE_BYTES_MAX: usize = 64 << 20;

/// A request and its answer as they were, until somebody asks for events: reading them would cost the request time.
pub struct Raw {
    pub live: Arc<Live>,
    pub version: u32,
    pub id: String,
    pub came: Timestamp,
    pub latency_ms: f64,
    pub request: Bytes,
    pub answer: Vec<u8>,
}

#[derive(Default)]
pub struct Tap {
    queue: Mutex<Queue>,
    dropped: AtomicU64,
    kept: AtomicU64,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Raw>,
    bytes: usize,
}

impl Raw {
    fn bytes(&self) -> usize {
        self.request.len() + self.answer.len() + size_of::<Self>()
    }

    /// An event a row; none for what cannot be read.
    fn events(&self) -> Vec<Prediction> {
        let route = &self.live.route;
        let rows = rows(route.protocol, &self.request, &self.answer);
        let many = rows.len() > 1;
        let event = |(i, (features, prediction)): (usize, (Map<String, Value>, Value))| Prediction {
            id: if many { format!("{}/{i}", self.id) } else { self.id.clone() },
            service: route.service.clone(),
            model: Some(route.model.clone()),
            version: Some(self.version.to_string()),
            time: Some(self.came),
            features,
            prediction,
            score: None,
            latency_ms: Some(self.latency_ms),
            error: None,
            slices: std::collections::BTreeMap::new(),
            batch: None,
            usage: None,
        };
        rows.into_iter().enumerate().map(event).collect()
    }
}

impl Tap {
    pub fn give(&self, raw: Raw) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.waiting.len() >= QUEUE_EVENTS_MAX || queue.bytes >= QUEUE_BYTES_MAX {
            drop(queue);
            self.drop_one();
        } else {
            queue.bytes += raw.bytes();
            queue.waiting.push_back(raw);
            self.kept.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A request that could not be looked at.
    pub fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub fn kept(&self) -> u64 {
        self.kept.load(Ordering::Relaxed)
    }

    /// The events of the oldest requests, and they are gone. What cannot be read counts as dropped.
    pub fn take(&self, requests_most: usize) -> Vec<Prediction> {
        let taken: Vec<Raw> = {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            let n = queue.waiting.len().min(requests_most);
            let taken: Vec<Raw> = queue.waiting.drain(..n).collect();
            queue.bytes -= taken.iter().map(Raw::bytes).sum::<usize>();
            taken
        };
        let mut events = Vec::with_capacity(taken.len());
        for raw in &taken {
            let found = raw.events();
            if found.is_empty() {
                self.drop_one();
                self.kept.fetch_sub(1, Ordering::Relaxed);
            }
            events.extend(found);
        }
        events
    }
}

/// Rows of a request and their answers, as the protocol writes them; empty when they cannot be read.
pub fn rows(protocol: Protocol, request: &[u8], answer: &[u8]) -> Vec<(Map<String, Value>, Value)> {
    let (Ok(request), Ok(answer)) = (serde_json::from_slice::<Value>(request), serde_json::from_slice::<Value>(answer))
    else {
        return Vec::new();
    };
    let (features, predictions) = match protocol {
        Protocol::None => return Vec::new(),
        Protocol::Mlflow => (of_mlflow(&request), listed(answer.get("predictions").unwrap_or(&answer))),
        Protocol::V2 => (of_v2(&request), answer.pointer("/outputs/0/data").map(listed).unwrap_or_default()),
        Protocol::Json => (vec![object(&request)], vec![answer]),
    };
    features.into_iter().zip(predictions).take(ROWS_MAX).collect()
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_else(|| Map::from_iter([("input".to_owned(), value.clone())]))
}

fn listed(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

/// `dataframe_split`, `dataframe_records`, `instances` or `inputs` of MLflow's scoring protocol.
fn of_mlflow(request: &Value) -> Vec<Map<String, Value>> {
    if let Some(split) = request.get("dataframe_split") {
        let names: Vec<String> = listed(&split["columns"]).iter().map(name).collect();
        let row = |row: &Value| names.iter().cloned().zip(listed(row)).collect();
        return split["data"].as_array().map(|rows| rows.iter().map(row).collect()).unwrap_or_default();
    }
    let rows = ["dataframe_records", "instances", "inputs"].into_iter().find_map(|key| request.get(key));
    match rows {
        Some(Value::Array(rows)) => rows.iter().map(object).collect(),
        // Columns by name: turned into rows.
        Some(Value::Object(columns)) => {
            let rows = columns.values().map(|c| listed(c).len()).max().unwrap_or(0);
            let cell = |column: &Value, i: usize| listed(column).get(i).cloned().unwrap_or_default();
            let row = |i: usize| columns.iter().map(|(k, c)| (k.clone(), cell(c, i))).collect();
            (0..rows.min(ROWS_MAX)).map(row).collect()
        }
        _ => Vec::new(),
    }
}

fn name(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// Inputs of the Open Inference Protocol: a column each, or one matrix.
fn of_v2(request: &Value) -> Vec<Map<String, Value>> {
    let inputs = request["inputs"].as_array().cloned().unwrap_or_default();
    let rows = inputs.first().and_then(|i| i["shape"][0].as_u64()).unwrap_or(0);
    let rows = usize::try_from(rows).unwrap_or(0).min(ROWS_MAX);
    let mut all = vec![Map::new(); rows];
    for input in &inputs {
        let (title, data) = (name(&input["name"]), listed(&input["data"]));
        let width = data.len().checked_div(rows).unwrap_or(0);
        for (i, row) in all.iter_mut().enumerate() {
            let cells = data.iter().skip(i * width).take(width);
            if width == 1 {
                row.extend(cells.map(|cell| (title.clone(), cell.clone())));
            } else {
                row.extend(cells.enumerate().map(|(j, cell)| (format!("{title}_{j}"), cell.clone())));
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_protocol_gives_rows_with_their_answers() {
        let read = |protocol, request: Value, answer: Value| {
            let all = rows(protocol, request.to_string().as_bytes(), answer.to_string().as_bytes());
            all.into_iter().map(|(f, p)| (Value::Object(f), p)).collect::<Vec<_>>()
        };
        let wanted = vec![(json!({"a": 1, "b": "x"}), json!(0.1)), (json!({"a": 2, "b": "y"}), json!(0.9))];
        let answer = json!({"predictions": [0.1, 0.9]});
        let split = json!({"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"], [2, "y"]]}});
        assert_eq!(read(Protocol::Mlflow, split, answer.clone()), wanted);
        let records = json!({"dataframe_records": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]});
        assert_eq!(read(Protocol::Mlflow, records, answer.clone()), wanted);
        let columns = json!({"inputs": {"a": [1, 2], "b": ["x", "y"]}});
        assert_eq!(read(Protocol::Mlflow, columns, answer), wanted);
        let v2 = json!({"inputs": [{"name": "a", "shape": [2, 1], "data": [1, 2]},
                                   {"name": "b", "shape": [2, 1], "data": ["x", "y"]}]});
        assert_eq!(read(Protocol::V2, v2, json!({"outputs": [{"data": [0.1, 0.9]}]})), wanted);
        let one = read(Protocol::Json, json!({"a": 1}), json!({"score": 0.3}));
        assert_eq!(one, [(json!({"a": 1}), json!({"score": 0.3}))]);
        assert!(rows(Protocol::Json, b"no json", b"{}").is_empty());
    }

    #[test]
    fn a_full_queue_drops_and_counts_and_what_cannot_be_read_is_dropped_when_it_is_taken() {
        let route = serde_json::from_value(json!({
            "service": "s", "model": "m", "protocol": "json", "key": "none", "salt": "",
            "stable": {"version": 1, "urls": []}, "weight": 0
        }));
        let live = Arc::new(Live::new(route.unwrap()));
        let raw = |request: &'static str| Raw {
            live: live.clone(),
            version: 1,
            id: "i".into(),
            came: Timestamp(0),
            latency_ms: 1.0,
            request: Bytes::from_static(request.as_bytes()),
            answer: b"{\"p\": 1}".to_vec(),
        };
        let tap = Tap::default();
        tap.give(raw("no json"));
        (0..QUEUE_EVENTS_MAX + 2).for_each(|_| tap.give(raw("{\"a\": 1}")));
        assert_eq!((tap.dropped(), tap.kept()), (3, QUEUE_EVENTS_MAX as u64));
        let events = tap.take(10);
        assert_eq!((events.len(), tap.dropped()), (9, 4));
        assert_eq!((events[0].features["a"].as_i64(), events[0].version.as_deref()), (Some(1), Some("1")));
        assert_eq!(tap.take(usize::MAX).len(), QUEUE_EVENTS_MAX - 10);
    }
}
