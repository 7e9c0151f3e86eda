//! Hands a command to its room: what the room finds out before the transaction, and what it does within it.

use super::audit::{self, Who};
use super::command::Command;
use super::envelope::{Actor, Envelope, Outcome};
use super::monitoring::incident;
use super::registry::Stage;
use super::tracking::Staged;
use super::{Ctx, access, cost, datasets, evals, gates, keeping, registry, rollout, tracking, training};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::db::Tx;

/// What a room's work leaves to do once the commit holds.
#[derive(Default)]
pub(super) struct Done {
    pub outcome: Outcome,
    pub staged: Option<Staged>,
    pub thawed: Vec<String>,
    /// Models that look otherwise now.
    pub models: Vec<String>,
    pub kept: Option<keeping::Prepared>,
}

/// What rooms found out before the transaction, where nobody waits for it.
#[allow(clippy::large_enum_variant)] // one exists at a time
pub(super) enum Prepared {
    Registry(registry::Prepared),
    Datasets(datasets::Prepared),
    Training(training::Prepared),
    Evals(evals::Prepared),
    Keeping(keeping::Prepared),
    Nothing,
}

impl Prepared {
    /// The folder that the preparation froze.
    pub(super) fn froze(&self) -> Option<String> {
        let Self::Registry(prepared) = self else { return None };
        prepared.artifact.as_ref().filter(|_| prepared.froze).map(|a| a.path.clone())
    }
}

/// Before the transaction, so that nobody waits for it.
///
/// # Errors
/// What the room finds missing or wrong already.
pub(super) async fn prepare(ctx: &Ctx, envelope: &Envelope) -> Result<Prepared> {
    Ok(match &envelope.command {
        Command::Registry(c) => Prepared::Registry(
            registry::prepare(&ctx.tracking, &ctx.artifacts, ctx.db.read(), c, envelope.dry_run).await?,
        ),
        Command::Datasets(c) => Prepared::Datasets(datasets::prepare(ctx.artifacts.blobs(), c).await?),
        Command::Training(c) => Prepared::Training(training::prepare(&ctx.tracking, &ctx.artifacts, c).await?),
        Command::Evals(c) => Prepared::Evals(evals::prepare(&ctx.artifacts, ctx.db.read(), c).await?),
        Command::Keeping(c) => Prepared::Keeping(keeping::prepare(ctx, c).await?),
        _ => Prepared::Nothing,
    })
}

