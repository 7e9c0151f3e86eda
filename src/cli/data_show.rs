//! How datasets, versions and profiles are shown.

use super::print::{self, Page, Table};
use super::{Exit, Session};
use crate::base::{Fault, fault::Result, show};
use crate::capability::datasets::profile::{Column, Profile, Reference, TableProfile};
use crate::capability::datasets::{DatasetView, VersionView};
use crate::client::Client;

pub(super) async fn list(session: &Session, client: &Client) -> Result<Exit> {
    let all = client.datasets().await?;
    print::answer(session.format, &all, |all| list_page(all))?;
    Ok(Exit::Done)
}

fn list_page(all: &[DatasetView]) -> Page {
    if all.is_empty() {
        return Page::default().line("no datasets yet; `opsroom data add PATH` makes the first version of one");
    }
    let mut table = Table::new(&["DATASET", "VERSION>", "FILES>", "SIZE>", "ROWS>", "RUNS>", "DIGEST", "ADDED"]);
    for d in all {
        if let Some(newest) = d.versions.first() {
            let (v, doc) = (&newest.version, &newest.version.doc);
            let rows: u64 = doc.tables.iter().map(|t| t.rows).sum();
            let runs: usize = d.versions.iter().map(|v| v.runs.len()).sum();
            table.row([
                d.name.clone(),
                format!("v{}", v.version),
                show::count(doc.files),
                show::bytes(doc.bytes),
                if doc.tables.is_empty() { show::MISSING.to_owned() } else { show::count(rows) },
                runs.to_string(),
                doc.hex().chars().take(12).collect(),
                show::moment(v.created),
            ]);
        }
        for l in &d.logged {
            let missing = || show::MISSING.to_owned();
            let runs = l.runs.len().to_string();
            table.row([
                l.name.clone(),
                "logged".to_owned(),
                missing(),
                missing(),
                missing(),
                runs,
                l.digest.clone(),
                missing(),
            ]);
        }
    }
    table.into()
}

pub(super) async fn show(session: &Session, client: &Client, text: &str) -> Result<Exit> {
    if text.contains('@') {
        let meant = super::data::version(client, text).await?;
        let view = client.dataset(&meant.dataset).await?;
        let found = view.versions.into_iter().find(|v| v.version.version == meant.version);
        let found = found.ok_or_else(|| Fault::bug("the version went away"))?;
        print::answer(session.format, &found, version_page)?;
    } else {
        let view = client.dataset(text).await?;
        print::answer(session.format, &view, dataset_page)?;
    }
    Ok(Exit::Done)
}

fn dataset_page(d: &DatasetView) -> Page {
    let mut table = Table::new(&["VERSION>", "FILES>", "SIZE>", "NEW>", "ROWS>", "RUNS>", "DIGEST", "ADDED", "BY"]);
    for v in &d.versions {
        let doc = &v.version.doc;
        table.row([
            format!("v{}", v.version.version),
            show::count(doc.files),
            show::bytes(doc.bytes),
            show::bytes(doc.bytes_stored),
            show::count(doc.tables.iter().map(|t| t.rows).sum()),
            v.runs.len().to_string(),
            doc.hex().chars().take(12).collect(),
            show::moment(v.version.created),
            doc.user.clone(),
        ]);
    }
    let mut logged = Table::new(&["DIGEST", "SOURCE", "RUNS>"]);
    d.logged.iter().for_each(|l| logged.row([l.digest.clone(), l.source.clone(), l.runs.len().to_string()]));
    Page::default().line(d.name.clone()).table(table).titled("logged by runs, without bytes here", logged)
}

fn version_page(v: &VersionView) -> Page {
    let doc = &v.version.doc;
    let mut tables = Table::new(&["TABLE", "FILES>", "ROWS>", "COLUMNS>"]);
    for t in &doc.tables {
        tables.row([t.path.clone(), show::count(t.files), show::count(t.rows), t.columns.to_string()]);
    }
    let mut runs = Table::new(&["RUN", "NAME", "AS"]);
    for r in &v.runs {
        runs.row([r.run.to_string().chars().take(12).collect(), r.name.clone(), r.context.clone()]);
    }
    Page::default()
        .pairs([
            ("dataset", format!("{} v{}", v.version.dataset, v.version.version)),
            ("digest", doc.digest.clone()),
            ("files", show::count(doc.files)),
            ("size", show::bytes(doc.bytes)),
            ("stored new", show::bytes(doc.bytes_stored)),
            ("source", format!("{}:{}", doc.host, doc.source)),
            ("added", format!("{} by {}", show::moment(v.version.created), doc.user)),
            ("description", doc.description.clone()),
        ])
        .titled("tables", tables)
        .titled("read by", runs)
}

