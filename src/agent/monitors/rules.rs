//! Watches alert rules: reads the last windows of each, asks whether it fires, and performs what follows. It takes no input,
//! so a restart goes on where it was.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{App, follow, woken};
use crate::base::fault::Result;
use crate::base::stats::sketch::Sketch;
use crate::base::{Kind, Timestamp, show};
use crate::capability::drift;
use crate::capability::monitoring::counters::VersionStanding;
use crate::capability::monitoring::incident::{
    self, Action, Alert, AlertRule, Bound, Command as Incidents, Incident, Observation, Raised, Signal, Turn,
};
use crate::capability::monitoring::quality::{self, Asked, VersionQuality};
use crate::capability::monitoring::{self, ArmRole, TrafficWindow};
use crate::capability::rollout;
use crate::capability::{Command, Envelope, Hint, monitor, perform};
use crate::db::Source;

const PERIOD: Duration = Duration::from_secs(10);
/// Newest traffic is looked for so far back.
const LOOKS_BACK: Duration = Duration::from_hours(24);

/// Runs as long as the agent.
pub(super) async fn keep(app: App) {
    let mut hints = app.ctx().hints.listen();
    let mut done = follow::Done::default();
    loop {
        if let Err(fault) = watch(&app).await {
            tracing::warn!("alert rules: {fault}");
        }
        if let Err(fault) = follow::follow(&app, &mut done).await {
            tracing::warn!("what follows from alerts: {fault}");
        }
        if !woken(&app, &mut hints, PERIOD, |h| matches!(h, Hint::Incidents | Hint::Everything)).await {
            return;
        }
    }
}

async fn watch(app: &App) -> Result<()> {
    let rules = incident::rules(Source::Pool(app.ctx().db.read())).await?;
    if rules.is_empty() {
        return Ok(());
    }
    let versions = app.ctx().counters.standing().versions;
    let routed = rollout::services(Source::Pool(app.ctx().db.read())).await?;
    let mut services: BTreeSet<String> = versions.iter().map(|v| v.service.clone()).collect();
    services.extend(routed.into_iter().map(|s| s.service.name));
    for rule in &rules {
        for service in services.iter().filter(|s| rule.service == "*" || rule.service == **s) {
            // One rule that cannot be read is no reason to leave the others unwatched.
            if let Err(fault) = one(app, rule, service, &versions).await {
                tracing::warn!("alert {} of {service}: {fault}", rule.name);
            }
        }
    }
    Ok(())
}

async fn one(app: &App, rule: &AlertRule, service: &str, versions: &[VersionStanding]) -> Result<()> {
    let (ctx, now) = (app.ctx(), app.now());
    let incidents = incident::incidents(Source::Pool(ctx.db.read()), Some(service)).await?;
    let (open, cleared) = standing(&incidents, rule);
    let length = i64::try_from(rule.window).unwrap_or(i64::MAX / 2_000_000) * 1_000_000;
    // Windows lie on a fixed grid, so that looking again sees the same ones.
    let end = now.0.div_euclid(length) * length;
    let mut windows = Vec::new();
    for k in (0..i64::from(rule.of)).rev() {
        let (from, to) = (Timestamp(end - (k + 1) * length), Timestamp(end - k * length));
        windows.push(observed(app, rule, service, from, to).await?);
    }
    let seen = seen(app, service, versions).await?;
    match incident::judge(rule, &windows, open.as_ref(), cleared, seen, now) {
        Turn::Stay => Ok(()),
        Turn::Clear => {
            let command = Incidents::ClearAlert { service: service.to_owned(), rule: rule.name.clone() };
            act(app, Command::Incidents(command), format!("{} is well again", String::from(rule.signal.clone()))).await
        }
        Turn::Raise(o) => raise(app, rule, service, Some(&o), (o.from, o.to), String::new()).await,
        Turn::Absent(since) => {
            let silence = silence(service, versions, since, now);
            raise(app, rule, service, None, (since, now), silence).await
        }
    }
}