/// The room's work, within the transaction.
///
/// # Errors
/// What the room refuses; the store's.
pub(super) async fn apply(
    ctx: &Ctx,
    tx: &mut Tx,
    actor: &Actor,
    envelope: &Envelope,
    reason: &str,
    prepared: Prepared,
) -> Result<Done> {
    let now = ctx.clock.now();
    let changed = |(from, to): (String, String)| {
        Ok(Done { outcome: Outcome { from, to, ..Outcome::default() }, ..Done::default() })
    };
    match (&envelope.command, prepared) {
        (Command::Registry(_), Prepared::Registry(registry::Prepared { command, artifact, .. })) => {
            let record = audit::next(tx).await?;
            let by = registry::Decider {
                actor: &actor.who.name,
                reason,
                now,
                generation: envelope.generation,
                audit: record,
            };
            match &command {
                registry::Command::SetStage { model, version, stage, .. } => {
                    rollout::check_stage(tx, model, *version, *stage).await?;
                }
                registry::Command::DeleteVersion { model, version } => {
                    rollout::check_served(tx, model, Some(*version)).await?;
                }
                registry::Command::DeleteModel { model } | registry::Command::RenameModel { model, .. } => {
                    rollout::check_served(tx, model, None).await?;
                }
                _ => {}
            }
            let applied = registry::apply(tx, &command, artifact, by).await?;
            if let registry::Command::SetStage { model, version, stage, .. } = &command {
                rollout::stage_set(tx, model, *version, *stage).await?;
            }
            if let registry::Command::RenameModel { model, to } = &command {
                evals::renamed(tx, model, to).await?;
                gates::renamed(tx, model, to).await?;
            }
            let outcome = Outcome {
                from: applied.from,
                to: applied.to,
                generation: applied.generation,
                version: applied.version,
                ..Outcome::default()
            };
            Ok(Done { outcome, thawed: applied.thawed, ..Done::default() })
        }
        (Command::Datasets(_), Prepared::Datasets(prepared)) => {
            let applied = datasets::apply(tx, &prepared, &actor.who.name, now).await?;
            let outcome =
                Outcome { from: applied.from, to: applied.to, version: Some(applied.version), ..Outcome::default() };
            Ok(Done { outcome, ..Done::default() })
        }
        (Command::Evals(c), Prepared::Evals(p)) => changed(evals::apply(tx, c, p, &actor.who, now).await?),
        (Command::Training(c), Prepared::Training(p)) => graded(ctx, tx, c, p, &actor.who).await,
        (Command::Keeping(c), Prepared::Keeping(p)) => {
            let (from, to) = keeping::apply(tx, c, &p, now).await?;
            Ok(Done { outcome: Outcome { from, to, ..Outcome::default() }, kept: Some(p), ..Done::default() })
        }
        (
            Command::Registry(_)
            | Command::Datasets(_)
            | Command::Training(_)
            | Command::Evals(_)
            | Command::Keeping(_),
            _,
        ) => Err(Fault::bug("a command came unprepared")),
        // The verdict was made already; keeping it is all there is to do.
        (Command::Gates(gates::Command::CheckGates { .. }), _) => Ok(Done::default()),
        (Command::Gates(c), _) => {
            let by = gates::By { name: &actor.who.name, verified: actor.who.verified, reason, now };
            let applied = gates::apply(tx, c, by).await?;
            changed((applied.from, applied.to))
        }
        (Command::Rollouts(c), _) => rolled(tx, c, &actor.who.name, reason, now).await,
        (Command::Tracking(c), _) => {
            let staged = tracking::command::apply(&ctx.tracking, tx, c, now).await?;
            let (from, to) = c.change();
            let outcome = Outcome { from: from.to_owned(), to: to.to_owned(), ..Outcome::default() };
            Ok(Done { outcome, staged: Some(staged), ..Done::default() })
        }
        (Command::Access(c), _) => changed(access::apply(tx, c, now).await?),
        (Command::Incidents(c), _) => changed(incident::apply(tx, c, &actor.who.name, now).await?),
        (Command::Cost(c), _) => changed(cost::apply(tx, c, now).await?),
    }
}

/// A rollout's change, and the registry's that goes with it.
async fn rolled(tx: &mut Tx, command: &rollout::Command, actor: &str, reason: &str, now: Timestamp) -> Result<Done> {
    let applied = rollout::apply(tx, command, rollout::By { name: actor, reason, now }).await?;
    let mut done =
        Done { outcome: Outcome { from: applied.from, to: applied.to, ..Outcome::default() }, ..Done::default() };
    if let Some((model, version)) = applied.to_prod {
        let record = audit::next(tx).await?;
        let by = registry::Decider { actor, reason, now, generation: None, audit: record };
        let stage =
            registry::Command::SetStage { model: model.clone(), version, stage: Stage::Prod, archive_others: false };
        let moved = registry::apply(tx, &stage, None, by).await?;
        done.outcome.version = Some(version);
        done.thawed = moved.thawed;
        done.models = vec![model];
    }
    Ok(done)
}

/// A grade, mirrored on the run's versions as well.
async fn graded(
    ctx: &Ctx,
    tx: &mut Tx,
    command: &training::Command,
    prepared: training::Prepared,
    by: &Who,
) -> Result<Done> {
    let now = ctx.clock.now();
    let (grade, before, staged) = training::apply(&ctx.tracking, tx, command, prepared, by, now).await?;
    let models = registry::mark(tx, &grade.run.to_string(), &training::tags(&grade), now).await?;
    let from = before.map_or("none", |g| g.name()).to_owned();
    let outcome = Outcome { from, to: grade.name().to_owned(), ..Outcome::default() };
    Ok(Done { outcome, staged: Some(staged), models, ..Done::default() })
}
