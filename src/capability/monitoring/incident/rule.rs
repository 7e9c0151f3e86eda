//! An alert rule: a condition over windows, written in TOML as `[[alert]]`.

use serde::{Deserialize, Serialize};

use crate::base::fault::Result;
use crate::capability::form::{self, Document, Entry};

/// When to raise an alert on a service, and what to do then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertRule {
    pub name: String,
    /// `*`: every service.
    pub service: String,
    pub signal: Signal,
    /// Only these predictions, such as `country=BR`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice: Option<String>,
    pub bound: Bound,
    /// Where it is well again: not as far as the bound, so that nothing flaps.
    pub clear: f64,
    /// Length of one window, seconds.
    pub window: u64,
    /// Windows with fewer observations say nothing.
    pub n_min: u64,
    /// So many of the last `of` windows have to be beyond the bound.
    pub windows: u32,
    pub of: u32,
    /// Raises nothing for so long after it cleared, seconds.
    pub cooldown: u64,
    /// Without any observation for so long it alerts about that, seconds; 0: never.
    pub absent: u64,
    pub severity: u8,
    pub action: Action,
}

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Signal {
    /// Share of requests without a good answer.
    ErrorRate,
    /// Milliseconds at a percentile in 1..=99.
    LatencyMs(u8),
    /// Predictions in a window.
    Requests,
    /// A metric of the labelled predictions.
    Quality(String),
    /// The same, estimated without labels.
    Estimated(String),
    /// Share of predictions that have their label.
    Coverage,
    /// PSI of a column against the training profile; of the worst one without a name.
    Drift(Option<String>),
    /// Share of a column's values that are missing.
    Missing(String),
}

impl From<Signal> for String {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::ErrorRate => "error_rate".to_owned(),
            Signal::LatencyMs(p) => format!("latency_p{p}_ms"),
            Signal::Requests => "requests".to_owned(),
            Signal::Quality(metric) => format!("quality:{metric}"),
            Signal::Estimated(metric) => format!("estimated:{metric}"),
            Signal::Coverage => "label_coverage".to_owned(),
            Signal::Drift(None) => "drift".to_owned(),
            Signal::Drift(Some(column)) => format!("drift:{column}"),
            Signal::Missing(column) => format!("missing:{column}"),
        }
    }
}

impl TryFrom<String> for Signal {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no signal: error_rate, latency_pNN_ms, requests, quality:METRIC, estimated:METRIC, \
                 label_coverage, drift, drift:COLUMN or missing:COLUMN"
            )
        };
        match text.split_once(':') {
            Some((_, "")) => Err(wrong()),
            Some(("quality", metric)) => Ok(Self::Quality(metric.to_owned())),
            Some(("estimated", metric)) => Ok(Self::Estimated(metric.to_owned())),
            Some(("drift", column)) => Ok(Self::Drift(Some(column.to_owned()))),
            Some(("missing", column)) => Ok(Self::Missing(column.to_owned())),
            Some(_) => Err(wrong()),
            None => match text.as_str() {
                "error_rate" => Ok(Self::ErrorRate),
                "requests" => Ok(Self::Requests),
                "label_coverage" => Ok(Self::Coverage),
                "drift" => Ok(Self::Drift(None)),
                other => {
                    let percentile = other.strip_prefix("latency_p").and_then(|r| r.strip_suffix("_ms"));
                    let percentile = percentile.and_then(|p| p.parse().ok()).filter(|p| (1..=99).contains(p));
                    percentile.map(Self::LatencyMs).ok_or_else(wrong)
                }
            },
        }
    }
}

/// On which side it is bad.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    Below(f64),
    Above(f64),
}

impl Bound {
    pub fn is_broken_by(self, value: f64) -> bool {
        match self {
            Self::Below(bound) => value < bound,
            Self::Above(bound) => value > bound,
        }
    }

    /// Whether a value is well again, by the clear threshold.
    pub fn is_cleared_by(self, value: f64, clear: f64) -> bool {
        match self {
            Self::Below(_) => value >= clear,
            Self::Above(_) => value <= clear,
        }
    }

    pub fn shown(self) -> String {
        match self {
            Self::Below(bound) => format!("< {bound}"),
            Self::Above(bound) => format!("> {bound}"),
        }
    }

    pub fn value(self) -> f64 {
        match self {
            Self::Below(bound) | Self::Above(bound) => bound,
        }
    }
}

/// What a monitor does when it fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Tells people.
    Page,
    /// And holds the rollout that goes on.
    Hold,
    /// And goes back to the version before.
    Rollback,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    name: String,
    #[serde(default = "any")]
    service: String,
    signal: Signal,
    slice: Option<String>,
    below: Option<f64>,
    above: Option<f64>,
    clear: Option<f64>,
    window: Option<String>,
    n_min: Option<u64>,
    windows: Option<u32>,
    of: Option<u32>,
    cooldown: Option<String>,
    absent: Option<String>,
    severity: Option<u8>,
    action: Option<Action>,
}

fn any() -> String {
    "*".to_owned()
}