pub(super) async fn profile(session: &Session, client: &Client, text: &str, column: Option<&str>) -> Result<Exit> {
    let version = super::data::version(client, text).await?;
    let mut profile = client.profile(&version.dataset, version.version).await?;
    if let Some(name) = column {
        profile.tables.iter_mut().for_each(|t| t.columns.retain(|c| c.name == name));
        profile.tables.retain(|t| !t.columns.is_empty());
        if profile.tables.is_empty() {
            return Err(
                Fault::not_found(format!("no column {name}")).next(format!("see `opsroom data profile {text}`"))
            );
        }
    }
    print::answer(session.format, &profile, |p| profile_page(p, column.is_some()))?;
    Ok(Exit::Done)
}

fn profile_page(profile: &Profile, whole: bool) -> Page {
    let mut page = Page::default();
    for (nth, table) in profile.tables.iter().enumerate() {
        let more = if table.files.len() > 1 { format!(" and {} more", table.files.len() - 1) } else { String::new() };
        let title =
            format!("{}{more}: {} rows", table.files.first().map_or("", String::as_str), show::count(table.rows));
        page = if nth == 0 { page.line(title) } else { page.line("").line(title) };
        page = page.table(columns(table));
        if whole {
            for column in &table.columns {
                page = page.titled("bins", bins(column));
            }
        }
    }
    page
}

fn columns(table: &TableProfile) -> Table {
    let mut out =
        Table::new(&["COLUMN", "KIND", "MISSING>", "DISTINCT>", "MEAN>", "DEVIATION>", "LEAST>", "GREATEST>", "MOST"]);
    for c in &table.columns {
        let share = if c.counts.n == 0 { 0.0 } else { 100.0 * c.counts.missing as f64 / c.counts.n as f64 };
        let missing = || show::MISSING.to_owned();
        let number = |x: Option<f64>| x.map_or_else(missing, show::metric);
        let (mean, deviation, distinct, most) = match &c.reference {
            Reference::Numbers(bins) => (c.counts.mean(bins), c.counts.deviation(bins), missing(), String::new()),
            Reference::Categories(bins) => {
                let most = bins.top.iter().zip(&c.counts.bins).take(3).map(|(name, n)| format!("{name} ({n})"));
                let distinct = show::count(c.counts.distinct.estimate());
                (None, None, distinct, most.collect::<Vec<_>>().join(", "))
            }
        };
        out.row([
            c.name.clone(),
            c.kind.name().to_owned(),
            format!("{share:.1} %"),
            distinct,
            number(mean),
            number(deviation),
            number(c.counts.min),
            number(c.counts.max),
            most,
        ]);
    }
    out
}

fn bins(column: &Column) -> Table {
    match &column.reference {
        Reference::Numbers(reference) => {
            let mut table = Table::new(&["UP TO>", "COUNT>", "MEAN>"]);
            for (bin, n) in column.counts.bins.iter().enumerate() {
                let upper = reference.edges.get(bin).map_or_else(|| "inf".to_owned(), ToString::to_string);
                let mean = (*n > 0).then(|| column.counts.sum(reference, bin) / *n as f64);
                table.row([upper, show::count(*n), mean.map_or_else(|| show::MISSING.to_owned(), show::metric)]);
            }
            table
        }
        Reference::Categories(reference) => {
            let mut table = Table::new(&["CATEGORY", "COUNT>"]);
            for (name, n) in reference.top.iter().zip(&column.counts.bins) {
                table.row([name.to_string(), show::count(*n)]);
            }
            if column.counts.other > 0 {
                table.row(["(other)".to_owned(), show::count(column.counts.other)]);
            }
            table
        }
    }
}
