//! `opsroom undo`: takes the last decision back by the one that stands against it.

use clap::Args;

use super::change::Change;
use super::{Exit, Session};
use crate::base::{Fault, fault::Result};
use crate::capability::Command;
use crate::capability::audit::{AuditQuery, Record};
use crate::capability::inverse::inverse;
use crate::client::Client;

/// Take your last decision back, or the one of a record; it becomes a record of its own
#[derive(Debug, Args)]
pub struct Undo {
    /// Number of the record; your newest accepted one, if none is given
    seq: Option<i64>,
    #[command(flatten)]
    change: Change,
}

/// # Errors
/// `Refused` where nothing stands against it, `Conflict` when what it is about has moved on since.
pub(super) async fn run(session: &Session, it: Undo) -> Result<Exit> {
    let client = session.client().await?;
    let record = match it.seq {
        Some(seq) => client.audit_record(seq).await?,
        None => newest(client).await?,
    };
    let what = format!("#{} {} {}", record.seq, record.command, record.target);
    if record.outcome != "ok" {
        return Err(Fault::refused(format!("{what} was refused: there is nothing to take back")));
    }
    let detail = record.detail.clone().ok_or_else(|| {
        Fault::refused(format!("the texts of {what} were erased")).next("make the change that you want by its own verb")
    })?;
    let command: Command = serde_json::from_value(detail.command)
        .map_err(|e| Fault::refused(format!("{what} is of another version of opsroom")).why(e.to_string()))?;
    let back = inverse(&command, &detail.from)
        .map_err(|instead| Fault::refused(format!("{what} has no way back of its own")).next(instead))?;
    if let Some(later) = later(client, &record).await? {
        return Err(Fault::conflict(format!("{} has moved on since {what}", record.target))
            .why(format!("#{} {} by {}", later.seq, later.command, later.actor))
            .next(format!("opsroom undo {} takes that back first", later.seq)));
    }
    let mut change = it.change;
    if change.reason.is_empty() {
        change.reason = format!("undo of #{}", record.seq);
    }
    change.run(session, back).await
}

/// The caller's newest accepted decision.
async fn newest(client: &Client) -> Result<Record> {
    let me = client.status().await?.actor;
    let query = AuditQuery { actor: Some(me.clone()), refused: Some(false), limit: 1, ..AuditQuery::default() };
    let page = client.audit(&query).await?;
    page.records.into_iter().find(|r| r.actor == me).ok_or_else(|| {
        Fault::not_found(format!("{me} has decided nothing yet")).next("see `opsroom audit list`, and name a record")
    })
}

/// A later accepted decision about the same thing.
async fn later(client: &Client, record: &Record) -> Result<Option<Record>> {
    let query =
        AuditQuery { target: Some(record.target.clone()), refused: Some(false), limit: 50, ..AuditQuery::default() };
    let page = client.audit(&query).await?;
    Ok(page.records.into_iter().find(|r| r.seq > record.seq && r.target == record.target))
}
