//! `opsroom service`, `rollout`, `rollback`, `forbid` and `allow`: who answers which callers. Each verb only constructs a
//! command; without an agent, what lowers the risk goes to the router itself.

use clap::{Args, Subcommand};

use super::change::Change;
use super::print::{self, Page, Table};
use super::{Exit, Session, select};
use crate::base::{Clock, Fault, Kind, Timestamp, clock::SystemClock, fault::Result, show};
use crate::capability::Command;
use crate::capability::rollout::link::{Intent, SOCKET, Wish};
use crate::capability::rollout::service::{buckets, percent};
use crate::capability::rollout::{Command as Rollouts, EnvoyStatus, Rollout, ServiceView, Standing};
use crate::client::{Address, Client};

#[derive(Debug, Subcommand)]
pub enum Service {
    /// Services with the versions that answer
    List,
    /// One service: its versions, the rollout that goes on and what the judge says of it
    Show { service: String },
    /// Move all callers to a version at once, without a rollout, if its gates pass
    Switch {
        service: String,
        /// 3, v3 or @alias
        version: String,
        #[command(flatten)]
        change: Change,
    },
    /// Take a service away (`apply` sets one)
    Remove {
        service: String,
        #[command(flatten)]
        change: Change,
    },
}

#[derive(Debug, Subcommand)]
pub enum RolloutVerb {
    /// Let a version answer the first step's share of callers
    Start {
        service: String,
        /// 3, v3 or @alias
        version: String,
        #[command(flatten)]
        change: Change,
    },
    /// To the plan's next step
    Advance(Of),
    /// Set the candidate's share of callers, per cent; the plan waits until it is resumed
    Weight {
        service: String,
        #[arg(value_name = "PERCENT")]
        percent: f64,
        #[command(flatten)]
        change: Change,
    },
    /// Stay at this weight
    Hold(Of),
    /// Go on by the plan
    Resume(Of),
    /// Take the candidate away from all callers
    Drop(Of),
    /// Make the candidate the stable version and prod, if its gates pass
    Finish(Of),
    /// How the rollout goes
    Status { service: String },
}

#[derive(Debug, Args)]
pub struct Of {
    service: String,
    #[command(flatten)]
    change: Change,
}

/// Bring the version before back, or a named one; stage and traffic move together
#[derive(Debug, Args)]
pub struct Rollback {
    service: String,
    /// 3, v3 or @alias; the version before otherwise
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    /// Check everything and change nothing, and tell how long it takes
    #[arg(long)]
    drill: bool,
    /// Take the newest rollback or drop back, within ten minutes of it
    #[arg(long, conflicts_with_all = ["to", "drill"])]
    undo: bool,
    #[command(flatten)]
    change: Change,
}

/// Say that a version was deployed, where opsroom does not route the traffic itself
#[derive(Debug, Args)]
pub struct Deployed {
    service: String,
    /// 3, v3 or @alias
    version: String,
    /// It did not work; the reason says why
    #[arg(long)]
    failed: bool,
    #[command(flatten)]
    change: Change,
}

/// Forbid a version to be rolled out; where it is on its way it is dropped
#[derive(Debug, Args)]
pub struct OfVersion {
    model: String,
    /// 3, v3 or @alias
    version: String,
    #[command(flatten)]
    change: Change,
}

pub(super) async fn service(session: &Session, verb: Service) -> Result<Exit> {
    match verb {
        Service::List => {
            let all = session.client().await?.services().await?;
            print::answer(session.format, &all, |all| listed(all))?;
        }
        Service::Show { service } => {
            let view = session.client().await?.service(&service).await?;
            let document = document(&view);
            print::answer(session.format, &document, |_| shown(&view))?;
        }
        Service::Switch { service, version, change } => {
            let client = session.client().await?;
            let model = client.service(&service).await?.standing.service.model;
            let version = select::version(client, &model, &version).await?;
            return change.run(session, Command::Rollouts(Rollouts::SwitchService { service, version })).await;
        }
        Service::Remove { service, change } => {
            return change.run(session, Command::Rollouts(Rollouts::RemoveService { name: service })).await;
        }
    }
    Ok(Exit::Done)
}

pub(super) async fn rollout(session: &Session, verb: RolloutVerb) -> Result<Exit> {
    let (command, change) = match verb {
        RolloutVerb::Status { service } => return self::service(session, Service::Show { service }).await,
        RolloutVerb::Start { service, version, change } => {
            let client = session.client().await?;
            let model = client.service(&service).await?.standing.service.model;
            let version = select::version(client, &model, &version).await?;
            (Rollouts::StartRollout { service, version }, change)
        }
        RolloutVerb::Weight { service, percent, change } => {
            let weight = buckets(percent).map_err(Fault::invalid)?;
            (Rollouts::SetWeight { service, weight }, change)
        }
        RolloutVerb::Advance(of) => (Rollouts::AdvanceRollout { service: of.service }, of.change),
        RolloutVerb::Hold(of) => (Rollouts::HoldRollout { service: of.service }, of.change),
        RolloutVerb::Resume(of) => (Rollouts::ResumeRollout { service: of.service }, of.change),
        RolloutVerb::Finish(of) => (Rollouts::FinishRollout { service: of.service }, of.change),
        RolloutVerb::Drop(of) => {
            let command = Rollouts::DropRollout { service: of.service.clone() };
            return either_way(session, command, of.change, &of.service, Wish::Drop).await;
        }
    };
    change.run(session, Command::Rollouts(command)).await
}

