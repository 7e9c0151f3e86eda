//! The picture of a comparison.
//!
//! ```text
//! ┏━ METRIC DIFF ━━━━━━━━ …  base, then each run: value, difference, grade
//! ┌─ val_auc ───────────┐┌─ CONFIG DIFF 3 of 41 ─┐
//! └─────────────────────┘└───────────────────────┘
//!  Verdict: …
//! ```

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{CHART, CONFIG, Compare, METRICS, PANES, config, table};
use crate::base::show;
use crate::tui::format;
use crate::tui::remote::Remote;
use crate::tui::screen::lines;
use crate::tui::screen::plot::{Plotted, plot};
use crate::tui::screen::runs::view::failed;
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::{Look, Scroll, put_all};

/// Curves drawn in colour at once; the others run grey behind them.
const COLOURED_MAX: usize = 6;

/// Where the panes lie. `None` is not on screen.
pub fn panes(compare: &Compare, zoom: bool, body: Rect) -> [Option<Rect>; PANES] {
    let mut at = [None; PANES];
    if zoom || body.width < 80 || body.height < 16 {
        at[compare.pane] = Some(body);
        return at;
    }
    let rows = u16::try_from(compare.metrics().len()).unwrap_or(u16::MAX);
    // Title, names, rows, one line on the cell under the cursor.
    let top_height = rows.saturating_add(4).clamp(7, body.height * 9 / 20);
    let top = Rect { height: top_height, ..body };
    let low = Rect { y: body.y + top_height, height: body.height - top_height, ..body };
    at[METRICS] = Some(top);
    if body.width >= 100 {
        let left = body.width * 3 / 5;
        at[CHART] = Some(Rect { width: left, ..low });
        at[CONFIG] = Some(Rect { x: low.x + left, width: body.width - left, ..low });
    } else {
        let differing = u16::try_from(compare.settings().len()).unwrap_or(u16::MAX).saturating_add(3);
        let config = differing.clamp(4, (low.height * 2 / 5).max(4));
        at[CHART] = Some(Rect { height: low.height - config, ..low });
        at[CONFIG] = Some(Rect { y: low.y + low.height - config, height: config, ..low });
    }
    at
}

pub fn view(look: &Look<'_>, buf: &mut Buffer, body: Rect, state: &State, scroll: &mut Scroll) {
    let compare = &state.compare;
    if compare.result.is_none() {
        let inner = pane(look, buf, body, true, "METRIC DIFF", "");
        return match &compare.rows.remote {
            Remote::Failed(fault) => failed(look, buf, inner, fault),
            _ => empty(look, buf, inner, &[("asking the agent…", Token::Muted)]),
        };
    }
    let words = verdict(compare);
    let lines = lines::wrap(&words, usize::from(body.width.saturating_sub(2)));
    let height = u16::try_from(lines.len()).unwrap_or(1).min(body.height / 8).max(1);
    let foot = Rect { y: body.bottom() - height, height, ..body };
    let at = panes(compare, state.zoom, Rect { height: body.height - height, ..body });
    if let Some(area) = at[METRICS] {
        table::draw(look, buf, area, compare, scroll);
    }
    if let Some(area) = at[CHART] {
        curves(look, buf, area, compare);
    }
    if let Some(area) = at[CONFIG] {
        config::draw(look, buf, area, compare, scroll);
    }
    for (i, (y, line)) in (foot.y..foot.bottom()).zip(&lines).enumerate() {
        let rest = if i + 1 == usize::from(height) && lines.len() > usize::from(height) { "…" } else { "" };
        put_all(look, buf, foot.x + 1, y, foot.width - 1, &[(line, Token::Info), (rest, Token::Info)]);
    }
}

fn verdict(compare: &Compare) -> String {
    let missing = compare.ids.len().saturating_sub(compare.runs().len());
    let mut lost = if missing > 0 {
        format!("{} gone. ", show::many(missing as u64, "run is", "runs are"))
    } else {
        String::new()
    };
    let live = compare.runs().iter().filter(|r| r.is_live()).count();
    if live > 0 {
        lost.push_str(&format!("{live} still going on. "));
    }
    let stale = if compare.rows.remote.is_stale() { "~ " } else { "" };
    match (&compare.noise.remote, &compare.result) {
        (Remote::Empty | Remote::Loading, _) => format!("{lost}Looking for repeats…"),
        (Remote::Failed(fault), _) => format!("{lost}Repeats could not be read: {}", fault.what),
        (_, Some(result)) => format!("{stale}{lost}Verdict: {}", format::clean(&result.verdict.text)),
        _ => lost,
    }
}

/// The base and the runs around the cursor in colour, all others grey behind them.
fn curves(look: &Look<'_>, buf: &mut Buffer, area: Rect, compare: &Compare) {
    let key = compare.charted_metric().unwrap_or_default();
    let order = compare.order();
    let note = if order.len() > COLOURED_MAX {
        format!("{COLOURED_MAX} of {} in colour · {}", order.len(), compare.look.words())
    } else {
        compare.look.words()
    };
    let title = if key.is_empty() { "CURVES" } else { key.as_str() };
    let inner = pane(look, buf, area, compare.pane == CHART, title, &note);
    let lines = plotted(compare);
    plot(look, buf, inner, &lines, compare.look, compare.probe);
}

/// Every run's curve of the charted metric: the base and the runs around the cursor in colour.
pub fn plotted(compare: &Compare) -> Vec<Plotted<'_>> {
    let key = compare.charted_metric().unwrap_or_default();
    let order = compare.order();
    let first = compare.column.saturating_sub(COLOURED_MAX - 1).max(1);
    let coloured = |n: usize| n == 0 || (first..first + COLOURED_MAX - 1).contains(&n);
    let mut colour = 0;
    let mut lines: Vec<Plotted<'_>> = Vec::new();
    for (n, place) in order.iter().enumerate() {
        let Some(run) = compare.runs().get(*place) else { continue };
        let Some((key, latest)) = run.metrics.get_key_value(&key) else { continue };
        let token = if coloured(n) {
            colour += 1;
            Token::Series(colour - 1)
        } else {
            Token::Border
        };
        lines.push(Plotted {
            name: &run.name,
            run: &run.name,
            metric: key,
            points: compare.charts.get(&run.id, key),
            latest: Some(latest.value),
            gaps: compare.charts.gaps(&run.id, key),
            token,
            started: run.started,
        });
    }
    lines
}
