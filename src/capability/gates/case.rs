//! The case of a version: everything that its gates look at, gathered at one moment, so that the verdict can be made
//! again from it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::data::TrainingData;
use super::judge::judge;
use super::live::{self, Live};
use super::{Approval, Decision, Gate, Rule, Verdict, Waiver, store};
use crate::base::{Fault, Kind, Timestamp, fault::Result};
use crate::capability::evals::{self, Evidence, Predicted, Sample, Slices, Truth};
use crate::capability::registry::{self, ModelVersion, ModelView, Stage};
use crate::capability::tracking::{Artifacts, Run, Tracking};
use crate::capability::{Ctx, training};
use crate::db::{Pool, Source};

/// Evidence of one suite.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Evals {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Evidence>,
    /// Of the version in production, for comparisons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub production: Option<Evidence>,
}

/// Where a version comes from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Lineage {
    pub run: Option<String>,
    pub commit: Option<String>,
    /// The code had changes that are in no commit.
    #[serde(default)]
    pub dirty: bool,
    /// Names of the data it was trained on.
    pub data: Vec<String>,
    /// When the training ended.
    pub trained: Option<Timestamp>,
    /// Of a repeated training; only when it speaks of the bytes that the version stands on.
    pub grade: Option<String>,
    /// There is a grade, but what was compared is not what the version stands on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub graded_otherwise: bool,
}

/// All that a verdict is made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    pub at: Timestamp,
    pub model: String,
    pub version: u32,
    pub stage: Stage,
    /// Whether prod is refused without a gate.
    pub required: bool,
    pub gates: Vec<Gate>,
    /// What the version stands on.
    pub subject: String,
    pub bytes: Option<u64>,
    pub author: String,
    pub registered: Timestamp,
    pub production: Option<u32>,
    pub lineage: Lineage,
    #[serde(default)]
    pub training: TrainingData,
    /// What was seen of it where it answers, by the gate that asks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub live: BTreeMap<String, Live>,
    /// By suite.
    pub evals: BTreeMap<String, Evals>,
    pub approvals: Vec<Approval>,
    pub waivers: Vec<Waiver>,
}

impl Case {
    /// How many approvals its gates ask for.
    pub fn approvals_needed(&self) -> Option<u32> {
        let asked = self.gates.iter().filter_map(|g| match g.rule {
            Rule::Approvals { approvals } => Some(approvals),
            _ => None,
        });
        asked.max()
    }
}

/// What gathering a case needs of the house.
#[derive(Clone, Copy)]
pub struct House<'a> {
    pub ctx: &'a Ctx,
    pub pool: &'a Pool,
    pub tracking: &'a Tracking,
    pub artifacts: &'a Artifacts,
    pub settings: &'a super::Settings,
}

/// Judges a version by the gates before a stage, as of `now`.
///
/// # Errors
/// `NotFound` for model or version, or the store's.
pub async fn decide(
    mut source: Source<'_>,
    house: House<'_>,
    of: (&str, u32, Stage),
    now: Timestamp,
) -> Result<Decision> {
    let case = gather(source.again(), house, of, now).await?;
    decided(case, house).await
}

/// The same within a transaction: a decision that was made just before stands if nothing of its case has changed since.
///
/// # Errors
/// As [`decide`].
pub async fn decide_again(mut source: Source<'_>, house: House<'_>, before: Decision) -> Result<Decision> {
    let of = (before.model.as_str(), before.version, before.stage);
    let case = gather(source.again(), house, of, before.at).await?;
    if before.case.as_deref() == Some(&case) {
        return Ok(before);
    }
    decided(case, house).await
}

/// Whether a decision that was kept comes out the same from its evidence.
///
/// # Errors
/// `Unavailable` when the artifact store does not answer.
pub async fn judged_anew(artifacts: &Artifacts, decision: &Decision) -> Result<bool> {
    let Some(case) = decision.case.as_deref().cloned() else { return Ok(false) };
    let examples = load(artifacts, &case).await?;
    let judged = tokio::task::spawn_blocking(move || judge(&case, &examples));
    let again = judged.await.map_err(|e| Fault::bug("gates").why(e.to_string()))?;
    Ok(again == decision.gates)
}

async fn decided(case: Case, house: House<'_>) -> Result<Decision> {
    let examples = load(house.artifacts, &case).await?;
    // Comparisons may take a second: not on a thread that serves.
    let judged = tokio::task::spawn_blocking(move || {
        let gates = judge(&case, &examples);
        (case, gates)
    });
    let (case, gates) = judged.await.map_err(|e| Fault::bug("gates").why(e.to_string()))?;
    Ok(Decision {
        id: 0,
        at: case.at,
        model: case.model.clone(),
        version: case.version,
        stage: case.stage,
        verdict: Verdict::of_all(gates.iter().map(super::Finding::counts)),
        ungated: case.gates.is_empty(),
        gates,
        by: String::new(),
        digest: String::new(),
        case: Some(Box::new(case)),
    }
    .sealed())
}

