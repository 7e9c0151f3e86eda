//! The tables of the data: versions, the profile of one, what changed between two, who read it.

use serde_json::{Value, json};

use super::Grid;
use super::take::figure;
use crate::base::show;
use crate::capability::datasets::Diff;
use crate::capability::datasets::profile::{Column, Reference, TableProfile};
use crate::tui::model::data::DataRow;
use crate::tui::screen::data::{ABOUT, Data, PROFILE, READERS, Reader};

/// The table of the focused pane, and what it is called.
pub(super) fn table(data: &Data) -> Option<(String, Grid)> {
    let name = data.current().map(|r| r.id().replace(['@', ':'], "-"))?;
    match (data.pane, &data.between) {
        (PROFILE, Some((from, to))) => {
            let diff = data.diff.value()?;
            Some((format!("data-diff-{from}-{to}").replace('@', "-"), changed_columns(diff, data.table)))
        }
        (ABOUT, Some((from, to))) => {
            Some((format!("data-diff-{from}-{to}-files").replace('@', "-"), changed_files(data.diff.value()?)))
        }
        (PROFILE, None) => Some((format!("profile-{name}"), profile(data.table()?))),
        (READERS, _) => Some((format!("read-by-{name}"), readers(&data.readers()))),
        _ => Some(("datasets".to_owned(), versions(&data.shown()))),
    }
}

fn versions(rows: &[&DataRow]) -> Grid {
    let mut grid = Grid::new(&[
        "dataset", "version", "digest", "files", "bytes", "rows", "columns", "runs", "models", "added", "by",
    ]);
    let row = |r: &&DataRow| {
        let (kept, doc) = (r.kept(), r.doc());
        let models: Vec<String> = r.models.iter().map(|m| format!("{} v{}", m.model, m.version)).collect();
        vec![
            json!(r.dataset),
            json!(kept.map(|v| v.version.version)),
            json!(r.digest()),
            json!(doc.map(|d| d.files)),
            json!(doc.map(|d| d.bytes)),
            json!(r.rows()),
            json!(r.columns()),
            json!(r.runs().len()),
            json!(models.join(" ")),
            json!(kept.map(|v| show::full(v.version.created))),
            json!(doc.map(|d| d.user.as_str())),
        ]
    };
    grid.rows = rows.iter().map(row).collect();
    grid
}

fn profile(table: &TableProfile) -> Grid {
    let mut grid =
        Grid::new(&["column", "type", "values", "missing", "min", "mean", "deviation", "max", "most frequent"]);
    let number = |v: Option<f64>| v.map_or(Value::Null, figure);
    let row = |c: &Column| {
        let (mean, deviation, most) = match &c.reference {
            Reference::Numbers(bins) => (c.counts.mean(bins), c.counts.deviation(bins), Value::Null),
            Reference::Categories(bins) => (None, None, json!(bins.top.first())),
        };
        vec![
            json!(c.name),
            json!(c.kind.name()),
            json!(c.counts.n),
            json!(c.counts.missing),
            number(c.counts.min),
            number(mean),
            number(deviation),
            number(c.counts.max),
            most,
        ]
    };
    grid.rows = table.columns.iter().map(row).collect();
    grid
}

fn changed_columns(diff: &Diff, table: usize) -> Grid {
    let mut grid = Grid::new(&["column", "change", "psi", "psi by chance", "missing before", "missing after"]);
    let Some(change) = diff.tables.get(table) else { return grid };
    for (names, word) in [(&change.added, "added"), (&change.removed, "removed")] {
        let nothing = || std::iter::repeat_n(Value::Null, 4);
        grid.rows.extend(names.iter().map(|n| [json!(n), json!(word)].into_iter().chain(nothing()).collect()));
    }
    grid.rows.extend(change.columns.iter().map(|c| {
        let number = |v: Option<f64>| v.map_or(Value::Null, figure);
        let word = if c.kinds.0 == c.kinds.1 { "" } else { "type" };
        vec![json!(c.name), json!(word), number(c.psi), number(c.limit), figure(c.missing.0), figure(c.missing.1)]
    }));
    grid
}

fn changed_files(diff: &Diff) -> Grid {
    let mut grid = Grid::new(&["file", "change", "bytes before", "bytes after"]);
    for (files, word) in [(&diff.added, "added"), (&diff.removed, "removed"), (&diff.changed, "changed")] {
        grid.rows.extend(files.iter().map(|f| vec![json!(f.path), json!(word), json!(f.bytes.0), json!(f.bytes.1)]));
    }
    grid
}

fn readers(readers: &[Reader<'_>]) -> Grid {
    let mut grid = Grid::new(&["kind", "name", "id", "as"]);
    let row = |r: &Reader<'_>| match r {
        Reader::Model(m) => vec![json!("model"), json!(m.model), json!(m.version), json!(m.stage.name())],
        Reader::Run(r) => vec![json!("run"), json!(r.name), json!(r.run.to_string()), json!(r.context)],
    };
    grid.rows = readers.iter().map(row).collect();
    grid
}
