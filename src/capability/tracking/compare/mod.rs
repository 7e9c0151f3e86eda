//! Comparing runs: what differs from a base, by how much, and whether that is more than luck.
//!
//! The rule is pure. [`noise`] estimates what a seed alone does, [`better`] knows which way a metric is better, and
//! [`compare`] puts both to every value; [`Verdict`] says it in words.

pub mod better;
pub mod noise;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use better::Better;
pub use noise::{Noise, Noises, noises};
pub use verdict::Verdict;

use super::rules::is_library_tag;
use super::{RunStatus, RunView};
use crate::base::number;

/// A run as a comparison needs it.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    pub id: &'a str,
    pub name: &'a str,
    pub experiment: &'a str,
    /// It ended as it was meant to: the last values of other runs say nothing about luck.
    pub finished: bool,
    pub params: &'a BTreeMap<String, String>,
    /// The latest values.
    pub metrics: BTreeMap<&'a str, f64>,
    pub tags: &'a BTreeMap<String, String>,
    pub inputs: Vec<Dataset<'a>>,
    /// What it was captured with; empty for a run that nobody captured.
    pub surroundings: &'a Surroundings,
}

/// Code and environment of a run beyond its tags: patch, interpreter, packages, variables.
pub type Surroundings = Vec<(Section, String, String)>;

/// Of runs that were not captured.
pub static UNCAPTURED: Surroundings = Surroundings::new();

/// Data that a run read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dataset<'a> {
    pub context: &'a str,
    pub name: &'a str,
    pub digest: &'a str,
}

impl<'a> Subject<'a> {
    /// With what it was captured with, if it was; by run id.
    #[must_use]
    pub fn within(self, around: &'a BTreeMap<String, Surroundings>) -> Self {
        Self { surroundings: around.get(self.id).unwrap_or(self.surroundings), ..self }
    }
}

impl RunView {
    /// With its id as text, which a subject only borrows.
    pub fn subject<'a>(&'a self, id: &'a str) -> Subject<'a> {
        Subject {
            id,
            name: &self.name,
            experiment: &self.experiment_name,
            finished: self.status == RunStatus::Finished,
            params: &self.params,
            metrics: self.metrics.iter().map(|(k, m)| (k.as_str(), m.value)).collect(),
            tags: &self.tags,
            inputs: self
                .inputs
                .iter()
                .map(|i| Dataset { context: i.context().unwrap_or_default(), name: &i.name, digest: &i.digest })
                .collect(),
            surroundings: &UNCAPTURED,
        }
    }
}

/// How a value stands against the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Grade {
    #[serde(rename = "base")]
    Base,
    /// Better beyond three standard deviations of luck.
    #[serde(rename = "++")]
    MuchBetter,
    /// Better beyond one.
    #[serde(rename = "+")]
    Better,
    /// No more than luck makes.
    #[serde(rename = "·")]
    Luck,
    #[serde(rename = "-")]
    Worse,
    #[serde(rename = "--")]
    MuchWorse,
    #[serde(rename = "?")]
    Unknown,
}

impl Grade {
    pub fn sign(self) -> &'static str {
        match self {
            Self::Base => "",
            Self::MuchBetter => "++",
            Self::Better => "+",
            Self::Luck => "·",
            Self::Worse => "-",
            Self::MuchWorse => "--",
            Self::Unknown => "?",
        }
    }

    pub fn is_better(self) -> bool {
        matches!(self, Self::Better | Self::MuchBetter)
    }

    pub fn is_worse(self) -> bool {
        matches!(self, Self::Worse | Self::MuchWorse)
    }
}

/// One metric of one run against the base.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cell {
    #[serde(with = "number::option")]
    pub value: Option<f64>,
    /// Value minus the base's value, where both are numbers.
    #[serde(with = "number::option")]
    pub difference: Option<f64>,
    /// The difference in standard deviations of luck.
    #[serde(with = "number::option", skip_serializing_if = "Option::is_none")]
    pub sigmas: Option<f64>,
    pub grade: Grade,
    /// Why it has no grade.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
}

