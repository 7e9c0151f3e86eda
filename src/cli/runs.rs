//! `opsroom runs`: looking at runs.

use clap::{Args, Subcommand};

use super::plain::Saying;
use super::print::{self, Page, Table};
use super::{Exit, Session, compare, export, runs_change, select, times};
use crate::base::clock::SystemClock;
use crate::base::{Clock, Timestamp, fault::Result, show};
use crate::capability::tracking::{RunPage, RunQuery, RunStatus, RunView, Series};

/// Without a verb, the screen of runs.
#[derive(Debug, Args)]
pub struct Runs {
    #[command(flatten)]
    pub saying: Saying,
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Runs, newest first
    List(Choice),
    /// Runs that a filter in MLflow's grammar selects
    Search {
        /// Such as: metrics.auc > 0.7 and params.penalty = 'l2'
        #[arg(value_name = "FILTER")]
        wanted: String,
        #[command(flatten)]
        choice: Choice,
    },
    /// One run with all that it logged
    Show { run: String },
    /// What differs between runs, and whether it is more than luck
    Compare(compare::Compare),
    /// The course of a metric, or the metrics there are
    History {
        run: String,
        metric: Option<String>,
        /// Thinned for so many columns of a chart, least and greatest kept
        #[arg(long, default_value_t = 1000)]
        columns: usize,
    },
    /// All runs as CSV or JSON, or a metric of some as a chart
    Export(export::Export),
    /// Set or remove tags
    Tag(runs_change::Tag),
    /// Read or write the note of a run
    Note(runs_change::Note),
    /// Mark a run as killed and ask its script to stop
    Stop(runs_change::Stop),
    /// Mark runs as deleted; it can be taken back
    Delete(runs_change::Lifecycle),
    /// Take deleted runs back
    Restore(runs_change::Lifecycle),
}

/// Which runs, and what of them.
#[derive(Debug, Clone, Default, Args)]
pub struct Choice {
    /// Only of this experiment, by name or number; may be given several times
    #[arg(long, short = 'e', value_name = "NAME")]
    pub experiment: Vec<String>,
    /// A filter in MLflow's grammar
    #[arg(long, default_value = "", hide_default_value = true)]
    pub filter: String,
    /// Such as: metrics.auc DESC; may be given several times
    #[arg(long, value_name = "KEY")]
    pub order: Vec<String>,
    /// Begun since: 24h, 7d, or a date
    #[arg(long, value_parser = times::past, value_name = "TIME")]
    pub since: Option<Timestamp>,
    /// Metrics to show; may be given several times
    #[arg(long, short = 'm', value_name = "METRIC")]
    pub metric: Vec<String>,
    /// Params to show; may be given several times
    #[arg(long, short = 'p', value_name = "PARAM")]
    pub param: Vec<String>,
    /// The deleted ones
    #[arg(long)]
    pub deleted: bool,
    #[arg(long, default_value_t = 50)]
    pub limit: usize,
    #[arg(long, default_value_t = 0)]
    pub offset: usize,
}

impl Choice {
    /// # Errors
    /// `NotFound` for an experiment.
    pub async fn query(&self, session: &Session) -> Result<RunQuery> {
        let since = self.since.map(|t| format!("attributes.start_time >= {}", t.millis()));
        let parts: Vec<String> =
            Some(self.filter.clone()).filter(|f| !f.trim().is_empty()).into_iter().chain(since).collect();
        Ok(RunQuery {
            experiments: select::experiments(session.client().await?, &self.experiment).await?,
            filter: parts.join(" and "),
            order_by: self.order.clone(),
            deleted: self.deleted,
            offset: self.offset,
            limit: self.limit,
            ..RunQuery::default()
        })
    }
}

/// # Errors
/// What the agent refused.
pub async fn run(session: &Session, verb: Verb) -> Result<Exit> {
    match verb {
        Verb::List(choice) => list(session, &choice).await,
        Verb::Search { wanted, mut choice } => {
            choice.filter = if choice.filter.is_empty() { wanted } else { format!("{wanted} and {}", choice.filter) };
            list(session, &choice).await
        }
        Verb::Show { run } => show(session, &run).await,
        Verb::Compare(wanted) => compare::run(session, wanted).await,
        Verb::History { run, metric, columns } => history(session, &run, metric.as_deref(), columns).await,
        Verb::Export(wanted) => export::run(session, wanted).await,
        Verb::Tag(tag) => runs_change::tag(session, tag).await,
        Verb::Note(note) => runs_change::note(session, note).await,
        Verb::Stop(stop) => runs_change::stop(session, stop).await,
        Verb::Delete(which) => runs_change::delete(session, which).await,
        Verb::Restore(which) => runs_change::restore(session, which).await,
    }
}

async fn list(session: &Session, choice: &Choice) -> Result<Exit> {
    let query = choice.query(session).await?;
    let page = session.client().await?.search_runs(&query).await?;
    print::answer(session.format, &page, |page| runs_page(page, choice))?;
    Ok(Exit::Done)
}

/// Characters of an id in tables; the whole one is in JSON, and its beginning is enough to name a run.
const ID_CHARS: usize = 12;
/// Metrics shown when none was asked for.
const METRICS_SHOWN_MAX: usize = 4;