pub(super) async fn roll_back(session: &Session, it: Rollback) -> Result<Exit> {
    if it.undo {
        return it.change.run(session, Command::Rollouts(Rollouts::UndoRollback { service: it.service })).await;
    }
    let change = Change { dry_run: it.change.dry_run || it.drill, ..it.change };
    let Some(text) = it.to else {
        let command = Rollouts::Rollback { service: it.service.clone(), to: None };
        let began = crate::base::clock::Stopwatch::start();
        let done = either_way(session, command, change, &it.service, Wish::Rollback).await;
        if it.drill && done.is_ok() {
            eprintln!("opsroom: the drill took {}; nothing was changed", show::length(began.elapsed()));
        }
        return done;
    };
    let client = session.client().await?;
    let model = client.service(&it.service).await?.standing.service.model;
    let to = Some(select::version(client, &model, &text).await?);
    change.run(session, Command::Rollouts(Rollouts::Rollback { service: it.service, to })).await
}

pub(super) async fn deployed(session: &Session, it: Deployed) -> Result<Exit> {
    let client = session.client().await?;
    let model = client.service(&it.service).await?.standing.service.model;
    let version = select::version(client, &model, &it.version).await?;
    let service = it.service;
    let command = if it.failed {
        Rollouts::DeployFailed { service, version, why: it.change.reason.clone() }
    } else {
        Rollouts::Deployed { service, version }
    };
    it.change.run(session, Command::Rollouts(command)).await
}

pub(super) async fn forbid(session: &Session, it: OfVersion, forbid: bool) -> Result<Exit> {
    let version = select::version(session.client().await?, &it.model, &it.version).await?;
    let model = it.model;
    let command =
        if forbid { Rollouts::ForbidVersion { model, version } } else { Rollouts::AllowVersion { model, version } };
    it.change.run(session, Command::Rollouts(command)).await
}

/// By the agent; where none answers, by the router's own socket, and the agent records it when it is back.
async fn either_way(session: &Session, command: Rollouts, change: Change, service: &str, what: Wish) -> Result<Exit> {
    let why = match change.run(session, Command::Rollouts(command)).await {
        Err(fault) if fault.kind == Kind::Unavailable && !change.dry_run => fault,
        other => return other,
    };
    session.check_writable()?;
    if change.reason.trim().is_empty() {
        return Err(Fault::refused("this needs a reason").why("it changes what callers get").next("give --reason"));
    }
    let config = &session.loaded.config;
    let named = config.client.agent.strip_prefix("unix:").map(std::path::PathBuf::from);
    let socket = named.unwrap_or_else(|| config.agent.socket.clone());
    let path = socket.with_extension("router").join(SOCKET);
    let router = Client::new(Address::Unix(path), None, "cli")?;
    let intent = Intent {
        id: change.idempotency_key.clone().unwrap_or_else(crate::base::id::uuid7),
        at: SystemClock.now(),
        who: whoami(),
        reason: change.reason.clone(),
        service: service.to_owned(),
        what,
    };
    match router.wish(&intent).await {
        Err(fault) if fault.kind == Kind::Unavailable => Err(why),
        Err(fault) => Err(fault),
        Ok(swapped) => {
            eprintln!("opsroom: no agent answers; the router did it, and an agent will record it when it is back");
            print::answer(session.format, &swapped, |s| {
                Page::default().line(format!(
                    "v{} answers all callers of {service}, after {} ms; {} requests were open",
                    s.version,
                    show::metric(s.took_us as f64 / 1e3),
                    s.open
                ))
            })?;
            Ok(Exit::Done)
        }
    }
}

fn whoami() -> String {
    std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "unknown".to_owned())
}

fn listed(all: &[Standing]) -> Page {
    if all.is_empty() {
        return Page::default().line("no services: write [service.NAME] into a file and `opsroom apply` it");
    }
    let mut table = Table::new(&["SERVICE", "MODEL", "STABLE", "BEFORE", "CANDIDATE", "WEIGHT>", "STATE"]);
    let version = |v: Option<u32>| v.map_or(show::MISSING.to_owned(), |v| format!("v{v}"));
    for s in all {
        let on = s.candidate.as_ref();
        table.row([
            s.service.name.clone(),
            s.service.model.clone(),
            version(s.stable),
            version(s.previous),
            version(on.map(|r| r.version)),
            on.map_or(show::MISSING.to_owned(), |r| format!("{} %", percent(r.weight))),
            on.map_or("steady".to_owned(), |r| r.state.words().to_owned()),
        ]);
    }
    Page::default().table(table)
}

