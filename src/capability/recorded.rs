//! A command in the audit trail: how its record is made, and its first answer given again.

use serde::Serialize;

use super::audit::{self, Detail};
use super::command::Command;
use super::envelope::{Actor, Envelope, Outcome};
use super::event::Hint;
use super::{Ctx, gates};
use crate::base::{Fault, fault::Result};

pub(super) fn target_of(command: &Command, version: Option<u32>) -> String {
    match version {
        Some(v) => format!("{} v{v}", command.target()),
        None => command.target(),
    }
}

pub(super) fn entry(
    ctx: &Ctx,
    actor: &Actor,
    envelope: &Envelope,
    reason: &str,
    outcome: &Outcome,
    fault: Option<&Fault>,
) -> audit::Entry {
    audit::Entry {
        at: ctx.clock.now(),
        who: actor.who.clone(),
        command: envelope.command.name().to_owned(),
        target: if outcome.target.is_empty() { envelope.command.target() } else { outcome.target.clone() },
        refused: fault.map(|f| json(&f.kind).as_str().unwrap_or("refused").to_owned()),
        // A refusal must not use the key up: the caller mends what was wrong and sends it again.
        idempotency_key: envelope.idempotency_key.clone().filter(|_| fault.is_none()),
        detail: Detail {
            reason: reason.to_owned(),
            from: outcome.from.clone(),
            to: outcome.to.clone(),
            command: json(&envelope.command),
            answer: fault.map_or_else(|| json(outcome), json),
        },
    }
}

pub(super) fn json(value: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// # Errors
/// The store's.
pub(super) async fn record_refusal(
    ctx: &Ctx,
    actor: &Actor,
    envelope: &Envelope,
    (fault, decision): (&Fault, Option<&gates::Decision>),
) -> Result<()> {
    let mut tx = ctx.db.begin().await?;
    let mut entry = entry(ctx, actor, envelope, &envelope.reason, &Outcome::default(), Some(fault));
    if let Some(decision) = decision {
        let id = gates::keep(&mut tx, decision, &actor.who.name).await?;
        if let Some(answer) = entry.detail.answer.as_object_mut() {
            answer.insert("decision".to_owned(), id.into());
            answer.insert("decision_digest".to_owned(), decision.digest.clone().into());
        }
    }
    audit::append(&mut tx, entry).await?;
    tx.commit().await?;
    ctx.hints.give(Hint::Audit);
    Ok(())
}

/// The first answer again, if the key came with the same command.
///
/// # Errors
/// `Conflict` for another command.
pub(super) fn replay(record: audit::Record, command: &Command) -> Result<Outcome> {
    let detail = record.detail.unwrap_or_default();
    let same = serde_json::to_value(command).is_ok_and(|c| c == detail.command);
    if !same {
        return Err(Fault::conflict("this idempotency key has acted before, for another command")
            .why(format!("audit record #{} holds it", record.seq))
            .next("use a new key for a new command"));
    }
    let outcome: Outcome =
        serde_json::from_value(detail.answer).map_err(|e| Fault::bug("audit answer").why(e.to_string()))?;
    Ok(Outcome { audit: record.seq, replayed: true, ..outcome })
}
