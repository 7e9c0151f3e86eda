//! `opsroom gc`: takes away what is kept for too long, and what nothing refers to.

use clap::Args;
use serde::Serialize;

use super::change::Change;
use super::print::{self, Page, Table};
use super::{Exit, Session};
use crate::base::{fault::Result, show};
use crate::capability::keeping::{self, Plan};
use crate::capability::{Command, Outcome};

/// Take away what is kept for longer than `[retention]` says, and files that nothing refers to
#[derive(Debug, Args)]
pub struct Gc {
    /// Only what `[retention]` says, as the agent does by itself every day
    #[arg(long)]
    retention_only: bool,
    #[command(flatten)]
    change: Change,
}

#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    bytes: u64,
    #[serde(flatten)]
    outcome: Option<&'a Outcome>,
}

/// # Errors
/// `Denied`, `Unavailable`.
pub(super) async fn run(session: &Session, it: Gc) -> Result<Exit> {
    session.check_writable()?;
    let unreferenced = !it.retention_only;
    let plan = session.client().await?.garbage(unreferenced).await?;
    let command = Command::Keeping(keeping::Command::CollectGarbage { unreferenced });
    // Nothing to do is no decision.
    let outcome = if plan.items.is_empty() { None } else { Some(it.change.perform(session, command).await?) };
    let told = Told { plan: &plan, bytes: plan.bytes(), outcome: outcome.as_ref() };
    print::answer(session.format, &told, page)?;
    Ok(Exit::Done)
}

fn page(told: &Told<'_>) -> Page {
    let mut table = Table::new(&["WHAT", "N>", "SIZE>", "WHY"]);
    for item in &told.plan.items {
        table.row([item.what.clone(), item.n.to_string(), show::bytes(item.bytes), item.why.clone()]);
    }
    let mut page = Page::default();
    if !table.is_empty() {
        page = page.table(table);
    }
    for warning in &told.plan.warnings {
        page = page.line(format!("! {warning}"));
    }
    page.line(match told.outcome {
        None => "nothing to collect".to_owned(),
        Some(o) if o.dry_run => format!("would free {} (dry run: nothing was changed)", show::bytes(told.bytes)),
        Some(o) => format!(
            "freed {} (audit #{}); the store's file keeps its size and uses the room again",
            show::bytes(told.bytes),
            o.audit
        ),
    })
}
