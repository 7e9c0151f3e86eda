//! Where others carry the traffic: runs the team's deploy command for the version that is awaited, once, and says how it
//! went.

use std::process::Stdio;
use std::time::Duration;

use super::{App, woken};
use crate::base::fault::Result;
use crate::capability::access::Role;
use crate::capability::audit::{Via, Who};
use crate::capability::rollout::{self, Awaited, Command as Rollouts, Standing};
use crate::capability::{Actor, Command, Envelope, Hint, perform};
use crate::db::Source;

const PERIOD: Duration = Duration::from_mins(1);
/// A deployment that takes longer has failed.
const TIMEOUT: Duration = Duration::from_mins(30);
/// The last words of one that failed.
const WORDS_CHARS_MAX: usize = 300;

/// Runs as long as the agent.
pub(super) async fn keep(app: App) {
    let mut hints = app.ctx().hints.listen();
    loop {
        if let Err(fault) = tend(&app).await {
            tracing::warn!("deployments: {fault}");
        }
        if !woken(&app, &mut hints, PERIOD, |h| matches!(h, Hint::Rollouts | Hint::Everything)).await {
            return;
        }
    }
}

async fn tend(app: &App) -> Result<()> {
    for standing in rollout::services(Source::Pool(app.ctx().db.read())).await? {
        let run = standing.service.deploy.as_ref().is_some_and(|d| d.run);
        let Some(awaited) = standing.awaited.as_ref().filter(|a| run && a.failed.is_none()) else { continue };
        let (service, version) = (standing.service.name.clone(), awaited.version);
        let failed = if awaited.begun {
            Some("the agent ended while it ran: look whether it was deployed".to_owned())
        } else {
            begin(app, &standing).await?;
            tokio::select! {
                failed = deploy(app, awaited) => failed,
                () = app.stopped() => return Ok(()),
            }
        };
        let (command, reason) = match failed {
            None => (Rollouts::Deployed { service, version }, awaited.reason.clone()),
            Some(why) => (Rollouts::DeployFailed { service, version, why: why.clone() }, why),
        };
        let who = Who { name: "deploy".to_owned(), verified: true, via: Via::Monitor };
        let actor = Actor { who, role: Role::Operator, can_give_reason: true };
        perform(app.ctx(), &actor, Envelope::new(Command::Rollouts(command), reason)).await?;
    }
    Ok(())
}

/// What was begun is not begun again by the next agent: it may have been half done.
async fn begin(app: &App, standing: &Standing) -> Result<()> {
    let mut tx = app.ctx().db.begin().await?;
    rollout::deploy_begun(&mut tx, &standing.service.name).await?;
    tx.commit().await.map(drop)
}

/// Why it failed; `None` when it did not.
async fn deploy(app: &App, awaited: &Awaited) -> Option<String> {
    if !app.settings().exec {
        return Some("the agent may not run programs: agent.exec is off".to_owned());
    }
    let (program, words) = awaited.command.split_first()?;
    tracing::info!("deploying v{}: {}", awaited.version, awaited.command.join(" "));
    let mut command = tokio::process::Command::new(program);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let ended = match tokio::time::timeout(TIMEOUT, command.output()).await {
        Err(_) => return Some(format!("it took longer than {} min", TIMEOUT.as_secs() / 60)),
        Ok(Err(e)) => return Some(format!("{program}: {e}")),
        Ok(Ok(ended)) if ended.status.success() => return None,
        Ok(Ok(ended)) => ended,
    };
    let said = String::from_utf8_lossy(&ended.stderr);
    let last: String = said.trim().lines().last().unwrap_or_default().chars().take(WORDS_CHARS_MAX).collect();
    Some(format!("{}: {last}", ended.status).trim_end_matches(": ").to_owned())
}
