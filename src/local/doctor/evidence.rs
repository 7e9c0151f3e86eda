//! What the agent's store holds of each capability, counted.

use std::collections::BTreeSet;

use super::Finding;
use crate::base::fault::Result;
use crate::capability::audit::AuditQuery;
use crate::capability::monitoring::quality::Asked;
use crate::capability::registry::{ModelVersion, Stage};
use crate::capability::tracking::RunQuery;
use crate::capability::training::{CAPTURED_TAG, GRADE_TAG};
use crate::client::Client;

/// Services that are looked at one by one.
const SERVICES_MAX: usize = 50;
const WEEK_SECONDS: u64 = 7 * 86_400;

/// Counts over a whole store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    pub runs: usize,
    pub runs_captured: usize,
    pub runs_repeated: usize,
    pub datasets: usize,
    /// Named by scripts (`mlflow.log_input`), whose bytes are not kept here.
    pub datasets_logged: usize,
    pub dataset_versions: usize,
    /// Of those, how many a run has read.
    pub dataset_versions_used: usize,
    /// Tables among them with a training profile.
    pub dataset_profiles: usize,
    pub models: usize,
    pub versions: usize,
    pub in_prod: Vec<Production>,
    pub suites: usize,
    pub gates: usize,
    pub decisions: usize,
    pub audit_records: i64,
    /// `None`: the chain could not be checked.
    pub audit_whole: Option<bool>,
    pub services: usize,
    /// Of those, how many a version answers for.
    pub services_routed: usize,
    pub rollouts_going: usize,
    pub rollouts_ended: usize,
    /// Of which predictions came.
    pub services_told: usize,
    pub versions_told: usize,
    /// With labels in the last week.
    pub versions_labelled: usize,
    /// Whose features are held against training data.
    pub versions_profiled: usize,
    /// Columns that drift now.
    pub drift_alarms: u64,
    pub alerts: usize,
    /// Not the defaults alone.
    pub own_prices: bool,
    /// Services of which is known what they run on.
    pub services_placed: usize,
    pub budgets: usize,
}

/// A version in production.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Production {
    pub name: String,
    pub evals: usize,
    pub gated: bool,
    /// Run and data are known.
    pub lineage: bool,
    /// The version that was in prod before it.
    pub previous: Option<u32>,
}

/// Asks the agent.
///
/// # Errors
/// The agent's.
pub async fn gather(client: &Client) -> Result<Evidence> {
    let tagged = |tag: &str| RunQuery { filter: format!("tags.`{tag}` != ''"), limit: 1, ..RunQuery::default() };
    let datasets = client.datasets().await?;
    let data = || datasets.iter().flat_map(|d| &d.versions);
    let standing = client.gates(None).await?;
    let models = client.models(None).await?;
    let mut in_prod = Vec::new();
    for model in &models {
        for version in model.versions.iter().filter(|v| v.stage == Stage::Prod) {
            let gated = |g: &crate::capability::gates::Gate| {
                g.stage == Stage::Prod && [&version.model, "*"].contains(&&*g.model)
            };
            in_prod.push(Production {
                name: format!("{} v{}", version.model, version.version),
                evals: client.evals(&version.model, Some(version.version)).await?.len(),
                gated: standing.gates.iter().any(gated),
                lineage: has_lineage(version),
                previous: before(&client.model(&version.model, None).await?, version.version),
            });
        }
    }
    let served = served(client).await?;
    let audit = client.audit(&AuditQuery { limit: 1, ..AuditQuery::default() }).await?;
    Ok(Evidence {
        runs: client.status().await?.runs,
        runs_captured: client.search_runs(&tagged(CAPTURED_TAG)).await?.matched,
        runs_repeated: client.search_runs(&tagged(GRADE_TAG)).await?.matched,
        datasets: datasets.iter().filter(|d| !d.versions.is_empty()).count(),
        datasets_logged: datasets.iter().filter(|d| !d.logged.is_empty()).count(),
        dataset_versions: data().count(),
        dataset_versions_used: data().filter(|v| !v.runs.is_empty()).count(),
        dataset_profiles: data().filter(|v| v.version.doc.profile.is_some()).count(),
        models: models.len(),
        versions: models.iter().map(|m| m.versions.len()).sum(),
        in_prod,
        suites: client.suites().await?.len(),
        gates: standing.gates.len(),
        decisions: standing.decisions.len(),
        audit_records: audit.total,
        audit_whole: client.verify_audit(&[]).await.ok().map(|v| v.ok),
        ..served
    })
}

