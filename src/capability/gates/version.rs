//! How one version stands to its gates, in few words: for its card, and for the JSON beside its artifact.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Decision, Finding, Standing, Verdict, Waiver};
use crate::base::Timestamp;
use crate::capability::registry::{ModelVersion, Stage};

/// Proof for one stage: the newest decision.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proof<'a> {
    pub verdict: Verdict,
    pub decision: i64,
    /// Of the whole decision, as the audit trail holds it.
    pub digest: &'a str,
    pub at: Timestamp,
    pub by: &'a str,
    pub gates: &'a [Finding],
}

/// How a version stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OfVersion<'a> {
    /// `pass`, `fail` or `inconclusive` on the way to prod, as decided last; `ungated` without a gate there; `none`
    /// when nobody has asked yet.
    pub eval: &'static str,
    /// By stage.
    pub evidence: BTreeMap<&'static str, Proof<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waivers: Vec<&'a Waiver>,
}

impl Standing {
    /// What is known of one version. Decisions on other bytes under the same number do not count.
    pub fn of_version(&self, version: &ModelVersion) -> OfVersion<'_> {
        let here = |d: &&Decision| d.model == version.model && d.version == version.version && d.at >= version.created;
        let mut evidence = BTreeMap::new();
        for d in self.decisions.iter().filter(here).filter(|d| !d.ungated) {
            let proof = || Proof {
                verdict: d.verdict,
                decision: d.id,
                digest: &d.digest,
                at: d.at,
                by: &d.by,
                gates: &d.gates,
            };
            evidence.entry(d.stage.name()).or_insert_with(proof);
        }
        let gated = self.gates.iter().any(|g| g.stage == Stage::Prod && (g.model == version.model || g.model == "*"));
        let eval = match evidence.get(Stage::Prod.name()) {
            _ if !gated => "ungated",
            Some(proof) => proof.verdict.name(),
            None => "none",
        };
        let of = |w: &&Waiver| w.model == version.model && w.version == version.version && w.at >= version.created;
        OfVersion { eval, evidence, waivers: self.waivers.iter().filter(of).collect() }
    }
}
