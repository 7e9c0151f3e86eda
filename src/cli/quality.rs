//! `opsroom quality` and `opsroom drift`: how good a service is, and how far its inputs have moved.

use clap::Args;

use super::print::{self, Page, Table};
use super::{Exit, Session, times};
use crate::base::{Fault, Timestamp, fault::Result, show};
use crate::capability::drift::{ColumnDrift, DriftReport, VersionDrift};
use crate::capability::form;
use crate::capability::monitoring::quality::{Asked, Metric, QualityReport, VersionQuality};

#[derive(Debug, Args)]
struct Of {
    service: String,
    /// Length of the window: 30m, 1h, 7d
    #[arg(long, value_name = "LENGTH", default_value = "1h")]
    window: String,
    /// End of the window: a date, or how long ago
    #[arg(long, value_name = "TIME", value_parser = times::past)]
    to: Option<Timestamp>,
    #[arg(long, value_name = "N")]
    version: Option<String>,
}

impl Of {
    fn asked(&self, slice: Option<String>) -> Result<Asked> {
        let window = form::seconds(&self.window).ok_or_else(|| {
            Fault::invalid(format!("not a length of time: {}", self.window)).next("write it as 30m, 1h or 7d")
        })?;
        Ok(Asked { window, to: self.to, version: self.version.clone(), slice })
    }
}

/// Live quality of a service's versions, with labels and without
#[derive(Debug, Args)]
pub struct Quality {
    #[command(flatten)]
    of: Of,
    /// Only these predictions
    #[arg(long, value_name = "NAME=VALUE")]
    slice: Option<String>,
    /// Count everything anew from what came in, and hold it against what is kept, bit for bit
    #[arg(long)]
    recompute: bool,
}

/// Drift of a service's inputs, scores and predictions against the training data
#[derive(Debug, Args)]
pub struct Drift {
    #[command(flatten)]
    of: Of,
    /// Instead of the training data: `season`, the same hours of four weeks before, or another version in the same window
    #[arg(long, value_name = "WHAT")]
    against: Option<String>,
}

/// # Errors
/// `NotFound` for a service of which nothing came.
pub async fn quality(session: &Session, asked: Quality) -> Result<Exit> {
    let client = session.client().await?;
    if asked.recompute {
        let recount = client.recount(&asked.of.service).await?;
        print::answer(session.format, &recount, |r| {
            let verdict = match r.same {
                Some(true) => "the same, bit for bit",
                Some(false) => "different",
                None => "cannot be counted anew",
            };
            Page::default().pairs([
                ("recount", verdict.to_owned()),
                ("why", r.why.clone()),
                ("events", show::count(r.events)),
                ("counters", r.kept.clone()),
                ("counted anew", r.anew.clone()),
            ])
        })?;
        return Ok(match recount.same {
            Some(true) => Exit::Done,
            Some(false) => Exit::Difference,
            None => Exit::Inconclusive,
        });
    }
    let report = client.quality(&asked.of.service, &asked.of.asked(asked.slice.clone())?).await?;
    print::answer(session.format, &report, quality_page)?;
    Ok(Exit::Done)
}

fn figure(m: &Metric) -> String {
    let interval =
        m.low.zip(m.high).map_or_else(String::new, |(l, h)| format!(" [{}, {}]", show::metric(l), show::metric(h)));
    format!("{}{interval}", show::metric(m.value))
}

fn quality_page(report: &QualityReport) -> Page {
    let mut page = Page::default();
    for v in &report.versions {
        page = of_version(page, v);
    }
    if report.versions.is_empty() {
        page = page.line(format!(
            "no predictions between {} and {}",
            show::full(report.window.from),
            show::full(report.window.to)
        ));
    }
    page
}

