//! An eval suite: which data, how predictions come about, which metrics, slices and limits. Written in TOML.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::metric::{self, OF_THE_RUN};
use super::rows::Task;
use crate::base::fault::Result;
use crate::capability::form::{self, Document, Entry};

/// A suite as it is applied, stored and run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    #[serde(default)]
    pub name: String,
    /// `NAME@VERSION` of a dataset, or a file on the host that runs it.
    pub data: String,
    /// The column that holds the truth. Predictors do not get it.
    pub label: String,
    pub task: Task,
    /// The label that counts as positive, for two classes.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub positive: String,
    /// Classes beyond those that the data's labels name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// From which probability on the positive class is decided.
    #[serde(default = "half", skip_serializing_if = "is_half")]
    pub threshold: f64,
    pub metrics: Vec<String>,
    /// Columns whose values cut the examples into slices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<String>,
    /// Slices with fewer examples are not looked at.
    #[serde(default = "rows_min", skip_serializing_if = "is_rows_min")]
    pub slice_rows_min: u64,
    /// Writes predictions: `{artifact}`, `{model}`, `{version}`, `{data}`, `{out}` are filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Or asks a server that has the version loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// `90s`, `10m`: what takes longer is ended.
    #[serde(default = "ten_minutes", skip_serializing_if = "is_ten_minutes")]
    pub timeout: String,
    /// Further metrics of the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Custom>,
    /// What a metric must keep for the run to be good.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, Limit>,
}

/// A server that predicts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// The whole address: `http://HOST:PORT/invocations`, or `http://HOST:PORT/v2/models/NAME/infer`.
    pub url: String,
    #[serde(default)]
    pub protocol: Protocol,
    /// Rows of one request.
    #[serde(default = "rows_of_a_request")]
    pub rows: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// `dataframe_split` to MLflow's /invocations.
    #[default]
    Mlflow,
    /// Open Inference Protocol, version 2.
    V2,
}

/// A command that prints one JSON object of names and numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Custom {
    pub command: Vec<String>,
    /// The names it prints: a gate on any other is a typing error.
    pub metrics: Vec<String>,
}

/// Both ends allowed.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

impl Limit {
    pub fn holds(&self, value: f64) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }

    pub fn shown(&self) -> String {
        match (self.min, self.max) {
            (Some(min), Some(max)) => format!("{min} to {max}"),
            (Some(min), None) => format!(">= {min}"),
            (None, Some(max)) => format!("<= {max}"),
            (None, None) => "any".to_owned(),
        }
    }
}

fn one() -> String {
    "1".to_owned()
}
fn is_one(text: &String) -> bool {
    text == "1"
}
fn half() -> f64 {
    0.5
}
#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_half(x: &f64) -> bool {
    *x == 0.5
}
fn rows_min() -> u64 {
    30
}
#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_rows_min(n: &u64) -> bool {
    *n == 30
}
fn ten_minutes() -> String {
    "10m".to_owned()
}
fn is_ten_minutes(text: &String) -> bool {
    text == "10m"
}
fn rows_of_a_request() -> usize {
    32
}

impl Suite {
    pub fn timeout_seconds(&self) -> u64 {
        form::seconds(&self.timeout).unwrap_or(600)
    }

    /// Digest of what is asked, apart from how: results of another question do not count for a gate.
    pub fn question(&self) -> String {
        let asked = (&self.data, &self.label, self.task, &self.positive, self.threshold, &self.classes, &self.slices);
        let text = serde_json::to_string(&asked).unwrap_or_default();
        format!("blake3:{}", blake3::hash(text.as_bytes()).to_hex())
    }

    /// Every figure that a run of this suite can give.
    pub fn gives(&self, metric: &str) -> bool {
        metric::find(metric).is_some_and(|m| m.tasks.contains(&self.task))
            || OF_THE_RUN.contains(&metric)
            || self.custom.as_ref().is_some_and(|c| c.metrics.iter().any(|m| m == metric))
    }

