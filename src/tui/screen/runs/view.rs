//! The picture of Runs: table on top, chart and detail below; what does not fit side by side is one Tab away.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{CHART, Column, DETAIL, Runs, TABLE};
use crate::base::Timestamp;
use crate::tui::format::{self, Decimals};
use crate::tui::model::{Run, RunStatus};
use crate::tui::remote::Remote;
use crate::tui::screen::plot::{Plotted, plot};
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::table::{Cell, Col, Row, table};
use crate::tui::widget::{Look, Scroll, put_all};

/// Where the panes lie: table, chart, detail. `None` is not on screen.
pub fn panes(state: &State, body: Rect) -> [Option<Rect>; 3] {
    let focus = state.runs.pane;
    let mut at = [None; 3];
    if state.zoom || body.width < 80 || body.height < 20 {
        at[focus] = Some(body);
        return at;
    }
    let low = (body.height * 2 / 5).clamp(7, 16);
    let (top, bottom) =
        (Rect { height: body.height - low, ..body }, Rect { y: body.y + body.height - low, height: low, ..body });
    at[TABLE] = Some(top);
    if body.width >= 100 {
        let left = body.width * 2 / 3;
        at[CHART] = Some(Rect { width: left, ..bottom });
        at[DETAIL] = Some(Rect { x: bottom.x + left, width: body.width - left, ..bottom });
    } else {
        at[if focus == DETAIL { DETAIL } else { CHART }] = Some(bottom);
    }
    at
}

/// Rows of the table that are on screen now.
pub fn table_rows(state: &State) -> usize {
    let area = Rect::new(0, 0, state.size.0, state.size.1);
    let body = crate::tui::view::areas(state, area).body;
    usize::from(panes(state, body)[TABLE].map_or(body.height, |r| r.height).saturating_sub(3)).max(1)
}

pub fn view(look: &Look<'_>, buf: &mut Buffer, body: Rect, state: &State, scroll: &mut Scroll) {
    let [list, curve, detail] = panes(state, body);
    if let Some(area) = list {
        draw_table(look, buf, area, state, scroll);
    }
    if let Some(area) = curve {
        draw_chart(look, buf, area, state);
    }
    if let Some(area) = detail {
        draw_detail(look, buf, area, state);
    }
}

fn draw_table(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, scroll: &mut Scroll) {
    let runs = &state.runs;
    let is_stale = runs.page.remote.is_stale();
    let last_known = if is_stale { "~ last known   " } else { "" };
    let inner = pane(look, buf, area, runs.pane == TABLE, "RUNS", &format!("{last_known}s sort · c columns"));
    let window = match &runs.page.remote {
        Remote::Empty | Remote::Loading => return empty(look, buf, inner, &[("asking the agent…", Token::Muted)]),
        Remote::Failed(fault) => return failed(look, buf, inner, fault),
        Remote::Fresh(w, _) | Remote::Stale(w, ..) => w,
    };
    if window.total == 0 {
        return nothing(look, buf, inner, state);
    }
    let shown = runs.shown_columns();
    let formats: Vec<Option<Decimals>> = shown.iter().map(|c| decimals(c, &window.rows)).collect();
    let mut columns = Vec::new();
    let spark_after = runs.charted_metric();
    for c in &shown {
        let metrics_before = columns.iter().filter(|c: &&Col| c.priority == 1 || c.priority == 4).count();
        let mut col = column(c, runs, &window.rows);
        // The first metric stays longest, then its curve, then the other metrics.
        if matches!(c, Column::Metric(_)) && metrics_before > 0 {
            col.priority = 4;
        }
        columns.push(col);
        if matches!(c, Column::Metric(k) if Some(k) == spark_after.as_ref()) {
            columns.push(Col::left("curve", SPARK, 3));
        }
    }
    let first = scroll.keep("runs", runs.cursor, window.total, usize::from(inner.height.saturating_sub(1)));
    let rows = (first..window.total).take(usize::from(inner.height)).map(|i| match window.get(i) {
        None => Row { cells: vec![Cell::muted("…")], at_cursor: i == runs.cursor, marked: false },
        Some(run) => {
            let mut cells = Vec::new();
            for (c, d) in shown.iter().zip(&formats) {
                cells.push(cell(look, c, run, *d, state.now, is_stale));
                if matches!(c, Column::Metric(k) if Some(k) == spark_after.as_ref()) {
                    cells.push(spark(look, runs, run, spark_after.as_deref().unwrap_or_default()));
                }
            }
            Row { cells, at_cursor: i == runs.cursor, marked: runs.marks.contains(&run.id) }
        }
    });
    table(look, buf, inner, &columns, rows, runs.pane == TABLE);
}