fn of_version(page: Page, v: &VersionQuality) -> Page {
    let mut table = Table::new(&["METRIC", "WITH LABELS", "N>", "WITHOUT LABELS", "N>"]);
    let names: std::collections::BTreeSet<&String> = v.metrics.keys().chain(v.estimated.keys()).collect();
    for name in names {
        let cell =
            |m: Option<&Metric>| m.map_or_else(|| ("-".to_owned(), "-".to_owned()), |m| (figure(m), show::count(m.n)));
        let ((with, n), (without, m)) = (cell(v.metrics.get(name)), cell(v.estimated.get(name)));
        table.row([name.clone(), with, n, without, m]);
    }
    let coverage = v.coverage.map_or_else(String::new, |c| format!(", {:.1} % labelled", c * 100.0));
    let mut page = page.titled(&format!("Version {}: {} predictions{coverage}", v.version, show::count(v.n)), table);
    if let Some((name, came)) = &v.batch {
        page = page.line(format!("the newest batch is {name}, it came {}", show::moment(*came)));
    }
    if let Some((p50, p95, p99)) = v.latency_ms {
        page = page.line(format!("latency p50 {p50:.1} ms, p95 {p95:.1} ms, p99 {p99:.1} ms"));
    }
    if v.errors > 0 {
        page = page.line(format!(
            "errors {} ({:.2} %)",
            show::count(v.errors),
            v.errors as f64 / v.n.max(1) as f64 * 100.0
        ));
    }
    if v.input_tokens + v.output_tokens > 0 {
        let each = |tokens: u64| show::count(tokens / v.n.max(1));
        page = page.line(format!(
            "tokens {} in, {} out ({} and {} a prediction)",
            show::count(v.input_tokens),
            show::count(v.output_tokens),
            each(v.input_tokens),
            each(v.output_tokens)
        ));
    }
    if let Some((median, most)) = v.label_delay {
        page = page.line(format!("labels come after {}, nine of ten within {}", show::span(median), show::span(most)));
    }
    if let Some(t) = v.trust {
        page = page.line(format!(
            "estimates of {} earlier windows were off by {} on average, {} within their interval",
            t.windows,
            show::metric(t.mean_error),
            t.within
        ));
    }
    for warning in &v.warnings {
        page = page.line(format!("note: {warning}"));
    }
    if !v.slices.is_empty() {
        let mut slices = Table::new(&["SLICE", "N>", "LABELLED>", "METRIC", "VALUE>", "OF LOSS>", "OF LABELS>"]);
        for s in &v.slices {
            let percent = |x: f64| format!("{:.1} %", x * 100.0);
            slices.row([
                s.slice.clone(),
                show::count(s.n),
                show::count(s.labelled),
                s.metric.clone(),
                show::metric(s.value),
                percent(s.loss_share),
                percent(s.label_share),
            ]);
        }
        page = page.titled("Slices", slices);
    }
    page
}

/// # Errors
/// `NotFound` for a service of which nothing came.
pub async fn drift(session: &Session, asked: Drift) -> Result<Exit> {
    let (client, of) = (session.client().await?, asked.of.asked(None)?);
    let report = match &asked.against {
        None => client.drift(&asked.of.service, &of).await?,
        Some(what) => client.drift_against(&asked.of.service, &of, what).await?,
    };
    print::answer(session.format, &report, drift_page)?;
    Ok(Exit::Done)
}

fn drift_page(report: &DriftReport) -> Page {
    let mut page = Page::default();
    for v in &report.versions {
        let mut table = Table::new(&["COLUMN", "PSI>", "LIMIT>", "MISSING>", "WAS>", "NEW>", "W1/SD>", "N>", ""]);
        let whole = |v: &VersionDrift| {
            v.columns
                .iter()
                .chain(&v.score)
                .chain(&v.prediction)
                .chain(&v.labels)
                .cloned()
                .collect::<Vec<ColumnDrift>>()
        };
        for c in whole(v) {
            let maybe = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), show::metric);
            let percent = |x: f64| format!("{:.1} %", x * 100.0);
            table.row([
                c.name.clone(),
                maybe(c.psi),
                maybe(c.limit),
                percent(c.missing),
                percent(c.missing_reference),
                percent(c.new),
                maybe(c.wasserstein),
                show::count(c.n),
                if c.alarm { "drift" } else { "" }.to_owned(),
            ]);
        }
        let title = format!(
            "Version {} against {}: {} predictions, {} alarms",
            v.version,
            v.reference,
            show::count(v.n),
            v.alarms
        );
        page = page.titled(&title, table);
        if !v.not_sent.is_empty() {
            page = page.line(format!("columns of the training data that no prediction has: {}", v.not_sent.join(", ")));
        }
    }
    if report.versions.is_empty() {
        page = page.line(format!(
            "no predictions between {} and {}",
            show::full(report.window.from),
            show::full(report.window.to)
        ));
    }
    page
}
