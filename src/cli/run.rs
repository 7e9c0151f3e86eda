//! `opsroom run -- CMD…` and `opsroom rerun RUN`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use reqwest::Method;
use serde_json::json;

use super::print::{self, Page, Table};
use super::{Exit, Format, Session, data, select};
use crate::base::id::RunId;
use crate::base::{Fault, Kind, fault::Result};
use crate::capability::datasets::DatasetVersion;
use crate::capability::training::{Comparison, Verdict};
use crate::client::Client;
use crate::local::data::{self as tree, Checkout};
use crate::local::run::{self as running, Data, Echo, Restore, Start};

/// Run a command under capture: source, environment, packages, data, hardware, output, use
#[derive(Debug, Args)]
#[command(after_help = "An MLflow script inside logs into the same run (MLFLOW_RUN_ID is handed over). Ends with the \
                        command's own status; the last line on stderr names the run.")]
pub struct Run {
    /// Name of the run
    #[arg(long)]
    name: Option<String>,
    /// Experiment by name or number; a new name makes a new one
    #[arg(long)]
    experiment: Option<String>,
    /// A dataset that the command reads: `DATASET[@V][=PATH]`; checked out when nothing is there. The command finds the
    /// path in `OPSROOM_DATA_<NAME>`
    #[arg(long, value_name = "DATASET@V")]
    data: Vec<String>,
    /// A further environment variable to capture; secrets never are
    #[arg(long, value_name = "NAME")]
    env: Vec<String>,
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    command: Vec<String>,
}

/// Run a captured run once more and compare every file and every value; exits 9 when something differs
#[derive(Debug, Args)]
#[command(after_help = "Source, data and packages are checked, and restored where they differ; a knob such as \
                        OMP_NUM_THREADS that is set where this is called wins, and is named when the result differs. \
                        Exits 8 when it cannot be repeated.")]
pub struct Rerun {
    run: String,
    /// Interpreter and packages: restored when they differ, always, or never
    #[arg(long, value_enum, default_value_t = Environment::WhenDifferent, value_name = "WHEN")]
    restore_environment: Environment,
    /// Why; it stands in the audit trail
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    /// Set everything up, say whether it could be repeated, and run nothing
    #[arg(long)]
    dry_run: bool,
}

/// When packages go into an environment of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Environment {
    WhenDifferent,
    Always,
    Never,
}

/// The step between `opsroom run` and its command.
#[derive(Debug, Args)]
pub struct InSession {
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<OsString>,
}

/// # Errors
/// What kept the command from running.
pub async fn run(session: &Session, it: Run) -> Result<Exit> {
    session.check_writable()?;
    let client = session.client().await?;
    let folder = std::env::current_dir().map_err(|e| Fault::invalid("no current folder").why(e.to_string()))?;
    let experiment = experiment(client, it.experiment.as_deref()).await?;
    let mut pinned = Vec::new();
    for text in &it.data {
        pinned.push(pin(session, client, text).await?);
    }
    let environment: BTreeMap<String, String> =
        std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
    let what = Start {
        command: it.command,
        program: None,
        folder,
        name: it.name,
        experiment,
        data: pinned,
        environment,
        keep: it.env,
        tags: Vec::new(),
        stand_ins: Vec::new(),
        echo: if session.format == Format::Json { Echo::Stderr } else { Echo::AsItIs },
    };
    let finished = running::start(client, what).await?;
    let (id, ended) = (finished.run, finished.ended);
    if session.format == Format::Json {
        let told = json!({"run": id.to_string(), "status": ended.status, "seconds": ended.seconds});
        print::answer(session.format, &told, |_| Page::default())?;
    }
    // Whoever watched may have gone; the run stands all the same.
    let _ =
        writeln!(std::io::stderr(), "opsroom: run {id} ended with status {} after {} s", ended.status, ended.seconds);
    Ok(if ended.status == 0 { Exit::Done } else { Exit::Of(ended.status) })
}

/// The experiment's number; made when the name is new.
async fn experiment(client: &Client, text: Option<&str>) -> Result<String> {
    let Some(text) = text else { return Ok("0".to_owned()) };
    match select::experiment(client, text).await {
        Ok(found) => Ok(found.id.to_string()),
        Err(fault) if fault.kind == Kind::NotFound => {
            let made =
                client.mlflow(Method::POST, "/api/2.0/mlflow/experiments/create", &json!({"name": text})).await?;
            Ok(made["experiment_id"].as_str().unwrap_or_default().to_owned())
        }
        Err(fault) => Err(fault),
    }
}