/// What is known of services: who answers, what is told of them, and what they cost.
async fn served(client: &Client) -> Result<Evidence> {
    let services = client.services().await?;
    let mut rollouts_ended = 0;
    for s in services.iter().take(SERVICES_MAX) {
        rollouts_ended += client.service(&s.service.name).await?.history.len();
    }
    let versions = client.monitoring().await?.versions;
    let names: BTreeSet<&str> = versions.iter().map(|v| v.service.as_str()).collect();
    let asked = Asked { window: WEEK_SECONDS, ..Asked::default() };
    let (mut labelled, mut profiled, mut alarms) = (0, 0, 0);
    for name in names.iter().take(SERVICES_MAX) {
        labelled += client.quality(name, &asked).await?.versions.iter().filter(|v| v.labelled > 0).count();
        for v in client.drift(name, &asked).await?.versions {
            profiled += usize::from(v.reference.contains('@'));
            alarms += v.alarms;
        }
    }
    let book = client.cost_book().await?;
    let placed: BTreeSet<&str> = book.placements.iter().map(|p| p.service.as_str()).collect();
    Ok(Evidence {
        services: services.len(),
        services_routed: services.iter().filter(|s| s.stable.is_some()).count(),
        rollouts_going: services.iter().filter(|s| s.candidate.is_some()).count(),
        rollouts_ended,
        services_told: names.len(),
        versions_told: versions.len(),
        versions_labelled: labelled,
        versions_profiled: profiled,
        drift_alarms: alarms,
        alerts: client.alert_rules().await?.len(),
        own_prices: book.lists.iter().any(|l| !l.defaults),
        services_placed: placed.len(),
        budgets: book.budgets.len(),
        ..Evidence::default()
    })
}

fn has_lineage(version: &ModelVersion) -> bool {
    version.doc.run_id.is_some() && !version.doc.datasets.is_empty()
}

/// The version that left prod last.
fn before(model: &crate::capability::registry::ModelView, now: u32) -> Option<u32> {
    let prod = Stage::Prod.name();
    let entered = model.history.iter().filter(|h| h.what == "stage" && h.value.as_deref() == Some(prod));
    entered.filter(|h| h.version != now).max_by_key(|h| h.seq).map(|h| h.version)
}

impl Evidence {
    /// Versions in production that nobody can answer for.
    pub fn findings(&self) -> Vec<Finding> {
        let places =
            |of: fn(&Production) -> bool| self.in_prod.iter().filter(|p| of(p)).map(|p| p.name.clone()).collect();
        [
            Finding::of(
                "versions in prod have no eval",
                places(|p| p.evals == 0),
                "write a suite (`opsroom init` shows one), `opsroom apply` it, and `opsroom eval run SUITE MODEL VERSION`",
            ),
            Finding::of(
                "versions in prod do not say which run and data they came from",
                places(|p| !p.lineage),
                "register from a run (`opsroom model register MODEL --run RUN`) that logged its data (`mlflow.log_input`, `opsroom run`)",
            ),
            Finding::of(
                "versions went to prod without a gate",
                places(|p| !p.gated),
                "write a gate (`opsroom init` shows one) and `opsroom apply` it; `gates.required = true` asks for one everywhere",
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
