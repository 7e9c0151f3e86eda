//! `opsroom data diff`: files, and for tables schema, rows and distributions.

use super::print::{self, Page, Table};
use super::{Exit, Session, data};
use crate::base::{Fault, fault::Result, show};
use crate::capability::datasets::profile::TableChange;
use crate::capability::datasets::{DatasetVersion, Diff};
use crate::client::Client;

pub(super) async fn run(session: &Session, client: &Client, from: &str, to: Option<&str>) -> Result<Exit> {
    let (a, b) = match to {
        Some(to) => (data::version(client, from).await?, data::version(client, to).await?),
        None => last_two(client, from).await?,
    };
    let diff = client.data_diff(&a, &b).await?;
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
