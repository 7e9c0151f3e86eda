//! `opsroom audit`: who did what, when and why, and whether the trail holds.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::plain::Saying;
use super::print::{self, Page, Table};
use super::{Exit, Session, times};
use crate::base::{Fault, Timestamp, fault::Result, show};
use crate::capability::audit::{AuditPage, AuditQuery, Record, SignedHead, Verification};

/// Without a verb, the screen of the audit trail.
#[derive(Debug, Args)]
pub struct Audit {
    #[command(flatten)]
    pub saying: Saying,
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Records, newest first
    List(List),
    /// One record with all its texts
    Show { seq: i64 },
    /// Check the chain; ends with 9 when it does not hold
    Verify {
        /// Signed heads that were kept elsewhere, one JSON object a line
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
    },
    /// A record with the proof that it stands in an unbroken chain; or of a MODEL's VERSION all that an auditor asks, in a
    /// folder: card, data, evals, gates, approvals, rollouts, incidents, cost, decisions, proof
    Evidence {
        /// Number of a record, or a model
        what: String,
        version: Option<String>,
        /// A new folder
        #[arg(long, value_name = "FOLDER", requires = "version")]
        to: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub struct List {
    /// Since: 24h, 7d, or a date
    #[arg(long, value_parser = times::past, value_name = "TIME")]
    since: Option<Timestamp>,
    #[arg(long, value_parser = times::past, value_name = "TIME")]
    until: Option<Timestamp>,
    #[arg(long)]
    actor: Option<String>,
    /// Such as set-stage
    #[arg(long)]
    command: Option<String>,
    /// Part of what it was about, such as a model's name
    #[arg(long)]
    target: Option<String>,
    /// Part of who, what, what it was about, or any of its texts, such as the reason
    #[arg(long)]
    text: Option<String>,
    /// How they came: tui, cli, api or monitor
    #[arg(long)]
    via: Option<String>,
    /// Not by this actor
    #[arg(long, value_name = "ACTOR")]
    not_actor: Option<String>,
    /// Only what was refused
    #[arg(long)]
    refused: bool,
    /// Only records before this one
    #[arg(long, value_name = "SEQ")]
    before: Option<i64>,
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

/// # Errors
/// What the agent refused.
pub async fn run(session: &Session, verb: Verb) -> Result<Exit> {
    match verb {
        Verb::List(it) => list(session, it).await,
        Verb::Show { seq } => {
            let record = session.client().await?.audit_record(seq).await?;
            print::answer(session.format, &record, record_page)?;
            Ok(Exit::Done)
        }
        Verb::Verify { checkpoint } => verify(session, checkpoint.as_deref()).await,
        Verb::Evidence { what, version: Some(version), to } => {
            let to = to.unwrap_or_else(|| format!("{what}-v{}-evidence", version.trim_start_matches('v')).into());
            super::audit_evidence::write(session, &what, &version, &to).await
        }
        Verb::Evidence { what, version: None, .. } => match what.parse() {
            Ok(seq) => evidence(session, seq).await,
            Err(_) => Err(Fault::invalid(format!("{what:?} is no number of a record"))
                .next(format!("name a version, too: opsroom audit evidence {what} VERSION --to FOLDER"))),
        },
    }
}

async fn list(session: &Session, it: List) -> Result<Exit> {
    let query = AuditQuery {
        since: it.since,
        until: it.until,
        actor: it.actor,
        command: it.command,
        target: it.target,
        refused: it.refused.then_some(true),
        before: it.before,
        via: it.via,
        not_actor: it.not_actor,
        text: it.text,
        offset: 0,
        limit: it.limit,
    };
    let page = session.client().await?.audit(&query).await?;
    print::answer(session.format, &page, list_page)?;
    Ok(Exit::Done)
}

fn list_page(page: &AuditPage) -> Page {
    let mut table = Table::new(&["#>", "WHEN", "WHO", "HOW", "COMMAND", "TARGET", "FROM -> TO", "OUTCOME", "REASON"]);
    for r in &page.records {
        let detail = r.detail.clone().unwrap_or_default();
        let change = if detail.from.is_empty() && detail.to.is_empty() {
            String::new()
        } else {
            format!("{} -> {}", detail.from, detail.to)
        };
        // An identity that was only claimed is marked.
        let who = if r.verified { r.actor.clone() } else { format!("{}?", r.actor) };
        table.row([
            r.seq.to_string(),
            show::moment(r.at),
            who,
            r.via.clone(),
            r.command.clone(),
            r.target.clone(),
            change,
            r.outcome.clone(),
            detail.reason,
        ]);
    }
    let shown = page.records.len() as u64;
    Page::from(table).line(format!(
        "{} of {} records; `who?` was claimed, not verified",
        show::count(shown),
        show::count(page.matched.unsigned_abs())
    ))
}

fn record_page(r: &Record) -> Page {
    let detail = r.detail.clone().unwrap_or_default();
    let json = |v: &serde_json::Value| if v.is_null() { String::new() } else { v.to_string() };
    Page::default().pairs([
        ("record", format!("#{}", r.seq)),
        ("when", r.at.to_string()),
        ("who", format!("{} ({}, {})", r.actor, if r.verified { "verified" } else { "claimed" }, r.via)),
        ("command", r.command.clone()),
        ("target", r.target.clone()),
        ("from", detail.from),
        ("to", detail.to),
        ("reason", detail.reason),
        ("outcome", r.outcome.clone()),
        ("as it came", json(&detail.command)),
        ("answer", json(&detail.answer)),
        ("texts", if r.detail.is_none() { "erased".to_owned() } else { String::new() }),
        ("digest", r.digest.clone()),
        ("previous", r.previous.clone()),
    ])
}

async fn verify(session: &Session, checkpoint: Option<&Path>) -> Result<Exit> {
    let further = checkpoint.map_or(Ok(Vec::new()), heads)?;
    let found = session.client().await?.verify_audit(&further).await?;
    print::answer(session.format, &found, verification_page)?;
    Ok(if found.ok { Exit::Done } else { Exit::Difference })
}

fn verification_page(found: &Verification) -> Page {
    let verdict = if found.ok {
        format!(
            "the audit trail holds: {} records, {} signed heads",
            show::count(found.records.unsigned_abs()),
            found.heads
        )
    } else {
        format!("the audit trail does not hold at record #{}: {}", found.first_bad.unwrap_or(0), found.why)
    };
    let mut table = Table::new(&[""]);
    table.row([verdict]);
    let page = Page::from(table);
    if found.erased == 0 { page } else { page.line(format!("the texts of {} records were erased", found.erased)) }
}

/// Signed heads from a file: one a line, or a list.
fn heads(path: &Path) -> Result<Vec<SignedHead>> {
    let problem = |why: String| Fault::invalid(format!("cannot read signed heads from {}", path.display())).why(why);
    let text = std::fs::read_to_string(path).map_err(|e| problem(e.to_string()))?;
    if text.trim_start().starts_with('[') {
        return serde_json::from_slice(text.as_bytes()).map_err(|e| problem(e.to_string()));
    }
    let lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
    lines
        .map(|(i, l)| serde_json::from_slice(l.as_bytes()).map_err(|e| problem(format!("line {}: {e}", i + 1))))
        .collect()
}

#[derive(Serialize)]
struct Evidence {
    record: Record,
    /// The whole chain was read when this was written.
    chain: Verification,
}

async fn evidence(session: &Session, seq: i64) -> Result<Exit> {
    let client = session.client().await?;
    let evidence = Evidence { record: client.audit_record(seq).await?, chain: client.verify_audit(&[]).await? };
    print::answer(session.format, &evidence, |e| {
        record_page(&e.record).table({
            let mut table = Table::new(&["", ""]);
            let head = e.chain.head.as_ref().map(|(seq, digest)| format!("#{seq} {digest}")).unwrap_or_default();
            table.row([
                "chain".to_owned(),
                if e.chain.ok { format!("holds over {} records", e.chain.records) } else { e.chain.why.clone() },
            ]);
            table.row(["newest".to_owned(), head]);
            table
        })
    })?;
    Ok(if evidence.chain.ok { Exit::Done } else { Exit::Difference })
}
