//! The picture of cost: budgets, what each day cost, who it was for, one of them in parts, and what to do.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{ADVICE, PANES, ROWS};
use crate::base::money::{self, Micro};
use crate::base::{Timestamp, show};
use crate::capability::cost::{By, CostReport, Day, HostView, Row as Of, Standing};
use crate::tui::format;
use crate::tui::remote::Remote;
use crate::tui::screen::runs::view::failed;
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::table::{Cell, Col, Row, table};
use crate::tui::widget::{Look, Scroll, put, put_all, put_right};

/// Heights of the parts above and below the rows.
fn heights(body: Rect, state: &State) -> (u16, u16) {
    if body.height >= 32 { (9, 10 + machines(state)) } else { (5, 6) }
}

/// Lines of machines that are shown.
fn machines(state: &State) -> u16 {
    const SHOWN_MAX: usize = 4;
    u16::try_from(state.cost.report().map_or(0, |r| r.hosts.len()).min(SHOWN_MAX)).unwrap_or(0)
}

pub fn panes(state: &State, body: Rect) -> [Option<Rect>; PANES] {
    let mut at = [None; PANES];
    if state.zoom || body.width < 80 || body.height < 16 {
        at[state.cost.pane] = Some(body);
        return at;
    }
    let (top, bottom) = heights(body, state);
    let rows = body.height - top - bottom;
    at[ROWS] = Some(Rect { y: body.y + top, height: rows, ..body });
    let low = Rect { y: body.y + top + rows, height: bottom, ..body };
    at[ADVICE] = Some(if body.width >= 100 {
        let half = body.width / 2;
        Rect { x: low.x + half, width: body.width - half, ..low }
    } else {
        low
    });
    at
}

pub fn view(look: &Look<'_>, buf: &mut Buffer, body: Rect, state: &State, scroll: &mut Scroll) {
    let at = panes(state, body);
    let whole = at.iter().flatten().count() == PANES;
    if whole {
        let (top, bottom) = heights(body, state);
        let above = Rect { height: top, ..body };
        if body.width >= 100 {
            let left = body.width / 3;
            budgets(look, buf, Rect { width: left, ..above }, state);
            spend(look, buf, Rect { x: above.x + left, width: body.width - left, ..above }, state);
            let below = Rect { y: body.bottom() - bottom, width: body.width / 2, height: bottom, ..body };
            // Parts and machines share the left half where it is high enough for both.
            if machines(state) > 0 && bottom >= 10 {
                let height = machines(state) + 2;
                parts(look, buf, Rect { height: bottom - height, ..below }, state);
                hosts(look, buf, Rect { y: below.bottom() - height, height, ..below }, state);
            } else {
                parts(look, buf, below, state);
            }
        } else {
            budgets(look, buf, above, state);
        }
    }
    if let Some(area) = at[ROWS] {
        rows(look, buf, area, state, scroll);
    }
    if let Some(area) = at[ADVICE] {
        advice(look, buf, area, state, scroll);
    }
}

fn shown(report: &CostReport, amount: Micro) -> String {
    // A sum is told in cents; what is less than half of one is not nothing.
    if (1..5_000).contains(&amount.0) {
        return format!("<{}", money::shown(0.01, &report.currency).trim_end_matches('0'));
    }
    money::shown(amount.units(), &report.currency)
}

/// What is stale is marked, and never green.
fn aged(state: &State, token: Token) -> Token {
    if state.cost.page.remote.is_stale() { Token::Unknown } else { token }
}

fn budgets(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State) {
    let month = Timestamp(state.then().0 - 1).utc().map_or(String::new(), |t| t.format("%b").to_string());
    let Some(report) = state.cost.report() else {
        pane(look, buf, area, false, "BUDGET", "");
        return;
    };
    let inner = pane(look, buf, area, false, &format!("BUDGET {month}"), &report.currency);
    let unknown = if report.complete { "" } else { " +?" };
    let total = format!("{}{unknown}", shown(report, report.total));
    // A past bill ends with an hour.
    let word = match (state.window, state.in_past()) {
        (None, None) => "month to date".to_owned(),
        (Some(w), None) => format!("last {w}"),
        (window, Some(_)) => {
            let until = report.window.to.utc().map_or(String::new(), |t| t.format("%H:%MZ").to_string());
            window.map_or(format!("month to {until}"), |w| format!("{w} to {until}"))
        }
    };
    let mut lines: Vec<Vec<(String, Token)>> =
        vec![vec![(format!("{word:<14} "), Token::Muted), (total, aged(state, Token::Text))]];
    for b in &report.budgets {
        lines.extend(budget(look, report, b, state, inner.width));
    }
    if report.budgets.is_empty() {
        lines.push(vec![("No budget yet: write [[budget]] into a file, opsroom apply it".to_owned(), Token::Muted)]);
    }
    for (y, line) in (inner.y..inner.bottom()).zip(&lines) {
        let pieces: Vec<(&str, Token)> = line.iter().map(|(t, token)| (t.as_str(), *token)).collect();
        put_all(look, buf, inner.x + 1, y, inner.width.saturating_sub(2), &pieces);
    }
}

