//! `opsroom experiment`: experiments, which hold runs.

use clap::{Args, Subcommand};

use super::change::Change;
use super::print::{self, Page, Table};
use super::{Exit, Session, select};
use crate::base::{fault::Result, show};
use crate::capability::Command;
use crate::capability::tracking::{self, Lifecycle};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// All experiments
    List {
        /// The deleted ones too
        #[arg(long)]
        deleted: bool,
    },
    /// Mark an experiment and its runs as deleted; it can be taken back
    Delete(Which),
    /// Take a deleted experiment and its runs back
    Restore(Which),
}

#[derive(Debug, Args)]
pub struct Which {
    /// By name or number
    experiment: String,
    #[command(flatten)]
    change: Change,
}

/// # Errors
/// What the agent refused.
pub async fn run(session: &Session, verb: Verb) -> Result<Exit> {
    match verb {
        Verb::List { deleted } => list(session, deleted).await,
        Verb::Delete(which) => {
            let id = select::experiment(session.client().await?, &which.experiment).await?.id;
            which.change.run(session, Command::Tracking(tracking::Command::DeleteExperiment { id })).await
        }
        Verb::Restore(which) => {
            let id = select::experiment(session.client().await?, &which.experiment).await?.id;
            which.change.run(session, Command::Tracking(tracking::Command::RestoreExperiment { id })).await
        }
    }
}

async fn list(session: &Session, deleted: bool) -> Result<Exit> {
    let mut all = session.client().await?.experiments().await?;
    all.retain(|e| deleted || e.lifecycle == Lifecycle::Active);
    print::answer(session.format, &all, |all| {
        let mut table = Table::new(&["ID>", "NAME", "RUNS>", "RUNNING>", "CREATED", "STATE"]);
        for e in all {
            let (runs, running) = (show::count(e.runs as u64), show::count(e.running as u64));
            table.row([
                e.id.to_string(),
                e.name.clone(),
                runs,
                running,
                show::moment(e.created),
                e.lifecycle.name().to_owned(),
            ]);
        }
        Page::from(table)
    })?;
    Ok(Exit::Done)
}
