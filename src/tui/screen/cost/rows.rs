//! In the middle: services, versions, slices or runs, what cost most first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::ROWS;
use super::view::{aged, shown};
use crate::base::money::{self, Micro};
use crate::base::show;
use crate::capability::cost::{By, CostReport, Day, Row as Of};
use crate::tui::format;
use crate::tui::remote::Remote;
use crate::tui::screen::runs::view::failed;
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::table::{Cell, Col, Row, table};
use crate::tui::widget::{Look, Scroll, put};

pub(super) fn rows(
    look: &Look<'_>,
    buf: &mut Buffer,
    area: Rect,
    state: &State,
    scroll: &mut Scroll,
    with_parts: bool,
) {
    let cost = &state.cost;
    let all = cost.shown();
    let by = match cost.by {
        By::Service => "SERVICE",
        By::Version => "VERSION",
        By::Slice => "SLICE",
        By::Run => "RUN",
    };
    let note = format!("{} · b next", show::many(all.len() as u64, "row", "rows"));
    let inner = pane(look, buf, area, cost.pane == ROWS, &format!("BY {by}"), &note);
    if let Remote::Failed(fault) = &cost.page.remote {
        return failed(look, buf, inner, fault);
    }
    let Some(report) = cost.report() else {
        return empty(look, buf, inner, &[("loading…", Token::Muted)]);
    };
    if all.is_empty() {
        return empty(
            look,
            buf,
            inner,
            &[
                ("Nothing was served and nothing ran in this window.", Token::Text),
                ("", Token::Text),
                ("Prices, what services run on and budgets are written in a file:", Token::Muted),
                ("opsroom apply rates.toml        (config/rates.toml shows all of it)", Token::Muted),
            ],
        );
    }
    // Where no pane shows the row in its parts, the last line says what is unknown of it.
    let reason = cost.current().filter(|_| !with_parts).and_then(|r| r.unknown.first().cloned());
    let inner = match &reason {
        Some(reason) if inner.height > 4 => {
            let text = format!("unknown: {reason}");
            put(look, buf, inner.x + 1, inner.bottom() - 1, inner.width - 2, &text, look.style(Token::Unknown));
            Rect { height: inner.height - 1, ..inner }
        }
        _ => inner,
    };
    let height = usize::from(inner.height.saturating_sub(1));
    let first = scroll.keep("cost", cost.cursor, all.len(), height);
    let visible = all.iter().enumerate().skip(first).take(height);
    let drawn = |(i, r): (usize, &Of)| Row {
        cells: if report.by == By::Run { run_cells(report, r, state) } else { cells(look, report, r, state) },
        at_cursor: i == cost.cursor,
        marked: false,
    };
    let columns = if report.by == By::Run { run_columns() } else { columns() };
    table(look, buf, inner, &columns, visible.map(drawn), cost.pane == ROWS);
}

fn columns() -> Vec<Col> {
    vec![
        Col::left("WHAT", 14, 0).grows(24),
        Col::left("KIND", 5, 6),
        Col::right("TODAY", 10, 1),
        Col::right("Δ 7d", 6, 4),
        Col::right("TOTAL", 10, 0),
        Col::right("IDLE", 6, 3),
        Col::right("A THOUSAND", 10, 0),
        Col::right("1k CORRECT", 10, 2),
        Col::right("CANARY", 9, 5),
        Col::left("TREND 7d", 8, 7),
    ]
}

fn run_columns() -> Vec<Col> {
    vec![
        Col::left("RUN", 16, 0).grows(24),
        Col::left("OWNER", 8, 4),
        Col::right("HOURS", 8, 1),
        Col::right("TOTAL", 10, 0),
        Col::right("CPU", 9, 2),
        Col::right("MEMORY", 9, 3),
        Col::right("GPU", 9, 0),
        Col::right("GPU IDLE", 9, 1),
    ]
}

/// What a row cost day by day, where days tell it.
fn daily(report: &CostReport, r: &Of) -> Option<Vec<f64>> {
    let of = |d: &Day| match (r.kind.as_str(), &r.service) {
        ("train", None) => d.training.units(),
        (_, Some(service)) => d.services.get(service).copied().unwrap_or_default().units(),
        _ => 0.0,
    };
    (report.by == By::Service && !report.days.is_empty()).then(|| report.days.iter().map(of).collect())
}

