//! Services whose traffic others carry: opsroom decides, the team's deployment brings the version, and the predictions say
//! whether it came.

use super::apply::{Applied, By, changed, keep, service};
use super::service::Traffic;
use super::standing::{Awaited, Standing};
use crate::base::{Fault, fault::Result};
use crate::db::{Source, Tx};

/// A version that the team's deployment is to bring. Stage and stable version move when it has.
pub(super) async fn decided(tx: &mut Tx, mut standing: Standing, version: u32, by: By<'_>) -> Result<Applied> {
    let command = standing.service.deploy_line(version);
    let before = standing.stable.map_or("no version".to_owned(), |v| format!("v{v}"));
    let run = standing.service.deploy.as_ref().is_some_and(|d| d.run);
    let to = match (run, command.is_empty()) {
        (true, _) => format!("v{version} is being deployed: {}", command.join(" ")),
        (false, false) => format!("v{version} is awaited; deploy it with: {}", command.join(" ")),
        (false, true) => format!("v{version} is awaited; deploy it, then say so"),
    };
    standing.awaited = Some(Awaited {
        version,
        since: by.now,
        by: by.name.to_owned(),
        reason: by.reason.to_owned(),
        command,
        begun: false,
        failed: None,
    });
    keep(tx, standing).await?;
    Ok(changed(before, to))
}

/// # Errors
/// `Refused` where opsroom routes itself, or the version answers already.
pub(super) async fn deployed(tx: &mut Tx, name: &str, version: u32) -> Result<Applied> {
    let mut standing = external(tx, name).await?;
    let before = standing.stable.map_or("no version".to_owned(), |v| format!("v{v}"));
    if standing.stable == Some(version) && standing.awaited.is_none() {
        return Err(Fault::refused(format!("v{version} answers for {name} already")));
    }
    standing.awaited = None;
    if standing.stable != Some(version) {
        standing.previous = standing.stable.replace(version);
    }
    let mut applied = changed(before, format!("v{version}"));
    applied.to_prod = Some((standing.service.model.clone(), version));
    keep(tx, standing).await?;
    Ok(applied)
}

/// The agent runs the line from now on.
///
/// # Errors
/// `Refused` where opsroom routes itself; the store's.
pub async fn begun(tx: &mut Tx, name: &str) -> Result<()> {
    let mut standing = external(tx, name).await?;
    if let Some(awaited) = &mut standing.awaited {
        awaited.begun = true;
    }
    keep(tx, standing).await
}

/// # Errors
/// `Refused` when that version is not awaited.
pub(super) async fn deploy_failed(tx: &mut Tx, name: &str, version: u32, why: &str) -> Result<Applied> {
    let mut standing = external(tx, name).await?;
    let Some(awaited) = standing.awaited.as_mut().filter(|a| a.version == version) else {
        return Err(Fault::refused(format!("v{version} of {name} is not awaited")));
    };
    awaited.failed = Some(why.to_owned());
    keep(tx, standing).await?;
    Ok(changed("awaited", format!("v{version} was not deployed: {why}")))
}

async fn external(tx: &mut Tx, name: &str) -> Result<Standing> {
    let standing = service(Source::Tx(tx), name).await?;
    if standing.service.traffic == Traffic::External {
        return Ok(standing);
    }
    Err(Fault::refused(format!("opsroom routes {name} itself"))
        .why("a version comes by a rollout there")
        .next(format!("opsroom rollout start {name} VERSION")))
}