/// What scripts lean on: versions by their part, the weight in per cent, the state in a word.
fn document(view: &ServiceView) -> serde_json::Value {
    let s = &view.standing;
    let on = s.candidate.as_ref();
    serde_json::json!({
        "service": s.service.name,
        "model": s.service.model,
        "stable": s.stable,
        "previous": s.previous,
        "candidate": on.map(|r| r.version),
        "weight": on.map_or(0.0, |r| percent(r.weight)),
        "shadow": on.is_some_and(|r| r.shadow),
        "state": on.map_or("steady", |r| r.state.words()),
        "rollout": on,
        "judgement": view.judgement,
        "history": view.history,
        "servers": view.servers,
        "awaited": s.awaited,
        "recovery": view.recovery,
        "seen": view.seen,
        "envoy": view.envoy_status,
        "difference": view.difference(),
        "generation": s.generation,
    })
}

fn shown(view: &ServiceView) -> Page {
    let s = &view.standing;
    let version = |v: Option<u32>| v.map_or("none".to_owned(), |v| format!("v{v}"));
    let mut page = Page::default().line(format!(
        "{} serves {}: {} answers, {} was before it",
        s.service.name,
        s.service.model,
        version(s.stable),
        version(s.previous)
    ));
    if let Some(r) = &s.candidate {
        let held = if r.why.is_empty() { String::new() } else { format!(" ({})", r.why) };
        page = page.line(format!(
            "v{} is on its way: {}{held}, step {} of {}, {} %{}, since {} by {}: {}",
            r.version,
            r.state.words(),
            r.step + 1,
            s.service.rollout.steps.len(),
            percent(r.weight),
            if r.shadow { ", in the shadow" } else { "" },
            show::moment(r.started),
            r.by,
            r.reason
        ));
    }
    if let Some(awaited) = &s.awaited {
        page = page.line(match &awaited.failed {
            Some(why) => format!("v{} was not deployed: {why}", awaited.version),
            None if awaited.command.is_empty() => format!("v{} is awaited: deploy it", awaited.version),
            None => format!("v{} is awaited; deploy it with: {}", awaited.version, awaited.command.join(" ")),
        });
        page = page.line(format!("then: opsroom deployed {} {}", s.service.name, awaited.version));
    }
    if let Some(recovery) = &view.recovery {
        let turn = &recovery.turn;
        page = page.line(format!(
            "v{} was taken back at {} by {}: {}",
            turn.from,
            show::moment(turn.at),
            turn.by,
            turn.reason
        ));
        page = page.line(recovery.words());
    }
    let envoy = view.envoy_status.as_ref().map(EnvoyStatus::words);
    let otherwise = s.service.splits_otherwise().map(ToOwned::to_owned);
    for line in [envoy, otherwise, view.difference()].into_iter().flatten() {
        page = page.line(line);
    }
    if !view.servers.is_empty() {
        page = page.titled("", servers(view));
    }
    if let Some(j) = &view.judgement {
        page = page.line(format!("the judge says {}: {}", j.advice.words(), j.why));
        let mut arms = Table::new(&["ARM", "REQUESTS>", "ERRORS>", "P50 MS>", "P99 MS>"]);
        for (name, sums) in [("stable", &j.stable), ("candidate", &j.candidate)] {
            let ms = |v: Option<f64>| v.map_or(show::MISSING.to_owned(), show::metric);
            arms.row([
                name.into(),
                sums.requests.to_string(),
                sums.errors.to_string(),
                ms(sums.p50_ms),
                ms(sums.p99_ms),
            ]);
        }
        let mut guards = Table::new(&["GUARD", "SAYS", "LN E>", "STOPS AT>", "WHY"]);
        for f in &j.findings {
            let figure = |v: Option<f64>| v.map_or(show::MISSING.to_owned(), show::metric);
            guards.row([
                f.guard.clone(),
                f.advice.words().to_owned(),
                figure(f.ln_e),
                figure(f.stops_at),
                f.why.clone(),
            ]);
        }
        page = page.titled("", arms).titled("", guards);
    }
    let mut before = Table::new(&["ROLLOUT>", "VERSION", "AGAINST", "ENDED", "WHEN", "WHY"]);
    for r in view.history.iter().take(10) {
        before.row(ended(r));
    }
    page.titled("", before)
}

fn servers(view: &ServiceView) -> Table {
    let mut table = Table::new(&["VERSION", "SERVER", "ADDRESS", "PID>", "SINCE", "WHY", "LOG"]);
    for s in &view.servers {
        table.row([
            format!("v{}", s.version),
            s.state.words().to_owned(),
            s.url.clone(),
            s.pid.to_string(),
            show::moment(s.since),
            s.why.clone(),
            s.log.clone(),
        ]);
    }
    table
}

fn ended(r: &Rollout) -> [String; 6] {
    let when = r.ended.map_or(show::MISSING.to_owned(), |t: Timestamp| show::moment(t));
    [
        format!("#{}", r.id),
        format!("v{}", r.version),
        format!("v{}", r.against),
        r.state.words().to_owned(),
        when,
        r.why.clone(),
    ]
}
