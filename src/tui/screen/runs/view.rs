//! The picture of Runs: table on top, chart and detail below; what does not fit side by side is one Tab away.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

pub use super::table::{failed, state_of};
use super::{CHART, DETAIL, Runs, TABLE};
use crate::base::Timestamp;
use crate::capability::tracking::RunGroup;
use crate::capability::tracking::health::Health;
use crate::tui::format;
use crate::tui::model::Run;
use crate::tui::screen::plot::{Plotted, plot};
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::pane::pane;
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
        super::table::draw(look, buf, area, state, scroll);
    }
    if let Some(area) = curve {
        draw_chart(look, buf, area, state);
    }
    if let Some(area) = detail {
        draw_detail(look, buf, area, state);
    }
}

fn draw_chart(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State) {
    let runs = &state.runs;
    let key = runs.charted_metric().unwrap_or_else(|| "no metric".into());
    let title = if runs.marks.is_empty() { key.clone() } else { format!("{key}  ({} marked)", runs.marks.len()) };
    let inner = pane(look, buf, area, runs.pane == CHART, &title, &runs.look.words());
    let lines = plotted(runs);
    plot(look, buf, inner, &lines, runs.look, runs.probe);
}

/// The curves of the charted runs.
pub fn plotted(runs: &Runs) -> Vec<Plotted<'_>> {
    let Some(key) = runs.charted_metric() else { return Vec::new() };
    runs.charted()
        .into_iter()
        .filter_map(|r| r.metrics.get_key_value(&key).map(|(key, m)| (r, key, m)))
        .enumerate()
        .map(|(i, (r, key, m))| Plotted {
            name: &r.name,
            run: &r.name,
            metric: key,
            points: runs.charts.get(&r.id, key),
            latest: Some(m.value),
            gaps: runs.charts.gaps(&r.id, key),
            token: Token::Series(i),
            started: r.started,
        })
        .collect()
}

fn draw_detail(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State) {
    let runs = &state.runs;
    let (title, hint, lines) = match (runs.current(), runs.group_here()) {
        (Some(run), _) => (run.name.as_str(), "↵ open", details(look, run, state.now)),
        (None, Some(group)) => (group.label.as_str(), "↵ runs", group_details(group)),
        (None, None) => ("RUN", "", Vec::new()),
    };
    let inner = pane(look, buf, area, runs.pane == DETAIL, title, hint);
    let width = inner.width.saturating_sub(1);
    let skip = runs.detail_scroll.min(lines.len().saturating_sub(usize::from(inner.height)));
    for (y, (label, text, token)) in (inner.y..inner.bottom()).zip(lines.iter().skip(skip)) {
        let label_width = format::width(label).clamp(8, 16);
        let label = format!("{:<label_width$} ", format::cut(&format::clean(label), label_width, "…"));
        put_all(look, buf, inner.x + 1, y, width, &[(&label, Token::Muted), (text, *token)]);
    }
}

/// Every averaged metric with how many runs it stands on.
fn group_details(group: &RunGroup) -> Vec<(String, String, Token)> {
    let line = |label: &str, text: String, token| (label.to_owned(), text, token);
    let mut lines = vec![line("runs", format!("{}, {} live", group.runs, group.running), Token::Text)];
    for (key, spread) in &group.metrics {
        let not_finite =
            if spread.not_finite > 0 { format!("  {} not finite", spread.not_finite) } else { String::new() };
        let sd = spread.sd().map_or(String::new(), |sd| format!(" ± {}", format::number(sd)));
        let mean = if spread.n > 0 { format::number(spread.mean) } else { "-".to_owned() };
        lines.push(line(key, format!("{mean}{sd}  n={}{not_finite}", spread.n), Token::Info));
    }
    lines
}

/// What is wrong with a run beyond its status, in words.
fn health_words(run: &Run, now: Timestamp) -> String {
    match run.health(now) {
        Health::Well => String::new(),
        Health::Stalled { silent_seconds } => format!("no step for {}", format::span(silent_seconds)),
        Health::Diverged { key, step, value } => {
            format!("{key} is {} since step {}", format::number(value), format::short_count(step))
        }
    }
}

fn details(look: &Look<'_>, run: &Run, now: Timestamp) -> Vec<(String, String, Token)> {
    let line = |label: &str, text: String, token| (label.to_owned(), text, token);
    let (status, token) = state_of(look, run, now);
    let mut lines = vec![
        line("state", status, token),
        line("health", health_words(run, now), Token::Warn),
        line("id", run.id.clone(), Token::Text),
        line("started", format!("{}  {}", format::moment(now, run.started), run.user), Token::Text),
    ];
    lines.retain(|(_, text, _)| !text.is_empty());
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
