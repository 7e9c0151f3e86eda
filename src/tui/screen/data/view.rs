//! The picture of the data: versions, the profile of one or what changed between two, what it is, who read it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{ABOUT, Data, PANES, PROFILE, READERS, Reader, VERSIONS, changes, columns, evals};
use crate::base::{Timestamp, show};
use crate::tui::format;
use crate::tui::model::data::{DataKind, DataRow};
use crate::tui::remote::Remote;
use crate::tui::screen::runs::view::failed;
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::table::{Cell, Col, Row, table};
use crate::tui::widget::{Look, Scroll, put};

pub fn panes(state: &State, body: Rect) -> [Option<Rect>; PANES] {
    let focus = state.data.pane;
    let mut at = [None; PANES];
    if state.zoom || body.width < 80 || body.height < 18 {
        at[focus] = Some(body);
        return at;
    }
    let data = &state.data;
    let rows = if data.shows_evals { data.evals.suites(&data.filter).len() } else { data.shown().len() };
    let rows = u16::try_from(rows).unwrap_or(u16::MAX);
    let top = rows.saturating_add(3).clamp(5, body.height / 3);
    let low = (body.height / 4).clamp(6, 11);
    at[VERSIONS] = Some(Rect { height: top, ..body });
    at[PROFILE] = Some(Rect { y: body.y + top, height: body.height - top - low, ..body });
    let bottom = Rect { y: body.bottom() - low, height: low, ..body };
    if body.width >= 100 {
        let half = body.width / 2;
        at[ABOUT] = Some(Rect { width: half, ..bottom });
        at[READERS] = Some(Rect { x: bottom.x + half, width: body.width - half, ..bottom });
    } else {
        at[if focus == READERS { READERS } else { ABOUT }] = Some(bottom);
    }
    at
}

pub fn view(look: &Look<'_>, buf: &mut Buffer, body: Rect, state: &State, scroll: &mut Scroll) {
    let data = &state.data;
    if data.shows_evals {
        return evals::view(look, buf, body, panes(state, body), state, scroll);
    }
    if data.rows.value().is_none_or(Vec::is_empty) {
        let inner = pane(look, buf, body, true, "DATASETS × VERSIONS", "");
        return match &data.rows.remote {
            Remote::Empty | Remote::Loading => empty(look, buf, inner, &[("asking the agent…", Token::Muted)]),
            Remote::Failed(fault) => failed(look, buf, inner, fault),
            Remote::Fresh(..) | Remote::Stale(..) => nothing(look, buf, inner),
        };
    }
    let at = panes(state, body);
    if let Some(area) = at[VERSIONS] {
        versions(look, buf, area, state, scroll);
    }
    if let Some(area) = at[PROFILE] {
        middle(look, buf, area, state, scroll);
    }
    if let Some(area) = at[ABOUT] {
        about(look, buf, area, data, state.now);
    }
    if let Some(area) = at[READERS] {
        readers(look, buf, area, data);
    }
}

fn nothing(look: &Look<'_>, buf: &mut Buffer, inner: Rect) {
    empty(
        look,
        buf,
        inner,
        &[
            ("No data yet. A version of a file or a folder, known by the digest of its bytes:", Token::Text),
            ("", Token::Text),
            ("opsroom data add PATH", Token::Accent),
            ("", Token::Text),
            ("CSV and Parquet get a training profile: a histogram of every column, to measure drift by.", Token::Muted),
            ("What runs log with mlflow.log_input appears here beside it.", Token::Muted),
            ("or see it on real data:   opsroom demo", Token::Muted),
        ],
    );
}

fn versions(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, scroll: &mut Scroll) {
    let data = &state.data;
    let shown = data.shown();
    let stale = data.rows.remote.is_stale();
    let last_known = if stale { "~ last known · " } else { "" };
    let keys = if area.width < 100 { "" } else { " · Space mark · d diff · v evals" };
    let note = format!("{last_known}{}{keys}", show::many(shown.len() as u64, "version", "versions"));
    let inner = pane(look, buf, area, data.pane == VERSIONS, "DATASETS × VERSIONS", &note);
    if shown.is_empty() {
        return empty(look, buf, inner, &[("No dataset fits. Esc clears the filter.", Token::Text)]);
    }
    let heads = [
        Col::left("DATASET", 18, 0).grows(14),
        Col::left("VERSION", 7, 0),
        Col::right("FILES", 7, 6),
        Col::right("SIZE", 9, 3),
        Col::right("ROWS", 11, 2),
        Col::right("COLUMNS", 7, 7),
        Col::right("RUNS", 4, 1),
        Col::left("MODELS", 12, 4).grows(16),
        Col::left("ADDED", 10, 5),
        Col::left("BY", 8, 8),
    ];
    let first = scroll.keep("datasets", data.cursor, shown.len(), usize::from(inner.height.saturating_sub(1)));
    let rows = shown.iter().enumerate().skip(first).map(|(i, row)| {
        // The name stands once, over all of its versions.
        let named = i == first || shown[i - 1].dataset != row.dataset;
        Row {
            cells: cells(row, named, stale, state.now),
            at_cursor: i == data.cursor,
            marked: row.version().is_some_and(|v| data.marks.contains(&v)),
        }
    });
    table(look, buf, inner, &heads, rows, data.pane == VERSIONS);
}

