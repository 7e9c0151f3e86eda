//! Watches alert rules: reads the last windows of each, asks whether it fires, and performs what follows. It takes no input,
//! so a restart goes on where it was.

mod memo;
mod observe;

use std::collections::BTreeSet;
use std::time::Duration;

use super::{App, follow, woken};
use crate::base::fault::Result;
use crate::base::{Timestamp, show};
use crate::capability::monitoring::counters::VersionStanding;
use crate::capability::monitoring::incident::{
    self, Action, Alert, AlertRule, Command as Incidents, Incident, Observation, Raised, Signal, Turn,
};
use crate::capability::rollout;
use crate::capability::{Command, Envelope, Hint, monitor, perform};
use crate::db::Source;
use memo::Memo;

const PERIOD: Duration = Duration::from_secs(10);
/// Newest traffic is looked for so far back.
const LOOKS_BACK: Duration = Duration::from_hours(24);

/// Runs as long as the agent.
pub(super) async fn keep(app: App) {
    let mut hints = app.ctx().hints.listen();
    let mut memo = Memo::new(&app);
    let mut done = follow::Done::default();
    loop {
        if let Err(fault) = watch(&app, &mut memo).await {
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

async fn watch(app: &App, memo: &mut Memo) -> Result<()> {
    memo.begin(app);
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
            if let Err(fault) = one(app, memo, rule, service, &versions).await {
                tracing::warn!("alert {} of {service}: {fault}", rule.name);
            }
        }
    }
    Ok(())
}

async fn one(app: &App, memo: &mut Memo, rule: &AlertRule, service: &str, versions: &[VersionStanding]) -> Result<()> {
    let (ctx, now) = (app.ctx(), app.now());
    let incidents = incident::incidents(Source::Pool(ctx.db.read()), Some(service)).await?;
    let (open, cleared) = standing(&incidents, rule);
    let length = i64::try_from(rule.window).unwrap_or(i64::MAX / 2_000_000) * 1_000_000;
    // Windows lie on a fixed grid, so that looking again sees the same ones.
    let end = now.0.div_euclid(length) * length;
    let mut windows = Vec::new();
    for k in (0..i64::from(rule.of)).rev() {
        let (from, to) = (Timestamp(end - (k + 1) * length), Timestamp(end - k * length));
        windows.push(match memo.observed(rule, service, from) {
            Some(known) => known,
            None => memo.put(rule, service, observe::observed(app, rule, service, from, to).await?),
        });
    }
    let seen = seen(app, memo, service, versions).await?;
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
async fn seen(app: &App, memo: &mut Memo, service: &str, versions: &[VersionStanding]) -> Result<Option<Timestamp>> {
    let of = |v: &VersionStanding| v.batch.as_ref().map_or(v.last, |(_, came)| *came);
    let told = versions.iter().filter(|v| v.service == service).map(of).max();
    let since = app.now().minus(LOOKS_BACK);
    let routed = if let Some(known) = memo.routed(service) {
        *known
    } else {
        let last = observe::traffic(app, service, since, app.now()).await?.iter().map(|w| w.last).max();
        memo.put_routed(service, last)
    };
    Ok(told.into_iter().chain(routed.filter(|last| *last >= since)).max())
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
