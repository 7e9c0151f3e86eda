//! What is told: traffic, predictions, quality, drift, cost, incidents, each with model, version, service and stage.
//!
//! What is counted is told as it stands. Quality, drift and cost take a while to work out: they are worked out now and then, as
//! long as somebody asks.

use std::collections::{BTreeMap, BTreeSet};

use super::super::App;
use super::family::{Family, Kind, Subject};
use super::{Routed, Telemetry};
use crate::base::{Timestamp, fault::Result};
use crate::capability::cost::{self, By};
use crate::capability::drift;
use crate::capability::monitoring::counters::{Since, VersionStanding};
use crate::capability::monitoring::quality::{self, Asked};
use crate::capability::monitoring::{ArmRole, incident};
use crate::capability::registry;
use crate::capability::rollout;
use crate::capability::tracking::RunStatus;
use crate::db::Source;

/// Length of the window that quality and drift are told of, seconds.
const WINDOW: u64 = 3600;
/// Metrics of quality that are told: more would be more series than anybody looks at.
const METRICS: [&str; 8] = ["auc", "accuracy", "f1", "log_loss", "brier", "mae", "rmse", "judgement"];
/// Columns of a version, those that drifted most first.
const COLUMNS_MAX: usize = 5;

/// Who a version of a service is, in the words of the registry.
pub struct Names {
    model_of: BTreeMap<String, String>,
    stage_of: BTreeMap<(String, String), &'static str>,
    services: Vec<rollout::Standing>,
    versions: Vec<VersionStanding>,
}

impl Names {
    async fn read(app: &App) -> Result<Self> {
        let pool = app.ctx().db.read();
        let services = rollout::services(Source::Pool(pool)).await?;
        let versions = app.ctx().counters.standing().versions;
        let mut model_of: BTreeMap<String, String> =
            versions.iter().filter_map(|v| Some((v.service.clone(), v.model.clone()?))).collect();
        model_of.extend(services.iter().map(|s| (s.service.name.clone(), s.service.model.clone())));
        let models = registry::models(Source::Pool(pool), None).await?;
        let stage_of = models
            .iter()
            .flat_map(|m| &m.versions)
            .map(|v| ((v.model.clone(), v.version.to_string()), v.stage.name()))
            .collect();
        Ok(Self { model_of, stage_of, services, versions })
    }

    fn subject(&self, service: &str, version: &str) -> Subject {
        let version = version.trim_start_matches('v').to_owned();
        let model = self.model_of.get(service).cloned().unwrap_or_else(|| service.to_owned());
        let stage = self.stage_of.get(&(model.clone(), version.clone())).copied().unwrap_or("none").to_owned();
        Subject { model, version, service: service.to_owned(), stage }
    }

    fn names(&self) -> BTreeSet<String> {
        let told = self.versions.iter().map(|v| v.service.clone());
        told.chain(self.services.iter().map(|s| s.service.name.clone())).collect()
    }
}

fn word(role: ArmRole) -> &'static str {
    match role {
        ArmRole::Stable => "stable",
        ArmRole::Candidate => "candidate",
        ArmRole::Shadow => "shadow",
    }
}

/// What is counted, as it stands.
///
/// # Errors
/// The store's.
pub async fn quick(app: &App, telemetry: &Telemetry) -> Result<Vec<Family>> {
    let names = Names::read(app).await?;
    let mut families = traffic(&names, &telemetry.routed());
    families.extend(told(&names, &app.ctx().counters.since_start()));
    families.push(weights(&names));
    families.push(incidents(app, &names).await?);
    let mut runs = Family::new("opsroom_runs_running", Kind::Gauge, "Runs that say they are running.");
    let running = app.ctx().tracking.read(|s| s.runs().iter().filter(|r| r.status == RunStatus::Running).count());
    runs.put(Vec::new(), running as f64);
    let mut about = Family::new("opsroom_build_info", Kind::Gauge, "The agent that tells this.");
    about.put(vec![("agent_version", env!("CARGO_PKG_VERSION").to_owned())], 1.0);
    let mut dropped =
        Family::new("opsroom_telemetry_dropped_total", Kind::Counter, "Points that a receiver did not take.");
    for (receiver, n) in telemetry.dropped() {
        dropped.put(vec![("receiver", receiver.to_owned())], n as f64);
    }
    let mut shed =
        Family::new("opsroom_events_shed_total", Kind::Counter, "Predictions and labels that were not taken.");
    shed.put(Vec::new(), app.ctx().counters.shed().events as f64);
    let mut bodies = Family::new(
        "opsroom_bodies_shed_total",
        Kind::Counter,
        "Requests with predictions or labels that nobody read.",
    );
    bodies.put(Vec::new(), app.ctx().counters.shed().bodies as f64);
    families.extend([runs, about, dropped, shed, bodies]);
    Ok(families)
}

