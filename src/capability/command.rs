//! Command: one way to change anything. Keys, verbs, POSTs and monitors only construct one; [`perform`] authorises
//! it, applies it and records it, all in one transaction.

use serde::{Deserialize, Serialize};

use super::access::Role;
use super::admission::{authorise, refuse_nul, settle_reason};
use super::audit::{self, Via, Who};
use super::envelope::{Actor, Envelope, Outcome};
use super::event::Hint;
use super::handed::{Prepared, apply, prepare};
use super::judged::{house, judged_for, refuse_import_past_gates};
use super::monitoring::incident;
use super::recorded::{entry, record_refusal, replay, target_of};
use super::{Ctx, access, cost, datasets, evals, gates, keeping, registry, rollout, tracking, training};
use crate::base::{Fault, Kind, fault::Result};
use crate::db::{Source, Tx};

/// Everything that can be decided.
#[allow(clippy::large_enum_variant)] // few exist at a time, and a box would show in every match
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "room")]
pub enum Command {
    Tracking(tracking::Command),
    Registry(registry::Command),
    Access(access::Command),
    Datasets(datasets::Command),
    Training(training::Command),
    Evals(evals::Command),
    Gates(gates::Command),
    Rollouts(rollout::Command),
    Incidents(incident::Command),
    Cost(cost::Command),
    Keeping(keeping::Command),
}

impl Command {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tracking(c) => c.name(),
            Self::Registry(c) => c.name(),
            Self::Access(c) => c.name(),
            Self::Datasets(c) => c.name(),
            Self::Training(c) => c.name(),
            Self::Evals(c) => c.name(),
            Self::Gates(c) => c.name(),
            Self::Rollouts(c) => c.name(),
            Self::Incidents(c) => c.name(),
            Self::Cost(c) => c.name(),
            Self::Keeping(c) => c.name(),
        }
    }

    pub fn help(&self) -> &'static str {
        match self {
            Self::Tracking(c) => c.help(),
            Self::Registry(c) => c.help(),
            Self::Access(c) => c.help(),
            Self::Datasets(c) => c.help(),
            Self::Training(c) => c.help(),
            Self::Evals(c) => c.help(),
            Self::Gates(c) => c.help(),
            Self::Rollouts(c) => c.help(),
            Self::Incidents(c) => c.help(),
            Self::Cost(c) => c.help(),
            Self::Keeping(c) => c.help(),
        }
    }

    pub fn target(&self) -> String {
        match self {
            Self::Tracking(c) => c.target(),
            Self::Registry(c) => c.target(),
            Self::Access(c) => c.target(),
            Self::Datasets(c) => c.target(),
            Self::Training(c) => c.target(),
            Self::Evals(c) => c.target(),
            Self::Gates(c) => c.target(),
            Self::Rollouts(c) => c.target(),
            Self::Incidents(c) => c.target(),
            Self::Cost(c) => c.target(),
            Self::Keeping(c) => c.target(),
        }
    }

    /// The least role that may do it.
    pub fn role(&self) -> Role {
        match self {
            Self::Tracking(_) | Self::Registry(_) | Self::Datasets(_) => Role::Client,
            Self::Access(_) | Self::Keeping(_) => Role::Admin,
            Self::Evals(c) if c.runs_programs() => Role::Admin,
            // Asking for a verdict moves nothing; what verdicts are made from does.
            Self::Gates(gates::Command::CheckGates { .. }) => Role::Client,
            // It lets the agent run programs.
            Self::Gates(gates::Command::SetPolicy { .. }) => Role::Admin,
            Self::Rollouts(c) if c.runs_programs() => Role::Admin,
            Self::Rollouts(_) => Role::Operator,
            // A grade is what a gate may rest on.
            Self::Training(_) | Self::Evals(_) | Self::Gates(_) | Self::Incidents(_) | Self::Cost(_) => Role::Operator,
        }
    }
}

/// Performs a command: authorises, applies, records, commits, hints. A refused one changes nothing and is recorded.
///
/// # Errors
/// What the room refused, `Denied`, `Conflict`, or the store's fault.
pub async fn perform(ctx: &Ctx, actor: &Actor, envelope: Envelope) -> Result<Outcome> {
    // In a task of its own: a caller who hangs up in between must not part what is committed from what is shown.
    let (ctx, actor) = (ctx.clone(), actor.clone());
    let done = tokio::spawn(async move { perform_to_the_end(&ctx, &actor, envelope).await });
    done.await
        .unwrap_or_else(|e| Err(Fault::bug("the command broke off").why(e.to_string()).next("see the agent's log")))
}

async fn perform_to_the_end(ctx: &Ctx, actor: &Actor, envelope: Envelope) -> Result<Outcome> {
    if let Some(key) = &envelope.idempotency_key
        && let Some(record) = audit::by_key(Source::Pool(ctx.db.read()), key).await?
    {
        return replay(record, &envelope.command);
    }
    match attempt(ctx, actor, &envelope).await {
        Ok(outcome) => Ok(outcome),
        Err(refusal) => {
            // What the store could not do now was not decided; everything else is a refusal that leaves its record.
            if !envelope.dry_run && !matches!(refusal.fault.kind, Kind::Unavailable | Kind::Bug) {
                record_refusal(ctx, actor, &envelope, (&refusal.fault, refusal.decision.as_deref())).await?;
            }
            Err(refusal.fault)
        }
    }
}

