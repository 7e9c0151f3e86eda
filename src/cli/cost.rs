//! `opsroom cost`: what predictions, versions and runs come to.

use clap::{Args, Subcommand, ValueEnum};

use super::change::Change;
use super::print::{self, Page, Table};
use super::{Exit, Session, times};
use crate::base::money::{self, Micro};
use crate::base::{Fault, Timestamp, fault::Result, show};
use crate::capability::Command;
use crate::capability::cost::{self, Asked, CostReport, Row};

/// What predictions, versions and runs cost; this month, if nothing else is said
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Cost {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    asked: Of,
}

#[allow(clippy::struct_field_names)] // the name of the option
#[derive(Debug, Args)]
struct Of {
    /// What each row is of
    #[arg(long, value_enum, default_value = "service")]
    by: By,
    /// Begin: a date, or how long ago
    #[arg(long, value_name = "TIME", value_parser = times::past)]
    since: Option<Timestamp>,
    /// End
    #[arg(long, value_name = "TIME", value_parser = times::past)]
    to: Option<Timestamp>,
    /// As it stood at a moment, to the hour before it
    #[arg(long, value_name = "TIME", value_parser = times::past, conflicts_with = "to")]
    as_of: Option<Timestamp>,
    /// Also the last days one by one
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true)]
    days: u32,
    /// Comma-separated values, with a line of headings
    #[arg(long)]
    csv: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum By {
    Service,
    Version,
    Run,
    Slice,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Forget what a service runs on (`apply` sets it)
    ClearServing {
        service: String,
        #[command(flatten)]
        change: Change,
    },
    /// Take a budget away (`apply` sets one)
    RemoveBudget {
        name: String,
        #[command(flatten)]
        change: Change,
    },
}

pub(super) async fn run(session: &Session, it: Cost) -> Result<Exit> {
    match it.verb {
        Some(Verb::ClearServing { service, change }) => {
            let command = cost::Command::SetServing { service, placements: Vec::new() };
            change.run(session, Command::Cost(command)).await
        }
        Some(Verb::RemoveBudget { name, change }) => {
            change.run(session, Command::Cost(cost::Command::RemoveBudget { name })).await
        }
        None => tell(session, it.asked).await,
    }
}

async fn tell(session: &Session, of: Of) -> Result<Exit> {
    let by = match of.by {
        By::Service => cost::By::Service,
        By::Version => cost::By::Version,
        By::Run => cost::By::Run,
        By::Slice => cost::By::Slice,
    };
    let asked = Asked { by, since: of.since, to: of.to, days: of.days, as_of: of.as_of };
    let report = session.client().await?.cost(&asked).await?;
    if of.csv {
        print::out(&csv(&report)?)?;
        return Ok(Exit::Done);
    }
    print::answer(session.format, &report, page)?;
    Ok(Exit::Done)
}

fn page(report: &CostReport) -> Page {
    let shown = |amount: Micro| money::shown(amount.units(), &report.currency);
    let each =
        |amount: Option<f64>| amount.map_or_else(|| show::MISSING.to_owned(), |v| money::shown(v, &report.currency));
    let mut page = Page::default();
    let table = match report.by {
        cost::By::Run => runs(report, &shown),
        _ => services(report, &shown, &each),
    };
    let unknown = if report.complete { "" } else { " of what is known" };
    page = page.line(format!(
        "{} to {}: {}{unknown}",
        show::moment(report.window.from),
        show::moment(report.window.to),
        shown(report.total)
    ));
    if table.is_empty() {
        page = page.line("nothing was served and nothing ran");
    }
    page = page.titled("", table);
    if !report.budgets.is_empty() {
        page = page.titled("Budgets", budgets(report, &shown));
    }
    if !report.days.is_empty() {
        let mut days = Table::new(&["DAY", "SERVING>", "OF THAT STORAGE>", "TRAINING>"]);
        for d in &report.days {
            let day = show::moment(d.day).chars().take(10).collect();
            days.row([day, shown(d.serving), shown(d.storage), shown(d.training)]);
        }
        page = page.titled("Days", days);
    }
    if !report.advice.is_empty() {
        let mut table = Table::new(&["SAVES A DAY>", "WHAT TO DO", "SEEN", "HOW"]);
        for a in &report.advice {
            let saves = a.saves_day.map_or_else(|| "?".to_owned(), &shown);
            table.row([saves, a.what.clone(), a.why.clone(), a.next.clone()]);
        }
        page = page.titled("What to do", table);
    }
    for unknown in &report.unknown {
        page = page.line(format!("unknown: {unknown}"));
    }
    page.line(prices(report))
}

/// By which list.
fn prices(report: &CostReport) -> String {
    let of = |p: &cost::Prices| match (p.defaults, p.since) {
        (true, since) => format!("default prices of {}; yours go under [rates]", show::moment(since)),
        (false, Timestamp(0)) => "your own prices".to_owned(),
        (false, since) => format!("your own prices from {} on", show::moment(since)),
    };
    format!("prices: {}", report.prices.iter().map(of).collect::<Vec<_>>().join(", then "))
}

