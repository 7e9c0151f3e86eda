//! A gate: one rule that a version has to pass on its way into a stage. Written in TOML as `[[gate]]`; which kind of
//! rule it is shows in its keys.

use serde::{Deserialize, Serialize};

use crate::base::Fault;
use crate::base::fault::Result;
use crate::base::stats::multiple::Adjustment;
use crate::capability::evals::{self, Limit, Suite, Task, metric};
use crate::capability::form::{self, Document, Entry};
use crate::capability::registry::Stage;

/// One rule for a model and a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    pub name: String,
    /// `*`: every model.
    pub model: String,
    pub stage: Stage,
    #[serde(flatten)]
    pub rule: Rule,
}

/// What it asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Rule {
    /// A figure of a suite within bounds; with a confidence, the whole interval has to lie within.
    Absolute {
        suite: String,
        metric: String,
        #[serde(flatten)]
        limit: Limit,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        confidence: Option<f64>,
    },
    /// Not worse than production by more than so much, as it was measured.
    Relative {
        suite: String,
        metric: String,
        max_drop: f64,
        /// Percent of production's figure, not units of the metric.
        #[serde(default)]
        percent: bool,
    },
    /// Not worse than production by more than the margin, with confidence, on the same examples.
    NonInferiority { suite: String, metric: String, margin: f64, confidence: f64 },
    /// No slice below the floor, and none worse than production by more than the margin, all tests together.
    Slices {
        suite: String,
        metric: String,
        slices: Vec<String>,
        #[serde(flatten)]
        limit: Limit,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        margin: Option<f64>,
        confidence: f64,
        rows_min: u64,
        adjust: Adjustment,
    },
    /// Share of examples that production had right and this version has wrong.
    NegativeFlips { suite: String, flips_max: f64 },
    /// Bytes of the artifact.
    Size { bytes_max: u64 },
    /// Seconds since the evaluation, and since the training ended.
    Freshness {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        suite: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        eval_age_max: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        training_age_max: Option<u64>,
    },
    /// The training data is kept here with its profile; with `like`, it has the columns of that version and is
    /// distributed as it is.
    Data {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        like: Option<String>,
        psi_max: f64,
        missing_rise_max: f64,
    },
    /// Run, commit (with nothing uncommitted) and data are known.
    Lineage,
    /// The training was repeated with this grade at least.
    Reproducible { grade: String },
    /// So many verified people besides the author agree.
    Approvals { approvals: u32 },
}

/// Grades of a repeated training, best first.
pub const GRADES: &[&str] = &["bit-exact"];

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
}

/// Keys that say which rule it is, and what may stand beside each.
const KINDS: &[(&str, &[&str])] = &[
    ("approvals", &[]),
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
const ALL: &[&str] = &["suite", "metric", "confidence", "rows_min", "adjust", "psi_max", "missing_rise_max"];

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

impl Rule {
    /// As `gate list` calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Absolute { .. } => "absolute",
            Self::Relative { .. } => "relative",
            Self::NonInferiority { .. } => "non-inferiority",
            Self::Slices { .. } => "slices",
            Self::NegativeFlips { .. } => "negative-flips",
            Self::Size { .. } => "size",
            Self::Freshness { .. } => "freshness",
            Self::Data { .. } => "data",
            Self::Lineage => "lineage",
            Self::Reproducible { .. } => "reproducible",
            Self::Approvals { .. } => "approvals",
        }
    }

    pub fn suite(&self) -> Option<&str> {
        match self {
            Self::Absolute { suite, .. }
            | Self::Relative { suite, .. }
            | Self::NonInferiority { suite, .. }
            | Self::Slices { suite, .. }
            | Self::NegativeFlips { suite, .. } => Some(suite),
            Self::Freshness { suite, .. } => suite.as_deref(),
            _ => None,
        }
    }

    fn metric(&self) -> Option<&str> {
        match self {
            Self::Absolute { metric, .. }
            | Self::Relative { metric, .. }
            | Self::NonInferiority { metric, .. }
            | Self::Slices { metric, .. } => Some(metric),
            _ => None,
        }
    }

    /// Whether it looks at single examples, and whether at production's too.
    pub fn examples(&self) -> (bool, bool) {
        match self {
            Self::Absolute { confidence, .. } => (confidence.is_some(), false),
            Self::NonInferiority { .. } | Self::NegativeFlips { .. } => (true, true),
            Self::Slices { margin, .. } => (true, margin.is_some()),
            _ => (false, false),
        }
    }

    fn default_name(&self) -> String {
        match (self.suite(), self.metric()) {
            (Some(suite), Some(metric)) => format!("{suite}-{metric}-{}", self.kind()),
            (Some(suite), None) => format!("{suite}-{}", self.kind()),
            _ => self.kind().to_owned(),
        }
    }

    /// What it asks, for people.
    pub fn asked(&self) -> String {
        match self {
            Self::Absolute { limit, confidence: None, .. } => limit.shown(),
            Self::Absolute { limit, confidence: Some(c), .. } => {
                format!("{} with {} % confidence", limit.shown(), c * 100.0)
            }
            Self::Relative { max_drop, percent, .. } => {
                format!("at most {max_drop}{} worse than prod", if *percent { " %" } else { "" })
            }
            Self::NonInferiority { margin, confidence, .. } => {
                format!("not {margin} worse than prod, with {} % confidence", confidence * 100.0)
            }
            Self::Slices { limit, margin, slices, .. } => {
                let floor = if limit.min.is_some() || limit.max.is_some() { limit.shown() } else { String::new() };
                let margin = margin.map_or_else(String::new, |m| format!("not {m} worse than prod"));
                let both = if floor.is_empty() || margin.is_empty() { "" } else { " and " };
                format!("every {}: {floor}{both}{margin}", slices.join(", "))
            }
            Self::NegativeFlips { flips_max, .. } => format!("<= {flips_max} of the examples"),
            Self::Size { bytes_max } => format!("<= {bytes_max} bytes"),
            Self::Freshness { eval_age_max, training_age_max, .. } => {
                let part = |what: &str, age: &Option<u64>| {
                    age.map(|s| {
                        format!("{what} within {}", crate::base::show::length(std::time::Duration::from_secs(s)))
                    })
                };
                let parts = [part("evaluated", eval_age_max), part("trained", training_age_max)];
                parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
            }
            Self::Data { like: None, .. } => "the training data has a profile".to_owned(),
            Self::Data { like: Some(like), psi_max, missing_rise_max } => {
                format!("trained on data like {like}: PSI <= {psi_max}, missing at most {missing_rise_max} more")
            }
            Self::Lineage => "run, commit and data are known".to_owned(),
            Self::Reproducible { grade } => format!("repeated {grade}"),
            Self::Approvals { approvals } => format!("{approvals} besides the author"),
        }
    }
}

