//! The lists of one run: params, tags with data, datasets, logged models.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{CONSOLE, INPUTS, MODELS, ORIGIN, PARAMS, RunDetail, TAGS};
use crate::tui::format;
use crate::tui::remote::Remote;
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::table::{Cell, Col, Row, table};
use crate::tui::widget::{Look, Scroll, put};

/// What else the middle pane holds, one Tab away.
pub(super) fn others(detail: &RunDetail, shown: usize) -> String {
    let run = detail.row.value();
    let counted = [
        (TAGS, "tags", run.map_or(0, |r| r.tags.len())),
        (INPUTS, "data", run.map_or(0, |r| r.inputs.len())),
        (MODELS, "models", run.map_or(0, |r| r.models.len())),
    ];
    let mut parts: Vec<String> = counted
        .into_iter()
        .filter(|(pane, _, n)| *pane != shown && *n > 0)
        .map(|(_, word, n)| format!("{word} {n}"))
        .collect();
    if shown != ORIGIN && detail.has(ORIGIN) {
        parts.push("capture".into());
    }
    if shown != CONSOLE && detail.console_path().is_some() {
        parts.push("console".into());
    }
    parts.join(" · ")
}

pub(super) fn params(look: &Look<'_>, buf: &mut Buffer, area: Rect, detail: &RunDetail, scroll: &mut Scroll) {
    let rows: Vec<(&str, &str)> = detail.params().into_iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let inner = pane(look, buf, area, detail.pane == PARAMS, "PARAMS", &rows.len().to_string());
    if rows.is_empty() {
        return empty(look, buf, inner, &[("no param logged", Token::Muted)]);
    }
    pairs(
        look,
        buf,
        inner,
        detail,
        PARAMS,
        &rows,
        scroll.keep("run.params", detail.cursors[PARAMS], rows.len(), usize::from(inner.height)),
    );
}

pub(super) fn tags(look: &Look<'_>, buf: &mut Buffer, area: Rect, detail: &RunDetail, scroll: &mut Scroll) {
    let facts = detail.facts();
    let rows: Vec<(&str, &str)> = facts.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let title = format!("DATA AND TAGS {}", rows.len());
    let inner = pane(look, buf, area, detail.pane == TAGS, &title, &others(detail, TAGS));
    pairs(
        look,
        buf,
        inner,
        detail,
        TAGS,
        &rows,
        scroll.keep("run.tags", detail.cursors[TAGS], rows.len(), usize::from(inner.height)),
    );
}

/// Names and values; the names take half of the room at most.
#[allow(clippy::too_many_arguments)] // one list among three alike
fn pairs(
    look: &Look<'_>,
    buf: &mut Buffer,
    inner: Rect,
    detail: &RunDetail,
    which: usize,
    rows: &[(&str, &str)],
    first: usize,
) {
    let on_screen = || rows.iter().enumerate().skip(first).take(usize::from(inner.height));
    let widest = on_screen().map(|(_, (k, _))| format::width(&look.spell(k))).max().unwrap_or(0);
    let label = widest.clamp(6, usize::from(inner.width / 2).max(6));
    let label_width = u16::try_from(label).unwrap_or(20);
    for (y, (i, (key, value))) in (inner.y..inner.bottom()).zip(on_screen()) {
        let key = format::cut_middle(&look.spell(key), label, look.glyphs.ellipsis);
        put(look, buf, inner.x + 1, y, label_width, &key, look.style(Token::Muted));
        let room = inner.width.saturating_sub(label_width + 2);
        put(look, buf, inner.x + 2 + label_width, y, room, value, look.style(Token::Text));
        if i == detail.cursors[which] && detail.pane == which {
            select(look, buf, Rect { y, height: 1, ..inner });
        }
    }
}

pub(super) fn select(look: &Look<'_>, buf: &mut Buffer, line: Rect) {
    put(look, buf, line.x, line.y, 1, look.glyphs.cursor, look.style(Token::BorderFocus));
    buf.set_style(line, look.style(Token::Select));
}

pub(super) fn inputs(look: &Look<'_>, buf: &mut Buffer, area: Rect, detail: &RunDetail, scroll: &mut Scroll) {
    let all = detail.row.value().map_or(&[][..], |r| r.inputs.as_slice());
    let inner = pane(look, buf, area, detail.pane == INPUTS, &format!("INPUTS {}", all.len()), &others(detail, INPUTS));
    if all.is_empty() {
        return empty(look, buf, inner, &[("no dataset logged: mlflow.log_input(dataset)", Token::Muted)]);
    }
    let columns = [
        Col::left("DATASET", 10, 0).grows(14),
        Col::left("DIGEST", 8, 1).grows(8),
        Col::left("CONTEXT", 10, 2),
        Col::left("SOURCE", 10, 3).grows(60),
    ];
    let first =
        scroll.keep("run.inputs", detail.cursors[INPUTS], all.len(), usize::from(inner.height.saturating_sub(1)));
    let rows = all.iter().enumerate().skip(first).map(|(i, input)| Row {
        cells: vec![
            Cell::id(input.name.as_str()),
            Cell::id(input.digest.as_str()),
            Cell::muted(input.context.as_str()),
            Cell::muted(input.source.as_str()),
        ],
        at_cursor: i == detail.cursors[INPUTS],
        marked: false,
    });
    table(look, buf, inner, &columns, rows, detail.pane == INPUTS);
}

pub(super) fn models(look: &Look<'_>, buf: &mut Buffer, area: Rect, detail: &RunDetail, scroll: &mut Scroll) {
    let all = detail.models.value().map_or(&[][..], Vec::as_slice);
    let count = detail.row.value().map_or(0, |r| r.models.len());
    let title = format!("LOGGED MODELS {count}");
    let inner = pane(look, buf, area, detail.pane == MODELS, &title, &others(detail, MODELS));
    match &detail.models.remote {
        Remote::Failed(fault) => return super::super::runs::view::failed(look, buf, inner, fault),
        _ if count == 0 => return empty(look, buf, inner, &[("no model logged", Token::Muted)]),
        Remote::Empty | Remote::Loading => return empty(look, buf, inner, &[("asking the agent…", Token::Muted)]),
        _ => {}
    }
    let columns = [
        Col::left("MODEL", 10, 0).grows(14),
        Col::left("STATUS", 7, 1),
        Col::left("TYPE", 8, 3).grows(8),
        Col::left("ID", 12, 2).grows(24),
        Col::left("METRICS", 10, 4).grows(60),
    ];
    let first =
        scroll.keep("run.models", detail.cursors[MODELS], all.len(), usize::from(inner.height.saturating_sub(1)));
    let rows = all.iter().enumerate().skip(first).map(|(i, m)| Row {
        cells: vec![
            Cell::id(m.name.as_str()),
            Cell::text(m.status.as_str()),
            Cell::muted(m.kind.as_str()),
            Cell::id(m.id.as_str()),
            Cell::muted(
                m.metrics.iter().map(|(k, v)| format!("{k} {}", format::number(*v))).collect::<Vec<_>>().join("  "),
            ),
        ],
        at_cursor: i == detail.cursors[MODELS],
        marked: false,
    });
    table(look, buf, inner, &columns, rows, detail.pane == MODELS);
}
