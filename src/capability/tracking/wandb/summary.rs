//! A run's summary: mostly the newest values of its history, which are there already. What only the summary says is a metric
//! too, and where it says otherwise than the history, both stand: `loss` and `summary/loss`.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::json::word_number;
use super::line::{self, Line};
use super::stream::Update;
use crate::capability::tracking::Run;

/// Where a value stands that the history has as well, with another one.
const BESIDE: &str = "summary/";
/// Where a text of the summary stands as a tag.
const TEXT: &str = "summary.";

/// The summary as the script sent it last.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    whole: Map<String, Value>,
    /// Names that the history has.
    logged: HashSet<String>,
}

impl Summary {
    /// Notes what the history has.
    pub fn logged<'a>(&mut self, lines: impl IntoIterator<Item = &'a Line>) {
        for (key, _) in lines.into_iter().flat_map(|l| &l.values) {
            if !self.logged.contains(key) {
                self.logged.insert(key.clone());
            }
        }
    }

    /// A newer summary. A name that the one before had too and the history has not is the summary's own: others may merely
    /// run ahead of their history.
    pub fn renew(&mut self, update: &mut Update, run: &Run, whole: Map<String, Value>) {
        let before: HashSet<String> = line::summary(&self.whole).into_iter().map(|(key, _)| key).collect();
        self.whole = whole;
        let values = line::summary(&self.whole).into_iter();
        update.summary = values.filter(|(key, _)| before.contains(key) && !self.has(run, key)).collect();
    }

    /// The end: the summary is what it is.
    pub fn conclude(&self, update: &mut Update, run: &Run) {
        let newest = |key: &str| self.has(run, key).then(|| update.newest(run, key)).flatten();
        update.summary = summary_values(&self.whole, newest);
        update.texts = summary_texts(&self.whole);
    }

    /// Whether the history has this name; after a restart of the agent, several points tell.
    fn has(&self, run: &Run, key: &str) -> bool {
        self.logged.contains(key) || run.metrics.get(key).is_some_and(|l| l.count > 1)
    }
}

/// The values that a summary has beyond the newest ones of the history.
pub fn summary_values(whole: &Map<String, Value>, newest: impl Fn(&str) -> Option<f64>) -> Vec<(String, f64)> {
    let named = |(key, value): (String, f64)| match newest(&key) {
        Some(logged) if same(logged, value) => None,
        Some(_) => Some((line::metric_key(&format!("{BESIDE}{key}")), value)),
        None => Some((key, value)),
    };
    line::summary(whole).into_iter().filter_map(named).collect()
}

/// The texts of a summary, as tags.
pub fn summary_texts(whole: &Map<String, Value>) -> Vec<(String, String)> {
    let text = |(key, value): (&String, &Value)| {
        let text = value.as_str().filter(|t| word_number(t).is_none())?;
        Some((format!("{TEXT}{}", line::metric_key(key)), text.to_owned()))
    };
    whole.iter().filter(|(key, _)| key.as_str() != "_wandb").filter_map(text).collect()
}

pub(super) fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}
