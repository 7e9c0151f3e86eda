//! `opsroom runs export`: all runs of a choice as CSV or JSON.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::print::Page;
use super::runs::Choice;
use super::{Exit, Session, print};
use crate::base::clock::{Clock, SystemClock};
use crate::base::{Fault, fault::Result, number, show};
use crate::capability::tracking::RunView;
use crate::chart::{self, Chart, Line};

#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    choice: Choice,
    #[arg(long, value_enum, default_value_t = Form::Csv)]
    format: Form,
    /// Write to a file instead of stdout
    #[arg(long, short = 'o', value_name = "FILE")]
    out: Option<PathBuf>,
    /// Draw this metric (--metric) of the runs as a chart instead
    #[arg(long, alias = "svg", value_name = "FILE.svg|FILE.png", requires = "metric")]
    #[arg(conflicts_with_all = ["out", "format"])]
    chart: Option<PathBuf>,
    /// A logarithmic y axis, for --chart
    #[arg(long, requires = "chart")]
    log: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Csv,
    Json,
}

/// Runs a request.
const PAGE_RUNS: usize = 1000;

pub(super) async fn run(session: &Session, wanted: Export) -> Result<Exit> {
    if let Some(file) = &wanted.chart {
        return draw(session, &wanted.choice, file, wanted.log).await;
    }
    let runs = all(session, &wanted.choice).await?;
    let json = wanted.format == Form::Json || session.format == print::Format::Json;
    let bytes = if json { serde_json::to_vec_pretty(&runs).map_err(|e| e.to_string()) } else { csv(&runs) };
    let mut bytes = bytes.map_err(|e| Fault::bug("export").why(e))?;
    if json {
        bytes.push(b'\n');
    }
    match &wanted.out {
        None => print::out(&bytes)?,
        Some(file) => {
            write(file, &bytes)?;
            eprintln!("opsroom: {} runs in {}", runs.len(), file.display());
        }
    }
    Ok(Exit::Done)
}

/// Size of a chart, pixels.
const CHART_SIZE: (u32, u32) = (960, 540);
/// More lines cannot be told apart.
const LINES_MAX: usize = 6;

/// One line a run and metric, the first ones of the choice.
async fn draw(session: &Session, choice: &Choice, file: &Path, log: bool) -> Result<Exit> {
    let ending = file.extension().map(|e| e.to_string_lossy().to_lowercase());
    let png = match ending.as_deref() {
        Some("png") => true,
        Some("svg") => false,
        _ => return Err(Fault::invalid(format!("{} ends in neither .svg nor .png", file.display()))),
    };
    let client = session.client().await?;
    let page = client.search_runs(&choice.query(session).await?).await?;
    let mut lines = Vec::new();
    for run in &page.runs {
        for metric in choice.metric.iter().filter(|m| run.metrics.contains_key(*m)) {
            if lines.len() == LINES_MAX {
                break;
            }
            let course = client.history(run.id, metric, CHART_SIZE.0 as usize).await?;
            let name = if choice.metric.len() == 1 { run.name.clone() } else { format!("{} {metric}", run.name) };
            lines.push(Line { name, points: course.points.iter().map(|p| (p.step as f64, p.value)).collect() });
        }
    }
    let title = choice.metric.join(", ");
    let caption = format!("opsroom runs export --metric {title}  {}", show::moment(SystemClock.now()));
    let drawn = lines.len();
    let chart = Chart { title, caption, x_label: "step".to_owned(), lines, log, ..Chart::default() };
    let drawn_in = |scale: u32| (CHART_SIZE.0 * scale, CHART_SIZE.1 * scale);
    let bytes = if png {
        chart::png(&chart, drawn_in(2).0, drawn_in(2).1)
    } else {
        chart::svg(&chart, drawn_in(1).0, drawn_in(1).1).map(String::into_bytes)
    };
    let bytes = bytes
        .map_err(|why| Fault::not_found("nothing to draw").why(why).next("see `opsroom runs list --metric NAME`"))?;
    write(file, &bytes)?;
    let told = serde_json::json!({ "file": file.display().to_string(), "lines": drawn });
    print::answer(session.format, &told, |_| Page::default().line(format!("{drawn} lines in {}", file.display())))?;
    Ok(Exit::Done)
}

/// All that match; the limit counts only when it was given.
async fn all(session: &Session, choice: &Choice) -> Result<Vec<RunView>> {
    let mut query = choice.query(session).await?;
    query.limit = PAGE_RUNS;
    let client = session.client().await?;
    let mut runs = Vec::new();
    loop {
        let page = client.search_runs(&query).await?;
        let last = page.runs.len() < PAGE_RUNS;
        query.offset += page.runs.len();
        runs.extend(page.runs);
        if last {
            return Ok(runs);
        }
    }
}

/// Also for a chart: a file is there as a whole or not at all.
pub(super) fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    let problem = |e: std::io::Error| Fault::unavailable(format!("cannot write {}", file.display())).why(e.to_string());
    let mut partial = file.as_os_str().to_owned();
    partial.push(".part");
    let partial = PathBuf::from(partial);
    let mut out = std::fs::File::create(&partial).map_err(problem)?;
    out.write_all(bytes).and_then(|()| out.sync_data()).map_err(problem)?;
    std::fs::rename(&partial, file).map_err(problem)
}

fn csv(runs: &[RunView]) -> Result<Vec<u8>, String> {
    let keys = |of: fn(&RunView) -> Vec<&String>| runs.iter().flat_map(of).cloned().collect::<BTreeSet<String>>();
    let params = keys(|r| r.params.keys().collect());
    let metrics = keys(|r| r.metrics.keys().collect());
    let tags = keys(|r| r.tags.keys().collect());
    let mut head: Vec<String> =
        ["run_id", "name", "experiment_id", "experiment", "status", "user", "started", "ended", "artifact_uri"]
            .map(String::from)
            .into();
    head.extend(params.iter().map(|k| format!("params.{k}")));
    head.extend(metrics.iter().map(|k| format!("metrics.{k}")));
    head.extend(tags.iter().map(|k| format!("tags.{k}")));
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(&head).map_err(|e| e.to_string())?;
    for run in runs {
        let mut row = vec![
            run.id.to_string(),
            run.name.clone(),
            run.experiment.to_string(),
            run.experiment_name.clone(),
            run.status.name().to_owned(),
            run.user.clone(),
            run.started.to_string(),
            run.ended.map(|t| t.to_string()).unwrap_or_default(),
            run.artifact_uri.clone(),
        ];
        row.extend(params.iter().map(|k| run.params.get(k).cloned().unwrap_or_default()));
        row.extend(metrics.iter().map(|k| run.metrics.get(k).map(|m| value(m.value)).unwrap_or_default()));
        row.extend(tags.iter().map(|k| run.tags.get(k).cloned().unwrap_or_default()));
        out.write_record(&row).map_err(|e| e.to_string())?;
    }
    out.into_inner().map_err(|e| e.to_string())
}

/// All digits: whoever reads this calculates with it.
fn value(v: f64) -> String {
    number::word(v).map_or_else(|| v.to_string(), ToOwned::to_owned)
}
