//! The rules of services and rollouts: what each command does, within its transaction.

use super::back::{roll_back, turn, undo};
use super::command::Command;
use super::external::{self, deploy_failed, deployed};
use super::recovery::Turn;
use super::server::ServerState;
use super::service::{Service, Traffic, percent};
use super::split::BUCKETS;
use super::standing::{Rollout, Standing, State};
use super::store;
use crate::base::{Fault, Timestamp, fault::Result};
use crate::capability::registry::{self, Stage};
use crate::db::{Source, Tx};

/// Who decides, and when.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    pub name: &'a str,
    pub reason: &'a str,
    pub now: Timestamp,
}

/// What a command did.
#[derive(Debug, Clone, Default)]
pub struct Applied {
    pub from: String,
    pub to: String,
    /// The registry has to follow: this version of this model is prod now.
    pub to_prod: Option<(String, u32)>,
}

pub(super) fn changed(from: impl Into<String>, to: impl Into<String>) -> Applied {
    Applied { from: from.into(), to: to.into(), to_prod: None }
}

/// # Errors
/// `NotFound` for a service, model or version that is not there; `Refused` for what cannot be done as things stand, or
/// touches callers without a reason; `Conflict` while another rollout goes on.
pub async fn apply(tx: &mut Tx, command: &Command, by: By<'_>) -> Result<Applied> {
    if command.touches_traffic() && by.reason.trim().is_empty() {
        return Err(Fault::refused(format!("{} needs a reason", command.name()))
            .why("it changes what callers get")
            .next("give one with --reason"));
    }
    let applied = match command {
        Command::SetService { service } => set(tx, service).await?,
        Command::RemoveService { name } => remove(tx, name).await?,
        Command::StartRollout { service, version } => start(tx, service, *version, by).await?,
        Command::AdvanceRollout { service } => change(tx, service, |s, r| advance(s, r, by.now)).await?,
        Command::SetWeight { service, weight } => change(tx, service, |_, r| weigh(r, *weight, by)).await?,
        Command::HoldRollout { service } => change(tx, service, |_, r| hold(r, by)).await?,
        Command::ResumeRollout { service } => change(tx, service, |s, r| resume(s, r, by.now)).await?,
        Command::DropRollout { service } => end(tx, service, State::Dropped, by).await?,
        Command::FinishRollout { service } => end(tx, service, State::Promoted, by).await?,
        Command::SwitchService { service, version } => switch(tx, service, *version, by).await?,
        Command::Rollback { service, to } => roll_back(tx, service, *to, by).await?,
        Command::UndoRollback { service } => undo(tx, service, by).await?,
        Command::Deployed { service, version } => deployed(tx, service, *version).await?,
        Command::DeployFailed { service, version, why } => deploy_failed(tx, service, *version, why).await?,
        Command::ForbidVersion { model, version } => forbid(tx, model, *version, by).await?,
        Command::AllowVersion { model, version } => {
            if store::allow(tx, model, *version).await? == 0 {
                return Err(Fault::not_found(format!("{model} v{version} is not forbidden")));
            }
            changed("forbidden", "allowed")
        }
    };
    store::raise(tx).await?;
    Ok(applied)
}

/// # Errors
/// `NotFound`.
pub async fn service(source: Source<'_>, name: &str) -> Result<Standing> {
    store::service(source, name).await?.ok_or_else(|| {
        Fault::not_found(format!("no service {name}"))
            .next("write it into a file as [service.NAME] and `opsroom apply` that; see `opsroom service list`")
    })
}

pub(super) async fn keep(tx: &mut Tx, mut standing: Standing) -> Result<()> {
    standing.generation += 1;
    if let Some(rollout) = &standing.candidate {
        store::put_rollout(tx, rollout).await?;
    }
    store::put_service(tx, &standing).await
}