fn traffic(names: &Names, routed: &BTreeMap<(String, u32, ArmRole), Routed>) -> Vec<Family> {
    let mut requests = Family::new("opsroom_requests_total", Kind::Counter, "Requests that the router answered.");
    let mut errors = Family::new(
        "opsroom_request_errors_total",
        Kind::Counter,
        "Requests without an answer, or with one of 500 and above.",
    );
    let mut latency = Family::new(
        "opsroom_request_duration_seconds",
        Kind::Histogram,
        "Seconds from the last byte of a request to the first of its answer.",
    );
    let mut differing = Family::new(
        "opsroom_shadow_differing_total",
        Kind::Counter,
        "Answers of a shadow that differ from the one given.",
    );
    for ((service, version, role), r) in routed {
        let subject = names.subject(service, &version.to_string());
        requests.put(subject.with("role", word(*role)), r.requests as f64);
        errors.put(subject.with("role", word(*role)), r.errors as f64);
        latency.put_latency(subject.with("role", word(*role)), r.latency.clone());
        if *role == ArmRole::Shadow {
            differing.put(subject.labels(), r.differing as f64);
        }
    }
    vec![requests, errors, latency, differing]
}

fn told(names: &Names, since: &BTreeMap<(String, String), Since>) -> Vec<Family> {
    let mut predictions = Family::new(
        "opsroom_predictions_total",
        Kind::Counter,
        "Predictions that were told, by the router or by scripts.",
    );
    let mut errors = Family::new("opsroom_prediction_errors_total", Kind::Counter, "Predictions told with an error.");
    for ((service, version), n) in since {
        let subject = names.subject(service, version);
        predictions.put(subject.labels(), n.predictions as f64);
        errors.put(subject.labels(), n.errors as f64);
    }
    vec![predictions, errors]
}

fn weights(names: &Names) -> Family {
    let mut weight = Family::new(
        "opsroom_traffic_weight_ratio",
        Kind::Gauge,
        "Share of a service's callers that a version answers.",
    );
    for standing in &names.services {
        let candidate = standing.candidate.as_ref().map_or(0.0, |r| f64::from(r.weight) / 10_000.0);
        if let Some(stable) = standing.stable {
            let subject = names.subject(&standing.service.name, &stable.to_string());
            weight.put(subject.with("role", "stable"), 1.0 - candidate);
        }
        if let Some(rollout) = &standing.candidate {
            let subject = names.subject(&standing.service.name, &rollout.version.to_string());
            weight.put(subject.with("role", "candidate"), candidate);
        }
    }
    weight
}

async fn incidents(app: &App, names: &Names) -> Result<Family> {
    let mut family =
        Family::new("opsroom_incidents_open", Kind::Gauge, "Open incidents of a service by severity; 1 wakes someone.");
    let mut open: BTreeMap<(String, u8), f64> = BTreeMap::new();
    for i in incident::incidents(Source::Pool(app.ctx().db.read()), None).await?.iter().filter(|i| i.is_open()) {
        *open.entry((i.service.clone(), i.severity)).or_default() += 1.0;
    }
    for ((service, severity), n) in open {
        let stable = names.services.iter().find(|s| s.service.name == service).and_then(|s| s.stable);
        let subject = names.subject(&service, &stable.map_or_else(String::new, |v| v.to_string()));
        family.put(subject.with("severity", severity.to_string()), n);
    }
    Ok(family)
}

/// What takes a while: quality, drift and cost.
///
/// # Errors
/// The store's.
pub async fn slow(app: &App, now: Timestamp) -> Result<Vec<Family>> {
    let names = Names::read(app).await?;
    let mut families = quality(app, &names, now).await;
    families.extend(drifted(app, &names, now).await);
    families.extend(costs(app, &names, now).await?);
    Ok(families)
}