fn cells(row: &DataRow, named: bool, stale: bool, now: Timestamp) -> Vec<Cell<'_>> {
    let token = if stale { Token::Unknown } else { Token::Text };
    let number = |n: Option<u64>| n.map_or(Cell::muted("-"), |n| Cell::new(format::count(n), token));
    let doc = row.doc();
    let version = row.version().map_or("logged".to_owned(), |v| format!("v{}", v.version));
    let models: Vec<String> = row.models.iter().map(|m| format!("{} v{}", m.model, m.version)).collect();
    vec![
        Cell::id(if named { row.dataset.as_str() } else { "" }),
        Cell::new(version, if doc.is_some() { token } else { Token::Muted }),
        number(doc.map(|d| d.files)),
        doc.map_or(Cell::muted("-"), |d| Cell::new(format::bytes(d.bytes), token)),
        number(row.rows()),
        number(row.columns()),
        Cell::new(row.runs().len().to_string(), token),
        if models.is_empty() { Cell::muted("-") } else { Cell::new(models.join(", "), token) },
        Cell::muted(row.kept().map_or("-".to_owned(), |v| format::moment(now, v.version.created))),
        Cell::muted(doc.map_or("-", |d| d.user.as_str())),
    ]
}

/// The profile of the version under the cursor, or the comparison of two.
fn middle(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, scroll: &mut Scroll) {
    let data = &state.data;
    let focused = data.pane == PROFILE;
    if let Some((from, to)) = &data.between {
        let title = if from.dataset == to.dataset {
            format!("{} v{} → v{}  COLUMNS", to.dataset, from.version, to.version)
        } else {
            format!("{from} → {to}  COLUMNS")
        };
        let table = data.diff.value().and_then(|d| d.tables.get(data.table).map(|t| (t, d.tables.len())));
        let note = table.map_or(String::new(), |(t, tables)| {
            let rows = format!("{} → {} rows", format::count(t.rows.0), format::count(t.rows.1));
            format!("{}{rows} · worst first · Esc back", of_tables(data.table, tables))
        });
        let inner = pane(look, buf, area, focused, &title, &note);
        return match &data.diff.remote {
            Remote::Empty | Remote::Loading => empty(look, buf, inner, &[("comparing…", Token::Muted)]),
            Remote::Failed(fault) => failed(look, buf, inner, fault),
            Remote::Fresh(d, _) | Remote::Stale(d, ..) if d.tables.is_empty() => {
                empty(look, buf, inner, &[("No table is in both: only files are compared.", Token::Text)]);
            }
            Remote::Fresh(..) | Remote::Stale(..) => changes::columns(look, buf, inner, data, scroll),
        };
    }
    profile(look, buf, area, data, focused, scroll);
}

/// `table 1 of 2 (←→) · `, where there are several.
fn of_tables(table: usize, tables: usize) -> String {
    if tables > 1 { format!("table {} of {tables} (←→) · ", table + 1) } else { String::new() }
}

fn profile(look: &Look<'_>, buf: &mut Buffer, area: Rect, data: &Data, focused: bool, scroll: &mut Scroll) {
    let Some(row) = data.current() else {
        pane(look, buf, area, focused, "PROFILE", "");
        return;
    };
    let Some(version) = row.version() else {
        let inner = pane(look, buf, area, focused, &format!("{}  PROFILE", row.dataset), "");
        return empty(
            look,
            buf,
            inner,
            &[
                ("Runs logged this; its bytes are not kept here, so it has no profile.", Token::Text),
                ("opsroom data add PATH   keeps them, and is matched by digest where runs log it", Token::Muted),
            ],
        );
    };
    let title = format!("{} v{}  PROFILE", version.dataset, version.version);
    let known = data.profile_of.as_ref() == Some(&version);
    let note = data.table().filter(|_| known).map_or(String::new(), |t| {
        let tables = data.profile.value().and_then(Option::as_ref).map_or(0, |p| p.tables.len());
        let file = t.files.first().map_or("", String::as_str);
        let more = if t.files.len() > 1 { format!(" +{} files", t.files.len() - 1) } else { String::new() };
        format!("{}{file}{more} · {} rows", of_tables(data.table, tables), format::count(t.rows))
    });
    let inner = pane(look, buf, area, focused, &title, &note);
    match &data.profile.remote {
        _ if !known => empty(look, buf, inner, &[("…", Token::Muted)]),
        Remote::Empty | Remote::Loading => empty(look, buf, inner, &[("asking the agent…", Token::Muted)]),
        Remote::Failed(fault) => failed(look, buf, inner, fault),
        Remote::Fresh(None, _) | Remote::Stale(None, ..) => empty(
            look,
            buf,
            inner,
            &[
                ("No table among its files: no profile.", Token::Text),
                ("CSV and Parquet files get one when they are added.", Token::Muted),
            ],
        ),
        Remote::Fresh(..) | Remote::Stale(..) => columns::draw(look, buf, inner, data, scroll),
    }
}

