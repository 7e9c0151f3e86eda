//! `opsroom data`: versions of files and folders, with their profile and the runs that read them.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::backup::Bar;
use super::change::Change;
use super::print::{self, Page, Table};
use super::{Exit, Session, data_show, select};
use crate::base::{Fault, fault::Result, show};
use crate::capability::datasets::DatasetVersion;
use crate::client::Client;
use crate::local::data::{self, Added, Cache, Checkout, Ready, Step, Verified};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a version of a file or a folder; unchanged files are neither read nor sent again
    Add(Add),
    /// All datasets, with what runs have logged beside them
    List,
    /// A dataset's versions, or one version: DATASET or DATASET@V
    Show { dataset: String },
    /// What changed between two versions: DATASET@V DATASET@W (one name: its last two)
    Diff { from: String, to: Option<String> },
    /// Write a version into a folder
    Checkout(CheckoutVerb),
    /// Hold every byte against its digest, in the store or in a folder; exits 9 when something differs
    Verify {
        dataset: String,
        /// A folder or file of this machine to hold against the version, instead of the store
        #[arg(long, value_name = "PATH")]
        at: Option<PathBuf>,
    },
    /// The training profile of a version's tables
    Profile {
        dataset: String,
        /// Only this column
        #[arg(long, short = 'c', value_name = "NAME")]
        column: Option<String>,
    },
}

#[derive(Debug, Args)]
pub struct Add {
    path: PathBuf,
    /// Name of the dataset; else the path's own
    #[arg(long)]
    name: Option<String>,
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// Leave CSV and Parquet files unprofiled
    #[arg(long)]
    no_profile: bool,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
pub struct CheckoutVerb {
    dataset: String,
    /// Where to; else a folder of the dataset's name
    to: Option<PathBuf>,
    /// Overwrite files that differ
    #[arg(long)]
    force: bool,
    /// Hard links to files of this machine where it has them: no copy, but writing into one writes into both
    #[arg(long)]
    hard_link: bool,
}

/// # Errors
/// What was refused or failed.
pub async fn run(session: &Session, verb: Verb) -> Result<Exit> {
    let client = session.client().await?;
    match verb {
        Verb::Add(it) => add(session, client, it).await,
        Verb::List => data_show::list(session, client).await,
        Verb::Show { dataset } => data_show::show(session, client, &dataset).await,
        Verb::Diff { from, to } => super::data_diff::run(session, client, &from, to.as_deref()).await,
        Verb::Checkout(it) => checkout(session, client, it).await,
        Verb::Verify { dataset, at } => verify(session, client, &dataset, at).await,
        Verb::Profile { dataset, column } => data_show::profile(session, client, &dataset, column.as_deref()).await,
    }
}

/// Digests of this machine's files.
pub fn cache(session: &Session) -> Cache {
    Cache::new(session.loaded.paths.cache.join("data"))
}

/// The version that is meant: `NAME` (the newest), `NAME@3` or `NAME@v3`.
///
/// # Errors
/// `NotFound`, `Invalid`.
pub async fn version(client: &Client, text: &str) -> Result<DatasetVersion> {
    let (name, number) = match text.rsplit_once('@') {
        Some((name, number)) => (name, Some(select::number(number)?)),
        None => (text, None),
    };
    let view = client.dataset(name).await?;
    let found = view.versions.into_iter().map(|v| v.version).find(|v| number.is_none_or(|n| v.version == n));
    found.ok_or_else(|| match number {
        Some(n) => crate::capability::datasets::missing_version(name, n),
        None => Fault::not_found(format!("{name} has no version"))
            .why("runs have logged it, but its bytes were never added")
            .next("add them with `opsroom data add`"),
    })
}

/// Shows progress on a terminal, step by step.
pub fn told(bar: &Bar) -> impl Fn(Step, u64, u64) + Sync + '_ {
    |step, done, of| {
        if step.in_bytes() { bar.show_bytes(step.name(), done, of) } else { bar.show(step.name(), done, of) }
    }
}

