//! `opsroom handover`: what the next shift has to know.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::print::{self, Format, Page};
use super::{Exit, Session, postmortem, times};
use crate::base::clock::SystemClock;
use crate::base::{Clock, Fault, Timestamp, fault::Result, show};
use crate::capability::audit::{AuditQuery, Record};
use crate::capability::fleet::{AskedLive, Fleet, Row};
use crate::capability::monitoring::incident::{self, Incident};

/// Services that a chart is drawn of: the worst come first.
const CHARTS_MAX: usize = 12;
const DECISIONS_MAX: usize = 100;
const HOUR_S: u64 = 3600;

/// What the next shift has to know, in Markdown
#[derive(Debug, Args)]
pub struct Handover {
    /// A date, or how long ago: 12h
    #[arg(long, value_name = "TIME", value_parser = times::past, default_value = "12h")]
    since: Timestamp,
    /// Write it into this folder, with charts beside it
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
}

/// # Errors
/// `Unavailable` when no agent answers, or the folder cannot be written to.
pub async fn run(session: &Session, asked: &Handover) -> Result<Exit> {
    let client = session.client().await?;
    let now = SystemClock.now();
    let seconds = u64::try_from((now.0 - asked.since.0) / 1_000_000).unwrap_or(0).max(60);
    let incidents = client.incidents(None).await?;
    let query = AuditQuery { since: Some(asked.since), limit: 500, ..AuditQuery::default() };
    let records = client.audit(&query).await?.records;
    let fleet = client.fleet(seconds, None).await?;
    let mut text = told(&incidents, asked.since, now);
    services(&mut text, &fleet, seconds);
    decided(&mut text, &records);
    let mut files = Vec::new();
    if let Some(folder) = &asked.to {
        let mut drawn = String::new();
        for row in fleet.services.iter().take(CHARTS_MAX) {
            // What came lately alone is one point of a long window: its course is drawn of the last hour instead.
            for window in [seconds, HOUR_S].into_iter().filter(|w| *w <= seconds) {
                let asked = AskedLive { window, ..AskedLive::default() };
                // A service of which nothing came has no curve.
                let Ok(page) = client.live(&row.service, &asked).await else { break };
                let charts = vec![(format!("handover-{}", row.service), postmortem::quality(&page))];
                let before = files.len();
                postmortem::charts(folder, &mut drawn, charts, &mut files)?;
                if files.len() > before {
                    break;
                }
            }
        }
        if !drawn.is_empty() {
            text.push_str("\n## Charts\n");
            text.push_str(&drawn);
        }
    }
    let _ = writeln!(text, "\nAgain by `opsroom handover --since {}`.", asked.since);
    match &asked.to {
        Some(folder) => files.push(written(folder, &text)?),
        None if session.format != Format::Json => print::out(text.as_bytes())?,
        None => print::answer(session.format, &serde_json::json!({ "markdown": text }), |_| Page::default())?,
    }
    if asked.to.is_some() {
        let paths: Vec<String> = files.iter().map(|p| p.display().to_string()).collect();
        print::answer(session.format, &serde_json::json!({ "files": paths }), |_| {
            paths.iter().fold(Page::default(), |page, path| page.line(path.clone()))
        })?;
    }
    Ok(Exit::Done)
}

fn written(folder: &Path, text: &str) -> Result<PathBuf> {
    let unwritable =
        |e: std::io::Error| Fault::unavailable(format!("cannot write into {}", folder.display())).why(e.to_string());
    std::fs::create_dir_all(folder).map_err(unwritable)?;
    let path = folder.join("handover.md");
    std::fs::write(&path, text).map_err(unwritable)?;
    Ok(path)
}

