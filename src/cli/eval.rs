//! `opsroom eval`: runs suites here, in the caller's own shell, and hands the evidence in.

use clap::Subcommand;

use super::change::Change;
use super::print::{self, Page, Table};
use super::{Exit, Session, select};
use crate::base::{Fault, fault::Result, show};
use crate::capability::Command;
use crate::capability::evals::{Command as Evals, Evidence, Suite};
use crate::local;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run a suite against a version on this machine, and keep the result as evidence. A broken limit exits with 9
    Run {
        suite: String,
        model: String,
        /// 3, v3 or @alias
        version: String,
        #[command(flatten)]
        change: Change,
    },
    /// Results of a model's versions, newest first
    List {
        model: String,
        /// 3, v3 or @alias
        version: Option<String>,
    },
    /// One result with its slices
    Show { id: i64 },
    /// The suites that there are
    Suites,
    /// Remove a suite; its results stay
    Remove {
        suite: String,
        #[command(flatten)]
        change: Change,
    },
}

/// # Errors
/// What the suite's command, its server, or the agent did not do.
pub async fn run(session: &Session, verb: Verb) -> Result<Exit> {
    match verb {
        Verb::Run { suite, model, version, change } => evaluate(session, &suite, &model, &version, &change).await,
        Verb::List { model, version } => list(session, &model, version.as_deref()).await,
        Verb::Show { id } => {
            let evidence = session.client().await?.eval(id).await?;
            print::answer(session.format, &evidence, shown)?;
            Ok(Exit::Done)
        }
        Verb::Suites => {
            let suites = session.client().await?.suites().await?;
            print::answer(session.format, &suites, |s| listed(s))?;
            Ok(Exit::Done)
        }
        Verb::Remove { suite, change } => change.run(session, Command::Evals(Evals::RemoveSuite { name: suite })).await,
    }
}

async fn evaluate(session: &Session, suite: &str, model: &str, version: &str, change: &Change) -> Result<Exit> {
    session.check_writable()?;
    let client = session.client().await?;
    let suites = client.suites().await?;
    let names: Vec<&str> = suites.iter().map(|s| s.name.as_str()).collect();
    let hint = crate::capability::form::nearest(suite, &names);
    let suite = suites.iter().find(|s| s.name == suite).ok_or_else(|| {
        Fault::not_found(format!("no eval suite {suite}{hint}"))
            .next("write it into a file as [suite.NAME] and `opsroom apply` that; see `opsroom eval suites`")
    })?;
    let number = select::version(client, model, version).await?;
    let view = client.model(model, None).await?;
    let version = view.version(number).ok_or_else(|| crate::capability::registry::missing_version(model, number))?;
    let cache = session.loaded.paths.cache.clone();
    let told = |step: &str| eprintln!("opsroom: {step}");
    let ran = local::evals::run(client, suite, version, &cache, &told).await?;
    let outcome = change.perform(session, Command::Evals(Evals::RecordEval { report: ran.report })).await?;
    if change.dry_run {
        print::answer(session.format, &outcome, |_| {
            Page::default().line(format!("{} rows were predicted; dry run: the result was not kept", ran.rows))
        })?;
        return Ok(Exit::Done);
    }
    let newest = client.evals(model, Some(number)).await?;
    let evidence = newest.into_iter().find(|e| e.suite == suite.name);
    let evidence = evidence.ok_or_else(|| Fault::bug("the result that was kept cannot be found"))?;
    print::answer(session.format, &evidence, shown)?;
    Ok(if evidence.broken.is_empty() { Exit::Done } else { Exit::Difference })
}

async fn list(session: &Session, model: &str, version: Option<&str>) -> Result<Exit> {
    let client = session.client().await?;
    let version = match version {
        Some(text) => Some(select::version(client, model, text).await?),
        None => None,
    };
    client.model(model, None).await?;
    let results = client.evals(model, version).await?;
    print::answer(session.format, &results, |all| {
        if all.is_empty() {
            return Page::default().line(format!("nothing was evaluated: opsroom eval run SUITE {model} VERSION"));
        }
        let mut table = Table::new(&["ID>", "WHEN", "VERSION>", "SUITE", "ROWS>", "METRICS", "BY"]);
        for e in all {
            let metrics: Vec<String> = e.metrics.iter().take(3).map(|(k, v)| format!("{k} {}", value(*v))).collect();
            table.row([
                e.id.to_string(),
                show::moment(e.at),
                format!("v{}", e.version),
                e.suite.clone(),
                show::count(e.rows),
                metrics.join("  "),
                e.by.clone(),
            ]);
        }
        table.into()
    })?;
    Ok(Exit::Done)
}

fn value(v: Option<f64>) -> String {
    v.map_or_else(|| show::MISSING.to_owned(), show::metric)
}

fn shown(e: &Evidence) -> Page {
    let mut metrics = Table::new(&["METRIC", "VALUE>"]);
    e.metrics.iter().for_each(|(name, v)| metrics.row([name.clone(), value(*v)]));
    let names: Vec<&String> =
        e.slices.iter().find(|s| !s.metrics.is_empty()).map_or(Vec::new(), |s| s.metrics.keys().collect());
    let mut heads = vec!["SLICE".to_owned(), "ROWS>".to_owned()];
    heads.extend(names.iter().map(|n| format!("{}>", n.to_uppercase())));
    let mut slices = Table::new(&heads.iter().map(String::as_str).collect::<Vec<_>>());
    for s in &e.slices {
        let figures = names.iter().map(|n| value(s.metrics.get(*n).copied().flatten()));
        slices.row([format!("{}={}", s.column, s.value), show::count(s.n)].into_iter().chain(figures));
    }
    let mut page = Page::default()
        .pairs([
            ("result", format!("#{} of suite {}", e.id, e.suite)),
            ("version", format!("{} v{}", e.model, e.version)),
            ("artifact", e.subject.clone()),
            ("data", format!("{} ({} rows)", e.data, show::count(e.rows))),
            ("how", e.how.clone()),
            ("by", format!("{} at {}", e.by, show::moment(e.at))),
        ])
        .titled("", metrics)
        .titled("", slices);
    for broken in &e.broken {
        page = page.line(format!("limit broken: {broken}"));
    }
    page
}

fn listed(suites: &[Suite]) -> Page {
    if suites.is_empty() {
        return Page::default().line("no eval suites: write one as [suite.NAME] and `opsroom apply` it");
    }
    let mut table = Table::new(&["NAME", "TASK", "DATA", "METRICS", "SLICES", "PREDICTIONS"]);
    for s in suites {
        let how = match (&s.command, &s.endpoint) {
            (Some(words), _) => words.join(" "),
            (_, Some(e)) => e.url.clone(),
            _ => String::new(),
        };
        table.row([
            s.name.clone(),
            s.task.name().to_owned(),
            s.data.clone(),
            s.metrics.join(" "),
            s.slices.join(" "),
            how,
        ]);
    }
    table.into()
}
