//! `opsroom doctor`: what is in place, what bites later, and what pays next.

use std::path::PathBuf;

use clap::Args;

use super::print::{self, Format, Page, Table};
use super::{Exit, Session};
use crate::base::clock::{Clock, SystemClock};
use crate::base::fault::Result;
use crate::local::doctor::{self, Check, Finding, Report, State, Surroundings};

/// Look at the machine, the agent and a repository; nothing is changed
#[derive(Debug, Args)]
pub struct Doctor {
    /// Repository or folder to look at
    #[arg(default_value = ".")]
    path: PathBuf,
}

/// Never starts an agent: whether there is one is part of the question.
///
/// # Errors
/// `Unavailable` when stdout cannot be written.
pub async fn run(session: &Session, asked: &Doctor) -> Result<Exit> {
    let around = Surroundings {
        variable: |name| std::env::var(name).ok(),
        size: rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|s| (s.ws_col, s.ws_row)).filter(|s| s.0 > 0),
        data: session.loaded.paths.data.clone(),
        listen: session.loaded.agent_settings().listen,
    };
    let folder = asked.path.clone();
    // Reading a long history must not hold up the agent's answers.
    let repository = tokio::task::spawn_blocking(move || doctor::repository(&folder));
    let client = session.running().await;
    let answered = match &client {
        Ok(client) => client.status().await,
        Err(fault) => Err(fault.clone()),
    };
    let evidence = match &client {
        Ok(client) if answered.is_ok() => Some(doctor::gather(client).await?),
        _ => None,
    };
    let mut checks = doctor::machine(&around);
    checks.extend(doctor::reachable(&around, &answered, SystemClock.now()));
    let mut findings = evidence.as_ref().map(doctor::Evidence::findings).unwrap_or_default();
    let repository = repository.await.ok();
    findings.extend(repository.iter().flat_map(|r| r.findings.clone()));
    let capabilities = doctor::readiness(evidence.as_ref());
    let report = Report { capabilities, findings, checks };
    let looked = repository.map(|r| match r.root {
        Some(root) => format!("looked at {} and its history, {} files", root.display(), r.files),
        None => format!("looked at {}, {} files; it is in no git repository", asked.path.display(), r.files),
    });
    print::answer(session.format, &report, |r| page(r, session.format, looked.as_deref()))?;
    Ok(Exit::Done)
}

fn page(report: &Report, format: Format, looked: Option<&str>) -> Page {
    let (mut capabilities, mut checks) = (Table::new(&["", "CAPABILITY", "EVIDENCE"]), Table::new(&["", "", ""]));
    for c in &report.capabilities {
        row(&mut capabilities, format, c.state, c.name, &c.evidence, &c.next);
    }
    for Check { name, state, found, next } in &report.checks {
        row(&mut checks, format, *state, name, found, next);
    }
    let mut page = Page::default().table(capabilities).titled("Where you are", checks);
    if format == Format::Table && !report.findings.is_empty() {
        page = page.line("").line("What bites later");
    }
    for finding in &report.findings {
        page = told(page, finding);
    }
    if let Some(looked) = looked {
        page = page.line("").line(looked);
    }
    match report.next() {
        Some(next) => page.line(format!("next: {}: {}", next.name, next.next)),
        None if report.capabilities.iter().all(|c| c.state == State::Good) => {
            page.line("next: nothing; all is in place")
        }
        None => page,
    }
}

fn told(page: Page, finding: &Finding) -> Page {
    let mut page = page.line(format!("! {}", finding.what));
    for place in &finding.places {
        page = page.line(format!("    {place}"));
    }
    if finding.more > 0 {
        page = page.line(format!("    and {} more", finding.more));
    }
    page.line(format!("  next: {}", finding.next))
}

/// People read what to do beneath what was found; scripts get it as a field of the same line.
fn row(table: &mut Table, format: Format, state: State, name: &str, found: &str, next: &str) {
    if format == Format::Plain {
        return table.row([state.word(), name, found, next].map(String::from));
    }
    table.row([state.sign(), name, found].map(String::from));
    if !next.is_empty() {
        table.row([String::new(), String::new(), format!("→ {next}")]);
    }
}
