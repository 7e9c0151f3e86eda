//! `opsroom import`: takes what another tool wrote into the agent's store.

use std::path::PathBuf;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::print::{self, Page, Table};
use super::{Exit, Session};
use crate::base::{fault::Result, show};
use crate::local::{Files, Import, Report, Store};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Experiments, runs, models and registry of an mlruns folder or an mlflow.db. What is here already is left alone,
    /// so an import that was interrupted is simply begun again
    Mlflow {
        path: PathBuf,
        /// Why; it stands in the audit trail with each version
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
        /// Say what is there and change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// # Errors
/// `NotFound`, `Invalid` for a path that holds no runs; `Unavailable`.
pub async fn run(session: &Session, verb: Verb) -> Result<Exit> {
    let Verb::Mlflow { path, reason, dry_run } = verb;
    session.check_writable()?;
    let store = Store::open(&path).await?;
    if dry_run {
        return would(session, &store).await;
    }
    let client = session.client().await?;
    let bar = progress();
    let told = |done: u64, of: u64| {
        bar.set_length(of);
        bar.set_position(done);
    };
    let report = Import::new(client, &store, Files::Copy, &told).because(&reason).all().await;
    bar.finish_and_clear();
    print::answer(session.format, &report?, report_page)?;
    Ok(Exit::Done)
}

/// A bar on stderr, if that is a terminal.
pub fn progress() -> ProgressBar {
    let style = ProgressStyle::with_template("  {bar:40} {pos} of {len} runs  {elapsed} elapsed, {eta} to go");
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = style { bar.with_style(style) } else { bar }
}

async fn would(session: &Session, store: &Store) -> Result<Exit> {
    let mut skipped = Vec::new();
    let experiments = store.experiments(&mut skipped).await?;
    let registered = store.registered(&mut skipped).await?;
    let found = json!({
        "experiments": experiments.len(),
        "runs": experiments.iter().map(|e| e.runs.len()).sum::<usize>(),
        "models": experiments.iter().map(|e| e.models.len()).sum::<usize>(),
        "versions": registered.iter().map(|m| m.versions.len()).sum::<usize>(),
        "dry_run": true,
    });
    print::answer(session.format, &found, |found| {
        let figure = |name: &str| found[name].as_u64().map(show::count).unwrap_or_default();
        let pairs = ["experiments", "runs", "models", "versions"].map(|name| (name, figure(name)));
        Page::default().line("there (dry run: nothing was imported)").pairs(pairs)
    })?;
    Ok(Exit::Done)
}

fn report_page(report: &Report) -> Page {
    let mut table = Table::new(&["", "NEW>", "HERE ALREADY>"]);
    let mut row = |what: &str, new: u64, known: u64| table.row([what.to_owned(), show::count(new), show::count(known)]);
    row("runs", report.runs_new, report.runs_known);
    row("logged models", report.models_new, report.models_known);
    row("versions", report.versions_new, report.versions_known);
    let page = Page::from(table).line(format!(
        "{} metric points, {} files ({}), {} experiments made",
        show::count(report.points),
        show::count(report.files),
        show::bytes(report.bytes),
        show::count(report.experiments)
    ));
    if report.skipped.is_empty() {
        return page;
    }
    let mut skipped = Table::new(&["SKIPPED", "WHY"]);
    report.skipped.iter().for_each(|d| skipped.row([d.place.clone(), d.why.clone()]));
    page.titled(&format!("{} things were skipped or changed:", report.skipped.len()), skipped)
}
