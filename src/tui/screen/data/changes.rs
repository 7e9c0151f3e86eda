//! What changed between two versions: columns with the greatest change of distribution first, and files.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{ABOUT, Data, PROFILE, share};
use crate::capability::datasets::profile::{ColumnChange, TableChange};
use crate::capability::datasets::{Diff, FileChange};
use crate::tui::format;
use crate::tui::theme::Token;
use crate::tui::widget::table::{Cell, Col, Row, table};
use crate::tui::widget::{Look, Scroll};

/// From here a distribution counts as moved, and as shifted.
const MOVED: f64 = 0.1;
const SHIFTED: f64 = 0.2;

/// `3 files added, 1 changed, 12 the same`.
pub(super) fn summary(diff: &Diff) -> String {
    let counts = [(diff.added.len(), "added"), (diff.removed.len(), "removed"), (diff.changed.len(), "changed")];
    let mut parts: Vec<String> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    parts.push(format!("{} the same", diff.unchanged));
    parts.join(", ")
}

/// How sure it is that the distribution is another one, in a word that needs no colour.
pub(super) fn grade(c: &ColumnChange) -> (&'static str, Token) {
    match (c.psi, c.limit) {
        (None, _) => ("?", Token::Unknown),
        (Some(psi), _) if psi <= 0.0 => ("same", Token::Muted),
        (Some(psi), Some(limit)) if psi <= limit => ("chance", Token::Muted),
        (Some(psi), _) if psi >= SHIFTED => ("!! shifted", Token::Crit),
        (Some(psi), _) if psi >= MOVED => ("! moved", Token::Warn),
        (Some(_), _) => ("small", Token::Text),
    }
}

/// The columns of a table, the most changed first.
pub(super) fn worst_first(change: &TableChange) -> Vec<&ColumnChange> {
    let mut columns: Vec<&ColumnChange> = change.columns.iter().collect();
    let key = |c: &ColumnChange| (c.kinds.0 != c.kinds.1, c.psi.unwrap_or(-1.0));
    columns.sort_by(|a, b| {
        let (a, b) = (key(a), key(b));
        b.0.cmp(&a.0).then(b.1.total_cmp(&a.1))
    });
    columns
}

pub(super) fn columns(look: &Look<'_>, buf: &mut Buffer, inner: Rect, data: &Data, scroll: &mut Scroll) {
    let Some(change) = data.diff.value().and_then(|d| d.tables.get(data.table)) else { return };
    let heads = [
        Col::left("COLUMN", 14, 0).grows(14),
        Col::left("TYPE", 8, 5).grows(10),
        Col::right("PSI", 8, 1),
        Col::left("CHANGE", 10, 0),
        Col::right("BY CHANCE", 9, 6),
        Col::left("MEAN", 19, 2).grows(8),
        Col::left("MISSING", 17, 3).grows(4),
        Col::right("NEW VALUES", 10, 4),
    ];
    let mut rows: Vec<Vec<Cell<'_>>> = Vec::new();
    for (names, sign, word, token) in
        [(&change.added, "+", "added", Token::Ok), (&change.removed, "-", "removed", Token::Crit)]
    {
        rows.extend(names.iter().map(|name| {
            let mut cells = vec![Cell::new(format!("{sign} {name}"), token)];
            cells.extend([Cell::muted("-"), Cell::muted("-"), Cell::new(word, token)]);
            cells.extend(std::iter::repeat_n(Cell::muted("-"), 4));
            cells
        }));
    }
    rows.extend(worst_first(change).into_iter().map(cells));
    let len = rows.len();
    let cursor = data.cursors[PROFILE].min(len.saturating_sub(1));
    let focused = data.pane == PROFILE;
    let first = scroll.keep("changes", cursor, len, usize::from(inner.height.saturating_sub(1)));
    let rows = rows.into_iter().enumerate().skip(first).map(|(i, cells)| Row {
        cells,
        at_cursor: focused && i == cursor,
        marked: false,
    });
    table(look, buf, inner, &heads, rows, focused);
}

fn cells(c: &ColumnChange) -> Vec<Cell<'_>> {
    let pair = |a: String, b: String| if a == b { Cell::muted(a) } else { Cell::text(format!("{a} → {b}")) };
    let (word, token) = grade(c);
    vec![
        Cell::id(c.name.as_str()),
        pair(c.kinds.0.name().to_owned(), c.kinds.1.name().to_owned()),
        c.psi.map_or(Cell::muted("-"), |psi| Cell::text(format!("{psi:.4}"))),
        Cell::new(word, token),
        c.limit.map_or(Cell::muted("-"), |l| Cell::muted(format!("≤{l:.4}"))),
        c.means.map_or(Cell::muted("-"), |(a, b)| pair(format::number(a), format::number(b))),
        pair(share(c.missing.0), share(c.missing.1)),
        Cell::muted(if c.new.1 == 0 { "-".to_owned() } else { format::count(c.new.1) }),
    ]
}

pub(super) fn files(look: &Look<'_>, buf: &mut Buffer, inner: Rect, data: &Data) {
    let Some(diff) = data.diff.value() else { return };
    let heads = [Col::left("FILE", 20, 0).grows(60), Col::right("BEFORE", 9, 2), Col::right("AFTER", 9, 1)];
    let all = [("+", &diff.added, Token::Ok), ("-", &diff.removed, Token::Crit), ("~", &diff.changed, Token::Warn)];
    let rows: Vec<(&str, &FileChange, Token)> =
        all.into_iter().flat_map(|(sign, files, token)| files.iter().map(move |f| (sign, f, token))).collect();
    let skip = data.cursors[ABOUT].min(rows.len().saturating_sub(usize::from(inner.height.saturating_sub(1))));
    let size = |n: Option<u64>| n.map_or(Cell::muted("-"), |n| Cell::muted(format::bytes(n)));
    let rows = rows.into_iter().skip(skip).map(|(sign, f, token)| Row {
        cells: vec![
            Cell { id: true, ..Cell::new(format!("{sign} {}", f.path), token) },
            size(f.bytes.0),
            size(f.bytes.1),
        ],
        at_cursor: false,
        marked: false,
    });
    table(look, buf, inner, &heads, rows, data.pane == ABOUT);
}
