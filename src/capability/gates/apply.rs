//! The rules of gates: what each command does, within its transaction.

use super::command::Command;
use super::policy::Policy;
use super::rule::check;
use super::{Approval, Decision, Gate, Waiver, store};
use crate::base::{Fault, Timestamp, fault::Result, show};
use crate::capability::evals;
use crate::capability::registry::{self, ModelVersion};
use crate::db::{Source, Tx};

/// Who decides, and when.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    pub name: &'a str,
    /// By peer credentials or a token; what is only claimed approves nothing.
    pub verified: bool,
    pub reason: &'a str,
    pub now: Timestamp,
}

/// What a command did.
#[derive(Debug, Clone, Default)]
pub struct Applied {
    pub from: String,
    pub to: String,
}

fn changed(from: impl Into<String>, to: impl Into<String>) -> Applied {
    Applied { from: from.into(), to: to.into() }
}

/// Applies a command. A check was decided before: see [`keep`].
///
/// # Errors
/// `Invalid` for a gate that cannot be, `NotFound`, `Denied` for an approval that would be worth nothing, `Refused`
/// without a reason where one is needed.
pub async fn apply(tx: &mut Tx, command: &Command, by: By<'_>) -> Result<Applied> {
    match command {
        Command::SetGates { model, stage, gates } => {
            let suites = evals::suites(Source::Tx(tx)).await?;
            for gate in gates {
                if &gate.model != model || gate.stage != *stage {
                    return Err(Fault::invalid(format!("gate {} is not for {model} {}", gate.name, stage.name())));
                }
                check(gate, &suites)?;
            }
            let before: Vec<Gate> = store::gates(Source::Tx(tx)).await?;
            let before = before.into_iter().filter(|g| &g.model == model && g.stage == *stage).count();
            store::put_gates(tx, model, *stage, gates).await?;
            let words = |n: usize| show::many(n as u64, "gate", "gates");
            Ok(changed(words(before), words(gates.len())))
        }
        Command::CheckGates { .. } => Err(Fault::bug("a check came undecided")),
        Command::WaiveGate { model, version, gate, until } => {
            let version = version_of(tx, model, *version).await?;
            waive(tx, &version, gate, *until, by).await
        }
        Command::EndWaiver { model, version, gate } => {
            let ended = store::end_waivers(tx, model, *version, gate, by.now).await?;
            if ended == 0 {
                return Err(Fault::not_found(format!("no waiver of {gate} for {model} v{version}"))
                    .next("see `opsroom gate list`"));
            }
            Ok(changed(format!("{gate} waived"), "ended"))
        }
        Command::Approve { model, version, stage } => {
            let version = version_of(tx, model, *version).await?;
            approve(tx, &version, *stage, by).await
        }
        Command::SetPolicy { policy } => set_policy(tx, policy, by).await,
        Command::RemovePolicy { model } => {
            let before = store::policies(Source::Tx(tx)).await?.into_iter().find(|p| p.model == *model);
            let before = before
                .ok_or_else(|| Fault::not_found(format!("{model} has no policy")).next("see `opsroom gate list`"))?;
            store::put_policy(tx, model, None, by.now).await?;
            Ok(changed(before.asked(), ""))
        }
        Command::WithdrawApproval { model, version, stage } => {
            let ended = store::end_approvals(tx, model, *version, *stage, by.name, by.now).await?;
            if ended == 0 {
                let what = format!("{} has not approved {model} v{version} for {}", by.name, stage.name());
                return Err(Fault::not_found(what).next("see `opsroom gate list`"));
            }
            Ok(changed(format!("approved by {}", by.name), "withdrawn"))
        }
    }
}