/// What went wrong, why, and what to do.
pub fn failed(look: &Look<'_>, buf: &mut Buffer, inner: Rect, fault: &crate::base::Fault) {
    empty(
        look,
        buf,
        inner,
        &[
            (&fault.what, Token::Crit),
            (&fault.why, Token::Text),
            ("", Token::Text),
            (&fault.next, Token::Info),
            ("r  try again", Token::Muted),
        ],
    );
}

fn nothing(look: &Look<'_>, buf: &mut Buffer, inner: Rect, state: &State) {
    if !state.runs.filter.is_empty() || state.runs.experiment.is_some() {
        return empty(
            look,
            buf,
            inner,
            &[("No run fits.", Token::Text), ("Esc clears the filter, p shows another experiment.", Token::Muted)],
        );
    }
    let uri = state.status.value().map_or("http://127.0.0.1:6270", |s| s.tracking_uri.as_str());
    let export = format!("export MLFLOW_TRACKING_URI={uri}");
    empty(
        look,
        buf,
        inner,
        &[
            ("No runs yet. Point a training script here:", Token::Text),
            ("", Token::Text),
            (&export, Token::Accent),
            ("python train.py", Token::Accent),
            ("", Token::Text),
            ("or read what is on disk:      opsroom open mlruns/", Token::Muted),
            ("or see it on real data:       opsroom demo", Token::Muted),
        ],
    );
}

fn decimals(column: &Column, rows: &[Run]) -> Option<Decimals> {
    let Column::Metric(key) = column else { return None };
    Some(Decimals::fit(rows.iter().filter_map(|r| r.metrics.get(key)).map(|m| m.value)))
}

fn column(c: &Column, runs: &Runs, rows: &[Run]) -> Col {
    let sorted = (c.order().as_ref() == Some(&runs.order)).then_some(runs.descending);
    let param_width =
        |key: &str| rows.iter().filter_map(|r| r.params.get(key)).map(|v| format::width(v)).max().unwrap_or(4);
    let fixed = match c {
        Column::Name => Col::left("RUN", 16, 0).grows(12),
        Column::State => Col::left("STATE", 8, 0),
        Column::Experiment => Col::left("EXPERIMENT", 12, 5).grows(6),
        Column::Started => Col::left("STARTED", 10, 6),
        Column::Duration => Col::right("DUR", 6, 2),
        Column::Step => Col::right("STEP", 6, 2),
        Column::Metric(key) => {
            Col::right(key.clone(), u16::try_from(format::width(key) + 1).unwrap_or(12).clamp(9, 12), 1)
        }
        Column::Param(key) => {
            let width = param_width(key).max(format::width(key)).clamp(4, 12);
            Col::left(key.clone(), u16::try_from(width).unwrap_or(12), 7)
        }
        Column::User => Col::left("USER", 8, 8),
        Column::Note => Col::left("NOTE", 10, 9).grows(30),
    };
    fixed.sorted(sorted)
}

fn cell<'a>(
    look: &Look<'_>,
    c: &Column,
    run: &'a Run,
    decimals: Option<Decimals>,
    now: Timestamp,
    stale: bool,
) -> Cell<'a> {
    match c {
        Column::Name => Cell::id(run.name.as_str()),
        Column::State => {
            let (text, token) = state_of(look, run, now);
            if stale { Cell::new(format!("~{text}"), Token::Unknown) } else { Cell::new(text, token) }
        }
        Column::Experiment => Cell::muted(run.experiment.as_str()),
        Column::Started => Cell::muted(format::moment(now, run.started)),
        Column::Duration => Cell::text(format::span(run.seconds(now))),
        Column::Step => Cell::text(run.step().map_or("-".into(), format::short_count)),
        Column::Metric(key) => match run.metrics.get(key) {
            None => Cell::muted("-"),
            Some(m) => {
                let text = decimals.unwrap_or(Decimals::Scientific).write(m.value);
                match (stale, m.value.is_finite()) {
                    (true, _) => Cell::new(format!("~{text}"), Token::Unknown),
                    (false, true) => Cell::text(text),
                    (false, false) => Cell::new(text, Token::Crit),
                }
            }
        },
        Column::Param(key) => run.params.get(key).map_or(Cell::muted("-"), |v| Cell::text(v.as_str())),
        Column::User => Cell::muted(run.user.as_str()),
        Column::Note => Cell::muted(run.note()),
    }
}

/// A run that has been silent for this long while running is called stalled.
const STALL_SECONDS: f64 = 300.0;