fn services(report: &CostReport, shown: &impl Fn(Micro) -> String, each: &impl Fn(Option<f64>) -> String) -> Table {
    let mut table = Table::new(&[
        "WHAT",
        "TOTAL>",
        "BUSY>",
        "IDLE>",
        "TOKENS>",
        "CANARY>",
        "SHADOW>",
        "SERVED>",
        "A THOUSAND>",
        "MARGINAL>",
        "A CORRECT ONE>",
    ]);
    for r in &report.rows {
        let part = |amount: Micro| if amount == Micro(0) { show::MISSING.to_owned() } else { shown(amount) };
        // Where busy and idle cannot be told apart, neither is said.
        let split = |amount: Micro| if r.parts.kept > Micro(0) { "?".to_owned() } else { part(amount) };
        table.row([
            r.what.clone(),
            r.total.map_or_else(
                || "?".to_owned(),
                |t| format!("{}{}", shown(t), if r.unknown.is_empty() { "" } else { " +?" }),
            ),
            split(r.parts.busy),
            split(r.parts.idle),
            part(r.parts.tokens),
            part(r.candidate),
            part(r.shadow),
            show::count(r.served),
            each(r.per_1k),
            each(r.marginal_per_prediction.map(|v| v * 1000.0)),
            each(r.per_correct.map(|c| c.value)),
        ]);
    }
    let trained: Vec<_> = report.rows.iter().filter_map(|r| Some((r, r.training.as_ref()?))).collect();
    if !trained.is_empty() {
        table.column("TRAINING, APART>");
        for (row, cells) in report.rows.iter().zip(table.cells()) {
            cells.push(row.training.as_ref().map_or_else(|| show::MISSING.to_owned(), |t| shown(t.total)));
        }
    }
    table
}

fn runs(report: &CostReport, shown: &impl Fn(Micro) -> String) -> Table {
    let mut table =
        Table::new(&["RUN", "ID", "OWNER", "HOURS>", "TOTAL>", "CPU>", "MEMORY>", "GPU>", "HOST>", "GPU IDLE>"]);
    for r in &report.rows {
        let detail = r.detail.clone().unwrap_or_default();
        let part = |amount: Option<Micro>| amount.map_or_else(|| show::MISSING.to_owned(), shown);
        table.row([
            r.what.clone(),
            r.run.map(|id| id.to_string()).unwrap_or_default(),
            r.owner.clone().unwrap_or_default(),
            r.hours.map_or_else(String::new, |h| format!("{h:.2}")),
            r.total.map_or_else(|| "?".to_owned(), shown),
            part(detail.cpu),
            part(detail.memory),
            part(detail.gpu),
            part(detail.host),
            part(detail.gpu_idle),
        ]);
    }
    table
}

fn budgets(report: &CostReport, shown: &impl Fn(Micro) -> String) -> Table {
    let mut table = Table::new(&["BUDGET", "OF", "SPENT>", "OF A MONTH>", "SHARE>", "AN HOUR>", "FORECAST>", ""]);
    for b in &report.budgets {
        let forecast = b.forecast.map_or_else(
            || "?".to_owned(),
            |f| match f.half {
                Some(half) => format!("{} ± {}", shown(f.value), shown(half)),
                None => shown(f.value),
            },
        );
        let note = match (b.within, b.days_left) {
            (_, Some(days)) => format!("spent in {days:.1} days"),
            (Some(true), None) => "within".to_owned(),
            (Some(false), None) => "beyond".to_owned(),
            (None, None) => String::new(),
        };
        table.row([
            b.name.clone(),
            b.of.clone(),
            shown(b.spent),
            shown(b.month),
            format!("{:.0} %", b.share * 100.0),
            b.burn_hour.map_or_else(|| "?".to_owned(), shown),
            forecast,
            note,
        ]);
    }
    table
}

const HEADS: [&str; 26] = [
    "what",
    "kind",
    "service",
    "version",
    "slice",
    "run",
    "owner",
    "currency",
    "total",
    "busy",
    "idle",
    "kept",
    "storage",
    "egress",
    "tokens",
    "training",
    "candidate",
    "shadow",
    "served",
    "errors",
    "shadow_requests",
    "per_prediction",
    "marginal_per_prediction",
    "idle_per_prediction",
    "per_correct",
    "unknown",
];

/// Amounts in the currency, to the millionth; what is unknown is empty.
fn csv(report: &CostReport) -> Result<Vec<u8>> {
    let bad = |e: csv::Error| Fault::bug("CSV").why(e.to_string());
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADS).map_err(bad)?;
    let exact = |m: Micro| {
        let (sign, n) = (if m.0 < 0 { "-" } else { "" }, m.0.unsigned_abs());
        format!("{sign}{}.{:06}", n / 1_000_000, n % 1_000_000)
    };
    let ratio = |v: Option<f64>| v.map_or_else(String::new, |v| format!("{v}"));
    for r in &report.rows {
        let Row { parts, .. } = r;
        let text = |t: &Option<String>| t.clone().unwrap_or_default();
        writer
            .write_record([
                r.what.clone(),
                r.kind.clone(),
                text(&r.service),
                text(&r.version),
                text(&r.slice),
                r.run.map(|id| id.to_string()).unwrap_or_default(),
                text(&r.owner),
                report.currency.clone(),
                r.total.map(exact).unwrap_or_default(),
                exact(parts.busy),
                exact(parts.idle),
                exact(parts.kept),
                exact(parts.storage),
                exact(parts.egress),
                exact(parts.tokens),
                exact(parts.training),
                exact(r.candidate),
                exact(r.shadow),
                r.served.to_string(),
                r.errors.to_string(),
                r.shadow_requests.to_string(),
                ratio(r.per_prediction),
                ratio(r.marginal_per_prediction),
                ratio(r.idle_per_prediction),
                ratio(r.per_correct.map(|c| c.value)),
                r.unknown.join("; "),
            ])
            .map_err(bad)?;
    }
    writer.into_inner().map_err(|e| Fault::bug("CSV").why(e.to_string()))
}