async fn set(tx: &mut Tx, service: &Service) -> Result<Applied> {
    let view = registry::model(Source::Tx(tx), &service.model, None).await?;
    let before = store::service(Source::Tx(tx), &service.name).await?;
    let mut standing = match before.clone() {
        Some(before) if before.service.model != service.model && before.stable.is_some() => {
            return Err(Fault::refused(format!("{} serves {}", service.name, before.service.model))
                .next("remove the service first, or give this one another name"));
        }
        Some(before) => Standing { service: service.clone(), ..before },
        None => Standing {
            service: service.clone(),
            stable: None,
            previous: None,
            candidate: None,
            awaited: None,
            turned: None,
            generation: 0,
        },
    };
    let in_prod = view.in_stage(Stage::Prod).next().map(|v| v.version);
    standing.stable = standing.stable.or(in_prod);
    let on_its_way = standing.candidate.as_ref().map(|r| r.version);
    for (version, what) in [(standing.stable, "answers"), (on_its_way, "is on its way")] {
        if let Some(version) = version.filter(|v| !service.can_serve(*v)) {
            return Err(Fault::invalid(format!("service {} has no backend for v{version}", service.name))
                .why(format!("v{version} {what} at present"))
                .next("add { version = …, url = … } for it"));
        }
    }
    let words = |s: &Standing| s.stable.map_or("no version yet".to_owned(), |v| format!("stable v{v}"));
    let applied = changed(before.as_ref().map(words).unwrap_or_default(), words(&standing));
    keep(tx, standing).await?;
    Ok(applied)
}

async fn remove(tx: &mut Tx, name: &str) -> Result<Applied> {
    let standing = service(Source::Tx(tx), name).await?;
    if standing.candidate.is_some() {
        return Err(Fault::refused(format!("a rollout of {name} goes on"))
            .next(format!("opsroom rollout drop {name}, then remove it")));
    }
    store::remove_service(tx, name).await?;
    Ok(changed(standing.stable.map_or("no version".to_owned(), |v| format!("v{v}")), "removed"))
}

async fn start(tx: &mut Tx, name: &str, version: u32, by: By<'_>) -> Result<Applied> {
    let mut standing = service(Source::Tx(tx), name).await?;
    let model = standing.service.model.clone();
    if let Some(on) = &standing.candidate {
        return Err(Fault::conflict(format!("v{} of {name} is on its way already", on.version))
            .next(format!("opsroom rollout drop {name}, or wait for its end")));
    }
    let stable = standing.stable.ok_or_else(|| {
        Fault::refused(format!("{name} has no stable version to compare with"))
            .next(format!("opsroom promote {model} VERSION --to prod"))
    })?;
    may_answer(tx, &standing, version).await?;
    if standing.service.traffic == Traffic::External {
        return Err(Fault::refused(format!("the traffic of {name} is carried by others: there is nothing to split"))
            .why("a rollout sends a part of the callers to the new version, and opsroom does not route this service")
            .next(format!("opsroom promote {model} {version} --to prod --all-at-once")));
    }
    if version == stable {
        return Err(Fault::refused(format!("v{version} answers for {name} already")));
    }
    let plan = &standing.service.rollout;
    let first = plan.steps.first().copied().ok_or_else(|| Fault::bug("a plan without steps"))?;
    let rollout = Rollout {
        id: 0,
        service: name.to_owned(),
        version,
        against: stable,
        salt: crate::base::id::uuid7(),
        state: State::Running,
        step: 0,
        weight: if plan.shadow { 0 } else { first.weight },
        shadow: plan.shadow,
        started: by.now,
        step_since: by.now,
        by: by.name.to_owned(),
        reason: by.reason.to_owned(),
        ended: None,
        why: String::new(),
    };
    let rollout = store::add_rollout(tx, &rollout).await?;
    let applied = changed(format!("v{stable}"), format!("v{version} at {} %", percent(rollout.weight)));
    standing.candidate = Some(rollout);
    keep(tx, standing).await?;
    Ok(applied)
}

