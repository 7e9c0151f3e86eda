//! Gates as they are written in TOML, from the keys to the rule.

use serde::Deserialize;

use super::{Gate, Rule, Wrong, check};
use crate::base::fault::Result;
use crate::base::stats::multiple::Adjustment;
use crate::capability::evals::{self, Limit, Suite, metric};
use crate::capability::form::{self, Document, Entry};
use crate::capability::registry::Stage;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    #[serde(default)]
    name: Option<String>,
    model: String,
    stage: String,
    suite: Option<String>,
    metric: Option<String>,
    min: Option<f64>,
    max: Option<f64>,
    confidence: Option<f64>,
    max_drop: Option<f64>,
    max_drop_percent: Option<f64>,
    margin: Option<f64>,
    slices: Option<Vec<String>>,
    rows_min: Option<u64>,
    adjust: Option<Adjustment>,
    flips_max: Option<f64>,
    bytes_max: Option<u64>,
    eval_age_max: Option<String>,
    training_age_max: Option<String>,
    profile: Option<bool>,
    data_like: Option<String>,
    psi_max: Option<f64>,
    missing_rise_max: Option<f64>,
    lineage: Option<bool>,
    reproducible: Option<String>,
    approvals: Option<u32>,
    soak: Option<String>,
    live: Option<String>,
    cost_per_1k_max: Option<f64>,
    service: Option<String>,
    window: Option<String>,
    predictions_min: Option<u64>,
    errors_max: Option<f64>,
    labels_min: Option<u64>,
}

/// Keys that say which rule it is, and what may stand beside each.
const KINDS: &[(&str, &[&str])] = &[
    ("approvals", &[]),
    ("soak", &["service", "predictions_min", "errors_max"]),
    ("live", &["service", "window", "labels_min", "min", "max"]),
    ("cost_per_1k_max", &["service", "window"]),
    ("data_like", &["profile", "psi_max", "missing_rise_max"]),
    ("profile", &[]),
    ("lineage", &[]),
    ("reproducible", &[]),
    ("bytes_max", &[]),
    ("eval_age_max", &["suite", "training_age_max"]),
    ("training_age_max", &["suite", "eval_age_max"]),
    ("flips_max", &["suite"]),
    ("slices", &["suite", "metric", "min", "max", "margin", "confidence", "rows_min", "adjust"]),
    ("margin", &["suite", "metric", "confidence"]),
    ("max_drop", &["suite", "metric"]),
    ("max_drop_percent", &["suite", "metric"]),
    ("min", &["suite", "metric", "max", "confidence"]),
    ("max", &["suite", "metric", "min", "confidence"]),
];
const ALWAYS: &[&str] = &["name", "model", "stage"];
const ALL: &[&str] = &[
    "suite",
    "metric",
    "confidence",
    "rows_min",
    "adjust",
    "psi_max",
    "missing_rise_max",
    "service",
    "window",
    "predictions_min",
    "errors_max",
    "labels_min",
];
/// Window of gates that look at live figures, if nobody says otherwise.
const WINDOW_SECONDS: u64 = 7 * 86_400;
const LABELS_MIN: u64 = 100;
const PREDICTIONS_MIN: u64 = 1000;

/// The `[[gate]]` tables of a file. `suites`: those that will be there, by which names are checked.
///
/// # Errors
/// `Invalid` with file and line.
pub fn parse(document: &mut Document<'_>, suites: &[Suite]) -> Result<Vec<Gate>> {
    let mut gates: Vec<Gate> = Vec::new();
    for entry in document.entries("gate", false)? {
        let gate = read(&entry)?;
        check(&gate, suites).map_err(|wrong| match wrong {
            Wrong::Metric(name, suite) => evals::unknown_metric(&entry, "metric", &name, suite),
            Wrong::Key(key, what) => entry.fault(key, what),
        })?;
        if gates.iter().any(|g| (&g.model, g.stage, &g.name) == (&gate.model, gate.stage, &gate.name)) {
            let what = format!("a second gate {:?} for {} {}", gate.name, gate.model, gate.stage.name());
            return Err(entry.fault("name", format!("{what}; give it a name of its own")));
        }
        gates.push(gate);
    }
    Ok(gates)
}

