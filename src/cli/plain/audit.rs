//! The audit trail in sentences.

use super::words;
use crate::base::{fault::Result, show};
use crate::capability::audit::{AuditPage, AuditQuery, Record};
use crate::client::Client;

pub(super) async fn page(client: &Client, before: Option<i64>, rows: usize) -> Result<AuditPage> {
    client.audit(&AuditQuery { before, limit: rows.max(1), ..AuditQuery::default() }).await
}

pub(super) async fn say(client: &Client, seq: Option<i64>, rows: usize) -> Result<Vec<String>> {
    if let Some(seq) = seq {
        return Ok(full(&client.audit_record(seq).await?));
    }
    let page = page(client, None, rows).await?;
    if page.records.is_empty() {
        return Ok(vec!["Nothing has been changed yet: every change leaves a record here.".into()]);
    }
    let mut said = vec![format!(
        "{}. The newest {} follow, newest first.",
        show::many(page.total.unsigned_abs(), "record", "records"),
        show::count(page.records.len() as u64)
    )];
    said.extend(page.records.iter().map(sentence));
    Ok(said)
}

/// `Record 12 of 2026-…: kim by tui, set-stage m v3, from staging to prod, because "…".`
pub(super) fn sentence(r: &Record) -> String {
    let identity = if r.verified { "" } else { ", not verified," };
    let detail = r.detail.clone().unwrap_or_default();
    let mut text = format!(
        "Record {} of {}: {}{identity} by {}, {} {}",
        r.seq,
        show::moment(r.at),
        r.actor,
        r.via,
        r.command,
        r.target
    );
    match (detail.from.is_empty(), detail.to.is_empty()) {
        (true, true) => {}
        (true, false) => text.push_str(&format!(", to {}", words::quoted(&detail.to))),
        (false, true) => text.push_str(&format!(", from {}", words::quoted(&detail.from))),
        (false, false) => {
            text.push_str(&format!(", from {} to {}", words::quoted(&detail.from), words::quoted(&detail.to)));
        }
    }
    if !detail.reason.is_empty() {
        text.push_str(&format!(", because {}", words::quoted(&detail.reason)));
    }
    if r.outcome != "ok" {
        let why = detail.answer.get("what").and_then(serde_json::Value::as_str).unwrap_or(&r.outcome).to_owned();
        text.push_str(&format!(". It was refused: {}", why.trim_end_matches('.')));
    }
    if r.detail.is_none() {
        text.push_str(". Its texts were erased");
    }
    text.push('.');
    text
}

fn full(r: &Record) -> Vec<String> {
    let mut said = vec![sentence(r)];
    if let Some(detail) = &r.detail {
        said.push(format!("The command as it came: {}.", detail.command));
        said.push(format!("The answer: {}.", detail.answer));
    }
    said.extend(r.idempotency_key.iter().map(|key| format!("Its idempotency key is {key}.")));
    said.push(format!("Its digest is {}, the one before it {}.", r.digest, r.previous));
    said.push(format!("Whether the chain holds says opsroom audit evidence {}.", r.seq));
    said
}
