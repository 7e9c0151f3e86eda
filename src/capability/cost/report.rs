//! The report: bills of a window, by whom they are charged to, with what a prediction came to.

use std::collections::{BTreeMap, BTreeSet};

use super::bill::{Part, bill};
use super::gather::{self, Book, DAY_US, Served};
use super::serving::On;
use super::training::{self, Taken};
use super::{Asked, By, CostReport, Day, Parts, Training, advice, budget, rows};
use crate::base::money::{HOUR_US, Micro};
use crate::base::{Fault, Timestamp, fault::Result, show};
use crate::capability::Ctx;
use crate::capability::monitoring::quality::Window;
use crate::capability::registry;
use crate::db::Source;

const ROWS_MAX: usize = 2000;
const DAYS_MAX: u32 = 92;

/// Everything that was read once.
struct Read {
    book: Book,
    served: Served,
    runs: Vec<(std::sync::Arc<crate::capability::tracking::Run>, Taken)>,
    serving_hosts: BTreeSet<String>,
    now: Timestamp,
}

/// What a window cost.
///
/// # Errors
/// `Invalid` for a window that is none; the store's.
pub async fn report(ctx: &Ctx, asked: &Asked, now: Timestamp) -> Result<CostReport> {
    let hour = |t: Timestamp| Timestamp(t.0.div_euclid(HOUR_US) * HOUR_US);
    let (present, then) = (now, asked.as_of.map(|at| hour(at).min(now)));
    let now = then.unwrap_or(present);
    // A bill as of the first of a month at midnight is that of the month that has ended.
    let month = month_start(Timestamp(now.0 - 1));
    let (from, to) = (hour(asked.since.unwrap_or(month)), asked.to.map_or(now, hour));
    if from >= to {
        return Err(Fault::invalid(format!("a window from {from} to {to} is empty")).next("give an earlier --since"));
    }
    if asked.days > DAYS_MAX {
        return Err(Fault::invalid(format!("at most {DAYS_MAX} days can be told one by one")));
    }
    let book = gather::book(Source::Pool(ctx.db.read())).await?;
    let midnight = now.0.div_euclid(DAY_US) * DAY_US;
    let days_from = Timestamp(midnight - (i64::from(asked.days) - 1).max(0) * DAY_US);
    let budgets_from = Timestamp(midnight - i64::try_from(budget::LOOKS_BACK_DAYS).unwrap_or(7) * DAY_US).min(month);
    let mut first = from;
    if asked.days > 0 {
        first = first.min(days_from);
    }
    if !book.budgets.is_empty() {
        first = first.min(budgets_from);
    }
    let read = Read {
        served: gather::served(ctx, &book, (first, to.max(now)), asked.by == By::Slice).await?,
        runs: gather::runs(&ctx.tracking, (first, to.max(now)), present),
        serving_hosts: serving_hosts(&book),
        book,
        now,
    };
    // A window that begins within a day is cut there, too.
    let served = if read.served.pieces.iter().any(|p| p.from == from) && to >= now {
        None
    } else {
        Some(gather::served(ctx, &read.book, (from, to), asked.by == By::Slice).await?)
    };
    let mut report = window(&read, served.as_ref().unwrap_or(&read.served), (from, to), asked);
    if asked.by == By::Version {
        trained(ctx, &read, &mut report).await?;
    }
    let first_day = if read.book.budgets.is_empty() { days_from } else { days_from.min(budgets_from) };
    let days = if asked.days > 0 || !read.book.budgets.is_empty() { by_day(&read, first_day) } else { Vec::new() };
    report.budgets = budgets(&read, &days, month);
    report.days = days.into_iter().filter(|d| d.day >= days_from && asked.days > 0).collect();
    // What machines did then is not kept, and what could be done about it is over.
    if then.is_none() {
        report.hosts = super::hosts(ctx, now).await?;
        report.advice = advice::advice(ctx, &read.book, &read.served, &report.hosts, now);
    }
    Ok(report)
}

fn serving_hosts(book: &Book) -> BTreeSet<String> {
    let host = |on: &On| if let On::Host(name) = on { Some(name.clone()) } else { None };
    book.placements.iter().filter_map(|p| host(&p.on)).collect()
}

/// Midnight of the month's first day, UTC.
pub fn month_start(now: Timestamp) -> Timestamp {
    let text = now.utc().map(|t| t.format("%Y-%m-01").to_string());
    text.and_then(|t| Timestamp::parse(&t)).unwrap_or(now)
}

fn next_month(month: Timestamp) -> Timestamp {
    month_start(Timestamp(month.0 + 32 * DAY_US))
}