/// What is wrong with a gate.
#[derive(Debug)]
pub enum Wrong<'a> {
    Metric(String, &'a Suite),
    Key(&'static str, String),
}

impl From<Wrong<'_>> for Fault {
    fn from(wrong: Wrong<'_>) -> Self {
        match wrong {
            Wrong::Metric(name, suite) => Self::invalid(format!("suite {} has no metric {name:?}", suite.name)),
            Wrong::Key(key, what) => Self::invalid(format!("gate: {key}: {what}")),
        }
    }
}

/// Checks a gate against the suites that there are.
///
/// # Errors
/// The key that is wrong, and why.
pub fn check<'a>(gate: &Gate, suites: &'a [Suite]) -> Result<(), Wrong<'a>> {
    let wrong = |key: &'static str, what: String| Err(Wrong::Key(key, what));
    if gate.name.is_empty() || gate.model.is_empty() {
        return wrong("model", "a gate has a name and a model".to_owned());
    }
    let named = |name: &str| suites.iter().find(|s| s.name == name);
    if let Some(name) = gate.rule.suite()
        && named(name).is_none()
    {
        let known: Vec<&str> = suites.iter().map(|s| s.name.as_str()).collect();
        return wrong("suite", format!("no eval suite {name:?}{}", form::nearest(name, &known)));
    }
    let suite = gate.rule.suite().and_then(named);
    if let (Some(metric), Some(suite)) = (gate.rule.metric(), suite) {
        if !suite.gives(metric) {
            return Err(Wrong::Metric(metric.to_owned(), suite));
        }
        let of_examples = metric::find(metric).is_some();
        if !of_examples && gate.rule.examples().0 {
            return wrong("metric", format!("{metric} is not computed from examples, so no test can be made of it"));
        }
    }
    match &gate.rule {
        Rule::Absolute { limit, .. } if limit.min.is_none() && limit.max.is_none() => {
            wrong("min", "give min or max".to_owned())
        }
        Rule::Slices { slices, .. } if slices.is_empty() => wrong("slices", "name one column at least".to_owned()),
        Rule::Slices { limit, margin, .. } if limit.min.is_none() && limit.max.is_none() && margin.is_none() => {
            wrong("slices", "slices need min, max or margin".to_owned())
        }
        Rule::Slices { slices, .. } => {
            match slices.iter().find(|s| suite.is_some_and(|suite| !suite.slices.contains(s))) {
                Some(odd) => wrong("slices", format!("the suite has no slices by {odd:?}")),
                None => sound(&gate.rule),
            }
        }
        Rule::NegativeFlips { .. } if suite.is_some_and(|s| s.task == Task::Regression) => {
            wrong("flips_max", "numbers are never simply right: flips are for classes".to_owned())
        }
        Rule::Reproducible { grade } if !GRADES.contains(&grade.as_str()) => {
            wrong("reproducible", format!("unknown grade {grade:?}; known are {}", GRADES.join(", ")))
        }
        Rule::Freshness { eval_age_max: Some(_), suite: None, .. } => {
            wrong("eval_age_max", "name the suite whose evaluation is meant".to_owned())
        }
        Rule::Data { like: Some(like), .. } if super::data::named(like).is_none() => {
            wrong("data_like", format!("not a version of a dataset: {like:?}; write NAME@3"))
        }
        Rule::Approvals { approvals: 0 } => wrong("approvals", "at least 1".to_owned()),
        rule => sound(rule),
    }
}