/// Why a command was not done, with the gates' decision if they said so.
struct Refusal {
    fault: Fault,
    decision: Option<Box<gates::Decision>>,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self { fault, decision: None }
    }
}

async fn attempt(ctx: &Ctx, actor: &Actor, envelope: &Envelope) -> Result<Outcome, Refusal> {
    authorise(actor, &envelope.command)?;
    refuse_nul(envelope)?;
    let reason = settle_reason(ctx, actor, envelope).await?;
    // Before the transaction, so that nobody waits for it; within it only what has changed is judged again.
    let decision = match judged_for(ctx, &envelope.command).await? {
        Some((model, version, stage)) => {
            let of = (model.as_str(), version, stage);
            Some(gates::decide(Source::Pool(ctx.db.read()), house(ctx), of, ctx.clock.now()).await?)
        }
        None => None,
    };
    let prepared = prepare(ctx, envelope).await?;
    let froze = prepared.froze();
    let done = in_transaction(ctx, actor, envelope, &reason, prepared, decision).await;
    if let (Some(path), Err(_)) = (froze, &done) {
        ctx.artifacts.thaw(&path).await;
    }
    done
}

async fn in_transaction(
    ctx: &Ctx,
    actor: &Actor,
    envelope: &Envelope,
    reason: &str,
    prepared: Prepared,
    decision: Option<gates::Decision>,
) -> Result<Outcome, Refusal> {
    let mut tx = ctx.db.begin().await?;
    // Once more under the writer's turn: the same key may have been sent twice at once.
    if let Some(key) = &envelope.idempotency_key
        && let Some(record) = audit::by_key(Source::Tx(&mut tx), key).await?
    {
        tx.rollback().await;
        return Ok(replay(record, &envelope.command)?);
    }
    let decision = match passed(ctx, &mut tx, envelope, decision).await {
        Ok(decision) => decision,
        Err(refusal) => {
            tx.rollback().await;
            return Err(refusal);
        }
    };
    let mut done = match apply(ctx, &mut tx, actor, envelope, reason, prepared).await {
        Ok(done) => done,
        Err(fault) => {
            tx.rollback().await;
            return Err(fault.into());
        }
    };
    if let Some(decision) = decision {
        done.outcome.decision_digest = Some(decision.digest.clone());
        done.outcome.decision = Some(gates::keep(&mut tx, &decision, &actor.who.name).await?);
        if matches!(envelope.command, Command::Gates(_)) {
            decision.verdict.name().clone_into(&mut done.outcome.to);
        }
    }
    done.outcome.command = envelope.command.name().to_owned();
    done.outcome.target = target_of(&envelope.command, done.outcome.version);
    if envelope.dry_run {
        tx.rollback().await;
        return Ok(Outcome { dry_run: true, ..done.outcome });
    }
    done.outcome.audit = audit::append(&mut tx, entry(ctx, actor, envelope, reason, &done.outcome, None)).await?;
    let turn = tx.commit().await.inspect_err(|_| ctx.tracking.doubt())?;
    if let Some(staged) = done.staged {
        ctx.tracking.published(staged);
    }
    drop(turn);
    for path in done.thawed {
        ctx.artifacts.thaw(&path).await;
    }
    for model in done.models.into_iter().chain(model_of(&envelope.command)) {
        ctx.hints.give(Hint::Model(model));
    }
    if let Command::Datasets(c) = &envelope.command {
        ctx.hints.give(Hint::Dataset(c.dataset().to_owned()));
    }
    if let Command::Rollouts(_) | Command::Registry(registry::Command::SetStage { .. }) = &envelope.command {
        ctx.hints.give(Hint::Rollouts);
    }
    if let Command::Incidents(_) = &envelope.command {
        ctx.hints.give(Hint::Incidents);
    }
    ctx.hints.give(Hint::Audit);
    if let Some(kept) = done.kept {
        keeping::carry_out(ctx, &kept).await?;
        ctx.hints.give(Hint::Everything);
    }
    Ok(done.outcome)
}

/// Whose picture may have changed.
fn model_of(command: &Command) -> Option<String> {
    match command {
        Command::Registry(c) => Some(c.model().to_owned()),
        Command::Gates(c) => Some(c.model().to_owned()),
        Command::Evals(evals::Command::RecordEval { report }) => Some(report.model.clone()),
        _ => None,
    }
}

/// The verdict as it stands within the transaction; a refusal unless it is a pass, or only a verdict was asked for.
async fn passed(
    ctx: &Ctx,
    tx: &mut Tx,
    envelope: &Envelope,
    before: Option<gates::Decision>,
) -> Result<Option<gates::Decision>, Refusal> {
    refuse_import_past_gates(ctx, tx, &envelope.command).await?;
    let Some(before) = before else { return Ok(None) };
    let decision = gates::decide_again(Source::Tx(tx), house(ctx), before).await?;
    if !matches!(envelope.command, Command::Gates(_))
        && let Err(fault) = decision.admit()
    {
        return Err(Refusal { fault, decision: Some(Box::new(decision)) });
    }
    Ok(Some(decision))
}

/// How an actor came is for the door to say; monitors say it themselves.
pub fn monitor(name: &str) -> Actor {
    Actor {
        who: Who { name: name.to_owned(), verified: true, via: Via::Monitor },
        role: Role::Operator,
        can_give_reason: true,
    }
}