fn told(incidents: &[Incident], since: Timestamp, now: Timestamp) -> String {
    let mut text = format!("# Handover {} to {}\n\n## Open incidents\n\n", show::moment(since), show::moment(now));
    let (open, closed): (Vec<_>, Vec<_>) =
        incidents.iter().filter(|i| i.closed.is_none_or(|at| at >= since)).partition(|i| i.is_open());
    if open.is_empty() {
        text.push_str("None.\n");
    }
    for i in &open {
        let state = match (i.state(now), i.owner.as_deref()) {
            ("open", None) => "nobody looks after it".to_owned(),
            (state, None) => state.to_owned(),
            (state, Some(owner)) => format!("{state}, {owner} looks after it"),
        };
        let lasts = show::between(i.opened, now);
        let head = incident::headline(i);
        let _ = writeln!(text, "- INC-{} {head}, for {lasts}, {state}: `opsroom incident {}`", i.id, i.id);
    }
    text.push_str("\n## Closed since\n\n");
    if closed.is_empty() {
        text.push_str("None.\n");
    }
    for i in &closed {
        let lasted = show::between(i.opened, i.closed.unwrap_or(now));
        let _ =
            writeln!(text, "- INC-{} {}, lasted {lasted}: `opsroom incident {}`", i.id, incident::headline(i), i.id);
    }
    text
}

/// How each service stands, the worst first.
fn services(text: &mut String, fleet: &Fleet, seconds: u64) {
    text.push_str("\n## Services\n\n");
    if fleet.services.is_empty() {
        text.push_str("None.\n");
        return;
    }
    text.push_str("| service | answers | canary | quality | drift | requests | errors | again by |\n");
    text.push_str("|---|---|---|---|---|---:|---:|---|\n");
    for row in &fleet.services {
        let canary = row.candidate.as_ref().map_or("-".to_owned(), |c| format!("v{} {} %", c.version, c.share));
        let errors = if row.requests == 0 {
            "-".to_owned()
        } else {
            format!("{:.2} %", row.errors as f64 / row.requests as f64 * 100.0)
        };
        let _ = writeln!(
            text,
            "| {} | {} | {canary} | {} | {} | {} | {errors} | `opsroom quality {} --window {seconds}s --to {}` |",
            row.service,
            row.version.as_deref().unwrap_or("-"),
            quality(row),
            drift(row),
            show::count(row.requests),
            row.service,
            fleet.window.to,
        );
    }
}

fn quality(row: &Row) -> String {
    let (figure, about) = match (row.quality, row.estimated) {
        (Some(real), _) => (real, ""),
        (None, Some(guess)) => (guess, "about "),
        (None, None) => return "no labels".to_owned(),
    };
    let bad = row.complaint().map_or(String::new(), |why| format!(", {why}"));
    format!("{} {about}{} (n {}){bad}", row.metric, show::metric(figure.value), show::count(figure.n))
}

fn drift(row: &Row) -> String {
    let Some(worst) = &row.drift else { return "-".to_owned() };
    let alarm = if worst.alarm { ", alarm" } else { "" };
    format!("{} PSI {:.2}{alarm}", worst.column, worst.psi)
}

fn decided(text: &mut String, records: &[Record]) {
    text.push_str("\n## What was decided\n\n");
    // Alerts and incidents are told of above; rules are decisions.
    let told =
        |r: &&Record| !matches!(r.command.as_str(), "raise-alert" | "clear-alert") && !r.command.ends_with("-incident");
    let decided: Vec<_> = records.iter().filter(told).collect();
    if decided.is_empty() {
        text.push_str("Nothing.\n");
    }
    for r in decided.iter().take(DECISIONS_MAX) {
        let refused = if r.outcome == "ok" { String::new() } else { format!(" **{}**", r.outcome) };
        let reason = r.detail.as_ref().map(|d| d.reason.clone()).filter(|t| !t.is_empty());
        let reason = reason.map_or_else(String::new, |t| format!(", \"{t}\""));
        let (at, who, what, on) = (show::clock(r.at), &r.actor, &r.command, &r.target);
        let _ = writeln!(text, "- {at} {who} {what} {on}{refused}{reason} (#{})", r.seq);
    }
    if decided.len() > DECISIONS_MAX {
        let more = decided.len() - DECISIONS_MAX;
        let _ = writeln!(text, "- and {more} more: `opsroom audit list`");
    }
}