async fn gather(
    mut source: Source<'_>,
    house: House<'_>,
    (model, number, stage): (&str, u32, Stage),
    now: Timestamp,
) -> Result<Case> {
    let view = registry::model(source.again(), model, None).await?;
    let version = view.version(number).ok_or_else(|| registry::missing_version(model, number))?;
    let mut gates = super::gates(source.again(), Some(model)).await?;
    gates.retain(|g| g.stage == stage);
    let subject = evals::subject(version);
    let production = production(&view, number);
    let suites = evals::suites(source.again()).await?;
    let mut found = BTreeMap::new();
    let asked: BTreeSet<&str> = gates.iter().filter_map(|g| g.rule.suite()).collect();
    for suite in suites.iter().filter(|s| asked.contains(s.name.as_str())) {
        let candidate = evals::newest(source.again(), suite, version).await?;
        let production = match production {
            Some(production) => evals::newest(source.again(), suite, production).await?,
            None => None,
        };
        found.insert(suite.name.clone(), Evals { candidate, production });
    }
    let mut approvals = store::approvals(source.again(), Some(model)).await?;
    approvals.retain(|a| (a.version, a.stage, &a.subject) == (number, stage, &subject) && a.ended.is_none());
    let mut waivers = store::waivers(source.again(), Some(model)).await?;
    waivers.retain(|w| (w.version, &w.subject) == (number, &subject) && w.ended.is_none());
    let run = run_of(house.tracking, version);
    let data_rules: Vec<Option<&str>> = gates
        .iter()
        .filter_map(|g| match &g.rule {
            Rule::Data { like, .. } => Some(like.as_deref()),
            _ => None,
        })
        .collect();
    let training = if data_rules.is_empty() {
        TrainingData::default()
    } else {
        let likes: Vec<&str> = data_rules.iter().copied().flatten().collect();
        super::data::gather(house.pool, house.tracking, house.artifacts, version, &likes).await?
    };
    let live = live::gather(house.ctx, &gates, (model, number), now).await?;
    let mut lineage = lineage(version, run.as_deref());
    if let Some(run) = &run
        && let Some(grade) = training::grade_of(source.again(), run.id).await?
    {
        // A run that could not be repeated says so about everything that it made.
        let covered = grade.comparison.verdict == training::Verdict::CannotRepeat
            || version.doc.artifact.as_ref().is_some_and(|a| grade.covers(&a.path, &a.digest));
        lineage.grade = covered.then(|| grade.name().to_owned());
        lineage.graded_otherwise = !covered;
    }
    Ok(Case {
        at: now,
        model: model.to_owned(),
        version: number,
        stage,
        required: house.settings.required && stage == Stage::Prod,
        gates,
        bytes: version.doc.artifact.as_ref().map(|a| a.bytes),
        author: version.doc.user.clone(),
        registered: version.created,
        production: production.map(|p| p.version),
        lineage,
        training,
        live,
        evals: found,
        approvals,
        waivers,
        subject,
    })
}

/// The version to compare with: the one in production, unless it is the same.
fn production(view: &ModelView, number: u32) -> Option<&ModelVersion> {
    view.in_stage(Stage::Prod).find(|v| v.version != number)
}

fn run_of(tracking: &Tracking, version: &ModelVersion) -> Option<std::sync::Arc<Run>> {
    let id = version.doc.run_id.as_deref()?.parse().ok()?;
    tracking.read(|s| s.run(id).cloned())
}

fn lineage(version: &ModelVersion, run: Option<&Run>) -> Lineage {
    let tag = |name: &str| {
        run.and_then(|r| r.tags.get(name).map(ToString::to_string)).filter(|t: &String| !t.trim().is_empty())
    };
    let data = version.doc.datasets.iter().map(|d| d.name.clone()).collect();
    Lineage {
        run: run.map(|r| r.id.to_string()),
        commit: tag("mlflow.source.git.commit"),
        dirty: tag("mlflow.source.git.dirty").is_some_and(|t| t == "true"),
        data,
        trained: run.and_then(|r| r.end_ms).map(Timestamp::from_millis),
        grade: None,
        graded_otherwise: false,
    }
}

/// The examples behind a case, by suite.
#[derive(Debug, Clone, Default)]
pub struct Examples(BTreeMap<String, Pair>);

/// One suite's.
#[derive(Debug, Clone)]
pub struct Pair {
    pub candidate: Sample,
    /// Only when it is about the very same examples.
    pub production: Option<Sample>,
    pub slices: Vec<Slices>,
}

impl Examples {
    pub fn of(&self, suite: &str) -> Option<&Pair> {
        self.0.get(suite)
    }
}

/// Fetches the examples that the gates of a case look at. Those that are gone are left out: a gate without them is
/// inconclusive.
///
/// # Errors
/// `Unavailable` when the artifact store does not answer.
pub async fn load(artifacts: &Artifacts, case: &Case) -> Result<Examples> {
    let mut found = BTreeMap::new();
    for (suite, evals) in &case.evals {
        let wanted = case.gates.iter().filter(|g| g.rule.suite() == Some(suite)).map(|g| g.rule.examples());
        let (own, others) = wanted.fold((false, false), |all, one| (all.0 || one.0, all.1 || one.1));
        let Some(candidate) = evals.candidate.as_ref().filter(|_| own) else { continue };
        let other = evals.production.as_ref().filter(|p| others && p.truth == candidate.truth);
        match pair(artifacts, candidate, other).await {
            Ok(pair) => drop(found.insert(suite.clone(), pair)),
            Err(fault) if matches!(fault.kind, Kind::NotFound | Kind::Invalid) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(Examples(found))
}

async fn pair(artifacts: &Artifacts, candidate: &Evidence, production: Option<&Evidence>) -> Result<Pair> {
    let blobs = artifacts.blobs();
    let truth = Truth::unpack(&evals::fetch(blobs, &candidate.truth).await?)?;
    let own = Predicted::unpack(&evals::fetch(blobs, &candidate.predicted).await?)?;
    let production = match production {
        Some(p) => Some(Sample::new(&truth, &Predicted::unpack(&evals::fetch(blobs, &p.predicted).await?)?)?),
        None => None,
    };
    Ok(Pair { candidate: Sample::new(&truth, &own)?, production, slices: truth.slices })
}

#[cfg(test)]
impl Examples {
    pub fn with(suite: &str, pair: Pair) -> Self {
        Self(BTreeMap::from([(suite.to_owned(), pair)]))
    }
}