/// One metric of all runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    pub key: String,
    /// Which way is better, where the name says it or somebody did.
    pub better: Option<Better>,
    pub noise: Option<Noise>,
    pub cells: Vec<Cell>,
}

impl Measured {
    /// Whether any run has another value than another, or none.
    pub fn differs(&self) -> bool {
        let bits = |c: &Cell| c.value.map(|v| if v.is_nan() { f64::NAN.to_bits() } else { v.to_bits() });
        self.cells.windows(2).any(|pair| bits(&pair[0]) != bits(&pair[1]))
    }
}

/// Under which heading a setting stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Section {
    Params,
    Data,
    Code,
    Environment,
    Tags,
}

impl Section {
    pub fn title(self) -> &'static str {
        match self {
            Self::Params => "PARAMS",
            Self::Data => "DATA",
            Self::Code => "CODE",
            Self::Environment => "ENVIRONMENT",
            Self::Tags => "TAGS",
        }
    }
}

/// Something that was set before a run began, in all runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    pub section: Section,
    pub key: String,
    pub values: Vec<Option<String>>,
}

impl Setting {
    pub fn differs(&self) -> bool {
        self.values.windows(2).any(|pair| pair[0] != pair[1])
    }
}

/// Which run is compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Head {
    pub id: String,
    pub name: String,
}

/// Everything that a comparison says. Values stand in the order of `runs`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    pub runs: Vec<Head>,
    /// Which of them the others are measured against.
    pub base: usize,
    pub metrics: Vec<Measured>,
    pub settings: Vec<Setting>,
    pub verdict: Verdict,
}

