//! The picture of one run.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{ARTIFACTS, CHART, METRICS, PANES, PARAMS, RunDetail, TAGS};
use crate::tui::format;
use crate::tui::model::Run;
use crate::tui::remote::Remote;
use crate::tui::screen::plot::{Plotted, plot};
use crate::tui::screen::runs::view::{failed, state_of};
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::table::{Cell, Col, Row, table};
use crate::tui::widget::{Look, Scroll, put, put_all};

/// Where the panes lie. `None` is not on screen.
fn panes(state: &State, body: Rect) -> [Option<Rect>; PANES] {
    let focus = state.run.pane;
    let mut at = [None; PANES];
    if state.zoom || body.width < 80 || body.height < 16 {
        at[focus] = Some(body);
        return at;
    }
    let top_height = body.height * 3 / 5;
    let (top, low) = (
        Rect { height: top_height, ..body },
        Rect { y: body.y + top_height, height: body.height - top_height, ..body },
    );
    let left = if body.width >= 100 { 48 } else { 38 };
    at[METRICS] = Some(Rect { width: left, ..top });
    at[CHART] = Some(Rect { x: top.x + left, width: body.width - left, ..top });
    if body.width >= 100 {
        let third = body.width / 3;
        at[PARAMS] = Some(Rect { width: third, ..low });
        at[TAGS] = Some(Rect { x: low.x + third, width: third, ..low });
        at[ARTIFACTS] = Some(Rect { x: low.x + 2 * third, width: body.width - 2 * third, ..low });
    } else {
        let half = body.width / 2;
        let right = if focus == TAGS { TAGS } else { ARTIFACTS };
        at[PARAMS] = Some(Rect { width: half, ..low });
        at[right] = Some(Rect { x: low.x + half, width: body.width - half, ..low });
    }
    at
}

pub fn view(look: &Look<'_>, buf: &mut Buffer, body: Rect, state: &State, scroll: &mut Scroll) {
    let detail = &state.run;
    let Some(run) = detail.row.value() else {
        let inner = pane(look, buf, body, true, "RUN", "");
        return match &detail.row.remote {
            Remote::Failed(fault) => failed(look, buf, inner, fault),
            _ => empty(look, buf, inner, &[("asking the agent…", Token::Muted)]),
        };
    };
    let head = Rect { height: 1, ..body };
    heading(look, buf, head, state, run);
    let body = Rect { y: body.y + 1, height: body.height.saturating_sub(1), ..body };
    let at = panes(state, body);
    if let Some(area) = at[METRICS] {
        metrics(look, buf, area, state, scroll);
    }
    if let Some(area) = at[CHART] {
        curve(look, buf, area, state);
    }
    if let Some(area) = at[PARAMS] {
        let rows: Vec<(String, String)> = detail.params().into_iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        pairs(look, buf, area, detail, PARAMS, "PARAMS", &rows, scroll);
    }
    if let Some(area) = at[TAGS] {
        pairs(look, buf, area, detail, TAGS, "DATA AND TAGS", &detail.facts(), scroll);
    }
    if let Some(area) = at[ARTIFACTS] {
        artifacts(look, buf, area, detail, scroll);
    }
}

/// One line: how it stands, when, how long, who, which experiment.
fn heading(look: &Look<'_>, buf: &mut Buffer, line: Rect, state: &State, run: &Run) {
    let (status, token) = state_of(look, run, state.now);
    let tilde = if state.run.row.remote.is_stale() { "~ " } else { "" };
    let step = run.step().map_or(String::new(), |s| format!("   step {}", format::short_count(s)));
    let facts = format!(
        "   started {}   {}{step}   {}   {}",
        format::moment(state.now, run.started),
        format::span(run.seconds(state.now)),
        run.user,
        run.experiment
    );
    let token = if tilde.is_empty() { token } else { Token::Unknown };
    put_all(
        look,
        buf,
        line.x + 1,
        line.y,
        line.width - 2,
        &[
            (tilde, Token::Unknown),
            (&status, token),
            (&facts, Token::Muted),
            ("   ", Token::Text),
            (&run.id, Token::Muted),
        ],
    );
}

fn metrics(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, scroll: &mut Scroll) {
    let detail = &state.run;
    let all = detail.metrics();
    let inner = pane(look, buf, area, detail.pane == METRICS, "METRICS", &format!("{}", all.len()));
    if all.is_empty() {
        return empty(look, buf, inner, &[("no metric logged yet", Token::Muted)]);
    }
    let columns = [
        Col::left("METRIC", 14, 0).grows(20),
        Col::right("LAST", 10, 0),
        Col::left("curve", 8, 3),
        Col::right("STEP", 6, 2),
        Col::right("POINTS", 6, 4),
    ];
    let first =
        scroll.keep("run.metrics", detail.cursors[METRICS], all.len(), usize::from(inner.height.saturating_sub(1)));
    let rows = all.iter().enumerate().skip(first).map(|(i, (key, m))| {
        let values: Vec<f64> = detail.sparks.get(&detail.id, key).unwrap_or_default().iter().map(|p| p.value).collect();
        let token = if m.value.is_finite() { Token::Text } else { Token::Crit };
        Row {
            cells: vec![
                Cell::id(key.as_str()),
                Cell::new(format::number(m.value), token),
                Cell::new(format::sparkline(&values, 8, look.glyphs.ramp), Token::Series(0)),
                Cell::muted(format::short_count(m.step)),
                Cell::muted(format::short_count(i64::try_from(m.count).unwrap_or(i64::MAX))),
            ],
            at_cursor: i == detail.cursors[METRICS],
            marked: false,
        }
    });
    table(look, buf, inner, &columns, rows, detail.pane == METRICS);
}