fn budget(look: &Look<'_>, report: &CostReport, b: &Standing, state: &State, width: u16) -> Vec<Vec<(String, Token)>> {
    let (word, token) = match (b.within, b.days_left) {
        (_, Some(days)) => (format!("spent in {days:.1} d"), Token::Crit),
        (Some(true), None) => (look.glyphs.ok.to_owned(), Token::Ok),
        (Some(false), None) => ("beyond".to_owned(), Token::Warn),
        (None, None) => ("?".to_owned(), Token::Unknown),
    };
    let token = aged(state, token);
    let cells = usize::from(width / 4).clamp(6, 20);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped to the bar
    let full = (b.share.clamp(0.0, 1.0) * cells as f64).round() as usize;
    let (on, off) = if look.glyphs.ascii { ("#", ".") } else { ("█", "░") };
    let forecast = b.forecast.map_or("?".to_owned(), |f| {
        let half = f.half.map_or(String::new(), |h| format!(" ± {}", short(report, h)));
        format!("{}{half}", short(report, f.value))
    });
    let burn = b.burn_hour.map_or(String::new(), |m| format!("   {}/h", shown(report, m)));
    vec![
        vec![
            (format!("{} ", format::cut(&b.name, 12, look.glyphs.ellipsis)), Token::Text),
            (on.repeat(full), token),
            (off.repeat(cells - full), Token::Muted),
            (format!(" {:.0} % of {}", b.share * 100.0, short(report, b.month)), Token::Text),
        ],
        vec![(format!("  → {forecast} "), Token::Muted), (word, token), (burn, Token::Muted)],
    ]
}

/// What each day cost, as bars of training, serving and storage on top of each other.
fn spend(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State) {
    let kinds = [("train", Token::Series(2)), ("serve", Token::Series(0)), ("store", Token::Series(1))];
    let inner = pane(look, buf, area, false, "SPEND / DAY", "30d");
    let Some(report) = state.cost.report().filter(|r| !r.days.is_empty()) else { return };
    let mut x = area.right().saturating_sub(32);
    for (name, token) in kinds {
        x += put(look, buf, x, area.y, 8, &format!(" {name}"), look.style(token));
    }
    let days = &report.days;
    let most = days.iter().map(|d| (d.serving + d.training).0).max().unwrap_or(0).max(1);
    let rows = inner.height.saturating_sub(1);
    let left = inner.x + 9;
    let each = ((inner.width.saturating_sub(10)) / u16::try_from(days.len()).unwrap_or(1).max(1)).clamp(1, 3);
    for row in 0..rows {
        if row == 0 || row + 1 == rows {
            let value = if row == 0 { most } else { most / i64::from(rows.max(1)) };
            put_right(
                look,
                buf,
                inner.x,
                left - 1,
                inner.y + row,
                &short(report, Micro(value)),
                look.style(Token::Muted),
            );
        }
    }
    for (i, d) in days.iter().enumerate() {
        let x = left + u16::try_from(i).unwrap_or(0) * each;
        if x + each > inner.right() {
            break;
        }
        bar(look, buf, Rect { x, y: inner.y, width: each.max(2) - 1, height: rows }, d, most, kinds.map(|k| k.1));
    }
    let name = |d: &Day| d.day.utc().map_or(String::new(), |t| t.format("%b %d").to_string());
    if let (Some(first), Some(last)) = (days.first(), days.last()) {
        put(look, buf, left, inner.bottom() - 1, 8, &name(first), look.style(Token::Muted));
        let end = left + each * u16::try_from(days.len()).unwrap_or(0);
        put_right(
            look,
            buf,
            left + 8,
            end.min(inner.right()),
            inner.bottom() - 1,
            &name(last),
            look.style(Token::Muted),
        );
    }
}

