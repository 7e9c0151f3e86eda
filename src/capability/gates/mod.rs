//! Gates: rules between a version and a stage, judged on evidence. Without a pass there is no promotion, by whatever
//! door it is asked for.
//!
//! Invariants: a decision is kept with all that it was made from, and judged anew it comes out the same; what cannot
//! be known is inconclusive, never a pass; approvals and waivers hold for the bytes they were given for, and no others.

mod apply;
mod case;
mod command;
mod data;
mod judge;
mod live;
pub mod policy;
mod rule;
mod slices;
mod store;
mod version;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use apply::{Applied, By, apply, keep};
pub use case::{Case, Evals, Examples, House, decide, decide_again, judged_anew, load};
pub use command::Command;
pub use judge::judge;
pub use live::Live;
pub use rule::{Gate, Rule, check, parse};
pub use store::STATEMENTS;
pub use version::{OfVersion, Proof};

use crate::base::{Fault, Timestamp, fault::Result};
use crate::capability::registry::Stage;
use crate::db::{Source, Tx};

/// The gates' settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Refuses prod to a model for which no gate is defined.
    pub required: bool,
    /// Aliases that mean production: whoever points one at a version needs what prod needs.
    pub production_aliases: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let aliases = ["prod", "production", "champion"];
        Self { required: false, production_aliases: aliases.map(String::from).to_vec() }
    }
}

/// What a gate says, and what all of them together say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Pass,
    Fail,
    /// It takes more data, or something that was not done yet.
    Inconclusive,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
        }
    }

    /// One failure fails all; one open question leaves all open.
    pub fn of_all(verdicts: impl IntoIterator<Item = Self>) -> Self {
        verdicts.into_iter().fold(Self::Pass, |all, one| match (all, one) {
            (Self::Fail, _) | (_, Self::Fail) => Self::Fail,
            (Self::Inconclusive, _) | (_, Self::Inconclusive) => Self::Inconclusive,
            _ => Self::Pass,
        })
    }
}

/// One gate's word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub name: String,
    pub kind: String,
    pub verdict: Verdict,
    /// What was seen: a number, or a text; null when there is nothing yet.
    pub observed: Value,
    /// What was asked.
    pub bound: String,
    pub why: String,
    /// What would help, in the words of the command line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub next: String,
    /// How many more labelled rows would decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_missing: Option<u64>,
    /// Who let it pass all the same, why, and until when; the verdict stands as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waived: Option<Waiver>,
    /// Single slices, where the gate is about them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<SliceFinding>,
}

impl Finding {
    /// What it counts for: a waiver makes way.
    pub fn counts(&self) -> Verdict {
        if self.waived.is_some() { Verdict::Pass } else { self.verdict }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SliceFinding {
    pub slice: String,
    pub n: u64,
    pub observed: Option<f64>,
    /// Of being too low by chance alone, all slices taken together.
    pub p: Option<f64>,
    pub verdict: Verdict,
}

/// A gate that is let pass for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiver {
    pub id: i64,
    pub model: String,
    pub version: u32,
    /// The bytes it was given for.
    pub subject: String,
    pub gate: String,
    pub by: String,
    pub reason: String,
    pub at: Timestamp,
    pub until: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

impl Waiver {
    pub fn holds_at(&self, now: Timestamp) -> bool {
        self.ended.is_none() && self.at <= now && now < self.until
    }
}

/// Someone's word for a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    pub id: i64,
    pub model: String,
    pub version: u32,
    pub subject: String,
    pub stage: Stage,
    pub by: String,
    pub reason: String,
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

/// A verdict on a version with all that it was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// 0: not kept.
    pub id: i64,
    pub at: Timestamp,
    pub model: String,
    pub version: u32,
    pub stage: Stage,
    pub verdict: Verdict,
    /// No gate is defined.
    pub ungated: bool,
    pub gates: Vec<Finding>,
    #[serde(default)]
    pub by: String,
    /// BLAKE3 of all that was decided and what from; the audit trail holds it too.
    #[serde(default)]
    pub digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<Box<Case>>,
}

impl Decision {
    /// The same with its digest: of verdict, findings and case, apart from who asked.
    #[must_use]
    pub fn sealed(self) -> Self {
        let bare = Self { id: 0, by: String::new(), digest: String::new(), ..self.clone() };
        let text = serde_json::to_string(&bare).unwrap_or_default();
        Self { digest: format!("blake3:{}", blake3::hash(text.as_bytes()).to_hex()), ..self }
    }