fn curve(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State) {
    let detail = &state.run;
    let key = detail.charted_metric().unwrap_or_default();
    let inner =
        pane(look, buf, area, detail.pane == CHART, if key.is_empty() { "CHART" } else { &key }, &detail.look.words());
    let plotted = plotted(detail);
    plot(look, buf, inner, &plotted, detail.look, detail.probe);
}

/// The curves of the charted metrics.
pub fn plotted(detail: &RunDetail) -> Vec<Plotted<'_>> {
    let Some(run) = detail.row.value() else { return Vec::new() };
    let charted = detail.charted();
    let line = |(i, key): (usize, &String)| {
        let (key, m) = run.metrics.get_key_value(key)?;
        Some(Plotted {
            name: if charted.len() > 1 { key } else { &run.name },
            run: &run.name,
            metric: key,
            points: detail.charts.get(&run.id, key),
            latest: Some(m.value),
            token: Token::Series(i),
            started: run.started,
        })
    };
    charted.iter().enumerate().filter_map(line).collect()
}

#[allow(clippy::too_many_arguments)] // one list among three alike
fn pairs(
    look: &Look<'_>,
    buf: &mut Buffer,
    area: Rect,
    detail: &RunDetail,
    which: usize,
    title: &str,
    rows: &[(String, String)],
    scroll: &mut Scroll,
) {
    let inner = pane(look, buf, area, detail.pane == which, title, &rows.len().to_string());
    let name = if which == PARAMS { "run.params" } else { "run.tags" };
    let first = scroll.keep(name, detail.cursors[which], rows.len(), usize::from(inner.height));
    let label = rows.iter().map(|(k, _)| format::width(k)).max().unwrap_or(0).clamp(6, usize::from(inner.width) / 2);
    for (y, (i, (key, value))) in (inner.y..inner.bottom()).zip(rows.iter().enumerate().skip(first)) {
        let label_width = u16::try_from(label).unwrap_or(20);
        put(
            look,
            buf,
            inner.x + 1,
            y,
            label_width,
            &format::cut_middle(&format::clean(key), label, "…"),
            look.style(Token::Muted),
        );
        put(
            look,
            buf,
            inner.x + 2 + label_width,
            y,
            inner.width.saturating_sub(label_width + 2),
            value,
            look.style(Token::Text),
        );
        if i == detail.cursors[which] && detail.pane == which {
            select(look, buf, Rect { y, height: 1, ..inner });
        }
    }
}

fn select(look: &Look<'_>, buf: &mut Buffer, line: Rect) {
    put(look, buf, line.x, line.y, 1, look.glyphs.cursor, look.style(Token::BorderFocus));
    buf.set_style(line, look.style(Token::Select));
}

fn artifacts(look: &Look<'_>, buf: &mut Buffer, area: Rect, detail: &RunDetail, scroll: &mut Scroll) {
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
        let open = if !entry.is_dir {
            "  "
        } else if detail.open_dirs.contains(&entry.path) {
            "▾ "
        } else {
            "▸ "
        };
        let indent = " ".repeat(depth * 2);
        let size = entry.size.map_or(String::new(), format::bytes);
        let used = crate::tui::widget::put_right(
            look,
            buf,
            inner.x + 12,
            inner.right() - 1,
            y,
            &size,
            look.style(Token::Muted),
        );
        let token = if entry.is_dir { Token::Accent } else { Token::Text };
        put_all(
            look,
            buf,
            inner.x + 1,
            y,
            inner.width.saturating_sub(used + 3),
            &[
                (&indent, token),
                (if look.glyphs.ascii { if entry.is_dir { "+ " } else { "  " } } else { open }, Token::Muted),
                (name, token),
            ],
        );
        if i == cursor && focused {
            select(look, buf, Rect { y, height: 1, ..inner });
        }
    }
}

fn preview(look: &Look<'_>, buf: &mut Buffer, area: Rect, detail: &RunDetail, path: &str, focused: bool) {
    let inner = pane(look, buf, area, focused, path, "↵ back to the list · z zoom");
    match &detail.preview.remote {
        Remote::Fresh(p, _) | Remote::Stale(p, ..) => {
            let skip = detail.cursors[ARTIFACTS].min(p.text.lines().count().saturating_sub(1));
            for (y, line) in (inner.y..inner.bottom().saturating_sub(1)).zip(p.text.lines().skip(skip)) {
                put(look, buf, inner.x + 1, y, inner.width - 1, &line.replace('\t', "    "), look.style(Token::Text));
            }
            if !p.note.is_empty() && inner.height > 0 {
                put(look, buf, inner.x + 1, inner.bottom() - 1, inner.width - 1, &p.note, look.style(Token::Muted));
            }
        }
        Remote::Failed(fault) => failed(look, buf, inner, fault),
        Remote::Empty | Remote::Loading => empty(look, buf, inner, &[("reading…", Token::Muted)]),
    }
}
