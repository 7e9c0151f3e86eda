//! Stage and traffic move together: what the registry may not do past the services that serve a model.

use super::apply::keep;
use super::standing::Standing;
use super::store;
use crate::base::{Fault, fault::Result};
use crate::capability::registry::Stage;
use crate::db::{Source, Tx};

/// A stage may not be moved past the service that serves the model: stage and traffic move together.
///
/// # Errors
/// `Refused`, with the way that moves both.
pub async fn check_stage(tx: &mut Tx, model: &str, version: u32, stage: Stage) -> Result<()> {
    for standing in store::of_model(Source::Tx(tx), model).await? {
        let name = &standing.service.name;
        match standing.stable {
            Some(stable) if stage == Stage::Prod && stable != version => {
                return Err(Fault::refused(format!("{model} is served by {name}: v{stable} answers, not v{version}"))
                    .why("stage and traffic move together")
                    .next(format!(
                        "opsroom rollout start {name} {version}, or opsroom promote {model} {version} --to prod --all-at-once"
                    )));
            }
            Some(stable) if stage != Stage::Prod && stable == version => {
                return Err(Fault::refused(format!("v{version} of {model} answers for {name}"))
                    .why("stage and traffic move together")
                    .next(format!("opsroom rollback {name}, or roll another version out")));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What a service stands on cannot go away beneath it.
///
/// # Errors
/// `Refused`.
pub async fn check_served(tx: &mut Tx, model: &str, version: Option<u32>) -> Result<()> {
    let uses = |s: &Standing, v: u32| {
        let arms = [s.stable, s.previous, s.candidate.as_ref().map(|r| r.version)];
        arms.contains(&Some(v))
    };
    let all = store::of_model(Source::Tx(tx), model).await?;
    match all.iter().find(|s| version.is_none_or(|v| uses(s, v))) {
        None => Ok(()),
        Some(standing) => {
            let name = &standing.service.name;
            let what = version.map_or_else(|| model.to_owned(), |v| format!("{model} v{v}"));
            Err(Fault::refused(format!("{what} is served by {name}"))
                .next(format!("roll another version out, or opsroom service remove {name}")))
        }
    }
}

/// The first prod version of a model becomes the stable one of its services.
///
/// # Errors
/// The store's.
pub async fn stage_set(tx: &mut Tx, model: &str, version: u32, stage: Stage) -> Result<()> {
    if stage != Stage::Prod {
        return Ok(());
    }
    for mut standing in store::of_model(Source::Tx(tx), model).await? {
        if standing.stable.is_none() && standing.service.can_serve(version) {
            standing.stable = Some(version);
            keep(tx, standing).await?;
            store::raise(tx).await?;
        }
    }
    Ok(())
}
