//! The records of a `.wandb` file, taken into what is known of its run.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::artifact::{Alert, Artifact};
use super::columns::Columns;
use super::console::Console;
use super::names::{Names, of};
use super::proto::{Field, fields, last};
use crate::capability::tracking::points::Point;
use crate::capability::tracking::wandb::line::{self, machine_key, metric_key, millis};
use crate::capability::tracking::wandb::{NO_PROJECT, Upsert, json as lenient};

/// Numbers of the fields of a record.
mod kind {
    pub const HISTORY: u32 = 2;
    pub const SUMMARY: u32 = 3;
    pub const CONFIG: u32 = 5;
    pub const STATS: u32 = 7;
    pub const ARTIFACT: u32 = 8;
    pub const ALERT: u32 = 10;
    pub const METRIC: u32 = 12;
    pub const OUTPUT: u32 = 13;
    pub const RUN: u32 = 17;
    pub const EXIT: u32 = 18;
    pub const ENVIRONMENT: u32 = 26;
}

/// What a file has said so far.
#[derive(Default)]
pub struct Story {
    pub upsert: Upsert,
    /// The run has been named.
    pub named: bool,
    /// What stands in `upsert` has changed since it was told.
    news: bool,
    pub columns: Columns,
    /// Lines of history and of the machine's figures, as a live client would have numbered them.
    pub history: u64,
    pub events: u64,
    /// Lines below these are in the store.
    pub known: (u64, u64),
    pub step: i64,
    pub runtime: f64,
    pub at_ms: i64,
    /// Objects that lines hold whole, with their steps.
    pub media: Vec<(i64, String, Value)>,
    pub exit: Option<i64>,
    pub console: Console,
    /// What has not been brought to the agent yet.
    pub artifacts: Vec<Artifact>,
    pub alerts: Vec<Alert>,
    config: Map<String, Value>,
    names: Names,
    /// Values as they stand, by the numbers of their names; none where there is none or it was taken away.
    summary: Vec<Option<Vec<u8>>>,
    metrics: Vec<Value>,
    environment: Map<String, Value>,
    scratch: Scratch,
}

/// Kept between records, so that each costs no memory of its own.
#[derive(Default)]
struct Scratch {
    path: Vec<u8>,
    values: Vec<(usize, f64)>,
}

impl Story {
    /// Takes one record in.
    pub fn take(&mut self, record: &[u8]) {
        for (number, field) in fields(record) {
            let body = field.bytes();
            match number {
                kind::HISTORY => self.history(body),
                kind::SUMMARY => self.summary(body),
                kind::CONFIG => self.config(body),
                kind::STATS => self.stats(body),
                kind::ARTIFACT => self.artifacts.extend(Artifact::read(body)),
                kind::ALERT => self.alerts.push(Alert::read(body)),
                kind::METRIC => self.metric(body),
                kind::OUTPUT => self.output(body),
                kind::RUN => self.run(body),
                kind::EXIT => self.exit = Some(last(body, 1).map_or(0, Field::int)),
                kind::ENVIRONMENT => self.environment(body),
                _ => {}
            }
        }
    }