/// The rules of a file.
///
/// # Errors
/// `Invalid` with file and line.
pub fn parse(document: &mut Document<'_>) -> Result<Vec<AlertRule>> {
    let mut rules: Vec<AlertRule> = Vec::new();
    for entry in document.entries("alert", false)? {
        let rule = rule(&entry)?;
        if rules.iter().any(|r| r.name == rule.name) {
            return Err(entry.fault("name", format!("alert {} is there twice", rule.name)));
        }
        rules.push(rule);
    }
    Ok(rules)
}

fn rule(entry: &Entry<'_>) -> Result<AlertRule> {
    let form: Form = entry.read()?;
    let bound = match (form.below, form.above) {
        (Some(b), None) => Bound::Below(b),
        (None, Some(a)) => Bound::Above(a),
        _ => return Err(entry.fault("name", "an alert has either `below` or `above`")),
    };
    let clear = form.clear.unwrap_or(bound.value());
    if !bound.value().is_finite() || !clear.is_finite() {
        return Err(entry.fault("clear", "bounds are finite numbers"));
    }
    if bound.is_broken_by(clear) {
        return Err(entry.fault("clear", "where it clears lies beyond the bound: it would never be well again"));
    }
    let seconds = |key: &str, text: &Option<String>, default: u64| match text {
        None => Ok(default),
        Some(text) => form::seconds(text).ok_or_else(|| entry.fault(key, "a length is written as 90s, 10m, 2h or 7d")),
    };
    let window = seconds("window", &form.window, 300)?;
    if window < 60 || window % 60 != 0 {
        return Err(entry.fault("window", "a window is whole minutes: counts are kept by the minute"));
    }
    let windows = form.windows.unwrap_or(1);
    let of = form.of.unwrap_or(windows);
    if windows == 0 || windows > of || of > 1000 {
        return Err(entry
            .fault("windows", "`windows` of the last `of` windows: at least 1, at most `of`, and `of` at most 1000"));
    }
    let severity = form.severity.unwrap_or(2);
    if !(1..=3).contains(&severity) {
        return Err(entry.fault("severity", "severity is 1, 2 or 3"));
    }
    if form.slice.as_ref().is_some_and(|s| s.split_once('=').is_none_or(|(k, v)| k.is_empty() || v.is_empty())) {
        return Err(entry.fault("slice", "a slice is written as COLUMN=VALUE"));
    }
    Ok(AlertRule {
        slice: form.slice,
        bound,
        clear,
        window,
        n_min: form.n_min.unwrap_or(30),
        windows,
        of,
        cooldown: seconds("cooldown", &form.cooldown, 600)?,
        absent: seconds("absent", &form.absent, 0)?,
        severity,
        action: form.action.unwrap_or(Action::Page),
        name: form.name,
        service: form.service,
        signal: form.signal,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<AlertRule>> {
        parse(&mut Document::parse("a.toml", text).unwrap())
    }

    #[test]
    fn a_rule_has_sensible_defaults() {
        let rules = of("[[alert]]\nname = \"slow\"\nsignal = \"latency_p99_ms\"\nabove = 200\n").unwrap();
        let r = &rules[0];
        assert_eq!((r.service.as_str(), r.window, r.windows, r.of, r.severity), ("*", 300, 1, 1, 2));
        assert_eq!((&r.signal, r.bound, r.clear), (&Signal::LatencyMs(99), Bound::Above(200.0), 200.0));
    }

    #[test]
    fn what_cannot_work_names_its_line() {
        let head = "[[alert]]\nname = \"q\"\nsignal = \"quality:auc\"\n";
        for (rest, what) in [
            ("", "either `below` or `above`"),
            ("below = 0.6\nabove = 0.7\n", "either `below` or `above`"),
            ("below = 0.6\nclear = 0.5\n", "line 5: where it clears"),
            ("below = 0.6\nwindow = \"90s\"\n", "line 5: a window is whole minutes"),
            ("below = 0.6\nwindows = 3\nof = 2\n", "line 5: `windows` of the last"),
            ("below = 0.6\nseverity = 0\n", "line 5: severity"),
            ("below = 0.6\nslice = \"BR\"\n", "line 5: a slice"),
            ("below = 0.6\nactoin = \"page\"\n", "line 5: unknown field"),
        ] {
            let fault = of(&format!("{head}{rest}")).unwrap_err().to_string();
            assert!(fault.contains(what), "{rest}: {fault}");
        }
        let twice = format!("{head}below = 1\n{head}below = 1\n");
        assert!(of(&twice).unwrap_err().to_string().contains("line 6: alert q is there twice"));
    }

    #[test]
    fn signals_are_read_as_they_are_written() {
        for text in ["error_rate", "latency_p95_ms", "requests", "quality:auc", "drift", "drift:distance", "missing:x"]
        {
            assert_eq!(String::from(Signal::try_from(text.to_owned()).unwrap()), text);
        }
        for text in ["latency_p100_ms", "quality:", "psi", "x:y"] {
            assert!(Signal::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
