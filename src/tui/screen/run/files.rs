//! The files of one run: the tree of artifacts, a preview of text, JSON and CSV, and the console's end.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::lists::{others, select};
use super::{ARTIFACTS, CONSOLE, RunDetail};
use crate::tui::format;
use crate::tui::model::Preview;
use crate::tui::remote::Remote;
use crate::tui::screen::runs::view::failed;
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::{Look, Scroll, put, put_all, put_right};

pub(super) fn artifacts(look: &Look<'_>, buf: &mut Buffer, area: Rect, detail: &RunDetail, scroll: &mut Scroll) {
    let focused = detail.pane == ARTIFACTS;
    if let Some(path) = &detail.preview_path {
        return preview(look, buf, area, detail, path, focused);
    }
    let inner = pane(look, buf, area, focused, "ARTIFACTS", "↵ open");
    let tree = detail.tree();
    if tree.is_empty() {
        let text = match &detail.listing.remote {
            Remote::Failed(f) => f.what.clone(),
            _ if detail.listing_path.is_some() => "asking the agent…".into(),
            _ => "no artifacts".into(),
        };
        return empty(look, buf, inner, &[(&text, Token::Muted)]);
    }
    let cursor = detail.cursors[ARTIFACTS];
    let first = scroll.keep("run.artifacts", cursor, tree.len(), usize::from(inner.height));
    for (y, (i, (depth, entry))) in (inner.y..inner.bottom()).zip(tree.iter().enumerate().skip(first)) {
        let name = entry.path.rsplit('/').next().unwrap_or(&entry.path);
        let open = match (entry.is_dir, detail.open_dirs.contains(&entry.path), look.glyphs.ascii) {
            (false, ..) => "  ",
            (true, true, false) => "▾ ",
            (true, false, false) => "▸ ",
            (true, true, true) => "- ",
            (true, false, true) => "+ ",
        };
        let indent = " ".repeat(depth * 2);
        let size = entry.size.map_or(String::new(), format::bytes);
        let used = put_right(look, buf, inner.x + 12, inner.right() - 1, y, &size, look.style(Token::Muted));
        let token = if entry.is_dir { Token::Accent } else { Token::Text };
        let room = inner.width.saturating_sub(used + 3);
        put_all(look, buf, inner.x + 1, y, room, &[(&indent, token), (open, Token::Muted), (name, token)]);
        if i == cursor && focused {
            select(look, buf, Rect { y, height: 1, ..inner });
        }
    }
}

fn preview(look: &Look<'_>, buf: &mut Buffer, area: Rect, detail: &RunDetail, path: &str, focused: bool) {
    let sheet = delimiter(path);
    let hint = if sheet.is_some() { "↵ list · ←→ columns · z zoom" } else { "↵ list · z zoom" };
    let inner = pane(look, buf, area, focused, path, hint);
    let Some(p) = shown(look, buf, inner, &detail.preview.remote) else { return };
    let room = Rect { height: inner.height.saturating_sub(u16::from(!p.note.is_empty())), ..inner };
    let skip = detail.cursors[ARTIFACTS];
    match sheet {
        Some(delimiter) => cells(look, buf, room, p, delimiter, skip, detail.preview_column),
        None => lines(look, buf, room, p.text.lines().skip(skip.min(p.text.lines().count().saturating_sub(1)))),
    }
    if !p.note.is_empty() && inner.height > 0 {
        put(look, buf, inner.x + 1, inner.bottom() - 1, inner.width - 1, &p.note, look.style(Token::Muted));
    }
}

/// What was read, or why there is nothing yet.
fn shown<'a>(look: &Look<'_>, buf: &mut Buffer, inner: Rect, remote: &'a Remote<Preview>) -> Option<&'a Preview> {
    match remote {
        Remote::Failed(fault) => failed(look, buf, inner, fault),
        Remote::Empty | Remote::Loading => empty(look, buf, inner, &[("reading…", Token::Muted)]),
        Remote::Fresh(p, _) | Remote::Stale(p, ..) => return Some(p),
    }
    None
}

