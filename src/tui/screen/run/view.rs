//! The picture of one run.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{
    ARTIFACTS, CHART, CONSOLE, INPUTS, METRICS, MODELS, ORIGIN, PANES, PARAMS, RunDetail, SHARED, TAGS, files, lists,
    origin, tiles,
};
use crate::tui::format;
use crate::tui::model::Run;
use crate::tui::remote::Remote;
use crate::tui::screen::plot::{Plotted, plot};
use crate::tui::screen::runs::view::{failed, state_of};
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::table::{Cell, Col, Row, table};
use crate::tui::widget::{Look, Scroll, put_all};

/// Where the panes lie. `None` is not on screen.
pub fn panes(state: &State, body: Rect) -> [Option<Rect>; PANES] {
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
        at[state.run.shared] = Some(Rect { x: low.x + third, width: third, ..low });
        at[ARTIFACTS] = Some(Rect { x: low.x + 2 * third, width: body.width - 2 * third, ..low });
    } else {
        let half = body.width / 2;
        let right = if SHARED.contains(&focus) { focus } else { ARTIFACTS };
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
        if detail.multiples {
            tiles::draw(look, buf, area, detail, run, detail.pane == CHART);
        } else {
            curve(look, buf, area, state);
        }
    }
    if let Some(area) = at[PARAMS] {
        lists::params(look, buf, area, detail, scroll);
    }
    if let Some(area) = at[TAGS] {
        lists::tags(look, buf, area, detail, scroll);
    }
    if let Some(area) = at[INPUTS] {
        lists::inputs(look, buf, area, detail, scroll);
    }
    if let Some(area) = at[MODELS] {
        lists::models(look, buf, area, detail, scroll);
    }
    if let Some(area) = at[ORIGIN] {
        origin::draw(look, buf, area, detail);
    }
    if let Some(area) = at[CONSOLE] {
        files::console(look, buf, area, detail);
    }
    if let Some(area) = at[ARTIFACTS] {
        files::artifacts(look, buf, area, detail, scroll);
    }
}

/// One line: how it stands, when, how long, who, which experiment.
fn heading(look: &Look<'_>, buf: &mut Buffer, line: Rect, state: &State, run: &Run) {
    let (status, token) = state_of(look, run, state.now);
    let tilde = if state.run.row.remote.is_stale() { "~ " } else { "" };
    let step = run.step().map_or(String::new(), |s| format!("   step {}", format::short_count(s)));
    let host = run.host.as_ref().map_or(String::new(), |h| format!("   {h}"));
    let facts = format!(
        "   started {}   {}{step}{host}   {}   {}",
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
    let system = all.iter().filter(|(k, _)| k.starts_with("system/")).count();
    let note =
        if system > 0 { format!("{} own · {system} system", all.len() - system) } else { all.len().to_string() };
    let inner = pane(look, buf, area, detail.pane == METRICS, "METRICS", &note);
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
        let values: Vec<f64> = detail
            .sparks
            .get(&detail.id, key)
            .or_else(|| detail.charts.get(&detail.id, key))
            .unwrap_or_default()
            .iter()
            .map(|p| p.value)
            .collect();
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
            marked: detail.marks.contains(key.as_str()),
        }
    });
    table(look, buf, inner, &columns, rows, detail.pane == METRICS);
}

fn curve(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State) {
    let detail = &state.run;
    let title = match detail.charted().as_slice() {
        [] => "CHART".to_owned(),
        [one] => one.clone(),
        several => format!("{} metrics", several.len()),
    };
    let inner = pane(look, buf, area, detail.pane == CHART, &title, &detail.look.words());
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
            gaps: detail.charts.gaps(&run.id, key),
            token: Token::Series(i),
            started: run.started,
        })
    };
    charted.iter().enumerate().filter_map(line).collect()
}