    fn history(&mut self, body: &[u8]) {
        let known = self.history < self.known.0;
        self.history += 1;
        let (mut step, mut at_ms, mut runtime) = (None, None, None);
        let mut values = std::mem::take(&mut self.scratch.values);
        let mut path = std::mem::take(&mut self.scratch.path);
        let mut rest: Vec<(Vec<u8>, &[u8])> = Vec::new();
        let Self { names, columns, .. } = self;
        let mut take = |name: &[u8], value| {
            let number = names.number(name);
            match (name, number_of(value)) {
                (b"_step", x) => step = x,
                (b"_timestamp", x) => at_ms = x.map(millis),
                (b"_runtime", x) => runtime = x,
                (_, Some(x)) => values.push((columns.place(number, || own_key(name)), x)),
                (_, None) => rest.push((name.to_vec(), value)),
            }
        };
        let (mut all, mut told_step) = (fields(body), None);
        loop {
            if let Some((name, value)) = all.plain_item() {
                take(name, value);
                continue;
            }
            match all.next() {
                Some((1, field)) => {
                    let value = item(field.bytes(), &mut path);
                    take(&path, value);
                }
                Some((2, field)) => told_step = Some(last(field.bytes(), 1).map_or(0, Field::int) as f64),
                Some(_) => {}
                None => break,
            }
        }
        let step = step.or(told_step);
        // Steps are whole, and far below 2^53.
        #[allow(clippy::cast_possible_truncation)]
        let step = step.unwrap_or(0.0) as i64;
        self.advance(step, at_ms, runtime);
        let timestamp = at_ms.unwrap_or(self.at_ms);
        if rest.iter().any(|(path, _)| path == b"_type" || path.ends_with(b"._type"))
            || rest.iter().any(|(_, v)| v.starts_with(b"{"))
        {
            self.objects(body, step, timestamp, known);
        } else {
            for (place, value) in values.drain(..) {
                self.columns.push(place, Point { step, timestamp, value }, known);
            }
        }
        values.clear();
        (self.scratch.values, self.scratch.path) = (values, path);
    }

    /// A line with objects in it, read as a live client's line is.
    fn objects(&mut self, body: &[u8], step: i64, timestamp: i64, known: bool) {
        let mut whole = Map::new();
        let mut path = Vec::new();
        for (_, field) in fields(body).filter(|(n, _)| *n == 1) {
            let mut parts: Vec<String> = Vec::new();
            let value = parts_of(field.bytes(), &mut parts, &mut path);
            put(&mut whole, &parts, parsed(value));
        }
        let read = line::history(&whole);
        for (key, value) in read.values {
            let number = self.names.number(key.as_bytes());
            let place = self.columns.place(number, || own_key(key.as_bytes()));
            self.columns.push(place, Point { step, timestamp, value }, known);
        }
        if !known {
            self.media.extend(read.media.into_iter().map(|(key, value)| (step, key, value)));
        }
    }

    fn advance(&mut self, step: i64, at_ms: Option<i64>, runtime: Option<f64>) {
        self.step = self.step.max(step);
        self.at_ms = self.at_ms.max(at_ms.unwrap_or(0));
        self.runtime = self.runtime.max(runtime.unwrap_or(0.0));
    }

    fn summary(&mut self, body: &[u8]) {
        let mut path = std::mem::take(&mut self.scratch.path);
        let mut set = |name: &[u8], value: Option<&[u8]>| {
            let known = of(&mut self.summary, self.names.number(name));
            match value {
                Some(value) => {
                    let known = known.get_or_insert_default();
                    known.clear();
                    known.extend_from_slice(value);
                }
                None => *known = None,
            }
        };
        let mut all = fields(body);
        loop {
            if let Some((name, value)) = all.plain_item() {
                set(name, Some(value));
                continue;
            }
            let Some((number, field)) = all.next() else { break };
            let value = item(field.bytes(), &mut path);
            match number {
                1 => set(&path, Some(value)),
                2 => set(&path, None),
                _ => {}
            }
        }
        self.scratch.path = path;
    }

    /// The summary as a document, its names flat.
    pub fn summarised(&self) -> Map<String, Value> {
        let named = |(path, value): (&[u8], &Option<Vec<u8>>)| {
            Some((String::from_utf8_lossy(path).into_owned(), parsed(value.as_ref()?)))
        };
        let mut all: Map<String, Value> = self.names.iter().zip(&self.summary).filter_map(named).collect();
        // What belongs to a histogram or the like is no value of its own.
        let objects: Vec<String> = all.keys().filter_map(|k| k.strip_suffix("_type")).map(str::to_owned).collect();
        all.retain(|path, _| !path.starts_with("_wandb") && !objects.iter().any(|o| path.starts_with(o.as_str())));
        all
    }