/// Numbers that make sense.
fn sound<'a>(rule: &Rule) -> Result<(), Wrong<'a>> {
    let (confidence, margin, drop) = match rule {
        Rule::Absolute { confidence, .. } => (*confidence, None, None),
        Rule::NonInferiority { margin, confidence, .. } => (Some(*confidence), Some(*margin), None),
        Rule::Slices { margin, confidence, .. } => (Some(*confidence), *margin, None),
        Rule::Relative { max_drop, .. } => (None, None, Some(*max_drop)),
        _ => (None, None, None),
    };
    if let Some(c) = confidence.filter(|c| !(0.5..1.0).contains(c)) {
        return Err(Wrong::Key("confidence", format!("a confidence lies between 0.5 and 1, not at {c}")));
    }
    if let Some(m) = margin.filter(|m| !m.is_finite() || *m < 0.0) {
        return Err(Wrong::Key("margin", format!("a margin is 0 or more, not {m}")));
    }
    if let Some(d) = drop.filter(|d| !d.is_finite() || *d < 0.0) {
        return Err(Wrong::Key("max_drop", format!("a drop is 0 or more, not {d}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUITE: &str =
        "[suite.later]\ndata='x'\nlabel='y'\ntask='binary'\nmetrics=['auc']\nslices=['carrier']\ncommand=['p']\n";

    fn read(gates: &str) -> Result<Vec<Gate>> {
        let text = format!("{SUITE}{gates}");
        let mut document = Document::parse("g.toml", &text)?;
        let suites = evals::parse(&mut document)?;
        parse(&mut document, &suites)
    }

    #[test]
    fn the_example_is_good() {
        let text = include_str!("../../../config/gates.toml");
        let mut document = Document::parse("config/gates.toml", text).unwrap();
        let suites = evals::parse(&mut document).unwrap();
        assert_eq!((suites.len(), parse(&mut document, &suites).unwrap().len()), (1, 12));
    }

    #[test]
    fn each_kind_is_known_by_its_keys_and_survives_json() {
        for (text, kind) in [
            ("suite='later'\nmetric='roc_auc'\nmin=0.65", "absolute"),
            ("suite='later'\nmetric='latency_ms_p99'\nmax=50", "absolute"),
            ("suite='later'\nmetric='auc'\nmax_drop=0.01", "relative"),
            ("suite='later'\nmetric='auc'\nmargin=0.01", "non-inferiority"),
            ("suite='later'\nmetric='auc'\nslices=['carrier']\nmin=0.6\nadjust='bh'", "slices"),
            ("suite='later'\nflips_max=0.05", "negative-flips"),
            ("bytes_max=1000", "size"),
            ("suite='later'\neval_age_max='30d'", "freshness"),
            ("lineage=true", "lineage"),
            ("profile=true", "data"),
            ("data_like='flights@3'\npsi_max=0.1", "data"),
            ("reproducible='bit-exact'", "reproducible"),
            ("approvals=2", "approvals"),
        ] {
            let gate = read(&format!("[[gate]]\nmodel='m'\nstage='prod'\n{text}\n")).unwrap().remove(0);
            assert_eq!(gate.rule.kind(), kind);
            assert!(!gate.rule.asked().is_empty() && !gate.name.is_empty());
            let json = serde_json::to_string(&gate).unwrap();
            assert_eq!(serde_json::from_str::<Gate>(&json).unwrap(), gate, "{json}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_by_its_line() {
        for (text, words) in [
            ("stage='prod'\nsuite='later'\nmetric='auk'\nmin=1", "g.toml line 12: unknown metric \"auk\""),
            (
                "stage='prod'\nsuite='latr'\nmetric='auc'\nmin=1",
                "line 11: no eval suite \"latr\"; did you mean \"later\"?",
            ),
            ("stage='prod'\nsuite='later'\nmetrc='auc'\nmin=1", "line 12: unknown field `metrc`"),
            ("stage='production line'\napprovals=1", "line 10: a gate stands before staging or prod"),
            ("stage='prod'", "line 8: this gate asks nothing"),
            ("stage='prod'\napprovals=1\nmin=2", "line 12: min does not go with approvals"),
            ("stage='prod'\nmin=2", "line 11: a gate with min needs suite"),
            ("stage='prod'\nsuite='later'\nmetric='auc'\nmargin=-1", "line 13: a margin is 0 or more"),
            (
                "stage='prod'\nsuite='later'\nmetric='auc'\nslices=['hour']\nmin=1",
                "line 13: the suite has no slices by \"hour\"",
            ),
            ("stage='prod'\nreproducible='nearly'", "line 11: unknown grade"),
            ("stage='prod'\napprovals='two'", "line 11: invalid type"),
        ] {
            let fault = read(&format!("[[gate]]\nmodel='m'\n{text}\n")).unwrap_err();
            assert!(fault.what.contains(words), "{text}: {fault}");
        }
        let twice = "[[gate]]\nmodel='m'\nstage='prod'\napprovals=1\n".repeat(2);
        assert!(read(&twice).unwrap_err().what.contains("line 12: a second gate"));
    }
}