/// Without cents where they say nothing: for an axis.
fn short(report: &CostReport, amount: Micro) -> String {
    let text = shown(report, amount);
    if amount >= Micro(100_000_000) { text.split('.').next().unwrap_or(&text).to_owned() } else { text }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // eighths of a pane's height
fn bar(look: &Look<'_>, buf: &mut Buffer, area: Rect, d: &Day, most: i64, tokens: [Token; 3]) {
    let eighths = |amount: i64| (amount as f64 / most as f64 * f64::from(area.height) * 8.0).round() as u16;
    let total = (d.serving + d.training).0;
    let height = if total > 0 { eighths(total).max(1) } else { 0 };
    let (train, serve) = (eighths(d.training.0), eighths((d.training + d.serving - d.storage).0));
    for row in 0..area.height {
        let (low, high) = (row * 8, row * 8 + 8);
        if low >= height {
            break;
        }
        let middle = u16::midpoint(low, high.min(height));
        let token = if middle < train {
            tokens[0]
        } else if middle < serve.max(train) {
            tokens[1]
        } else {
            tokens[2]
        };
        let ramp = look.glyphs.ramp;
        let level = usize::from(high.min(height) - low) * ramp.len() / 8;
        let sign = ramp[level.clamp(1, ramp.len()) - 1].to_string();
        for x in area.x..area.right() {
            put(look, buf, x, area.bottom() - 1 - row, 1, &sign, look.style(token));
        }
    }
}

fn rows(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, scroll: &mut Scroll) {
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
        Col::left("WHAT", 14, 0).grows(18),
        Col::left("KIND", 5, 6),
        Col::right("TODAY", 9, 1),
        Col::right("Δ 7d", 6, 4),
        Col::right("TOTAL", 10, 0),
        Col::right("IDLE", 6, 3),
        Col::right("A THOUSAND", 10, 0),
        Col::right("1k CORRECT", 10, 2),
        Col::right("CANARY", 9, 5),
        Col::left("TREND 14d", 14, 7),
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
        (_, true) => format!("{:.0}%", r.parts.idle.0 as f64 / whole as f64 * 100.0),
        _ => "-".to_owned(),
    };
    let (total, known) = total(report, r);
    let extra = r.candidate + r.shadow;
    let trend = days.map_or(String::new(), |d| {
        format::sparkline(&d[d.len().saturating_sub(15)..d.len() - 1], 14, look.glyphs.ramp)
    });
    vec![
        Cell::id(r.what.clone()),
        Cell::muted(r.kind.clone()),
        Cell::text(today.map_or("-".to_owned(), |t| money::shown(t, &report.currency))),
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

/// The row under the cursor in its parts, and by which prices.
fn parts(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State) {
    let (report, row) = (state.cost.report(), state.cost.current());
    let title = row.as_ref().map_or("PARTS".to_owned(), |r| format!("PARTS OF {}", r.what));
    let title = format::cut(&title, usize::from(area.width.saturating_sub(6)), look.glyphs.ellipsis);
    let inner = pane(look, buf, area, false, &title, "");
    let Some(report) = report else { return };
    let mut lines: Vec<(String, Token)> = Vec::new();
    if let Some(r) = &row {
        let named = [
            ("busy", r.parts.busy),
            ("idle", r.parts.idle),
            ("kept", r.parts.kept),
            ("tokens", r.parts.tokens),
            ("egress", r.parts.egress),
            ("storage", r.parts.storage),
            ("training", r.parts.training),
        ];
        let told: Vec<String> =
            named.iter().filter(|(_, m)| *m > Micro(0)).map(|(n, m)| format!("{n} {}", shown(report, *m))).collect();
        lines.push((
            if told.is_empty() { "nothing that has a price".to_owned() } else { told.join(" · ") },
            Token::Text,
        ));
        let each = |v: f64| money::shown(v, &report.currency);
        if let Some(per) = r.per_prediction {
            let marginal = r.marginal_per_prediction.map_or(String::new(), |m| format!(", marginal {}", each(m)));
            lines.push((format!("{} served at {} each{marginal}", format::count(r.served), each(per)), Token::Text));
        }
        if let Some(c) = r.per_correct {
            let range = c.low.zip(c.high).map_or(String::new(), |(l, h)| format!(" [{}, {}]", each(l), each(h)));
            lines.push((
                format!("a correct one {}{range}, {} labelled", each(c.value), format::count(c.labelled)),
                Token::Text,
            ));
        }
        if let Some(t) = &r.training {
            let spread = t.per_prediction.map_or(String::new(), |p| format!(", {} a prediction", each(p)));
            lines.push((format!("its training {} apart{spread}", shown(report, t.total)), Token::Muted));
        }
        lines.extend(r.unknown.iter().map(|u| (format!("unknown: {u}"), Token::Unknown)));
    }
    let of = |p: &crate::capability::cost::Prices| {
        if p.defaults {
            format!("default prices of {}", &p.since.to_string()[..10])
        } else {
            "your own prices".to_owned()
        }
    };
    let prices: Vec<String> = report.prices.iter().map(of).collect();
    lines.push((format!("by {}", prices.join(", then ")), Token::Muted));
    for (y, (text, token)) in (inner.y..inner.bottom()).zip(&lines) {
        put(look, buf, inner.x + 1, y, inner.width.saturating_sub(2), text, look.style(*token));
    }
}

/// How busy each machine is, and what runs there: those that stand idle with a run first.
fn hosts(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State) {
    let Some(report) = state.cost.report() else { return };
    let inner = pane(look, buf, area, false, "HOSTS now", &show::many(report.hosts.len() as u64, "host", "hosts"));
    let mut all: Vec<&HostView> = report.hosts.iter().collect();
    all.sort_by_key(|h| (h.stalled.is_empty(), h.runs.is_empty(), h.host.name.clone()));
    let (on, off) = if look.glyphs.ascii { ("#", ".") } else { ("█", "░") };
    let cells = usize::from(inner.width / 6).clamp(6, 14);
    for (y, view) in (inner.y..inner.bottom()).zip(all) {
        let name = format!("{:<12} ", format::cut(&view.host.name, 12, look.glyphs.ellipsis));
        let Some(minute) = view.host.newest.as_ref().filter(|_| !view.host.away) else {
            put_all(look, buf, inner.x + 1, y, inner.width - 2, &[(&name, Token::Text), ("away", Token::Unknown)]);
            continue;
        };
        let f = &minute.figures;
        let gpus = f.gpus.len().max(1) as f64;
        let (kind, percent) = if f.gpus.is_empty() {
            ("CPU", f.cpu_percent)
        } else {
            ("GPU", f.gpus.iter().map(|g| g.percent).sum::<f64>() / gpus)
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped to the bar
        let full = (percent.clamp(0.0, 100.0) / 100.0 * cells as f64).round() as usize;
        let token = aged(state, if view.stalled.is_empty() { Token::Ok } else { Token::Warn });
        let note = match view.stalled.first() {
            Some(s) => {
                let hour = s.hour.map_or(String::new(), |m| format!("{}/h ", shown(report, m)));
                format!(" ! {hour}{} {}", s.name, s.why.split(',').next().unwrap_or_default())
            }
            None => format!(" {}", view.runs.join(" ")),
        };
        let bar = [(on.repeat(full), token), (off.repeat(cells - full), Token::Muted)];
        put_all(
            look,
            buf,
            inner.x + 1,
            y,
            inner.width.saturating_sub(2),
            &[
                (&name, Token::Text),
                (&bar[0].0, bar[0].1),
                (&bar[1].0, bar[1].1),
                (&format!(" {kind} {percent:>3.0}%"), Token::Text),
                (&note, if view.stalled.is_empty() { Token::Muted } else { token }),
            ],
        );
    }
}

fn advice(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, scroll: &mut Scroll) {
    let cost = &state.cost;
    let inner = pane(look, buf, area, cost.pane == ADVICE, "WHAT TO DO", "saves a day");
    let Some(report) = cost.report() else { return };
    if report.advice.is_empty() {
        let text = match state.in_past() {
            None => "Nothing stands still, is beaten, or is larger than its work.",
            Some(_) => "What could be done is told of now only.",
        };
        return empty(look, buf, inner, &[(text, Token::Muted)]);
    }
    let columns = [Col::right("A DAY", 8, 0), Col::left("WHAT", 20, 0).grows(14), Col::left("SEEN", 20, 1).grows(40)];
    let height = usize::from(inner.height.saturating_sub(1));
    let first = scroll.keep("advice", cost.advice, report.advice.len(), height);
    let rows = report.advice.iter().enumerate().skip(first).map(|(i, a)| Row {
        cells: vec![
            Cell::new(a.saves_day.map_or("?".to_owned(), |m| shown(report, m)), aged(state, Token::Warn)),
            Cell::text(a.what.as_str()),
            Cell::muted(show::line(&a.why)),
        ],
        at_cursor: i == cost.advice,
        marked: false,
    });
    table(look, buf, inner, &columns, rows, cost.pane == ADVICE);
}
