//! What a rule is about, in one window: read from the counters of predictions and of traffic.

use super::App;
use crate::base::fault::Result;
use crate::base::stats::sketch::Sketch;
use crate::base::{Kind, Timestamp};
use crate::capability::drift;
use crate::capability::monitoring::incident::{AlertRule, Bound, Observation, Signal};
use crate::capability::monitoring::quality::{self, Asked, VersionQuality};
use crate::capability::monitoring::{self, ArmRole, TrafficWindow};
use crate::db::Source;

/// The signal in one window.
pub(super) async fn observed(
    app: &App,
    rule: &AlertRule,
    service: &str,
    from: Timestamp,
    to: Timestamp,
) -> Result<Observation> {
    let seconds = u64::try_from((to.0 - from.0) / 1_000_000).unwrap_or(0);
    let asked = Asked { window: seconds, to: Some(to), version: None, slice: rule.slice.clone() };
    let (value, n) = match &rule.signal {
        Signal::ErrorRate | Signal::LatencyMs(_) | Signal::Requests => {
            served(&rule.signal, &traffic(app, service, from, to).await?, &versions(app, service, &asked).await?, rule)
        }
        Signal::Quality(metric) => worst(
            rule.bound,
            versions(app, service, &asked).await?.iter().filter_map(|v| v.metrics.get(metric).map(|m| (m.value, m.n))),
            rule.n_min,
        ),
        Signal::Estimated(metric) => worst(
            rule.bound,
            versions(app, service, &asked)
                .await?
                .iter()
                .filter_map(|v| v.estimated.get(metric).map(|m| (m.value, m.n))),
            rule.n_min,
        ),
        Signal::Coverage => worst(
            rule.bound,
            versions(app, service, &asked).await?.iter().filter_map(|v| Some((v.coverage?, v.n))),
            rule.n_min,
        ),
        Signal::Drift(column) => drifted(app, service, &asked, column.as_deref(), rule).await?,
        Signal::Missing(column) => missing(app, service, &asked, column, rule).await?,
    };
    Ok(Observation { from, to, value, n })
}

/// What routers counted, without shadows.
pub(super) async fn traffic(app: &App, service: &str, from: Timestamp, to: Timestamp) -> Result<Vec<TrafficWindow>> {
    let before = Timestamp(to.0 - 1);
    let mut windows = monitoring::windows(Source::Pool(app.ctx().db.read()), service, from, before).await?;
    windows.retain(|w| w.arm != ArmRole::Shadow);
    Ok(windows)
}

async fn versions(app: &App, service: &str, asked: &Asked) -> Result<Vec<VersionQuality>> {
    match quality::brief(&app.ctx().counters, service, asked, app.now()).await {
        Ok(report) => Ok(report.versions),
        Err(fault) if fault.kind == Kind::NotFound => Ok(Vec::new()),
        Err(fault) => Err(fault),
    }
}

/// The worst value of versions that have enough behind it; else the most that any has.
fn worst(bound: Bound, values: impl Iterator<Item = (f64, u64)>, n_min: u64) -> (Option<f64>, u64) {
    let all: Vec<(f64, u64)> = values.collect();
    let enough = all.iter().filter(|(_, n)| *n >= n_min);
    let worse = |a: &&(f64, u64), b: &&(f64, u64)| match bound {
        Bound::Below(_) => b.0.total_cmp(&a.0),
        Bound::Above(_) => a.0.total_cmp(&b.0),
    };
    match enough.max_by(worse) {
        Some((value, n)) => (Some(*value), *n),
        None => (None, all.iter().map(|(_, n)| *n).max().unwrap_or(0)),
    }
}

/// Errors, latency and requests: of the router where it was there, else of what was told.
fn served(signal: &Signal, windows: &[TrafficWindow], told: &[VersionQuality], rule: &AlertRule) -> (Option<f64>, u64) {
    if !windows.is_empty() && rule.slice.is_none() {
        let (mut n, mut errors, mut latency) = (0, 0, Sketch::default());
        for w in windows {
            n += w.requests;
            errors += w.errors;
            latency.merge(&w.latency);
        }
        return match signal {
            Signal::ErrorRate => ((n > 0).then(|| errors as f64 / n as f64), n),
            Signal::LatencyMs(p) => (latency.quantile(f64::from(*p) / 100.0), latency.count()),
            _ => (Some(n as f64), n),
        };
    }
    let n: u64 = told.iter().map(|v| v.n).sum();
    match signal {
        Signal::ErrorRate => ((n > 0).then(|| told.iter().map(|v| v.errors).sum::<u64>() as f64 / n as f64), n),
        Signal::LatencyMs(p) => {
            let at = |v: &VersionQuality| Some((v.latency.quantile(f64::from(*p) / 100.0)?, v.latency.count()));
            worst(Bound::Above(0.0), told.iter().filter_map(at), rule.n_min)
        }
        _ => (Some(n as f64), n),
    }
}

/// PSI of the column that drifted most. What chance may give counts as none.
async fn drifted(
    app: &App,
    service: &str,
    asked: &Asked,
    column: Option<&str>,
    rule: &AlertRule,
) -> Result<(Option<f64>, u64)> {
    let columns = columns(app, service, asked).await?;
    let wanted = columns.iter().filter(|c| column.is_none_or(|name| c.name == name));
    let told = wanted.filter_map(|c| c.psi.map(|psi| (if c.alarm { psi } else { 0.0 }, c.n)));
    Ok(worst(rule.bound, told, rule.n_min))
}

async fn missing(
    app: &App,
    service: &str,
    asked: &Asked,
    column: &str,
    rule: &AlertRule,
) -> Result<(Option<f64>, u64)> {
    let columns = columns(app, service, asked).await?;
    let told = columns.iter().filter(|c| c.name == column).map(|c| (c.missing, c.n));
    Ok(worst(rule.bound, told, rule.n_min))
}

async fn columns(app: &App, service: &str, asked: &Asked) -> Result<Vec<drift::ColumnDrift>> {
    match drift::report(&app.ctx().counters, service, asked, app.now()).await {
        Ok(report) => {
            let of = |v: drift::VersionDrift| v.columns.into_iter().chain(v.score).chain(v.prediction);
            Ok(report.versions.into_iter().flat_map(of).collect())
        }
        Err(fault) if fault.kind == Kind::NotFound => Ok(Vec::new()),
        Err(fault) => Err(fault),
    }
}
