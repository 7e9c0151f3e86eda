//! What happens by itself when a version is registered: evals, and the way to staging when they and the gates are green.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::store;
use crate::base::{Timestamp, fault::Result};
use crate::capability::evals::{self, Suite};
use crate::capability::form::{self, Document, Entry};
use crate::capability::registry::{self, ModelVersion, Stage};
use crate::db::{Source, Tx};

/// How often a program that fails is begun.
pub const TRIES_MAX: u32 = 2;
/// Versions of a model that are looked at, newest first.
const VERSIONS_MAX: usize = 20;

/// The policy of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub model: String,
    /// Suites that are run when a version is registered.
    pub evals: Vec<String>,
    /// Moves it to staging when all of them are good and the gates before staging pass.
    #[serde(default)]
    pub promote: bool,
    /// Versions registered before are left alone.
    #[serde(default)]
    pub since: Timestamp,
}

/// How far a suite came for a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    pub model: String,
    pub version: u32,
    pub suite: String,
    pub tries: u32,
    pub at: Timestamp,
    /// Why it failed; empty while it runs and when it succeeded.
    pub outcome: String,
}

/// The next thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Evaluate { model: String, version: u32, suite: String, tries: u32 },
    Promote { model: String, version: u32 },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    evals: Vec<String>,
    promote: Option<String>,
}

/// The `[policy.MODEL]` tables of a file. `suites`: those that will be there.
///
/// # Errors
/// `Invalid` with file and line.
pub fn parse(document: &mut Document<'_>, suites: &[Suite]) -> Result<Vec<Policy>> {
    document.entries("policy", true)?.iter().map(|entry| read(entry, suites)).collect()
}

fn read(entry: &Entry<'_>, suites: &[Suite]) -> Result<Policy> {
    let form: Form = entry.read()?;
    if form.evals.is_empty() {
        return Err(entry.fault("evals", "a policy without evals does nothing"));
    }
    let names: Vec<&str> = suites.iter().map(|s| s.name.as_str()).collect();
    if let Some(odd) = form.evals.iter().find(|e| !names.contains(&e.as_str())) {
        return Err(entry.fault("evals", format!("there is no suite {odd:?}{}", form::nearest(odd, &names))));
    }
    let promote = match form.promote.as_deref() {
        None => false,
        Some("staging") => true,
        Some(other) => {
            let what = format!("a policy promotes to staging and no further, not to {other:?}");
            return Err(entry.fault("promote", what));
        }
    };
    Ok(Policy { model: entry.name.clone(), evals: form.evals, promote, since: Timestamp(0) })
}

impl Policy {
    /// Whether two ask the same, whenever they were set.
    pub fn same(&self, other: &Self) -> bool {
        (&self.model, &self.evals, self.promote) == (&other.model, &other.evals, other.promote)
    }

    /// What it does, in a line.
    pub fn asked(&self) -> String {
        let evals = format!("runs {} on registration", self.evals.join(", "));
        if self.promote { format!("{evals}, then to staging when green") } else { evals }
    }

    /// What comes next for a version in dev. `good` and `known`: suites whose newest result keeps their limits, and that
    /// have one; `refused`: its gates were asked already with these results.
    fn step(&self, version: u32, known: &BTreeSet<String>, good: &BTreeSet<String>, tries: &[Try]) -> Option<Step> {
        let (model, number) = (self.model.clone(), version);
        let tried = |suite: &str| tries.iter().find(|t| t.version == number && t.suite == suite).map_or(0, |t| t.tries);
        let open = self.evals.iter().find(|s| !known.contains(*s) && tried(s) < TRIES_MAX);
        if let Some(suite) = open {
            return Some(Step::Evaluate { model, version: number, suite: suite.clone(), tries: tried(suite) + 1 });
        }
        let green = self.promote && self.evals.iter().all(|s| good.contains(s));
        green.then_some(Step::Promote { model, version: number })
    }
}

/// Every policy, by model.
///
/// # Errors
/// The store's.
pub async fn policies(source: Source<'_>) -> Result<Vec<Policy>> {
    store::policies(source).await
}

/// How far policies came, of one model or of all.
///
/// # Errors
/// The store's.
pub async fn tries(source: Source<'_>, model: Option<&str>) -> Result<Vec<Try>> {
    store::tries(source, model).await
}