    fn config(&mut self, body: &[u8]) {
        for (number, field) in fields(body) {
            let mut parts = Vec::new();
            let value = parts_of(field.bytes(), &mut parts, &mut Vec::new());
            match number {
                _ if parts.first().is_none_or(|p| p == "_wandb") => {}
                1 => put(&mut self.config, &parts, parsed(value)),
                2 => drop(self.config.remove(&parts.join("."))),
                _ => {}
            }
        }
        self.renew();
    }

    fn stats(&mut self, body: &[u8]) {
        let known = self.events < self.known.1;
        let step = i64::try_from(self.events).unwrap_or(i64::MAX);
        self.events += 1;
        let timestamp = last(body, 2).map_or(0, |t| moment(t.bytes()));
        self.at_ms = self.at_ms.max(timestamp);
        let mut path = Vec::new();
        for (_, field) in fields(body).filter(|(n, _)| *n == 3) {
            let Some(value) = number_of(item(field.bytes(), &mut path)) else { continue };
            // Its names are apart from those of the history.
            let raw = [b"\0", path.as_slice()].concat();
            let number = self.names.number(&raw);
            let place = self.columns.place(number, || machine_key(&String::from_utf8_lossy(&path)));
            self.columns.push(place, Point { step, timestamp, value }, known);
        }
    }

    fn metric(&mut self, body: &[u8]) {
        let mut entry = Map::new();
        for (number, field) in fields(body) {
            match number {
                1 | 2 | 4 => drop(entry.insert(number.to_string(), field.text().into())),
                5 => drop(entry.insert("5".to_owned(), field.int().into())),
                _ => {}
            }
        }
        self.metrics.push(Value::Object(entry));
        self.renew();
    }

    fn output(&mut self, body: &[u8]) {
        if let Some(line) = last(body, 3) {
            let error = last(body, 1).is_none();
            self.console.write(&String::from_utf8_lossy(line.bytes()), error);
        }
    }

    fn run(&mut self, body: &[u8]) {
        let upsert = &mut self.upsert;
        let mut tags = Vec::new();
        for (number, field) in fields(body) {
            let given = || Some(field.text()).filter(|t| !t.is_empty());
            match number {
                1 => upsert.id = field.text(),
                2 => upsert.entity = given(),
                3 => upsert.project = field.text(),
                4 => self.config.extend(items(field.bytes())),
                6 => upsert.group = given(),
                7 => upsert.job_type = given(),
                8 => upsert.display_name = given(),
                9 => upsert.notes = given(),
                10 => tags.push(field.text()),
                12 => upsert.sweep = given(),
                13 => upsert.host = given(),
                17 => upsert.started_ms = Some(moment(field.bytes())).filter(|ms| *ms > 0),
                21 => {
                    upsert.repository = last(field.bytes(), 1).map(Field::text);
                    upsert.commit = last(field.bytes(), 2).map(Field::text);
                }
                _ => {}
            }
        }
        if !tags.is_empty() {
            upsert.tags = Some(tags);
        }
        self.named = true;
        self.renew();
    }

    fn environment(&mut self, body: &[u8]) {
        for (number, field) in fields(body) {
            let name = match number {
                6 => "program",
                13 => "username",
                _ => continue,
            };
            self.environment.insert(name.to_owned(), field.text().into());
        }
        if let Some(program) = self.environment.get("program").and_then(Value::as_str) {
            self.upsert.program = Some(program.to_owned());
        }
        self.renew();
    }

    /// Puts the configuration together as a live client would send it.
    fn renew(&mut self) {
        let own = self.config.iter().filter(|(k, _)| k.as_str() != "_wandb");
        let mut whole: Map<String, Value> = own.map(|(k, v)| (k.clone(), json!({ "value": v }))).collect();
        let client = json!({ "value": { "m": self.metrics, "e": { "file": self.environment } } });
        whole.insert("_wandb".to_owned(), client);
        self.upsert.config = Some(whole);
        self.news = true;
    }