/// Compares runs with the one at `base`. `said` overrules which way a metric is better.
pub fn compare(runs: &[Subject<'_>], base: usize, noises: &Noises, said: &BTreeMap<String, Better>) -> Comparison {
    let base = base.min(runs.len().saturating_sub(1));
    let keys: BTreeSet<&str> = runs.iter().flat_map(|r| r.metrics.keys().copied()).collect();
    let mut metrics: Vec<Measured> = keys
        .into_iter()
        .map(|key| {
            let better = said.get(key).copied().or_else(|| better::of(key));
            let noise = noises.get(key).copied();
            let values: Vec<Option<f64>> = runs.iter().map(|r| r.metrics.get(key).copied()).collect();
            let cells = (0..values.len()).map(|i| cell(&values, i, base, better, noise.as_ref())).collect();
            Measured { key: key.to_owned(), better, noise, cells }
        })
        .collect();
    metrics.sort_by_cached_key(|m| better::rank(&m.key));
    let runs_heads: Vec<Head> = runs.iter().map(|r| Head { id: r.id.to_owned(), name: r.name.to_owned() }).collect();
    let settings = settings(runs);
    let mut verdict = verdict::judge(&runs_heads, base, &metrics);
    if judged_on_other_data(&settings) {
        verdict.text.push_str(" They were judged on different data.");
    }
    Comparison { runs: runs_heads, base, metrics, settings, verdict }
}

/// Whether runs say that they were evaluated on data that differ: their metrics then compare the data too.
fn judged_on_other_data(settings: &[Setting]) -> bool {
    let judging =
        |role: &str| ["eval", "test", "valid", "holdout", "held"].iter().any(|w| role.to_lowercase().contains(w));
    let differ = |s: &Setting| {
        let said: Vec<&String> = s.values.iter().flatten().collect();
        said.windows(2).any(|pair| pair[0] != pair[1])
    };
    settings.iter().any(|s| s.section == Section::Data && judging(&s.key) && differ(s))
}

/// Differences below this share of the values are rounding.
const ROUNDING: f64 = 1e-12;

fn cell(values: &[Option<f64>], i: usize, base: usize, better: Option<Better>, noise: Option<&Noise>) -> Cell {
    let value = values[i];
    let plain = |grade, why| Cell { value, difference: None, sigmas: None, grade, why };
    if i == base {
        return plain(Grade::Base, None);
    }
    let (Some(v), Some(b)) = (value, values[base]) else {
        let why = if value.is_some() { "the base has no such metric" } else { "the run has no such metric" };
        return plain(Grade::Unknown, Some(why));
    };
    let difference = v - b;
    if !difference.is_finite() {
        return plain(Grade::Unknown, Some("not a number"));
    }
    let rounding = difference.abs() <= ROUNDING * v.abs().max(b.abs());
    let sigmas = noise.map(|n| if rounding { 0.0 } else { difference.abs() / n.of_difference() });
    let (grade, why) = match (noise, sigmas) {
        _ if rounding => (Grade::Luck, None),
        (Some(noise), Some(sigmas)) => grade(difference, sigmas, noise, better),
        _ => (Grade::Unknown, Some("no repeats: how much luck makes of it is not known")),
    };
    Cell { value, difference: Some(difference), sigmas, grade, why }
}

fn grade(difference: f64, sigmas: f64, noise: &Noise, better: Option<Better>) -> (Grade, Option<&'static str>) {
    if sigmas <= noise.beyond_one() {
        return (Grade::Luck, None);
    }
    let Some(better) = better else {
        return (Grade::Unknown, Some("more than luck, but which way is better is not known"));
    };
    let much = sigmas > noise.beyond_three();
    let grade = match ((difference > 0.0) == (better == Better::Higher), much) {
        (true, true) => Grade::MuchBetter,
        (true, false) => Grade::Better,
        (false, true) => Grade::MuchWorse,
        (false, false) => Grade::Worse,
    };
    (grade, None)
}

/// MLflow's tags that say which code ran, and the plain words for them.
const CODE: [(&str, &str); 5] = [
    ("mlflow.source.git.commit", "commit"),
    ("mlflow.source.git.branch", "branch"),
    ("mlflow.source.git.repoURL", "repository"),
    ("mlflow.source.name", "source"),
    ("mlflow.project.entryPoint", "entry point"),
];

/// What was set in each run: params, data by its role, code, and people's own tags.
fn settings(runs: &[Subject<'_>]) -> Vec<Setting> {
    let maps: Vec<BTreeMap<(Section, String), String>> = runs.iter().map(set_in).collect();
    let keys: BTreeSet<&(Section, String)> = maps.iter().flat_map(BTreeMap::keys).collect();
    let row = |key: &(Section, String)| Setting {
        section: key.0,
        key: key.1.clone(),
        values: maps.iter().map(|m| m.get(key).cloned()).collect(),
    };
    keys.into_iter().map(row).collect()
}

fn set_in(run: &Subject<'_>) -> BTreeMap<(Section, String), String> {
    let mut set: BTreeMap<(Section, String), String> =
        run.params.iter().map(|(k, v)| ((Section::Params, k.clone()), v.clone())).collect();
    let mut inputs = run.inputs.clone();
    inputs.sort_unstable();
    for input in inputs {
        let role = if input.context.is_empty() { "data" } else { input.context };
        let text = format!("{} {}", input.name, input.digest);
        set.entry((Section::Data, role.to_owned()))
            .and_modify(|known| *known = format!("{known}, {text}"))
            .or_insert(text);
    }
    for (tag, word) in CODE {
        set.extend(run.tags.get(tag).map(|v| ((Section::Code, word.to_owned()), v.clone())));
    }
    set.extend(run.surroundings.iter().map(|(section, k, v)| ((*section, k.clone()), v.clone())));
    let own = run.tags.iter().filter(|(k, _)| !is_library_tag(k));
    set.extend(own.map(|(k, v)| ((Section::Tags, k.clone()), v.clone())));
    set
}