/// The rule's alert that is raised, and when it last was cleared.
fn standing(incidents: &[Incident], rule: &AlertRule) -> (Option<Raised>, Option<Timestamp>) {
    let of = |i: &Incident| {
        let end = i.closed;
        i.alerts
            .iter()
            .filter(|a| a.alert.rule == rule.name)
            .map(|a| (a.clone(), a.cleared.or(end)))
            .collect::<Vec<_>>()
    };
    let all: Vec<(Raised, Option<Timestamp>)> = incidents.iter().flat_map(of).collect();
    let open = all.iter().find(|(_, end)| end.is_none()).map(|(a, _)| a.clone());
    (open, all.iter().filter_map(|(_, end)| *end).max())
}

/// When anything of the service was last seen: for a model that answers in batches, when its batch came.
async fn seen(app: &App, service: &str, versions: &[VersionStanding]) -> Result<Option<Timestamp>> {
    let of = |v: &VersionStanding| v.batch.as_ref().map_or(v.last, |(_, came)| *came);
    let told = versions.iter().filter(|v| v.service == service).map(of).max();
    let routed = traffic(app, service, app.now().minus(LOOKS_BACK), app.now()).await?;
    Ok(told.into_iter().chain(routed.iter().map(|w| w.last)).max())
}

async fn traffic(app: &App, service: &str, from: Timestamp, to: Timestamp) -> Result<Vec<TrafficWindow>> {
    let before = Timestamp(to.0 - 1);
    let mut windows = monitoring::windows(Source::Pool(app.ctx().db.read()), service, from, before).await?;
    windows.retain(|w| w.arm != ArmRole::Shadow);
    Ok(windows)
}

/// The signal in one window.
async fn observed(app: &App, rule: &AlertRule, service: &str, from: Timestamp, to: Timestamp) -> Result<Observation> {
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

/// What is missing, in words.
fn silence(service: &str, versions: &[VersionStanding], since: Timestamp, now: Timestamp) -> String {
    let batches = versions.iter().filter(|v| v.service == service).filter_map(|v| v.batch.as_ref());
    let span = show::between(since, now);
    match batches.max_by_key(|(_, came)| *came) {
        Some((name, _)) => format!("no batch came for {span}, the last one was {name}"),
        None => format!("nothing came for {span}"),
    }
}

async fn raise(
    app: &App,
    rule: &AlertRule,
    service: &str,
    seen: Option<&Observation>,
    (from, to): (Timestamp, Timestamp),
    silence: String,
) -> Result<()> {
    let signal = String::from(rule.signal.clone());
    let of = rule.slice.as_ref().map_or_else(String::new, |s| format!(" of {s}"));
    let what = match seen.and_then(|o| o.value) {
        Some(value) => format!("{signal}{of} {} {}", show::metric(value), rule.bound.shown()),
        None => silence,
    };
    let verb = if matches!(rule.signal, Signal::Drift(_) | Signal::Missing(_)) { "drift" } else { "quality" };
    let slice = rule.slice.as_ref().map_or_else(String::new, |s| format!(" --slice {s}"));
    let slice = if verb == "drift" { String::new() } else { slice };
    let alert = Alert {
        rule: rule.name.clone(),
        severity: rule.severity,
        // Silence says nothing against the version that answers: nothing is taken back for it.
        action: if seen.is_some() { rule.action } else { Action::Page },
        what: what.clone(),
        value: seen.and_then(|o| o.value),
        n: seen.map_or(0, |o| o.n),
        from,
        to,
        query: format!("opsroom {verb} {service} --window {}s --to {to}{slice}", rule.window),
    };
    act(app, Command::Incidents(Incidents::RaiseAlert { service: service.to_owned(), alert }), what).await
}

async fn act(app: &App, command: Command, reason: String) -> Result<()> {
    perform(app.ctx(), &monitor("rules"), Envelope::new(command, reason)).await.map(drop)
}