async fn add(session: &Session, client: &Client, it: Add) -> Result<Exit> {
    session.check_writable()?;
    if it.change.dry_run {
        return rehearse(session, client, &it).await;
    }
    let bar = Bar::default();
    let what = data::Add { path: &it.path, name: it.name, description: it.description, profile: !it.no_profile };
    let ready = data::add(client, &what, &cache(session), &told(&bar)).await;
    bar.clear();
    let added = match ready? {
        Ready::Same(added) => added,
        Ready::New(command, added) => {
            let outcome = it.change.perform(session, crate::capability::Command::Datasets(*command)).await?;
            Added { version: outcome.version.unwrap_or(0), unchanged: outcome.to == "unchanged", ..added }
        }
    };
    print::answer(session.format, &added, added_page)?;
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Rehearsed {
    dataset: String,
    digest: String,
    files: u64,
    bytes: u64,
    dry_run: bool,
}

/// Reads and digests, and sends nothing.
async fn rehearse(session: &Session, client: &Client, it: &Add) -> Result<Exit> {
    let bar = Bar::default();
    let scanned = tokio::task::block_in_place(|| data::scan(&it.path, &cache(session), &told(&bar)));
    bar.clear();
    let scanned = scanned?;
    client.status().await?;
    let told = Rehearsed {
        dataset: it.name.clone().unwrap_or_else(|| it.path.display().to_string()),
        digest: scanned.tree_digest(),
        files: scanned.files.len() as u64,
        bytes: scanned.bytes(),
        dry_run: true,
    };
    print::answer(session.format, &told, |t| {
        Page::default().line(format!("{} files, {} would be added as {}", t.files, show::bytes(t.bytes), t.digest))
    })?;
    Ok(Exit::Done)
}

fn added_page(a: &Added) -> Page {
    let state = if a.unchanged { " (unchanged)".to_owned() } else { format!(", {} new", show::bytes(a.bytes_stored)) };
    let mut page = Page::default().line(format!(
        "{} v{}: {} files, {}{state}",
        a.dataset,
        a.version,
        show::count(a.files),
        show::bytes(a.bytes)
    ));
    for t in &a.tables {
        page = page.line(format!("  {}: {} rows, {} columns profiled", t.path, show::count(t.rows), t.columns));
    }
    a.notes.iter().fold(page, |page, note| page.line(format!("  note: {note}")))
}

async fn checkout(session: &Session, client: &Client, it: CheckoutVerb) -> Result<Exit> {
    let version = version(client, &it.dataset).await?;
    let manifest = client.manifest(&version.dataset, version.version).await?;
    let to = it.to.unwrap_or_else(|| PathBuf::from(&version.dataset));
    let bar = Bar::default();
    let how = Checkout { to: &to, as_file: false, force: it.force, hard_link: it.hard_link };
    let done = data::checkout(client, &manifest, how, &cache(session), &told(&bar)).await;
    bar.clear();
    print::answer(session.format, &done?, |d| {
        Page::default().line(format!(
            "{} v{} in {}: {} files, {} ({} were there, {} linked, {} written)",
            version.dataset,
            version.version,
            to.display(),
            show::count(d.files),
            show::bytes(d.bytes),
            d.kept,
            d.linked,
            d.written
        ))
    })?;
    Ok(Exit::Done)
}

async fn verify(session: &Session, client: &Client, dataset: &str, at: Option<PathBuf>) -> Result<Exit> {
    let version = version(client, dataset).await?;
    let (name, number) = (&version.dataset, version.version);
    let bar = Bar::default();
    let found = match at {
        None => data::verify(client, name, number, &told(&bar)).await,
        Some(at) => {
            let manifest = client.manifest(name, number).await?;
            tokio::task::block_in_place(|| data::verify_at(name, number, &manifest, &at, &cache(session), &told(&bar)))
        }
    };
    bar.clear();
    let found = found?;
    print::answer(session.format, &found, verified_page)?;
    Ok(if found.ok { Exit::Done } else { Exit::Difference })
}

fn verified_page(v: &Verified) -> Page {
    let whole = format!("{} v{}: {} files, {}", v.dataset, v.version, show::count(v.files), show::bytes(v.bytes));
    if v.ok {
        return Page::default().line(format!("{whole}, every byte as it was added"));
    }
    let mut table = Table::new(&["FILE", "WHY"]);
    v.damaged.iter().for_each(|d| table.row([d.path.clone(), d.why.clone()]));
    Page::default().line(format!("{whole}, {} damaged", v.damaged.len())).table(table)
}