type Line = (&'static str, String, Token);

fn about(look: &Look<'_>, buf: &mut Buffer, area: Rect, data: &Data, now: Timestamp) {
    let focused = data.pane == ABOUT;
    if data.between.is_some() {
        let note = data.diff.value().map_or(String::new(), changes::summary);
        let inner = pane(look, buf, area, focused, "FILES", &note);
        return changes::files(look, buf, inner, data);
    }
    let Some(row) = data.current() else {
        pane(look, buf, area, focused, "ABOUT", "");
        return;
    };
    let title = row.version().map_or(row.dataset.clone(), |v| format!("{} v{}", v.dataset, v.version));
    let inner = pane(look, buf, area, focused, &title, "y copy");
    let lines = facts(row, now);
    let skip = data.cursors[ABOUT].min(lines.len().saturating_sub(usize::from(inner.height)));
    for (y, (label, text, token)) in (inner.y..inner.bottom()).zip(lines.iter().skip(skip)) {
        put(look, buf, inner.x + 1, y, 8, label, look.style(Token::Muted));
        put(look, buf, inner.x + 10, y, inner.width.saturating_sub(10), text, look.style(*token));
    }
}

fn facts(row: &DataRow, now: Timestamp) -> Vec<Line> {
    let mut lines: Vec<Line> = vec![("digest", row.digest().to_owned(), Token::Text)];
    match &row.what {
        DataKind::Kept(view) => {
            let doc = &view.version.doc;
            if !doc.description.is_empty() {
                lines.push(("about", doc.description.clone(), Token::Text));
            }
            let new = format!(
                "{} in {}, {} of it new",
                format::bytes(doc.bytes),
                show::many(doc.files, "file", "files"),
                format::bytes(doc.bytes_stored)
            );
            lines.push(("size", new, Token::Text));
            let added = format!("{} by {}", format::moment(now, view.version.created), doc.user);
            lines.push(("added", added, Token::Text));
            lines.push(("source", format!("{}:{}", doc.host, doc.source), Token::Muted));
            lines.extend(doc.tables.iter().map(|t| {
                let files = if t.files > 1 { format!(" +{} files", t.files - 1) } else { String::new() };
                let size = format!("{} rows × {} columns", format::count(t.rows), t.columns);
                ("table", format!("{}{files}: {size}", t.path), Token::Text)
            }));
        }
        DataKind::Logged(logged) => {
            lines.push(("source", format!("{} {}", logged.source_type, logged.source), Token::Text));
            lines.push(("bytes", "not kept here; known only by what runs logged".to_owned(), Token::Muted));
        }
    }
    lines
}

fn readers(look: &Look<'_>, buf: &mut Buffer, area: Rect, data: &Data) {
    let focused = data.pane == READERS;
    let all = data.readers();
    let row = data.current();
    let (runs, models) = row.map_or((0, 0), |r| (r.runs().len(), r.models.len()));
    let (runs, models) = (show::many(runs as u64, "run", "runs"), show::many(models as u64, "model", "models"));
    let note = format!("{runs} · {models} · ↵ open");
    let inner = pane(look, buf, area, focused, "READ BY", &note);
    if all.is_empty() {
        let named = row.and_then(DataRow::version).map_or_else(|| "NAME".to_owned(), |v| v.to_string());
        let line = format!("opsroom data checkout {named} DIR   gives the files");
        return empty(look, buf, inner, &[("No run has logged this digest yet.", Token::Text), (&line, Token::Muted)]);
    }
    let cursor = data.cursors[READERS].min(all.len().saturating_sub(1));
    let skip = (cursor + 1).saturating_sub(usize::from(inner.height));
    let heads = [Col::left("MODEL OR RUN", 20, 0).grows(24), Col::left("AS", 12, 1).grows(8)];
    let rows = all.iter().enumerate().skip(skip).map(|(i, reader)| {
        let cells = match reader {
            Reader::Model(m) => vec![
                Cell::new(format!("{} v{}", m.model, m.version), Token::Accent),
                Cell::text(format!("model in {}", m.stage.name())),
            ],
            Reader::Run(r) => vec![
                Cell::id(r.name.as_str()),
                Cell::muted(if r.context.is_empty() { "run".to_owned() } else { format!("run, {}", r.context) }),
            ],
        };
        Row { cells, at_cursor: focused && i == cursor, marked: false }
    });
    table(look, buf, inner, &heads, rows, focused);
}
