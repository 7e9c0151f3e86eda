//! `opsroom import`: takes what another tool wrote into the agent's store.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::print::{self, Page, Table};
use super::{Exit, Session};
use crate::base::{fault::Result, show};
use crate::local::found::Damage;
use crate::local::wandb::{Folder, Taken, Taking};
use crate::local::{Files, Follow, Import, Report, Store};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Experiments, runs, models and registry of an mlruns folder, an mlflow.db or a live MLflow server. What is here already
    /// is left alone, so an import that was interrupted is simply begun again
    Mlflow {
        /// A folder, a file, or the address of a server: http://HOST:PORT
        path: PathBuf,
        /// Go on with what is added, until Ctrl-C
        #[arg(long)]
        follow: bool,
        /// Of a server: ask for everything, not only for what began, ended or goes on since the last time
        #[arg(long)]
        full: bool,
        /// To a server: tell it stages and aliases that are decided here, and what the gates say; nothing else
        #[arg(long)]
        write_back: bool,
        /// Why; it stands in the audit trail with each version
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
        /// Say what is there and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Runs from a folder that Weights & Biases' client wrote, without W&B and without a network. Each line is taken once,
    /// also of runs that came live, so it can be begun again at any time
    Wandb {
        /// A wandb folder, a run's folder in it, or a .wandb file
        path: PathBuf,
        /// Go on with what is added, until Ctrl-C
        #[arg(long)]
        follow: bool,
        /// Why
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
        /// Say what is there and change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// Between two looks at files that grow.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// Things skipped that are told of, each once.
const SKIPPED_TOLD_MAX: usize = 1000;
/// Between two looks at a server.
const MIRROR_PERIOD: Duration = Duration::from_secs(10);

/// # Errors
/// `NotFound`, `Invalid` for a path that holds no runs; `Unavailable`.
pub async fn run(session: &Session, verb: Verb) -> Result<Exit> {
    session.check_writable()?;
    let (path, reason, dry_run) = match verb {
        Verb::Mlflow { path, follow, full, write_back, dry_run, .. } if is_address(&path) => {
            let wanted = Mirror { url: path.to_string_lossy().into_owned(), follow, full, write_back, dry_run };
            return mirror(session, &wanted).await;
        }
        Verb::Mlflow { path, follow: true, .. } => return follow_files(session, &path).await,
        Verb::Mlflow { path, reason, dry_run, .. } => (path, reason, dry_run),
        Verb::Wandb { path, follow, dry_run, .. } => return wandb(session, &path, follow, dry_run).await,
    };
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

fn is_address(path: &Path) -> bool {
    path.to_str().is_some_and(|p| p.starts_with("http://") || p.starts_with("https://"))
}

/// A server that is to be mirrored, and how: each is a switch of its own.
#[allow(clippy::struct_excessive_bools)]
struct Mirror {
    url: String,
    follow: bool,
    full: bool,
    write_back: bool,
    dry_run: bool,
}

async fn mirror(session: &Session, wanted: &Mirror) -> Result<Exit> {
    let client = session.client().await?;
    let store = Store::server(&wanted.url, client, wanted.full || wanted.dry_run).await?;
    if wanted.dry_run {
        return would(session, &store).await;
    }
    let mut follow = Follow::new(client.clone(), store, Files::Copy);
    begin(session, &mut follow).await?;
    // What goes on there since an earlier time is gone on with once in any case.
    let mut told = Told::default();
    if follow.has_going() {
        told.tell(follow.look().await?);
    }
    if wanted.write_back {
        let told = follow.store().write_back(client).await?;
        eprintln!("opsroom: {} told {told} stages, aliases and verdicts", wanted.url);
    }
    if !wanted.follow {
        return Ok(Exit::Done);
    }
    until_interrupted(async {
        loop {
            tokio::time::sleep(MIRROR_PERIOD).await;
            let looked = match follow.look().await {
                Ok(skipped) if wanted.write_back => follow.store().write_back(client).await.map(|_| skipped),
                other => other,
            };
            told.look(looked);
        }
    })
    .await
}

async fn follow_files(session: &Session, path: &Path) -> Result<Exit> {
    let mut follow = Follow::new(session.client().await?.clone(), Store::open(path).await?, Files::Copy);
    begin(session, &mut follow).await?;
    let mut told = Told::default();
    until_interrupted(async {
        loop {
            tokio::time::sleep(LOOK_PERIOD).await;
            told.look(follow.look().await);
        }
    })
    .await
}

/// What is said while following: each thing once, not at every look.
#[derive(Default)]
struct Told {
    failing: Option<String>,
    skipped: HashSet<String>,
}

impl Told {
    /// A failure ends nothing: a server that is away, or answers oddly while it is upgraded, is there again some time.
    fn look(&mut self, looked: Result<Vec<Damage>>) {
        match looked {
            Ok(skipped) => {
                if self.failing.take().is_some() {
                    eprintln!("opsroom: it goes on");
                }
                self.tell(skipped);
            }
            Err(fault) => {
                let said = fault.to_string();
                if self.failing.as_ref() != Some(&said) {
                    eprintln!("opsroom: {said}. It is tried again until Ctrl-C");
                }
                self.failing = Some(said);
            }
        }
    }

    fn tell(&mut self, skipped: Vec<Damage>) {
        for damage in skipped {
            let said = format!("{}: {}", damage.place, damage.why);
            if self.skipped.len() < SKIPPED_TOLD_MAX && self.skipped.insert(said.clone()) {
                eprintln!("opsroom: {said}");
            }
        }
    }
}

async fn begin(session: &Session, follow: &mut Follow) -> Result<()> {
    let bar = progress();
    let told = |done: u64, of: u64| {
        bar.set_length(of);
        bar.set_position(done);
    };
    let report = follow.begin(&told).await;
    bar.finish_and_clear();
    print::answer(session.format, &report?, report_page)
}

async fn until_interrupted(work: impl Future<Output = Result<Exit>>) -> Result<Exit> {
    eprintln!("opsroom: following; Ctrl-C ends");
    tokio::select! {
        ended = work => ended,
        _ = tokio::signal::ctrl_c() => Ok(Exit::Done),
    }
}

async fn wandb(session: &Session, path: &Path, follow: bool, dry_run: bool) -> Result<Exit> {
    let folder = Folder::open(path)?;
    if dry_run {
        let found = json!({ "logs": folder.logs().len(), "dry_run": true });
        print::answer(session.format, &found, |found| {
            Page::default().line(format!("{} logs of runs are there (dry run: nothing was imported)", found["logs"]))
        })?;
        return Ok(Exit::Done);
    }
    let bar = progress();
    let told = |done: u64, of: u64| {
        bar.set_length(of);
        bar.set_position(done);
    };
    let mut taking = Taking::new(session.client().await?.clone(), folder, Files::Copy);
    let taken = taking.look(&told).await;
    bar.finish_and_clear();
    print::answer(session.format, &taken?, wandb_page)?;
    if !follow {
        return Ok(Exit::Done);
    }
    let mut told = Told::default();
    until_interrupted(async {
        loop {
            tokio::time::sleep(LOOK_PERIOD).await;
            told.look(taking.look(&|_, _| {}).await.map(|taken| taken.skipped));
        }
    })
    .await
}

fn wandb_page(taken: &Taken) -> Page {
    let page = Page::default().line(format!(
        "{} runs new, {} here already; {} metric points, {} artifacts, {} files ({})",
        show::count(taken.runs_new),
        show::count(taken.runs_known),
        show::count(taken.points),
        show::count(taken.artifacts),
        show::count(taken.files),
        show::bytes(taken.bytes)
    ));
    skipped_page(page, &taken.skipped)
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
    skipped_page(page, &report.skipped)
}

fn skipped_page(page: Page, damage: &[Damage]) -> Page {
    if damage.is_empty() {
        return page;
    }
    let mut skipped = Table::new(&["SKIPPED", "WHY"]);
    damage.iter().for_each(|d| skipped.row([d.place.clone(), d.why.clone()]));
    page.titled(&format!("{} things were skipped or changed:", damage.len()), skipped)
}