fn lines<'a>(look: &Look<'_>, buf: &mut Buffer, room: Rect, text: impl Iterator<Item = &'a str>) {
    for (y, line) in (room.y..room.bottom()).zip(text) {
        put(
            look,
            buf,
            room.x + 1,
            y,
            room.width.saturating_sub(1),
            &line.replace('\t', "    "),
            look.style(Token::Text),
        );
    }
}

/// Files that are tables, and what stands between their cells.
pub(super) fn delimiter(path: &str) -> Option<u8> {
    match path.to_lowercase().rsplit('.').next() {
        Some("csv") => Some(b','),
        Some("tsv") => Some(b'\t'),
        _ => None,
    }
}

/// A cell wider than this is cut.
const CELL_MAX: usize = 28;

/// A table out of its text: the first row stays on top, numbers are flush right, and columns scroll sideways.
fn cells(look: &Look<'_>, buf: &mut Buffer, room: Rect, p: &Preview, delimiter: u8, skip: usize, column: usize) {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(p.text.as_bytes());
    let mut records = reader.records().filter_map(Result::ok);
    let Some(head) = records.next() else { return };
    let rows: Vec<csv::StringRecord> = records.skip(skip).take(usize::from(room.height.saturating_sub(1))).collect();
    let count = rows.iter().map(csv::StringRecord::len).chain([head.len()]).max().unwrap_or(0);
    let mut x = room.x + 1;
    for c in column.min(count.saturating_sub(1))..count {
        let spelled = |r: &csv::StringRecord| look.spell(r.get(c).unwrap_or_default()).into_owned();
        let texts: Vec<String> = rows.iter().map(spelled).collect();
        let title = spelled(&head);
        let width = texts.iter().chain([&title]).map(|t| format::width(t)).max().unwrap_or(0).clamp(1, CELL_MAX);
        let numeric = !texts.is_empty() && texts.iter().all(|t| t.is_empty() || t.trim().parse::<f64>().is_ok());
        let columns = u16::try_from(width).unwrap_or(28).min(room.right().saturating_sub(x));
        if columns == 0 {
            break;
        }
        put(look, buf, x, room.y, columns, &title, look.style(Token::Accent));
        for (y, text) in (room.y + 1..room.bottom()).zip(&texts) {
            let style = look.style(Token::Text);
            if !numeric || put_right(look, buf, x, x + columns, y, text.trim(), style) == 0 {
                put(look, buf, x, y, columns, text, style);
            }
        }
        x += columns + 2;
    }
}

/// The console from its end; rows go back.
pub(super) fn console(look: &Look<'_>, buf: &mut Buffer, area: Rect, detail: &RunDetail) {
    let path = detail.console_path().unwrap_or_default();
    let title = if path.is_empty() { "CONSOLE".to_owned() } else { format!("CONSOLE {path}") };
    let inner = pane(look, buf, area, detail.pane == CONSOLE, &title, &others(detail, CONSOLE));
    if path.is_empty() {
        return empty(look, buf, inner, &[("no console.log, output.log or logs/ among the artifacts", Token::Muted)]);
    }
    let Some(p) = shown(look, buf, inner, &detail.console.remote) else { return };
    let all: Vec<&str> = p.text.lines().collect();
    let room = Rect { height: inner.height.saturating_sub(u16::from(!p.note.is_empty())), ..inner };
    let first = detail.cursors[CONSOLE].saturating_add(1).min(all.len()).saturating_sub(usize::from(room.height));
    lines(look, buf, room, all.into_iter().skip(first));
    if !p.note.is_empty() && inner.height > 0 {
        put(look, buf, inner.x + 1, inner.bottom() - 1, inner.width - 1, &p.note, look.style(Token::Muted));
    }
}