    /// The refusal, unless it is a pass.
    ///
    /// # Errors
    /// `Refused`.
    pub fn admit(&self) -> Result<()> {
        if self.verdict == Verdict::Pass {
            return Ok(());
        }
        let (model, version, stage) = (&self.model, self.version, self.stage.name());
        let open: Vec<&Finding> = self.gates.iter().filter(|f| f.counts() != Verdict::Pass).collect();
        let failed = open.iter().any(|f| f.verdict == Verdict::Fail);
        let word = if failed { "fails" } else { "does not pass yet:" };
        let names: Vec<&str> = open.iter().map(|f| f.name.as_str()).collect();
        let whys: Vec<String> = open.iter().take(3).map(|f| format!("{}: {}", f.name, f.why)).collect();
        let next = open.iter().find(|f| !f.next.is_empty()).map_or_else(
            || format!("see `opsroom gate check {model} {version} --to {stage}`"),
            |f| format!("{}; see `opsroom gate check {model} {version} --to {stage}`", f.next),
        );
        Err(Fault::refused(format!("{model} v{version} may not go to {stage}: it {word} {}", names.join(", ")))
            .why(whys.join("; "))
            .next(next))
    }
}

/// How a model stands to its gates: what the room and `gate list` show.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Standing {
    pub gates: Vec<Gate>,
    /// Those that hold now.
    pub waivers: Vec<Waiver>,
    pub approvals: Vec<Approval>,
    /// Newest first, without what they were made from.
    pub decisions: Vec<Decision>,
    /// Versions that wait for someone's word.
    pub pending: Vec<Pending>,
    /// What happens by itself when a version is registered, and how far it came.
    #[serde(default)]
    pub policies: Vec<policy::Policy>,
    #[serde(default)]
    pub tries: Vec<policy::Try>,
}

/// An approval that is still missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// What `opsroom approve` takes: `MODEL@VERSION:STAGE`.
    pub id: String,
    pub model: String,
    pub version: u32,
    pub stage: Stage,
    pub given: u32,
    pub needed: u32,
    /// Who asked for the decision that found them missing.
    pub asked_by: String,
    pub since: Timestamp,
}

/// Gates of a model (`None`: of all), `*` included.
///
/// # Errors
/// The store's.
pub async fn gates(source: Source<'_>, model: Option<&str>) -> Result<Vec<Gate>> {
    let mut all = store::gates(source).await?;
    all.retain(|g| model.is_none_or(|m| g.model == m || g.model == "*"));
    Ok(all)
}

/// How one model, or every model, stands.
///
/// # Errors
/// The store's.
pub async fn standing(mut source: Source<'_>, model: Option<&str>, now: Timestamp) -> Result<Standing> {
    let mut waivers = store::waivers(source.again(), model).await?;
    waivers.retain(|w| w.holds_at(now));
    let mut approvals = store::approvals(source.again(), model).await?;
    approvals.retain(|a| a.ended.is_none());
    let decisions = store::decisions(source.again(), model).await?;
    let pending = pending(&decisions, &approvals);
    // What they were made from is long, and asked for one by one.
    let decisions = decisions.into_iter().map(|d| Decision { case: None, ..d }).collect();
    let mut policies = policy::policies(source.again()).await?;
    policies.retain(|p| model.is_none_or(|m| p.model == m));
    let tries = policy::tries(source.again(), model).await?;
    Ok(Standing { gates: gates(source, model).await?, waivers, approvals, decisions, pending, policies, tries })
}

/// From the newest decision on each version and stage.
fn pending(decisions: &[Decision], approvals: &[Approval]) -> Vec<Pending> {
    let mut seen = std::collections::BTreeSet::new();
    let mut pending = Vec::new();
    for d in decisions {
        if !seen.insert((d.model.clone(), d.version, d.stage)) {
            continue;
        }
        let Some(case) = &d.case else { continue };
        let Some(needed) = case.approvals_needed() else { continue };
        let given = approvals
            .iter()
            .filter(|a| (&a.model, a.version, a.stage) == (&d.model, d.version, d.stage) && a.subject == case.subject)
            .count();
        let given = u32::try_from(given).unwrap_or(u32::MAX);
        if given < needed {
            let id = format!("{}@{}:{}", d.model, d.version, d.stage.name());
            let (model, version, stage) = (d.model.clone(), d.version, d.stage);
            pending.push(Pending { id, model, version, stage, given, needed, asked_by: d.by.clone(), since: d.at });
        }
    }
    pending
}

/// A decision with all that it was made from.
///
/// # Errors
/// `NotFound`.
pub async fn decision(source: Source<'_>, id: i64) -> Result<Decision> {
    store::decision(source, id)
        .await?
        .ok_or_else(|| Fault::not_found(format!("no gate decision #{id}")).next("see `opsroom gate list`"))
}

/// A model has another name from now on.
///
/// # Errors
/// `Conflict` when gates stand under that name: what comes by it has not passed them.
pub async fn renamed(tx: &mut Tx, from: &str, to: &str) -> Result<()> {
    if from != to && store::gates(Source::Tx(tx)).await?.iter().any(|g| g.model == to) {
        return Err(Fault::conflict(format!("gates are defined for {to}"))
            .why(format!("versions of {from} have not passed them"))
            .next(format!("take them away with `opsroom gate clear {to} --to STAGE`, or choose another name")));
    }
    store::rename(tx, from, to).await
}
