//! Takes rollouts from step to step: reads what the versions did, asks the judge, and performs the next command. It takes
//! no input, so a restart in the middle of a step goes on where it was.

use std::time::Duration;

use super::{App, QUIET, woken};
use crate::base::fault::Result;
use crate::capability::access::Role;
use crate::capability::audit::{Via, Who};
use crate::capability::rollout::judge::{Advice, Judgement};
use crate::capability::rollout::{self, Command as Rollouts, Rollout, Server, Standing, State};
use crate::capability::{Actor, Command, Envelope, Hint, monitoring::ArmRole, monitoring::TrafficWindow, perform};
use crate::db::Source;

/// While a rollout goes on. One that begins gives a hint.
const PERIOD: Duration = Duration::from_secs(1);

/// Runs as long as the agent.
pub(super) async fn keep(app: App) {
    let mut hints = app.ctx().hints.listen();
    loop {
        let going = tend(&app).await.unwrap_or_else(|fault| {
            tracing::warn!("rollouts: {fault}");
            true
        });
        let period = if going { PERIOD } else { QUIET };
        if !woken(&app, &mut hints, period, |h| matches!(h, Hint::Rollouts | Hint::Everything)).await {
            return;
        }
    }
}

/// Does what is due; whether a rollout goes on.
async fn tend(app: &App) -> Result<bool> {
    let mut goes_on = false;
    for standing in rollout::services(Source::Pool(app.ctx().db.read())).await? {
        let Some(going) = standing.candidate.as_ref().filter(|r| !r.state.is_over()) else { continue };
        goes_on = true;
        let windows = rollout::windows_of(Source::Pool(app.ctx().db.read()), going, app.now()).await?;
        let server = server_of(app, &standing, going.version).await?;
        let judged = rollout::judgement(app.ctx(), &standing, going, app.now()).await?;
        if let Some((command, reason)) = next(&standing, going, server.as_ref(), &windows, &judged, app.now().0) {
            // One step is done once, however often it is read that it is due.
            let key = format!("rollout-{}-{}-{}-{}", going.id, going.step, going.weight, command.name());
            let who = Who { name: "judge".to_owned(), verified: true, via: Via::Monitor };
            let actor = Actor { who, role: Role::Operator, can_give_reason: true };
            let envelope = Envelope { idempotency_key: Some(key), ..Envelope::new(Command::Rollouts(command), reason) };
            if let Err(fault) = perform(app.ctx(), &actor, envelope).await {
                tracing::warn!("rollout of {}: {fault}", going.service);
            }
        }
    }
    Ok(goes_on)
}

/// The server that the agent runs for a version; `None` where it runs none.
async fn server_of(app: &App, standing: &Standing, version: u32) -> Result<Option<Server>> {
    if !standing.service.launches(version) {
        return Ok(None);
    }
    let all = rollout::servers(Source::Pool(app.ctx().db.read())).await?;
    Ok(all.into_iter().find(|s| s.service == standing.service.name && s.version == version))
}

/// What is due, and why; pure.
fn next(
    standing: &Standing,
    going: &Rollout,
    server: Option<&Server>,
    windows: &[TrafficWindow],
    judged: &Judgement,
    now: i64,
) -> Option<(Rollouts, String)> {
    let service = going.service.clone();
    let plan = &standing.service.rollout;
    match judged.advice {
        Advice::RollBack if standing.service.guards.rollback => {
            return Some((Rollouts::DropRollout { service }, judged.why.clone()));
        }
        Advice::Hold if going.state == State::Running => {
            return Some((Rollouts::HoldRollout { service }, judged.why.clone()));
        }
        Advice::RollBack | Advice::Hold => return None,
        Advice::Continue | Advice::Promote | Advice::NotEnoughData => {}
    }
    if let Some(server) = server.filter(|s| s.is_hopeless() && !s.was_ready()) {
        let reason = format!("v{} cannot be started: {}", going.version, server.why);
        return Some((Rollouts::DropRollout { service }, reason));
    }
    if !plan.automatic || going.state != State::Running {
        return None;
    }
    // A step begins when somebody is there to answer.
    let ready = match server {
        Some(server) => server.ready_at?,
        None if standing.service.launches(going.version) => return None,
        None => going.step_since,
    };
    let step = plan.steps.get(going.step)?;
    let waited = (now - going.step_since.max(ready).0) / 1_000_000;
    let since = going.step_since.0.div_euclid(60_000_000);
    let role = if going.shadow { ArmRole::Shadow } else { ArmRole::Candidate };
    let here = |w: &&TrafficWindow| w.arm == role && w.minute >= since && (going.shadow || w.weight == going.weight);
    let requests: u64 = windows.iter().filter(here).map(|w| w.requests).sum();
    if waited < i64::try_from(step.seconds).unwrap_or(i64::MAX) || requests < step.requests {
        return None;
    }
    let reason = format!("{requests} requests in {waited} s at this step; {}", judged.why);
    if going.shadow || going.step + 1 < plan.steps.len() {
        return Some((Rollouts::AdvanceRollout { service }, reason));
    }
    (judged.advice == Advice::Promote).then_some((Rollouts::FinishRollout { service }, reason))
}