async fn quality(app: &App, names: &Names, now: Timestamp) -> Vec<Family> {
    let gauge = |name, help| Family::new(name, Kind::Gauge, help);
    let mut value = gauge("opsroom_quality", "A metric of the last hour's labelled predictions.");
    let mut low = gauge("opsroom_quality_low", "Lower end of the metric's 95 % interval.");
    let mut high = gauge("opsroom_quality_high", "Upper end of the metric's 95 % interval.");
    let mut estimated =
        gauge("opsroom_quality_estimated", "The metric as estimated without labels, from calibrated scores.");
    let mut coverage =
        gauge("opsroom_label_coverage_ratio", "Share of the last hour's predictions that have their label.");
    let asked = Asked { window: WINDOW, ..Asked::default() };
    for service in names.names() {
        // A service of which nothing came has no quality.
        let Ok(report) = quality::brief(&app.ctx().counters, &service, &asked, now).await else { continue };
        for v in report.versions {
            let subject = names.subject(&service, &v.version);
            for metric in METRICS {
                if let Some(m) = v.metrics.get(metric) {
                    value.put(subject.with("metric", metric), m.value);
                    low.put(subject.with("metric", metric), m.low.unwrap_or(f64::NAN));
                    high.put(subject.with("metric", metric), m.high.unwrap_or(f64::NAN));
                }
                if let Some(m) = v.estimated.get(metric) {
                    estimated.put(subject.with("metric", metric), m.value);
                }
            }
            coverage.put(subject.labels(), v.coverage.unwrap_or(f64::NAN));
        }
    }
    vec![value, low, high, estimated, coverage]
}

async fn drifted(app: &App, names: &Names, now: Timestamp) -> Vec<Family> {
    let mut psi = Family::new(
        "opsroom_drift_psi",
        Kind::Gauge,
        "Population stability index of the last hour's inputs, scores and predictions against the training data.",
    );
    let mut alarms = Family::new(
        "opsroom_drift_alarms",
        Kind::Gauge,
        "Columns that drifted by more than chance gives, and by enough to matter.",
    );
    let asked = Asked { window: WINDOW, ..Asked::default() };
    for service in names.names() {
        let Ok(report) = drift::report(&app.ctx().counters, &service, &asked, now).await else { continue };
        for v in report.versions {
            let subject = names.subject(&service, &v.version);
            for c in v.score.iter().chain(&v.prediction).chain(v.columns.iter().take(COLUMNS_MAX)) {
                psi.put(subject.with("column", c.name.clone()), c.psi.unwrap_or(f64::NAN));
            }
            alarms.put(subject.labels(), v.alarms as f64);
        }
    }
    vec![psi, alarms]
}

async fn costs(app: &App, names: &Names, now: Timestamp) -> Result<Vec<Family>> {
    let midnight = Timestamp(now.0.div_euclid(86_400_000_000) * 86_400_000_000);
    let gauge = |name, help| Family::new(name, Kind::Gauge, help);
    let mut today = gauge("opsroom_cost_today", "What a version cost since midnight UTC, in units of the currency.");
    let mut each = gauge(
        "opsroom_cost_per_prediction",
        "Cost of a prediction since midnight UTC: loaded with idle time, or marginal.",
    );
    let mut correct =
        gauge("opsroom_cost_per_correct_prediction", "Loaded cost of a correct prediction since midnight UTC.");
    let mut spent = gauge("opsroom_budget_spent_ratio", "Share of a month's budget that is spent.");
    let mut forecast =
        gauge("opsroom_budget_forecast_ratio", "Share of a month's budget that will be spent by its end.");
    // A day that has just begun has no window yet.
    if let Ok(report) =
        cost::report(app.ctx(), &cost::Asked { by: By::Version, since: Some(midnight), ..Default::default() }, now)
            .await
    {
        for row in &report.rows {
            let (Some(service), Some(total)) = (&row.service, row.total) else { continue };
            let subject = names.subject(service, row.version.as_deref().unwrap_or_default());
            let of = |kind: &'static str| {
                let mut labels = subject.with("kind", kind);
                labels.push(("currency", report.currency.clone()));
                labels
            };
            today.put(of("total"), total.units());
            today.put(of("idle"), row.parts.idle.units());
            today.put(of("candidate"), (row.candidate + row.shadow).units());
            each.put(of("loaded"), row.per_prediction.unwrap_or(f64::NAN));
            each.put(of("marginal"), row.marginal_per_prediction.unwrap_or(f64::NAN));
            correct.put(of("loaded"), row.per_correct.map_or(f64::NAN, |c| c.value));
        }
        for b in &report.budgets {
            let labels = || vec![("budget", b.name.clone()), ("of", b.of.clone())];
            spent.put(labels(), b.share);
            forecast.put(labels(), b.forecast.map_or(f64::NAN, |f| f.value.units() / b.month.units()));
        }
    }
    Ok(vec![today, each, correct, spent, forecast])
}