    /// Whether it can be run at all.
    ///
    /// # Errors
    /// The key that is wrong, and why.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let wrong = |key: &'static str, what: &str| Err((key, what.to_owned()));
        let name_fits = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        if self.name.is_empty() || !self.name.chars().all(name_fits) {
            return Err(("", format!("a suite's name has letters, digits, - _ and . only, not {:?}", self.name)));
        }
        match (&self.command, &self.endpoint) {
            (None, None) => return wrong("", "a suite needs a command or an endpoint"),
            (Some(_), Some(_)) => return wrong("endpoint", "a suite has a command or an endpoint, not both"),
            (Some(command), None) if command.is_empty() => return wrong("command", "the command is empty"),
            (None, Some(e)) if !e.url.starts_with("http://") && !e.url.starts_with("https://") => {
                return Err(("endpoint", format!("not an http address: {:?}", e.url)));
            }
            (None, Some(e)) if e.rows == 0 => return wrong("endpoint", "a request has one row at least"),
            _ => {}
        }
        if form::seconds(&self.timeout).is_none_or(|s| s == 0) {
            return Err(("timeout", format!("not a length of time: {:?}; write 90s, 10m or 2h", self.timeout)));
        }
        if self.metrics.is_empty() {
            return wrong("metrics", "a suite needs one metric at least");
        }
        if let Some(odd) = self.metrics.iter().find(|m| !self.gives(m)) {
            return Err(("metrics", format!("unknown metric {odd:?} for a {} suite", self.task.name())));
        }
        if !(0.0..=1.0).contains(&self.threshold) {
            return Err(("threshold", format!("a threshold lies between 0 and 1, not at {}", self.threshold)));
        }
        if self.slices.contains(&self.label) {
            return wrong("slices", "the label itself cannot be a slice");
        }
        Ok(())
    }

    /// Names for "did you mean".
    pub fn metric_names(&self) -> Vec<&str> {
        let own = metric::METRICS.iter().filter(|m| m.tasks.contains(&self.task)).map(|m| m.name);
        let custom = self.custom.iter().flat_map(|c| c.metrics.iter().map(String::as_str));
        own.chain(OF_THE_RUN.iter().copied()).chain(custom).collect()
    }
}

/// The `[suite.NAME]` tables of a file.
///
/// # Errors
/// `Invalid` with file and line.
pub fn parse(document: &mut Document<'_>) -> Result<Vec<Suite>> {
    document.entries("suite", true)?.iter().map(read).collect()
}

fn read(entry: &Entry<'_>) -> Result<Suite> {
    let suite = Suite { name: entry.name.clone(), ..entry.read::<Suite>()? };
    for (key, name) in suite.metrics.iter().map(|m| ("metrics", m)).chain(suite.limits.keys().map(|m| ("limits", m))) {
        if !suite.gives(name) {
            return Err(unknown_metric(entry, key, name, &suite));
        }
    }
    suite.check().map_err(|(key, what)| entry.fault(key, what))?;
    Ok(suite)
}

/// A complaint about a metric's name, with the nearest that is known.
pub fn unknown_metric(entry: &Entry<'_>, key: &str, name: &str, suite: &Suite) -> crate::base::Fault {
    let known = suite.metric_names();
    let task = suite.task.name();
    entry
        .fault(key, format!("unknown metric {name:?} for a {task} suite{}", form::nearest(name, &known)))
        .why(format!("known are {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<Vec<Suite>> {
        parse(&mut Document::parse("s.toml", text).unwrap())
    }

    const GOOD: &str = "[suite.later]\ndata = 'x.csv'\nlabel = 'late'\ntask = 'binary'\nmetrics = ['auc']\n\
                        command = ['p', '{artifact}']\n";

    #[test]
    fn a_suite_is_read_and_written_the_same() {
        let suite = one(GOOD).unwrap().remove(0);
        assert_eq!((suite.name.as_str(), suite.threshold, suite.timeout_seconds()), ("later", 0.5, 600));
        let json = serde_json::to_string(&suite).unwrap();
        assert_eq!(serde_json::from_slice::<Suite>(json.as_bytes()).unwrap(), suite);
        assert_ne!(Suite { data: "y.csv".to_owned(), ..suite.clone() }.question(), suite.question());
        assert_eq!(Suite { timeout: "1s".to_owned(), ..suite.clone() }.question(), suite.question());
    }

    #[test]
    fn what_is_wrong_is_named_by_its_line() {
        for (from, to, words) in [
            ("['auc']", "['auk']", "s.toml line 5: unknown metric \"auk\" for a binary suite; did you mean \"auc\"?"),
            ("['auc']", "[]", "s.toml line 5: a suite needs one metric"),
            ("'binary'", "'binry'", "s.toml line 4: unknown variant"),
            ("label =", "lable =", "s.toml line 3: unknown field `lable`"),
            ("command = ['p', '{artifact}']", "", "s.toml line 1: a suite needs a command or an endpoint"),
            ("command = ['p', '{artifact}']", "endpoint = { url = 'ftp://x' }", "s.toml line 6: not an http address"),
            ("label = 'late'", "label = 'late'\ntimeout = 'soon'", "s.toml line 4: not a length of time"),
            ("label = 'late'", "label = 'late'\nslices = ['late']", "s.toml line 4: the label itself"),
        ] {
            let fault = one(&GOOD.replace(from, to)).unwrap_err();
            assert!(fault.what.contains(words), "{fault}");
        }
    }
}
