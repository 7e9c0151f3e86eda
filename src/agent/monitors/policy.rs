//! Carries policies out: runs the evals of a version that was registered, as a program of its own, and moves it to staging
//! when they and its gates are green. Each step is read from the store, so a restart goes on where it was.

use std::collections::HashSet;
use std::process::Stdio;
use std::time::Duration;

use super::{App, woken};
use crate::base::{Fault, Kind, fault::Result};
use crate::capability::access::Role;
use crate::capability::audit::{Via, Who};
use crate::capability::gates::policy::{self, Step, Try};
use crate::capability::registry::{Command as Registry, Stage};
use crate::capability::{Actor, Command, Envelope, Hint, perform};
use crate::db::Source;

const PERIOD: Duration = Duration::from_mins(5);
/// The last words of a program that failed.
const OUTCOME_CHARS_MAX: usize = 300;

/// Runs as long as the agent.
pub(super) async fn keep(app: App) {
    let mut hints = app.ctx().hints.listen();
    // Versions whose gates said no: asked again when something of the model changes.
    let mut refused: HashSet<(String, u32)> = HashSet::new();
    loop {
        if app.settings().exec {
            tokio::select! {
                done = carry_out(&app, &mut refused) => {
                    if let Err(fault) = done {
                        tracing::warn!("policies: {fault}");
                    }
                }
                () = app.stopped() => return,
            }
        }
        if !woken(&app, &mut hints, PERIOD, |h| matches!(h, Hint::Model(_) | Hint::Everything)).await {
            return;
        }
    }
}

/// One step after the other until nothing is left to do.
async fn carry_out(app: &App, refused: &mut HashSet<(String, u32)>) -> Result<()> {
    loop {
        let steps = policy::steps(Source::Pool(app.ctx().db.read())).await?;
        let waits = |step: &Step| match step {
            Step::Promote { model, version } => !refused.contains(&(model.clone(), *version)),
            Step::Evaluate { .. } => true,
        };
        match steps.into_iter().find(waits) {
            None => return Ok(()),
            Some(Step::Evaluate { model, version, suite, tries }) => {
                refused.remove(&(model.clone(), version));
                evaluate(app, Try { model, version, suite, tries, at: app.now(), outcome: String::new() }).await?;
            }
            Some(Step::Promote { model, version }) => {
                if let Err(fault) = promote(app, &model, version).await {
                    refused.insert((model, version));
                    if fault.kind != Kind::Refused {
                        return Err(fault);
                    }
                }
            }
        }
    }
}

/// The same `eval run` that a person would type, against this agent.
async fn evaluate(app: &App, mut one: Try) -> Result<()> {
    note(app, &one).await?;
    let program = std::env::current_exe().map_err(|e| Fault::bug("no program to run").why(e.to_string()))?;
    let address = format!("unix:{}", app.settings().socket.display());
    let (version, reason) = (one.version.to_string(), format!("policy of {}", one.model));
    let mut command = tokio::process::Command::new(program);
    command
        .args(["--agent", &address, "eval", "run", &one.suite, &one.model, &version, "--reason", &reason])
        .args(["--json"])
        .env_remove("OPSROOM_AGENT")
        .env_remove("OPSROOM_CONTEXT")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    tracing::info!("policy: suite {} on {} v{version}, try {}", one.suite, one.model, one.tries);
    let ended = command.output().await.map_err(|e| Fault::unavailable("the eval cannot be run").why(e.to_string()))?;
    // 9: it ran, and a limit of the suite is broken; the result says so.
    if !ended.status.success() && ended.status.code() != Some(9) {
        let said = String::from_utf8_lossy(&ended.stderr);
        one.outcome = said.trim().chars().take(OUTCOME_CHARS_MAX).collect();
        if one.outcome.is_empty() {
            one.outcome = ended.status.to_string();
        }
        tracing::warn!("policy: suite {} on {} v{version}: {}", one.suite, one.model, one.outcome);
        note(app, &one).await?;
    }
    Ok(())
}

async fn note(app: &App, one: &Try) -> Result<()> {
    let mut tx = app.ctx().db.begin().await?;
    policy::tried(&mut tx, one).await?;
    tx.commit().await.map(drop)
}

async fn promote(app: &App, model: &str, version: u32) -> Result<()> {
    let who = Who { name: "policy".to_owned(), verified: true, via: Via::Monitor };
    let actor = Actor { who, role: Role::Operator, can_give_reason: true };
    let command = Registry::SetStage { model: model.to_owned(), version, stage: Stage::Staging, archive_others: false };
    let reason = format!("policy of {model}: its evals are good and the gates before staging pass");
    perform(app.ctx(), &actor, Envelope::new(Command::Registry(command), reason)).await.map(drop)
}