/// The version, at its place: what lies there has to be it, and nothing there is filled.
async fn pin(session: &Session, client: &Client, text: &str) -> Result<Data> {
    let (name, path) = text.split_once('=').map_or((text, None), |(name, path)| (name, Some(PathBuf::from(path))));
    let version: DatasetVersion = data::version(client, name).await?;
    let path = path.unwrap_or_else(|| PathBuf::from(&version.doc.source));
    let path = std::path::absolute(&path).map_err(|e| Fault::invalid("not a path").why(e.to_string()))?;
    let manifest = client.manifest(&version.dataset, version.version).await?;
    let cache = data::cache(session);
    if !path.exists() {
        let how = Checkout { to: &path, as_file: version.doc.one_file, force: false, hard_link: false };
        tree::checkout(client, &manifest, how, &cache, &|_, _, _| {}).await?;
        return Ok(Data { version, path });
    }
    let found = tokio::task::block_in_place(|| {
        tree::verify_at(&version.dataset, version.version, &manifest, &path, &cache, &|_, _, _| {})
    })?;
    match found.damaged.first() {
        None => Ok(Data { version, path }),
        Some(first) => {
            Err(Fault::conflict(format!("{} is not {} v{}", path.display(), version.dataset, version.version))
                .why(format!("{}: {} ({} such files)", first.path, first.why, found.damaged.len()))
                .next("add it as a new version, or name another place with --data DATASET@V=PATH"))
        }
    }
}

/// # Errors
/// `NotFound`, `Conflict` while the run goes on.
pub async fn rerun(session: &Session, it: Rerun) -> Result<Exit> {
    session.check_writable()?;
    let client = session.client().await?;
    let id = select::run(client, &it.run).await?;
    let cache = data::cache(session);
    let scratch = session.loaded.paths.cache.join("reruns");
    let restore = match it.restore_environment {
        Environment::WhenDifferent => Restore::WhenDifferent,
        Environment::Always => Restore::Always,
        Environment::Never => Restore::Never,
    };
    let tell = |what: &str| drop(writeln!(std::io::stderr(), "opsroom: {what}"));
    let (echo, reason) = (Echo::Stderr, it.reason.as_str());
    let how = running::Rerun { cache: &cache, scratch: &scratch, echo, restore, tell: &tell, reason };
    if it.dry_run {
        return rehearse(session, client, id, &how).await;
    }
    let comparison = running::rerun(client, id, &how).await?;
    print::answer(session.format, &comparison, page)?;
    Ok(match comparison.verdict {
        Verdict::BitExact => Exit::Done,
        Verdict::Differs => Exit::Difference,
        Verdict::CannotRepeat => Exit::Inconclusive,
    })
}

/// Whether it could be repeated.
async fn rehearse(session: &Session, client: &Client, id: RunId, how: &running::Rerun<'_>) -> Result<Exit> {
    let obstacle = running::rehearse(client, id, how).await?;
    let told = json!({"run": id.to_string(), "dry_run": true, "obstacle": obstacle});
    let line = obstacle.as_ref().map_or_else(
        || format!("run {id} could be repeated: source, data and environment are there"),
        |o| format!("cannot repeat: {}", o.told()),
    );
    print::answer(session.format, &told, |_| Page::default().line(line))?;
    Ok(if obstacle.is_some() { Exit::Inconclusive } else { Exit::Done })
}

/// Causes and differences that are shown.
const SHOWN: usize = 12;

fn page(c: &Comparison) -> Page {
    let mut page = Page::default().line(match c.verdict {
        Verdict::BitExact => format!("bit-exact: {} metrics and {} files are the same", c.compared.0, c.compared.1),
        Verdict::Differs => {
            let differ = c.differences.len() as u64 + c.more;
            format!("differs: {differ} of {} metrics and files", c.compared.0 + c.compared.1)
        }
        Verdict::CannotRepeat => "cannot repeat".to_owned(),
    });
    if let Some(first) = &c.first_difference {
        page = page.line(format!("first: {}", first.told()));
    }
    let mut differences = Table::new(&[""]);
    c.differences.iter().skip(1).take(SHOWN).for_each(|d| differences.row([d.told()]));
    let mut causes = Table::new(&[""]);
    c.causes.iter().take(SHOWN).for_each(|d| causes.row([d.told()]));
    let mut normalised = Table::new(&["", ""]);
    c.normalised.iter().for_each(|n| normalised.row([n.path.clone(), n.what.clone()]));
    page = page.titled("also", differences).titled("likely causes", causes).titled("compared without", normalised);
    match &c.rerun {
        Some(rerun) => page.line("").line(format!("run {} again as {rerun}", c.run)),
        None => page,
    }
}