fn read(entry: &Entry<'_>) -> Result<Gate> {
    let form: Form = entry.read()?;
    let stage = Stage::parse(&form.stage)
        .filter(|s| matches!(s, Stage::Staging | Stage::Prod))
        .ok_or_else(|| entry.fault("stage", format!("a gate stands before staging or prod, not {:?}", form.stage)))?;
    let Some((kind, beside)) = KINDS.iter().find(|(key, _)| entry.has(key)) else {
        let keys: Vec<&str> = KINDS.iter().map(|(k, _)| *k).collect();
        return Err(entry.fault("", "this gate asks nothing").why(format!("it needs one of {}", keys.join(", "))));
    };
    let mut others = KINDS.iter().map(|(key, _)| *key).chain(ALL.iter().copied());
    if let Some(odd) = others.find(|k| entry.has(k) && k != kind && !beside.contains(k) && !ALWAYS.contains(k)) {
        return Err(entry.fault(odd, format!("{odd} does not go with {kind}")));
    }
    let rule = rule(entry, kind, &form)?;
    let name = form.name.clone().unwrap_or_else(|| rule.default_name());
    Ok(Gate { name, model: form.model, stage, rule })
}

fn rule(entry: &Entry<'_>, kind: &str, form: &Form) -> Result<Rule> {
    let needs = |key: &str, value: &Option<String>| {
        value.clone().ok_or_else(|| entry.fault(kind, format!("a gate with {kind} needs {key}")))
    };
    let suite = || needs("suite", &form.suite);
    let metric = || needs("metric", &form.metric).map(|m| metric::find(&m).map_or(m, |found| found.name.to_owned()));
    let age = |key: &str, text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => form::seconds(text)
            .map(Some)
            .ok_or_else(|| entry.fault(key, format!("not a length of time: {text:?}; write 12h or 30d"))),
    };
    let limit = Limit { min: form.min, max: form.max };
    let confidence = form.confidence.unwrap_or(0.95);
    Ok(match kind {
        "approvals" => Rule::Approvals { approvals: form.approvals.unwrap_or_default() },
        "lineage" if form.lineage == Some(false) => {
            return Err(entry.fault("lineage", "leave the gate out, or write lineage = true"));
        }
        "lineage" => Rule::Lineage,
        "profile" if form.profile == Some(false) => {
            return Err(entry.fault("profile", "leave the gate out, or write profile = true"));
        }
        "data_like" | "profile" => Rule::Data {
            like: form.data_like.clone(),
            psi_max: form.psi_max.unwrap_or(0.2),
            missing_rise_max: form.missing_rise_max.unwrap_or(0.05),
        },
        "reproducible" => Rule::Reproducible { grade: form.reproducible.clone().unwrap_or_default() },
        "bytes_max" => Rule::Size { bytes_max: form.bytes_max.unwrap_or_default() },
        "eval_age_max" | "training_age_max" => Rule::Freshness {
            suite: form.suite.clone(),
            eval_age_max: age("eval_age_max", &form.eval_age_max)?,
            training_age_max: age("training_age_max", &form.training_age_max)?,
        },
        "soak" => Rule::Soak {
            service: form.service.clone(),
            seconds: age("soak", &form.soak)?.unwrap_or_default(),
            predictions_min: form.predictions_min.unwrap_or(PREDICTIONS_MIN),
            errors_max: form.errors_max,
        },
        "live" => Rule::LiveQuality {
            service: form.service.clone(),
            metric: form.live.clone().unwrap_or_default(),
            limit,
            window: age("window", &form.window)?.unwrap_or(WINDOW_SECONDS),
            labels_min: form.labels_min.unwrap_or(LABELS_MIN),
        },
        "cost_per_1k_max" => Rule::Cost {
            service: form.service.clone(),
            per_1k_max: form.cost_per_1k_max.unwrap_or_default(),
            window: age("window", &form.window)?.unwrap_or(WINDOW_SECONDS),
        },
        "flips_max" => Rule::NegativeFlips { suite: suite()?, flips_max: form.flips_max.unwrap_or_default() },
        "slices" => Rule::Slices {
            suite: suite()?,
            metric: metric()?,
            slices: form.slices.clone().unwrap_or_default(),
            limit,
            margin: form.margin,
            confidence,
            rows_min: form.rows_min.unwrap_or(30),
            adjust: form.adjust.unwrap_or(Adjustment::Holm),
        },
        "margin" => Rule::NonInferiority {
            suite: suite()?,
            metric: metric()?,
            margin: form.margin.unwrap_or_default(),
            confidence,
        },
        "max_drop" => {
            let max_drop = form.max_drop.unwrap_or_default();
            Rule::Relative { suite: suite()?, metric: metric()?, max_drop, percent: false }
        }
        "max_drop_percent" => {
            let max_drop = form.max_drop_percent.unwrap_or_default();
            Rule::Relative { suite: suite()?, metric: metric()?, max_drop, percent: true }
        }
        _ => Rule::Absolute { suite: suite()?, metric: metric()?, limit, confidence: form.confidence },
    })
}
