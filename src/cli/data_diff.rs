//! `opsroom data diff`: files, and for tables schema, rows and distributions.

use std::collections::BTreeMap;

use serde::Serialize;

use super::print::{self, Page, Table};
use super::{Exit, Session, data};
use crate::base::{Fault, Kind, fault::Result, show};
use crate::capability::datasets::profile::{Profile, TableChange, compare};
use crate::capability::datasets::{DatasetVersion, FileEntry, Manifest};
use crate::client::Client;

/// What is different.
#[derive(Debug, Serialize)]
struct Diff {
    from: Named,
    to: Named,
    added: Vec<FileChange>,
    removed: Vec<FileChange>,
    changed: Vec<FileChange>,
    unchanged: u64,
    tables: Vec<TableChange>,
}

#[derive(Debug, Serialize)]
struct Named {
    dataset: String,
    version: u32,
    digest: String,
}

#[derive(Debug, Serialize)]
struct FileChange {
    path: String,
    /// Bytes before and after; `null` where there is no such file.
    bytes: (Option<u64>, Option<u64>),
}

pub(super) async fn run(session: &Session, client: &Client, from: &str, to: Option<&str>) -> Result<Exit> {
    let (a, b) = match to {
        Some(to) => (data::version(client, from).await?, data::version(client, to).await?),
        None => last_two(client, from).await?,
    };
    let files = (client.manifest(&a.dataset, a.version).await?, client.manifest(&b.dataset, b.version).await?);
    let tables = match (profile(client, &a).await?, profile(client, &b).await?) {
        // Bins are compared within a dataset; across two only what needs none.
        (Some(x), Some(y)) => tables((&a, &x), (&b, &y)),
        _ => Vec::new(),
    };
    let diff = diff((&a, &files.0), (&b, &files.1), tables);
    print::answer(session.format, &diff, page)?;
    Ok(Exit::Done)
}

/// `NAME`: the version before the newest, and the newest. `NAME@3`: the one before it, and it.
async fn last_two(client: &Client, text: &str) -> Result<(DatasetVersion, DatasetVersion)> {
    let to = data::version(client, text).await?;
    let view = client.dataset(&to.dataset).await?;
    let before = view.versions.into_iter().map(|v| v.version).find(|v| v.version < to.version);
    let from = before.ok_or_else(|| {
        Fault::invalid(format!("{} v{} is the first version", to.dataset, to.version))
            .next("name two versions: DATASET@V DATASET@W")
    })?;
    Ok((from, to))
}

async fn profile(client: &Client, version: &DatasetVersion) -> Result<Option<Profile>> {
    match client.profile(&version.dataset, version.version).await {
        Err(fault) if fault.kind == Kind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// Tables of both are paired by their first file, else in order.
fn tables((a, x): (&DatasetVersion, &Profile), (b, y): (&DatasetVersion, &Profile)) -> Vec<TableChange> {
    // Versions of other datasets have other numbers for the same bins: none are shared then.
    let from_version = if a.dataset == b.dataset { a.version } else { u32::MAX };
    let pair = |(nth, to): (usize, &crate::capability::datasets::profile::TableProfile)| {
        let from = x.tables.iter().find(|t| t.files.first() == to.files.first()).or_else(|| x.tables.get(nth))?;
        Some(compare(from, from_version, to, b.version))
    };
    let mut tables: Vec<TableChange> = y.tables.iter().enumerate().filter_map(pair).collect();
    if a.dataset != b.dataset {
        tables.iter_mut().flat_map(|t| &mut t.columns).for_each(|c| c.psi = None);
    }
    tables
}

fn diff(
    (a, from): (&DatasetVersion, &Manifest),
    (b, to): (&DatasetVersion, &Manifest),
    tables: Vec<TableChange>,
) -> Diff {
    let named =
        |v: &DatasetVersion| Named { dataset: v.dataset.clone(), version: v.version, digest: v.doc.digest.clone() };
    let before: BTreeMap<&str, &FileEntry> = from.files.iter().map(|f| (f.path.as_str(), f)).collect();
    let mut diff = Diff {
        from: named(a),
        to: named(b),
        added: Vec::new(),
        removed: Vec::new(),
        changed: Vec::new(),
        unchanged: 0,
        tables,
    };
    for file in &to.files {
        let change = |was: Option<u64>| FileChange { path: file.path.clone(), bytes: (was, Some(file.size)) };
        match before.get(file.path.as_str()) {
            None => diff.added.push(change(None)),
            Some(was) if was.digest == file.digest => diff.unchanged += 1,
            Some(was) => diff.changed.push(change(Some(was.size))),
        }
    }
    let gone = from.files.iter().filter(|f| to.file(&f.path).is_none());
    diff.removed = gone.map(|f| FileChange { path: f.path.clone(), bytes: (Some(f.size), None) }).collect();
    diff
}

/// Files that are listed by name.
const FILES_SHOWN: usize = 200;

fn page(d: &Diff) -> Page {
    let mut files = Table::new(&["", "FILE", "BEFORE>", "AFTER>"]);
    let rows = [("+", &d.added), ("-", &d.removed), ("~", &d.changed)];
    let all = rows.iter().flat_map(|(sign, changes)| changes.iter().map(move |c| (*sign, c)));
    for (sign, c) in all.take(FILES_SHOWN) {
        let size = |n: Option<u64>| n.map_or_else(|| show::MISSING.to_owned(), show::bytes);
        files.row([sign.to_owned(), c.path.clone(), size(c.bytes.0), size(c.bytes.1)]);
    }
    let mut page = Page::default().line(format!(
        "{} v{} -> {} v{}: {} added, {} removed, {} changed, {} the same",
        d.from.dataset,
        d.from.version,
        d.to.dataset,
        d.to.version,
        d.added.len(),
        d.removed.len(),
        d.changed.len(),
        d.unchanged
    ));
    page = page.table(files);
    for t in &d.tables {
        let title = format!("{}: {} -> {} rows", t.path, show::count(t.rows.0), show::count(t.rows.1));
        page = page.titled(&title, columns(t));
    }
    page
}

fn columns(change: &TableChange) -> Table {
    let mut table = Table::new(&["COLUMN", "KIND", "MISSING>", "MEAN>", "PSI>", "NEW>"]);
    let missing = || show::MISSING.to_owned();
    for name in &change.added {
        table.row([format!("+ {name}"), missing(), missing(), missing(), missing(), missing()]);
    }
    for name in &change.removed {
        table.row([format!("- {name}"), missing(), missing(), missing(), missing(), missing()]);
    }
    let mut columns: Vec<_> = change.columns.iter().collect();
    columns.sort_by(|a, b| b.psi.unwrap_or(0.0).total_cmp(&a.psi.unwrap_or(0.0)));
    for c in columns {
        let pair = |a: String, b: String| if a == b { a } else { format!("{a} -> {b}") };
        let percent = |x: f64| format!("{:.1} %", 100.0 * x);
        table.row([
            c.name.clone(),
            pair(c.kinds.0.name().to_owned(), c.kinds.1.name().to_owned()),
            pair(percent(c.missing.0), percent(c.missing.1)),
            c.means.map_or_else(missing, |(a, b)| pair(show::metric(a), show::metric(b))),
            c.psi.map_or_else(missing, |psi| format!("{psi:.4}")),
            c.new.1.to_string(),
        ]);
    }
    table
}
