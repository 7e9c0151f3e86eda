//! Which commands need a verdict of the gates, by whatever name they move a version.

use super::command::Command;
use super::registry::Stage;
use super::{Ctx, gates, registry, rollout};
use crate::base::{Fault, fault::Result};
use crate::db::{Source, Tx};

pub(super) fn house(ctx: &Ctx) -> gates::House<'_> {
    gates::House {
        ctx,
        pool: ctx.db.read(),
        tracking: &ctx.tracking,
        artifacts: &ctx.artifacts,
        settings: &ctx.settings.gates,
    }
}

/// What a command needs a verdict on: a move to staging or prod by whatever name, or the question for one.
pub(super) async fn judged_for(ctx: &Ctx, command: &Command) -> Result<Option<(String, u32, Stage)>> {
    let guarded = |stage: &Stage| matches!(stage, Stage::Staging | Stage::Prod);
    let (model, version, stage) = match command {
        Command::Gates(gates::Command::CheckGates { model, version, stage }) => {
            return Ok(Some((model.clone(), *version, *stage)));
        }
        Command::Registry(registry::Command::SetStage { model, version, stage, .. }) if guarded(stage) => {
            (model, *version, *stage)
        }
        Command::Registry(registry::Command::SetAlias { model, alias, version: Some(version) })
            if ctx.settings.gates.production_aliases.contains(alias) =>
        {
            (model, *version, Stage::Prod)
        }
        Command::Rollouts(c) => return to_prod(ctx, c).await,
        _ => return Ok(None),
    };
    // Where it stands already it needs no second pass; what is missing is the registry's to say.
    let view = registry::model(Source::Pool(ctx.db.read()), model, None).await?;
    let moves = view.version(version).is_some_and(|v| v.stage != stage);
    Ok(moves.then(|| (model.clone(), version, stage)))
}

/// The version that a service would take to prod.
async fn to_prod(ctx: &Ctx, command: &rollout::Command) -> Result<Option<(String, u32, Stage)>> {
    let (service, named) = match command {
        rollout::Command::FinishRollout { service } => (service, None),
        rollout::Command::SwitchService { service, version } => (service, Some(*version)),
        // What was awaited was judged when it was decided.
        rollout::Command::Deployed { service, version } => (service, Some(*version)),
        _ => return Ok(None),
    };
    let standing = rollout::standing(Source::Pool(ctx.db.read()), service).await?;
    if standing
        .awaited
        .as_ref()
        .is_some_and(|a| matches!(command, rollout::Command::Deployed { version, .. } if a.version == *version))
    {
        return Ok(None);
    }
    let version = named.or(standing.candidate.as_ref().map(|r| r.version));
    Ok(version.map(|version| (standing.service.model, version, Stage::Prod)))
}

/// An import brings its stage along: where gates stand, that would be a way around them.
pub(super) async fn refuse_import_past_gates(ctx: &Ctx, tx: &mut Tx, command: &Command) -> Result<()> {
    let Command::Registry(registry::Command::RegisterVersion { model, import: Some(import), .. }) = command else {
        return Ok(());
    };
    let guarded = gates::gates(Source::Tx(tx), Some(model)).await?.iter().any(|g| g.stage == import.stage);
    if guarded || (ctx.settings.gates.required && import.stage == Stage::Prod) {
        let stage = import.stage.name();
        return Err(Fault::refused(format!("{model} v{} may not come in as {stage}", import.version))
            .why(format!("gates stand before {stage}"))
            .next("import it as dev and promote it"));
    }
    Ok(())
}