fn runs_page(page: &RunPage, choice: &Choice) -> Page {
    if page.runs.is_empty() {
        return Page::default().line(if page.total == 0 {
            "no runs yet: eval \"$(opsroom connect mlflow)\" and start a training script, or `opsroom import mlflow PATH`"
        } else {
            "no run matches"
        });
    }
    let metrics = if choice.metric.is_empty() { most_common(&page.runs) } else { choice.metric.clone() };
    let mut table = Table::new(&["ID", "NAME", "EXPERIMENT", "STATUS", "STARTED", "LENGTH>"]);
    choice.param.iter().for_each(|p| table.column(p));
    metrics.iter().for_each(|m| table.column(&format!("{m}>")));
    let column =
        |m: &String| show::metrics(&page.runs.iter().map(|r| r.metrics.get(m).map(|l| l.value)).collect::<Vec<_>>());
    let columns: Vec<Vec<String>> = metrics.iter().map(column).collect();
    let now = SystemClock.now();
    for (i, run) in page.runs.iter().enumerate() {
        let mut row = vec![
            run.id.to_string().chars().take(ID_CHARS).collect(),
            run.name.clone(),
            run.experiment_name.clone(),
            run.status.name().to_lowercase(),
            show::moment(run.started),
            length(run, now),
        ];
        row.extend(choice.param.iter().map(|p| run.params.get(p).cloned().unwrap_or_else(|| show::MISSING.to_owned())));
        row.extend(columns.iter().map(|c| c[i].clone()));
        table.row(row);
    }
    let counted = format!(
        "{} of {} runs, {} running",
        show::count(page.matched as u64),
        show::count(page.total as u64),
        page.running
    );
    Page::from(table).line(counted)
}

fn length(run: &RunView, now: Timestamp) -> String {
    match (run.ended, run.status) {
        (Some(end), _) => show::between(run.started, end),
        (None, RunStatus::Running) => show::between(run.started, now),
        (None, _) => "?".to_owned(),
    }
}

fn most_common(runs: &[RunView]) -> Vec<String> {
    let mut counts: std::collections::BTreeMap<&String, usize> = std::collections::BTreeMap::new();
    let own = |key: &&String| !key.starts_with("system/");
    runs.iter().flat_map(|r| r.metrics.keys()).filter(own).for_each(|k| *counts.entry(k).or_default() += 1);
    let mut keys: Vec<(&String, usize)> = counts.into_iter().collect();
    keys.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    keys.into_iter().take(METRICS_SHOWN_MAX).map(|(k, _)| k.clone()).collect()
}

async fn show(session: &Session, text: &str) -> Result<Exit> {
    let client = session.client().await?;
    let run = client.run(select::run(client, text).await?).await?;
    print::answer(session.format, &run, run_page)?;
    Ok(Exit::Done)
}

/// One run in full.
pub(super) fn run_page(run: &RunView) -> Page {
    let mut metrics = Table::new(&["METRIC", "VALUE>", "STEP>", "POINTS>"]);
    for (key, m) in &run.metrics {
        metrics.row([key.clone(), show::metric(m.value), m.step.to_string(), show::count(u64::from(m.count))]);
    }
    let pairs = |head: &str, map: &std::collections::BTreeMap<String, String>| {
        let mut table = Table::new(&[head, "VALUE"]);
        map.iter().for_each(|(k, v)| table.row([k.clone(), v.clone()]));
        table
    };
    let mut inputs = Table::new(&["DATASET", "DIGEST", "CONTEXT", "SOURCE"]);
    for d in &run.inputs {
        inputs.row([
            d.name.clone(),
            d.digest.clone(),
            d.context().unwrap_or(show::MISSING).to_owned(),
            d.source.clone(),
        ]);
    }
    let models: Vec<String> = run.models.iter().map(ToString::to_string).collect();
    Page::default()
        .pairs([
            ("run", run.id.to_string()),
            ("name", run.name.clone()),
            ("experiment", format!("{} ({})", run.experiment_name, run.experiment)),
            (
                "status",
                format!(
                    "{}{}",
                    run.status.name().to_lowercase(),
                    if run.lifecycle.name() == "deleted" { ", deleted" } else { "" }
                ),
            ),
            ("user", run.user.clone()),
            ("started", show::moment(run.started)),
            ("length", length(run, SystemClock.now())),
            ("artifacts", run.artifact_uri.clone()),
            ("models", models.join(" ")),
        ])
        .titled("", metrics)
        .titled("", pairs("PARAM", &run.params))
        .titled("", inputs)
        .titled("", pairs("TAG", &run.tags))
}

async fn history(session: &Session, text: &str, metric: Option<&str>, columns: usize) -> Result<Exit> {
    let client = session.client().await?;
    let id = select::run(client, text).await?;
    let run = client.run(id).await?;
    let Some(metric) = metric else {
        let mut only = run;
        only.params.clear();
        only.tags.clear();
        print::answer(session.format, &only.metrics, |metrics| {
            let mut table = Table::new(&["METRIC", "VALUE>", "STEP>", "POINTS>"]);
            for (key, m) in metrics {
                table.row([key.clone(), show::metric(m.value), m.step.to_string(), show::count(u64::from(m.count))]);
            }
            table.into()
        })?;
        return Ok(Exit::Done);
    };
    if !run.metrics.contains_key(metric) {
        let known: Vec<&str> = run.metrics.keys().map(String::as_str).collect();
        return Err(crate::base::Fault::not_found(format!("run {id} has no metric {metric}"))
            .why(format!("it has {}", known.join(", "))));
    }
    let series = client.history(id, metric, columns).await?;
    print::answer(session.format, &series, history_page)?;
    Ok(Exit::Done)
}

fn history_page(series: &Series) -> Page {
    let mut table = Table::new(&["STEP>", "TIME", "VALUE>"]);
    let values = show::metrics(&series.points.iter().map(|p| Some(p.value)).collect::<Vec<_>>());
    for (point, value) in series.points.iter().zip(values) {
        table.row([point.step.to_string(), show::moment(Timestamp::from_millis(point.timestamp)), value]);
    }
    let shown = series.points.len() as u64;
    let page = Page::from(table);
    if shown < series.count {
        page.line(format!("{} of {} points", show::count(shown), show::count(series.count)))
    } else {
        page
    }
}
