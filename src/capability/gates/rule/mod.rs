//! A gate: one rule that a version has to pass on its way into a stage. Written in TOML as `[[gate]]`; which kind of
//! rule it is shows in its keys.

#[cfg(test)]
mod tests;
mod written;

use serde::{Deserialize, Serialize};

pub use written::parse;

use crate::base::Fault;
use crate::base::fault::Result;
use crate::base::stats::multiple::Adjustment;
use crate::capability::evals::{Limit, Suite, Task, metric};
use crate::capability::form;
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
    /// It answered for so long, so often, with so few errors: as a canary, in the shadow, in batches.
    Soak {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
        seconds: u64,
        predictions_min: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        errors_max: Option<f64>,
    },
    /// A figure of its labelled answers within bounds, with the whole of its 95 % interval.
    #[serde(rename = "live")]
    LiveQuality {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
        metric: String,
        #[serde(flatten)]
        limit: Limit,
        window: u64,
        labels_min: u64,
    },
    /// What 1,000 of its predictions cost, fully loaded, in units of the price list's currency.
    Cost {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
        per_1k_max: f64,
        window: u64,
    },
}

/// Grades of a repeated training, best first.
pub const GRADES: &[&str] = &["bit-exact"];

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
            Self::Soak { .. } => "soak",
            Self::LiveQuality { .. } => "live",
            Self::Cost { .. } => "cost",
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
            Self::Soak { seconds, predictions_min, errors_max, .. } => {
                let errors = errors_max.map_or_else(String::new, |most| format!(", errors <= {most}"));
                let length = crate::base::show::length(std::time::Duration::from_secs(*seconds));
                format!("{length} and {predictions_min} predictions{errors}")
            }
            Self::LiveQuality { metric, limit, labels_min, .. } => {
                format!("live {metric} {} with 95 % confidence, {labels_min} labels", limit.shown())
            }
            Self::Cost { per_1k_max, .. } => format!("<= {per_1k_max} for 1,000 predictions"),
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
        Rule::LiveQuality { limit, .. } if limit.min.is_none() && limit.max.is_none() => {
            wrong("min", "give min or max".to_owned())
        }
        Rule::LiveQuality { window, .. } | Rule::Cost { window, .. } if *window < 3600 => {
            wrong("window", "an hour at least".to_owned())
        }
        Rule::Cost { per_1k_max, .. } if !(per_1k_max.is_finite() && *per_1k_max >= 0.0) => {
            wrong("cost_per_1k_max", format!("a cost is 0 or more, not {per_1k_max}"))
        }
        Rule::Soak { errors_max: Some(most), .. } if !(0.0..=1.0).contains(most) => {
            wrong("errors_max", format!("a share lies between 0 and 1, not at {most}"))
        }
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
