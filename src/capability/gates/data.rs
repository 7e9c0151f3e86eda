//! Data checks: the profile of the training data, and how it differs from another version of the dataset.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Verdict;
use super::judge::Word;
use crate::base::fault::Result;
use crate::base::show;
use crate::base::stats::bins;
use crate::capability::datasets::profile::{BINS, TableChange, compare};
use crate::capability::datasets::{self, DatasetVersion};
use crate::capability::registry::ModelVersion;
use crate::capability::tracking::{Artifacts, Tracking};
use crate::db::Pool;

/// What is known of the data that a version was trained on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TrainingData {
    /// `NAME@V` of the version that is kept here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(default)]
    pub profiled: bool,
    /// Differences from the versions that gates name, by name.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub changes: std::collections::BTreeMap<String, Option<TableChange>>,
}

/// `NAME@3` or `NAME@v3`.
pub(super) fn named(text: &str) -> Option<(&str, u32)> {
    let (name, version) = text.rsplit_once('@')?;
    Some((name, version.trim_start_matches('v').parse().ok()?)).filter(|(name, _)| !name.is_empty())
}

/// Finds the training data among the datasets, and compares its profile with those of `likes`.
///
/// # Errors
/// The store's, or `Unavailable` when a profile is damaged.
pub(super) async fn gather(
    pool: &Pool,
    tracking: &Tracking,
    artifacts: &Artifacts,
    version: &ModelVersion,
    likes: &[&str],
) -> Result<TrainingData> {
    let all = datasets::datasets(pool, tracking).await?;
    let versions = || all.iter().flat_map(|d| &d.versions).map(|v| &v.version);
    let used = |v: &&DatasetVersion| version.doc.datasets.iter().any(|d| v.doc.is_meant_by(&d.digest));
    let Some(own) = versions().find(used) else { return Ok(TrainingData::default()) };
    let profile = datasets::read_profile(artifacts.blobs(), &own.doc).await?;
    let mut changes = std::collections::BTreeMap::new();
    for like in likes {
        let other = named(like).and_then(|(name, n)| versions().find(|v| v.dataset == name && v.version == n));
        let other_profile = match other {
            Some(other) => datasets::read_profile(artifacts.blobs(), &other.doc).await?,
            None => None,
        };
        let tables =
            profile.as_ref().and_then(|p| p.tables.first()).zip(other_profile.as_ref().and_then(|p| p.tables.first()));
        let change = tables.zip(other).map(|((a, b), other)| compare(b, other.version, a, own.version));
        changes.insert((*like).to_owned(), change);
    }
    let profiled = profile.is_some_and(|p| !p.tables.is_empty());
    Ok(TrainingData { version: Some(format!("{}@{}", own.dataset, own.version)), profiled, changes })
}

/// Bins of a column with those for missing, infinities, other and new.
const BINS_MAX: usize = BINS + 5;

pub(super) fn word(data: &TrainingData, like: Option<&str>, psi_max: f64, missing_rise_max: f64) -> Word {
    use Verdict::{Fail, Inconclusive, Pass};
    let Some(version) = &data.version else {
        return Word::new(Inconclusive, Value::Null, "the data it was trained on is not kept here")
            .next("opsroom data add PATH, and log it as the training run's input");
    };
    if !data.profiled {
        return Word::new(
            Fail,
            version.as_str(),
            format!("{version} has no table, so no profile to watch drift against"),
        );
    }
    let Some(like) = like else {
        return Word::new(Pass, version.as_str(), format!("trained on {version}, which has a profile"));
    };
    let Some(change) = data.changes.get(like).and_then(Option::as_ref) else {
        return Word::new(Inconclusive, Value::Null, format!("there is no profile of {like}"));
    };
    let mut bad: Vec<String> = Vec::new();
    bad.extend((!change.added.is_empty()).then(|| format!("columns of its own: {}", change.added.join(", "))));
    bad.extend((!change.removed.is_empty()).then(|| format!("columns it lacks: {}", change.removed.join(", "))));
    // What chance alone may give with so few rows is no difference.
    let chance = bins::psi_limit(change.rows.0.max(1), change.rows.1.max(1), BINS_MAX, 0.99);
    let (mut worst, mut uncompared) = (None::<(f64, &str)>, 0);
    for column in &change.columns {
        if column.kinds.0 != column.kinds.1 {
            bad.push(format!("{} is {}, not {}", column.name, column.kinds.1.name(), column.kinds.0.name()));
        }
        let rise = column.missing.1 - column.missing.0;
        if rise > missing_rise_max {
            bad.push(format!("{} is missing in {:.1} % more rows", column.name, rise * 100.0));
        }
        match column.psi {
            Some(psi) if psi > psi_max && psi > chance => {
                bad.push(format!("{} has PSI {}", column.name, show::metric(psi)));
            }
            None => uncompared += 1,
            _ => {}
        }
        if let Some(psi) = column.psi.filter(|p| worst.is_none_or(|(w, _)| *p > w)) {
            worst = Some((psi, &column.name));
        }
    }
    let seen = worst.map_or(Value::Null, |(psi, _)| super::judge::number(psi));
    if !bad.is_empty() {
        return Word::new(Fail, seen, format!("{version} differs from {like}: {}", bad.join("; ")))
            .next(format!("opsroom data diff {like} {version}"));
    }
    if uncompared > 0 {
        let why = format!("{uncompared} columns of {version} and {like} were not counted in the same bins");
        return Word::new(Inconclusive, seen, why).next("compare versions of one dataset");
    }
    let most = worst.map_or_else(String::new, |(psi, name)| format!("; most in {name}, PSI {}", show::metric(psi)));
    Word::new(Pass, seen, format!("{version} is like {like}{most}"))
}
