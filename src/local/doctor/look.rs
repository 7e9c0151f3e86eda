//! Looking at all of it at once: the agent's store, a repository, the machine.

use std::path::Path;

use super::{Evidence, Report, Surroundings, gather, machine, reachable, readiness, repository};
use crate::base::clock::{Clock, SystemClock};
use crate::base::{Fault, fault::Result};
use crate::client::Client;

/// The report, and in words which folder was looked at.
///
/// # Errors
/// The agent's, once it answers.
pub async fn look(client: Result<&Client>, around: &Surroundings, folder: &Path) -> Result<(Report, Option<String>)> {
    let path = folder.to_owned();
    // Reading a long history must not hold up the agent's answers.
    let repository = tokio::task::spawn_blocking(move || repository(&path));
    let answered = match &client {
        Ok(client) => client.status().await,
        Err(fault) => Err::<_, Fault>(fault.clone()),
    };
    let evidence = match &client {
        Ok(client) if answered.is_ok() => Some(gather(client).await?),
        _ => None,
    };
    let mut checks = machine(around);
    checks.extend(reachable(around, &answered, SystemClock.now()));
    let mut findings = evidence.as_ref().map(Evidence::findings).unwrap_or_default();
    let repository = repository.await.ok();
    findings.extend(repository.iter().flat_map(|r| r.findings.clone()));
    let report = Report { capabilities: readiness(evidence.as_ref()), findings, checks };
    let looked = repository.map(|r| match r.root {
        Some(root) => format!("looked at {} and its history, {} files", root.display(), r.files),
        None => format!("looked at {}, {} files; it is in no git repository", folder.display(), r.files),
    });
    Ok((report, looked))
}
