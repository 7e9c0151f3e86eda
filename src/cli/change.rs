//! What every changing verb has in common: a reason, a dry run, compare-and-set, and how the outcome is told.

use clap::Args;
use serde::Serialize;

use super::print::{self, Page, Table};
use super::{Exit, Session};
use crate::base::fault::Result;
use crate::capability::{Command, Envelope, Outcome};

/// Flags of a changing verb.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "For every change")]
pub struct Change {
    /// Why; it stands in the audit trail. What touches production needs one
    #[arg(long, default_value = "", hide_default_value = true)]
    pub reason: String,
    /// Check everything and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Refuse when it has moved past this generation
    #[arg(long, value_name = "N")]
    pub generation: Option<i64>,
    /// The same key never acts twice
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
}

impl Change {
    /// Performs one command.
    ///
    /// # Errors
    /// What the agent refused.
    pub async fn perform(&self, session: &Session, command: Command) -> Result<Outcome> {
        session.check_writable()?;
        let envelope = Envelope {
            command,
            reason: self.reason.clone(),
            generation: self.generation,
            idempotency_key: self.idempotency_key.clone(),
            dry_run: self.dry_run,
        };
        session.client().await?.perform(&envelope).await
    }

    /// Performs one command and tells its outcome.
    ///
    /// # Errors
    /// What the agent refused.
    pub async fn run(&self, session: &Session, command: Command) -> Result<Exit> {
        let outcome = self.perform(session, command).await?;
        print::answer(session.format, &outcome, |o| told(std::slice::from_ref(o)))?;
        Ok(Exit::Done)
    }

    /// Performs the same on several things, in order, and tells all outcomes. The first refusal ends it.
    ///
    /// # Errors
    /// What the agent refused.
    pub async fn run_all(&self, session: &Session, commands: Vec<Command>) -> Result<Exit> {
        let mut outcomes = Vec::new();
        for (i, command) in commands.into_iter().enumerate() {
            // One key a command, so that a repetition finds each of them.
            let key = self.idempotency_key.as_ref().map(|key| if i == 0 { key.clone() } else { format!("{key}/{i}") });
            let one = Self { idempotency_key: key, ..self.clone() };
            outcomes.push(one.perform(session, command).await?);
        }
        print::answer(session.format, &outcomes, |o| told(o))?;
        Ok(Exit::Done)
    }
}

fn told(outcomes: &[Outcome]) -> Page {
    let mut table = Table::new(&["", "", "", ""]);
    for o in outcomes {
        let change = if o.from.is_empty() { o.to.clone() } else { format!("{} -> {}", o.from, o.to) };
        let note = match (o.dry_run, o.replayed) {
            (true, _) => "(dry run: nothing was changed)".to_owned(),
            (_, true) => format!("(done before: audit #{})", o.audit),
            _ => format!("(audit #{})", o.audit),
        };
        table.row([o.command.clone(), o.target.clone(), change, note]);
    }
    table.into()
}

/// What a change did that is logged and not decided: tags and notes.
#[derive(Debug, Serialize)]
pub struct Logged {
    pub run: String,
    /// `null`: removed.
    pub tags: std::collections::BTreeMap<String, Option<String>>,
    pub dry_run: bool,
}

/// Tells what was tagged.
///
/// # Errors
/// `Unavailable` when stdout cannot be written.
pub fn tell_logged(session: &Session, logged: &[Logged]) -> Result<Exit> {
    print::answer(session.format, logged, |all| {
        let mut table = Table::new(&["", "", ""]);
        for one in all {
            let note = if one.dry_run { "(dry run: nothing was changed)" } else { "" };
            for (key, value) in &one.tags {
                let what = value.as_ref().map_or_else(|| format!("{key} removed"), |v| format!("{key}={v}"));
                table.row([format!("run {}", one.run), what, note.to_owned()]);
            }
        }
        table.into()
    })?;
    Ok(Exit::Done)
}