/// A version that exists, has an address, and is not forbidden.
pub(super) async fn may_answer(tx: &mut Tx, standing: &Standing, version: u32) -> Result<()> {
    let (name, model) = (&standing.service.name, &standing.service.model);
    let view = registry::model(Source::Tx(tx), model, None).await?;
    if view.version(version).is_none() {
        return Err(registry::missing_version(model, version));
    }
    if let Some(reason) = store::forbidden(Source::Tx(tx), model, version).await? {
        return Err(Fault::refused(format!("{model} v{version} is forbidden"))
            .why(reason)
            .next(format!("opsroom allow {model} {version}")));
    }
    if !standing.service.can_serve(version) {
        return Err(Fault::refused(format!("service {name} has no backend for v{version}"))
            .next("add { version = …, url = … } to it and `opsroom apply` the file"));
    }
    Ok(())
}

/// Changes the rollout that goes on.
async fn change(tx: &mut Tx, name: &str, how: impl FnOnce(&Service, &mut Rollout) -> Result<()>) -> Result<Applied> {
    let mut standing = service(Source::Tx(tx), name).await?;
    let words = |r: &Rollout| format!("v{} {} at {} %", r.version, r.state.words(), percent(r.weight));
    let Some(rollout) = &mut standing.candidate else { return Err(nothing_on_its_way(name)) };
    let before = words(rollout);
    how(&standing.service, rollout)?;
    let applied = changed(before, words(rollout));
    keep(tx, standing).await?;
    Ok(applied)
}

fn nothing_on_its_way(name: &str) -> Fault {
    Fault::refused(format!("no rollout of {name} goes on")).next(format!("opsroom rollout start {name} VERSION"))
}

fn advance(service: &Service, rollout: &mut Rollout, now: Timestamp) -> Result<()> {
    let next = if rollout.shadow { 0 } else { rollout.step + 1 };
    let Some(step) = service.rollout.steps.get(next) else {
        return Err(Fault::refused(format!("{} is at its last step", rollout.service))
            .next(format!("opsroom promote {} {} --to prod", service.model, rollout.version)));
    };
    rollout.shadow = false;
    rollout.step = next;
    rollout.weight = step.weight;
    rollout.step_since = now;
    rollout.state = State::Running;
    Ok(())
}

fn weigh(rollout: &mut Rollout, weight: u16, by: By<'_>) -> Result<()> {
    if weight > BUCKETS {
        return Err(Fault::invalid(format!("a weight is at most 100 %, not {} %", percent(weight))));
    }
    rollout.weight = weight;
    rollout.shadow = false;
    rollout.step_since = by.now;
    rollout.state = State::Held;
    by.reason.clone_into(&mut rollout.why);
    Ok(())
}

fn hold(rollout: &mut Rollout, by: By<'_>) -> Result<()> {
    if rollout.state == State::Held {
        return Err(Fault::refused(format!("{} is held already", rollout.service)).why(rollout.why.clone()));
    }
    rollout.state = State::Held;
    by.reason.clone_into(&mut rollout.why);
    Ok(())
}

/// Goes on at the step that its weight has reached.
fn resume(service: &Service, rollout: &mut Rollout, now: Timestamp) -> Result<()> {
    if rollout.state != State::Held {
        return Err(Fault::refused(format!("{} is not held", rollout.service)));
    }
    let reached = service.rollout.steps.iter().rposition(|step| step.weight <= rollout.weight);
    rollout.step = reached.unwrap_or(0);
    if reached.is_none() {
        rollout.weight = service.rollout.steps.first().map_or(rollout.weight, |step| step.weight);
    }
    rollout.state = State::Running;
    rollout.step_since = now;
    rollout.why.clear();
    Ok(())
}

