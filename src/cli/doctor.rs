//! `opsroom doctor`: what is in place, what bites later, and what pays next.

use std::path::PathBuf;

use clap::Args;

use super::print::{self, Format, Page, Table};
use super::{Exit, Session};
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
    let around = Surroundings::here(session.loaded.paths.data.clone(), session.loaded.agent_settings().listen);
    let (report, looked) = doctor::look(session.running().await, &around, &asked.path).await?;
    print::answer(session.format, &report, |r| page(r, session.format, looked.as_deref()))?;
    Ok(Exit::Done)
}

fn page(report: &Report, format: Format, looked: Option<&str>) -> Page {
    let (mut capabilities, mut checks) = (Table::new(&["", "CAPABILITY", "EVIDENCE"]), Table::new(&["", "", ""]));
    for c in &report.capabilities {
        row(&mut capabilities, format, c.state, &c.name, &c.evidence, &c.next);
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