async fn set_policy(tx: &mut Tx, policy: &Policy, by: By<'_>) -> Result<Applied> {
    let suites = evals::suites(Source::Tx(tx)).await?;
    if let Some(gone) = policy.evals.iter().find(|e| suites.iter().all(|s| s.name != **e)) {
        return Err(Fault::not_found(format!("there is no suite {gone}")).next("see `opsroom eval suites`"));
    }
    if policy.evals.is_empty() {
        return Err(Fault::invalid("a policy without evals does nothing").next("name a suite at least"));
    }
    let before = store::policies(Source::Tx(tx)).await?.into_iter().find(|p| p.model == policy.model);
    store::put_policy(tx, &policy.model, Some(policy), by.now).await?;
    Ok(changed(before.map(|p| p.asked()).unwrap_or_default(), policy.asked()))
}

async fn version_of(tx: &mut Tx, model: &str, version: u32) -> Result<ModelVersion> {
    let view = registry::model(Source::Tx(tx), model, None).await?;
    view.version(version).cloned().ok_or_else(|| registry::missing_version(model, version))
}

async fn waive(tx: &mut Tx, version: &ModelVersion, gate: &str, until: Timestamp, by: By<'_>) -> Result<Applied> {
    let model = &version.model;
    let gates = super::gates(Source::Tx(tx), Some(model)).await?;
    let names: Vec<&str> = gates.iter().map(|g| g.name.as_str()).collect();
    if !names.contains(&gate) {
        let hint = crate::capability::form::nearest(gate, &names);
        return Err(Fault::not_found(format!("{model} has no gate {gate}{hint}")).next("see `opsroom gate list`"));
    }
    if by.reason.trim().is_empty() {
        return Err(Fault::refused(format!("waiving {gate} of {model} v{} needs a reason", version.version))
            .why("it shows wherever the version shows")
            .next("give one with --reason"));
    }
    if until <= by.now {
        return Err(
            Fault::invalid(format!("a waiver until {until} would be over already")).next("give a later --until")
        );
    }
    let waiver = Waiver {
        id: 0,
        model: model.clone(),
        version: version.version,
        subject: evals::subject(version),
        gate: gate.to_owned(),
        by: by.name.to_owned(),
        reason: by.reason.to_owned(),
        at: by.now,
        until,
        ended: None,
    };
    store::add_waiver(tx, &waiver).await?;
    Ok(changed(gate, format!("waived until {until}")))
}

async fn approve(tx: &mut Tx, version: &ModelVersion, stage: registry::Stage, by: By<'_>) -> Result<Applied> {
    let (model, number) = (&version.model, version.version);
    if !by.verified {
        return Err(Fault::denied(format!("{} is only claimed: an approval needs a verified identity", by.name))
            .why("whoever comes by TCP without a token can call themselves anything")
            .next("come with your own token, or by the agent's socket"));
    }
    if by.name == version.doc.user {
        return Err(Fault::denied(format!("{} registered {model} v{number} and cannot approve it", by.name))
            .why("author and approver are two people")
            .next("ask someone else"));
    }
    let subject = evals::subject(version);
    let given = store::approvals(Source::Tx(tx), Some(model)).await?;
    let same = |a: &Approval| (a.version, a.stage, a.by.as_str(), &a.subject) == (number, stage, by.name, &subject);
    if given.iter().any(|a| a.ended.is_none() && same(a)) {
        return Err(Fault::exists(format!("{} has approved {model} v{number} for {} before", by.name, stage.name())));
    }
    let approval = Approval {
        id: 0,
        model: model.clone(),
        version: number,
        subject,
        stage,
        by: by.name.to_owned(),
        reason: by.reason.to_owned(),
        at: by.now,
        ended: None,
    };
    store::add_approval(tx, &approval).await?;
    Ok(changed("", format!("approved for {}", stage.name())))
}

/// Keeps a decision; answers its number.
///
/// # Errors
/// The store's.
pub async fn keep(tx: &mut Tx, decision: &Decision, by: &str) -> Result<i64> {
    store::add_decision(tx, &Decision { by: by.to_owned(), ..decision.clone() }).await
}