pub(super) async fn end(tx: &mut Tx, name: &str, state: State, by: By<'_>) -> Result<Applied> {
    let mut standing = service(Source::Tx(tx), name).await?;
    let rollout = standing.candidate.take().ok_or_else(|| nothing_on_its_way(name))?;
    let before = format!("v{} at {} %", rollout.version, percent(rollout.weight));
    let as_it_was = rollout.clone();
    let weight = if state == State::Promoted { BUCKETS } else { 0 };
    let ended = Rollout { state, weight, shadow: false, ended: Some(by.now), why: by.reason.to_owned(), ..rollout };
    store::put_rollout(tx, &ended).await?;
    let mut applied = changed(before, format!("v{} {}", ended.version, state.words()));
    if state == State::Dropped
        && let Some(stable) = standing.stable
    {
        standing.turned = Some(Turn { rollout: Some(Box::new(as_it_was)), ..turn(by, ended.version, stable) });
    }
    if state == State::Promoted {
        applied.to_prod = Some((standing.service.model.clone(), ended.version));
        standing.previous = standing.stable;
        standing.stable = Some(ended.version);
    }
    keep(tx, standing).await?;
    Ok(applied)
}

async fn switch(tx: &mut Tx, name: &str, version: u32, by: By<'_>) -> Result<Applied> {
    let standing = service(Source::Tx(tx), name).await?;
    may_answer(tx, &standing, version).await?;
    if let Some(on) = &standing.candidate {
        if on.version == version {
            return end(tx, name, State::Promoted, by).await;
        }
        return Err(Fault::conflict(format!("v{} of {name} is on its way", on.version))
            .next(format!("opsroom rollout drop {name}, then switch")));
    }
    move_to(tx, standing, version, by).await
}

pub(super) async fn move_to(tx: &mut Tx, mut standing: Standing, version: u32, by: By<'_>) -> Result<Applied> {
    let before = standing.stable.map_or("no version".to_owned(), |v| format!("v{v}"));
    if standing.stable == Some(version) {
        return Err(Fault::refused(format!("v{version} answers for {} already", standing.service.name)));
    }
    if standing.service.traffic == Traffic::External {
        return external::decided(tx, standing, version, by).await;
    }
    must_run(tx, &standing, version).await?;
    standing.previous = standing.stable;
    standing.stable = Some(version);
    let mut applied = changed(before, format!("v{version}"));
    applied.to_prod = Some((standing.service.model.clone(), version));
    keep(tx, standing).await?;
    Ok(applied)
}

/// All callers go only to a server that is there.
async fn must_run(tx: &mut Tx, standing: &Standing, version: u32) -> Result<()> {
    let name = &standing.service.name;
    if !standing.service.launches(version) || standing.stable.is_none() {
        return Ok(());
    }
    let servers = store::servers(Source::Tx(tx), Some(name)).await?;
    match servers.iter().find(|s| s.version == version) {
        Some(server) if server.state == ServerState::Ready => Ok(()),
        Some(server) => Err(Fault::refused(format!("the server of {name} v{version} is {}", server.state.words()))
            .why(server.why.clone())
            .next(format!("see {}", server.log))),
        None => Err(Fault::refused(format!("no server of {name} v{version} runs"))
            .why("all callers would go to nobody")
            .next(format!("opsroom rollout start {name} {version} starts it beside the one that answers"))),
    }
}

async fn forbid(tx: &mut Tx, model: &str, version: u32, by: By<'_>) -> Result<Applied> {
    if by.reason.trim().is_empty() {
        return Err(
            Fault::refused(format!("forbidding {model} v{version} needs a reason")).next("give one with --reason")
        );
    }
    let view = registry::model(Source::Tx(tx), model, None).await?;
    if view.version(version).is_none() {
        return Err(registry::missing_version(model, version));
    }
    store::forbid(tx, (model, version), by.now, by.name, by.reason).await?;
    let mut words = "forbidden".to_owned();
    for standing in store::of_model(Source::Tx(tx), model).await? {
        if standing.candidate.as_ref().is_some_and(|r| r.version == version) {
            end(tx, &standing.service.name, State::Dropped, by).await?;
            words.push_str(&format!(", dropped from {}", standing.service.name));
        }
    }
    Ok(changed("", words))
}