fn window(read: &Read, served: &Served, (from, to): (Timestamp, Timestamp), asked: &Asked) -> CostReport {
    let book = &read.book;
    let (pieces, uses) = served.within(from, to);
    let serving = bill(&pieces, &book.lists, &book.placements, &uses);
    let taken: Vec<Taken> = read.runs.iter().map(|(_, t)| t.clone()).collect();
    let runs = training::bill((from, to), &book.lists, &taken, &read.serving_hosts);
    let mut parts = Parts::of(serving.lines.iter());
    parts.training = runs.iter().filter_map(|r| r.total).sum();
    let mut unknown: BTreeSet<String> =
        serving.unknown.iter().flat_map(|(service, why)| why.iter().map(move |w| format!("{service}: {w}"))).collect();
    let dark = runs
        .iter()
        .zip(&taken)
        .filter(|(cost, taken)| cost.total.is_none() && taken.from < to && from < taken.to)
        .count();
    if dark > 0 {
        let runs = show::many(dark as u64, "run", "runs");
        unknown.insert(format!("{runs}: neither use nor a price of the host is known"));
    }
    let mut rows = match asked.by {
        By::Run => rows::run_rows(&read.runs, (from, to), &runs),
        By::Slice => rows::slice_rows(&serving, served, (from, to)),
        by => rows::service_rows(&serving, served, &uses, (from, to), by),
    };
    rows.sort_by(|a, b| b.total.cmp(&a.total).then_with(|| a.what.cmp(&b.what)));
    let rows_left_off = rows.len().saturating_sub(ROWS_MAX);
    rows.truncate(ROWS_MAX);
    let lists: Vec<_> = book
        .lists
        .iter()
        .enumerate()
        .filter(|(i, l)| l.since < to && book.lists.get(i + 1).is_none_or(|next| next.since > from))
        .map(|(_, l)| super::Prices { since: l.since, defaults: l.defaults })
        .collect();
    CostReport {
        currency: book.lists.first().map(|l| l.rates.currency.clone()).unwrap_or_default(),
        window: Window { from, to },
        by: asked.by,
        prices: lists,
        total: parts.total(),
        complete: unknown.is_empty(),
        unknown: unknown.into_iter().collect(),
        parts,
        rows,
        rows_left_off,
        budgets: Vec::new(),
        days: Vec::new(),
        advice: Vec::new(),
        hosts: Vec::new(),
    }
}

/// What the run that made a version cost, beside what the version costs.
async fn trained(ctx: &Ctx, read: &Read, report: &mut CostReport) -> Result<()> {
    let models = registry::models(Source::Pool(ctx.db.read()), None).await?;
    let all = gather::runs(&ctx.tracking, (Timestamp(i64::MIN / 4), read.now), read.now);
    let taken: Vec<Taken> = all.iter().map(|(_, t)| t.clone()).collect();
    let ever = (Timestamp(i64::MIN / 4), read.now);
    let costs = training::bill(ever, &read.book.lists, &taken, &read.serving_hosts);
    let by_run: BTreeMap<String, Micro> =
        taken.iter().zip(&costs).filter_map(|(t, c)| Some((t.run.to_string(), c.total?))).collect();
    let standing = ctx.counters.standing().versions;
    for row in &mut report.rows {
        let (Some(service), Some(version)) = (&row.service, &row.version) else { continue };
        let model = standing.iter().filter(|v| v.service == *service).find_map(|v| v.model.as_ref());
        let model = model.unwrap_or(service);
        let versions = models.iter().filter(|m| m.model.name == *model).flat_map(|m| &m.versions);
        let Some(run) = versions.filter(|v| v.version.to_string() == *version).find_map(|v| v.doc.run_id.clone())
        else {
            continue;
        };
        let Some(total) = by_run.get(&run).copied() else { continue };
        let expected = read.book.placements.iter().filter(|p| p.service == *service).find_map(|p| p.expected);
        let each = expected.map(|n| total.units() / n as f64);
        row.training = Some(Training { run, total, per_prediction: each });
    }
    Ok(())
}

/// What each day cost, oldest first; the last one is today so far.
fn by_day(read: &Read, first: Timestamp) -> Vec<Day> {
    let mut days = Vec::new();
    let taken: Vec<Taken> = read.runs.iter().map(|(_, t)| t.clone()).collect();
    let mut at = first;
    while at <= read.now {
        let end = Timestamp((at.0 + DAY_US).min(read.now.0));
        let (pieces, uses) = read.served.within(at, end);
        let serving = bill(&pieces, &read.book.lists, &read.book.placements, &uses);
        let runs = training::bill((at, end), &read.book.lists, &taken, &read.serving_hosts);
        let mut services: BTreeMap<String, Micro> = BTreeMap::new();
        for (charge, amount) in &serving.lines {
            *services.entry(charge.service.clone()).or_default() += *amount;
        }
        let storage = serving.lines.iter().filter(|(c, _)| c.part == Part::Storage).map(|(_, m)| *m).sum();
        let training = runs.iter().filter_map(|r| r.total).sum();
        days.push(Day { day: at, serving: services.values().copied().sum(), services, storage, training });
        at = Timestamp(at.0 + DAY_US);
    }
    days
}

fn budgets(read: &Read, days: &[Day], month: Timestamp) -> Vec<budget::Standing> {
    let end = next_month(month);
    let left = (end.0 - read.now.0) as f64 / DAY_US as f64;
    read.book
        .budgets
        .iter()
        .map(|b| {
            let of = |d: &Day| match b.of.as_str() {
                "*" => d.serving + d.training,
                "training" => d.training,
                service => d.services.get(service).copied().unwrap_or_default(),
            };
            let spent = days.iter().filter(|d| d.day >= month).map(of).sum();
            let today = days.last().map(of).unwrap_or_default();
            let full: Vec<Micro> = days.iter().rev().skip(1).rev().map(of).collect();
            budget::standing((&b.name, &b.of), b.month, spent, today, &full, left)
        })
        .collect()
}