/// Notes that a suite is begun, or how it ended.
///
/// # Errors
/// The store's.
pub async fn tried(tx: &mut Tx, one: &Try) -> Result<()> {
    store::put_try(tx, one).await
}

/// Everything that policies have to do now, in order.
///
/// # Errors
/// The store's.
pub async fn steps(mut source: Source<'_>) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let policies = store::policies(source.again()).await?;
    if policies.is_empty() {
        return Ok(steps);
    }
    let suites = evals::suites(source.again()).await?;
    for policy in policies {
        let tries = store::tries(source.again(), Some(&policy.model)).await?;
        let models = registry::models(source.again(), None).await?;
        let Some(view) = models.into_iter().find(|m| m.model.name == policy.model) else { continue };
        let mut versions: Vec<&ModelVersion> =
            view.versions.iter().filter(|v| v.stage == Stage::Dev && v.created >= policy.since).collect();
        versions.sort_by_key(|v| std::cmp::Reverse(v.version));
        for version in versions.into_iter().take(VERSIONS_MAX) {
            let (mut known, mut good) = (BTreeSet::new(), BTreeSet::new());
            for suite in suites.iter().filter(|s| policy.evals.contains(&s.name)) {
                if let Some(evidence) = evals::newest(source.again(), suite, version).await? {
                    known.insert(suite.name.clone());
                    if evidence.broken.is_empty() {
                        good.insert(suite.name.clone());
                    }
                }
            }
            steps.extend(policy.step(version.version, &known, &good, &tries));
        }
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn evals_come_first_a_broken_one_ends_it_and_a_program_that_fails_is_not_begun_for_ever() {
        let policy =
            Policy { model: "m".into(), evals: vec!["a".into(), "b".into()], promote: true, since: Timestamp(0) };
        let run =
            |suite: &str, tries| Some(Step::Evaluate { model: "m".into(), version: 3, suite: suite.into(), tries });
        let tried = |suite: &str, tries| Try {
            model: "m".into(),
            version: 3,
            suite: suite.into(),
            tries,
            at: Timestamp(1),
            outcome: "it crashed".into(),
        };
        assert_eq!(policy.step(3, &set(&[]), &set(&[]), &[]), run("a", 1));
        assert_eq!(policy.step(3, &set(&[]), &set(&[]), &[tried("a", 1)]), run("a", 2));
        assert_eq!(policy.step(3, &set(&[]), &set(&[]), &[tried("a", TRIES_MAX)]), run("b", 1));
        assert_eq!(policy.step(3, &set(&["a"]), &set(&["a"]), &[]), run("b", 1));
        assert_eq!(policy.step(3, &set(&["a", "b"]), &set(&["a"]), &[]), None, "b breaks its limits");
        assert_eq!(policy.step(3, &set(&["b"]), &set(&["b"]), &[tried("a", TRIES_MAX)]), None);
        let all = set(&["a", "b"]);
        let promote = Some(Step::Promote { model: "m".into(), version: 3 });
        assert_eq!(policy.step(3, &all, &all, &[]), promote);
        assert_eq!(Policy { promote: false, ..policy }.step(3, &all, &all, &[]), None);
    }

    #[test]
    fn a_file_is_read_with_its_lines() {
        let suites = {
            let text = "[suite.late]\ndata='x'\nlabel='y'\ntask='binary'\nmetrics=['auc']\ncommand=['p']\n";
            evals::parse(&mut Document::parse("s", text).unwrap()).unwrap()
        };
        let read = |text: &str| parse(&mut Document::parse("p.toml", text).unwrap(), &suites);
        let good = read("[policy.m]\nevals = ['late']\npromote = 'staging'\n").unwrap();
        assert_eq!(good[0].asked(), "runs late on registration, then to staging when green");
        for (text, words) in [
            ("[policy.m]\nevals = []\n", "p.toml line 2: a policy without evals"),
            ("[policy.m]\nevals = ['lat']\n", "p.toml line 2: there is no suite \"lat\"; did you mean \"late\"?"),
            ("[policy.m]\nevals = ['late']\npromote = 'prod'\n", "p.toml line 3: a policy promotes to staging"),
        ] {
            let fault = read(text).unwrap_err();
            assert!(fault.to_string().contains(words), "{fault}");
        }
    }
}