    /// The run as the agent is to know it, where something about it is new.
    pub fn news(&mut self) -> Option<Upsert> {
        if !self.named || !std::mem::take(&mut self.news) {
            return None;
        }
        if self.upsert.project.is_empty() {
            NO_PROJECT.clone_into(&mut self.upsert.project);
        }
        self.upsert.from_file = true;
        Some(self.upsert.clone())
    }

    /// Values that only the summary has, and its texts.
    pub fn conclusion(&self) -> (Vec<(String, f64)>, BTreeMap<String, String>) {
        let whole = self.summarised();
        let values = crate::capability::tracking::wandb::summary_values(&whole, |key| self.columns.newest(key));
        (values, crate::capability::tracking::wandb::summary_texts(&whole).into_iter().collect())
    }
}

/// The metric that a name of the history is.
fn own_key(name: &[u8]) -> String {
    metric_key(&String::from_utf8_lossy(name))
}

/// The value of an item as it stands; its name goes to `path`, nested ones joined by full stops.
fn item<'a>(item: &'a [u8], path: &mut Vec<u8>) -> &'a [u8] {
    path.clear();
    let mut value: &[u8] = &[];
    for (number, field) in fields(item) {
        match number {
            1 => {
                path.clear();
                path.extend_from_slice(field.bytes());
            }
            2 => {
                if !path.is_empty() {
                    path.push(b'.');
                }
                path.extend_from_slice(field.bytes());
            }
            16 => value = field.bytes(),
            _ => {}
        }
    }
    value
}

/// The same with the parts of the name apart.
fn parts_of<'a>(of: &'a [u8], parts: &mut Vec<String>, path: &mut Vec<u8>) -> &'a [u8] {
    parts.extend(fields(of).filter(|(n, _)| matches!(n, 1 | 2)).map(|(_, f)| f.text()));
    item(of, path)
}

fn items(config: &[u8]) -> Map<String, Value> {
    let mut map = Map::new();
    for (_, field) in fields(config).filter(|(n, _)| *n == 1) {
        let mut parts = Vec::new();
        let value = parts_of(field.bytes(), &mut parts, &mut Vec::new());
        put(&mut map, &parts, parsed(value));
    }
    map
}

/// Puts a value at its place in a document.
fn put(map: &mut Map<String, Value>, parts: &[String], value: Value) {
    let Some((first, rest)) = parts.split_first() else { return };
    if rest.is_empty() {
        map.insert(first.clone(), value);
        return;
    }
    let inner = map.entry(first.clone()).or_insert_with(|| Value::Object(Map::new()));
    if !inner.is_object() {
        *inner = Value::Object(Map::new());
    }
    if let Value::Object(inner) = inner {
        put(inner, rest, value);
    }
}

fn parsed(value: &[u8]) -> Value {
    let text = String::from_utf8_lossy(value);
    lenient::parse(&text).unwrap_or_else(|_| text.into_owned().into())
}

/// A number, a truth, or one of the three words, without a document in between.
fn number_of(value: &[u8]) -> Option<f64> {
    match value.first()? {
        b'0'..=b'9' | b'-' | b'N' | b'I' => {
            let text = std::str::from_utf8(value).ok()?;
            text.parse().ok().filter(|x: &f64| x.is_finite()).or_else(|| lenient::word_number(text))
        }
        b'"' => lenient::word_number(std::str::from_utf8(value).ok()?.trim_matches('"')),
        b't' => Some(1.0),
        b'f' => Some(0.0),
        _ => None,
    }
}

/// Milliseconds of a timestamp message.
fn moment(message: &[u8]) -> i64 {
    let part = |number| last(message, number).map_or(0, Field::int);
    part(1).saturating_mul(1000).saturating_add(part(2) / 1_000_000)
}