fn cells<'a>(look: &Look<'_>, report: &CostReport, r: &Of, state: &State) -> Vec<Cell<'a>> {
    let days = daily(report, r);
    let today = days.as_ref().and_then(|d| d.last().copied());
    let before = days.as_ref().map(|d| {
        let full = &d[..d.len() - 1];
        let last = &full[full.len().saturating_sub(7)..];
        last.iter().sum::<f64>() / last.len().max(1) as f64
    });
    // Today has not ended: it is held against the same part of a day.
    let part = (report.window.to.0.rem_euclid(86_400_000_000)) as f64 / 86_400_000_000.0;
    let more = today
        .zip(before)
        .filter(|(_, b)| *b > 0.0 && part > 0.05)
        .map(|(t, b)| (t / part / b - 1.0) * 100.0)
        .map(|m| m.round() + 0.0);
    let (delta, token) = match more {
        Some(more) if more > 20.0 => (format!("{more:+.0}%"), Token::Warn),
        Some(more) => (format!("{more:+.0}%"), Token::Text),
        None => ("-".to_owned(), Token::Muted),
    };
    let each = |v: Option<f64>| v.map_or("-".to_owned(), |v| money::shown(v, &report.currency));
    let whole = (r.parts.busy + r.parts.idle).0;
    let idle = match (r.parts.kept > Micro(0), whole > 0) {
        (true, _) => "?".to_owned(),
        (_, true) => match r.parts.idle.0 as f64 / whole as f64 * 100.0 {
            // What worked at all was not idle all the time.
            p if p >= 99.5 && r.parts.busy > Micro(0) => ">99%".to_owned(),
            p => format!("{p:.0}%"),
        },
        _ => "-".to_owned(),
    };
    let (total, known) = total(report, r);
    let extra = r.candidate + r.shadow;
    let trend = days.map_or("-".to_owned(), |d| {
        let week = &d[d.len().saturating_sub(8)..d.len() - 1];
        // Days on which nothing was spent have no shape.
        if week.iter().all(|v| *v == 0.0) { "-".to_owned() } else { format::sparkline(week, 7, look.glyphs.ramp) }
    });
    vec![
        Cell::id(r.what.clone()),
        Cell::muted(r.kind.clone()),
        Cell::text(today.map_or("-".to_owned(), |t| shown(report, Micro::of(t)))),
        Cell::new(delta, aged(state, token)),
        Cell::new(total, aged(state, known)),
        Cell::text(idle),
        Cell::text(each(r.per_1k)),
        Cell::text(each(r.per_correct.map(|c| c.value * 1000.0))),
        Cell::muted(if extra > Micro(0) { shown(report, extra) } else { "-".to_owned() }),
        Cell::muted(trend),
    ]
}

fn total(report: &CostReport, r: &Of) -> (String, Token) {
    match r.total {
        None => ("?".to_owned(), Token::Unknown),
        Some(t) if r.unknown.is_empty() => (shown(report, t), Token::Text),
        Some(t) => (format!("{} +?", shown(report, t)), Token::Warn),
    }
}

fn run_cells<'a>(report: &CostReport, r: &Of, state: &State) -> Vec<Cell<'a>> {
    let detail = r.detail.clone().unwrap_or_default();
    let part = |m: Option<Micro>| m.map_or("-".to_owned(), |m| shown(report, m));
    let (total, token) = total(report, r);
    let idle = detail.gpu_idle.filter(|m| *m > Micro(0));
    vec![
        Cell::id(r.what.clone()),
        Cell::muted(r.owner.clone().unwrap_or_default()),
        Cell::text(r.hours.map_or("-".to_owned(), |h| format!("{h:.2}"))),
        Cell::new(total, aged(state, token)),
        Cell::text(part(detail.cpu)),
        Cell::text(part(detail.memory)),
        Cell::text(part(detail.gpu.or(detail.host))),
        Cell::new(part(detail.gpu_idle), aged(state, if idle.is_some() { Token::Warn } else { Token::Muted })),
    ]
}