/// Glyph and word for how a run stands: never colour alone.
pub fn state_of(look: &Look<'_>, run: &Run, now: Timestamp) -> (String, Token) {
    let g = look.glyphs;
    let diverged = run.metrics.iter().any(|(k, m)| m.value.is_nan() && k.to_lowercase().contains("loss"));
    let silent = run.last_logged().is_some_and(|at| now.seconds_since(at.max(run.started)) > STALL_SECONDS);
    match run.status {
        _ if diverged => (format!("{} nan", g.fail), Token::Crit),
        RunStatus::Running if silent => (format!("{} stall", g.warn), Token::Warn),
        RunStatus::Running => (format!("{} live", g.live), Token::Ok),
        RunStatus::Scheduled => (format!("{} queued", g.waiting), Token::Muted),
        RunStatus::Finished => (format!("{} done", g.ok), Token::Text),
        RunStatus::Failed => (format!("{} failed", g.fail), Token::Crit),
        RunStatus::Killed => (format!("{} killed", g.stopped), Token::Warn),
    }
}

/// Columns of the small curve in the table.
const SPARK: u16 = 10;

fn spark<'a>(look: &Look<'_>, runs: &Runs, run: &Run, key: &str) -> Cell<'a> {
    let Some(points) = runs.sparks.get(&run.id, key) else { return Cell::muted("") };
    let values: Vec<f64> = points.iter().map(|p| p.value).collect();
    Cell::new(format::sparkline(&values, usize::from(SPARK), look.glyphs.ramp), Token::Series(0))
}

fn draw_chart(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State) {
    let runs = &state.runs;
    let key = runs.charted_metric().unwrap_or_else(|| "no metric".into());
    let charted = runs.charted();
    let title = if runs.marks.is_empty() { key.clone() } else { format!("{key}  ({} marked)", runs.marks.len()) };
    let inner = pane(look, buf, area, runs.pane == CHART, &title, &runs.look.words());
    let lines: Vec<Plotted<'_>> = charted
        .iter()
        .filter(|r| r.metrics.contains_key(&key))
        .enumerate()
        .map(|(i, r)| Plotted {
            name: &r.name,
            points: runs.charts.get(&r.id, &key),
            latest: r.metrics.get(&key).map(|m| m.value),
            token: Token::Series(i),
            started: r.started,
        })
        .collect();
    plot(look, buf, inner, &lines, runs.look, runs.probe);
}

fn draw_detail(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State) {
    let runs = &state.runs;
    let Some(run) = runs.current() else {
        pane(look, buf, area, runs.pane == DETAIL, "RUN", "");
        return;
    };
    let inner = pane(look, buf, area, runs.pane == DETAIL, &run.name, "↵ open");
    let lines = details(look, run, state.now);
    let width = inner.width.saturating_sub(1);
    let skip = runs.detail_scroll.min(lines.len().saturating_sub(usize::from(inner.height)));
    for (y, (label, text, token)) in (inner.y..inner.bottom()).zip(lines.iter().skip(skip)) {
        let label_width = format::width(label).clamp(8, 16);
        let label = format!("{:<label_width$} ", format::cut(&format::clean(label), label_width, "…"));
        put_all(look, buf, inner.x + 1, y, width, &[(&label, Token::Muted), (text, *token)]);
    }
}

fn details(look: &Look<'_>, run: &Run, now: Timestamp) -> Vec<(String, String, Token)> {
    let line = |label: &str, text: String, token| (label.to_owned(), text, token);
    let (status, token) = state_of(look, run, now);
    let mut lines = vec![
        line("state", status, token),
        line("id", run.id.clone(), Token::Text),
        line("started", format!("{}  {}", format::moment(now, run.started), run.user), Token::Text),
    ];
    lines.extend(run.inputs.iter().map(|i| line("data", format!("{} {}", i.name, i.digest), Token::Text)));
    for (tag, label) in
        [("mlflow.source.git.commit", "code"), ("mlflow.source.name", "source"), ("mlflow.parentRunId", "parent")]
    {
        lines.extend(run.tags.get(tag).map(|v| line(label, v.clone(), Token::Text)));
    }
    if !run.note().is_empty() {
        lines.push(line("note", run.note().to_owned(), Token::Text));
    }
    let own = run.metrics.iter().filter(|(k, _)| !k.starts_with("system/"));
    lines.extend(own.map(|(k, m)| line(k, format::number(m.value), Token::Info)));
    lines.extend(run.params.iter().map(|(k, v)| line(k, v.clone(), Token::Text)));
    lines
}
