//! What is asked of a command before its room hears of it: who may, what a text may hold, and why it is done.

use super::command::Command;
use super::envelope::{Actor, Envelope};
use super::recorded::json;
use super::{Ctx, registry};
use crate::base::{Fault, fault::Result};
use crate::db::Source;

/// # Errors
/// `Denied`.
pub(super) fn authorise(actor: &Actor, command: &Command) -> Result<()> {
    let needed = command.role();
    if actor.role >= needed {
        return Ok(());
    }
    Err(Fault::denied(format!("{} may not {}", actor.who.name, command.name()))
        .why(format!("it needs role {}, yours is {}", needed.name(), actor.role.name()))
        .next("come with another token, or by the agent's own socket"))
}

/// PostgreSQL keeps no NUL in a text, so neither engine gets one.
///
/// # Errors
/// `Invalid`.
pub(super) fn refuse_nul(envelope: &Envelope) -> Result<()> {
    fn holds_nul(value: &serde_json::Value) -> bool {
        match value {
            serde_json::Value::String(text) => text.contains('\0'),
            serde_json::Value::Array(items) => items.iter().any(holds_nul),
            serde_json::Value::Object(fields) => fields.iter().any(|(k, v)| k.contains('\0') || holds_nul(v)),
            _ => false,
        }
    }
    if holds_nul(&json(envelope)) {
        return Err(Fault::invalid("a text of the command holds a NUL character").next("send it without"));
    }
    Ok(())
}

/// The reason as it will be recorded. What touches production needs one from whoever can give it.
///
/// # Errors
/// `Refused` where one is missing.
pub(super) async fn settle_reason(ctx: &Ctx, actor: &Actor, envelope: &Envelope) -> Result<String> {
    const TAG: &str = "opsroom.reason";
    let given = envelope.reason.trim();
    if !given.is_empty() {
        return Ok(given.to_owned());
    }
    let Command::Registry(command) = &envelope.command else { return Ok(String::new()) };
    let Ok(now) = registry::model(Source::Pool(ctx.db.read()), command.model(), None).await else {
        return Ok(String::new());
    };
    let tagged = command.version().and_then(|v| now.version(v)).and_then(|v| v.doc.tags.get(TAG));
    if let Some(tagged) = tagged.filter(|t| !t.trim().is_empty()) {
        return Ok(tagged.clone());
    }
    let stage_change = matches!(command, registry::Command::SetStage { .. });
    let production = registry::touches_production(command, &now);
    let required = (production && actor.can_give_reason) || (stage_change && ctx.settings.registry.reason_required);
    if required {
        return Err(Fault::refused(format!("{} of {} needs a reason", command.name(), command.target()))
            .why("whoever looks at the audit trail later wants to know why")
            .next(format!("give one with --reason, or as the version's tag {TAG}")));
    }
    Ok(if stage_change { "not given".to_owned() } else { String::new() })
}
