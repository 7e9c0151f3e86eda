//! The picture of one service: quality, traffic, the heat map of drift, one feature, slices.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{FEATURE, HEAT, PANES, QUALITY, SLICES, TRAFFIC};
use crate::base::show;
use crate::capability::drift::Bar;
use crate::capability::fleet::{Live as Page, Watched};
use crate::tui::format;
use crate::tui::remote::Remote;
use crate::tui::screen::runs::view::failed;
use crate::tui::screen::watch::curve;
use crate::tui::screen::watch::words::{self, Freshness, freshness};
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::{Look, Scroll, put_all};

pub fn panes(state: &State, body: Rect) -> [Option<Rect>; PANES] {
    let focus = state.live.pane;
    let mut at = [None; PANES];
    if state.zoom || body.width < 80 || body.height < 18 {
        at[focus] = Some(body);
        return at;
    }
    let tall = body.height >= 30 && body.width >= 100;
    let (top, low) = if tall { (12, 10) } else { (8, 6) };
    let upper = Rect { height: top, ..body };
    let lower = Rect { y: body.bottom() - low, height: low, ..body };
    at[HEAT] = Some(Rect { y: body.y + top, height: body.height - top - low, ..body });
    let cut = |area: Rect, per_cent: u16| {
        let left = area.width * per_cent / 100;
        (Rect { width: left, ..area }, Rect { x: area.x + left, width: area.width - left, ..area })
    };
    if tall {
        let (left, right) = cut(upper, 66);
        (at[QUALITY], at[TRAFFIC]) = (Some(left), Some(right));
        let (left, right) = cut(lower, 50);
        (at[FEATURE], at[SLICES]) = (Some(left), Some(right));
    } else {
        at[QUALITY] = Some(upper);
        let (left, right) = cut(lower, 50);
        // Beside the slices: the traffic, unless one looks at the feature.
        at[SLICES] = Some(left);
        at[if focus == FEATURE { FEATURE } else { TRAFFIC }] = Some(right);
    }
    at
}

pub fn view(look: &Look<'_>, buf: &mut Buffer, body: Rect, state: &State, scroll: &mut Scroll) {
    let Some(service) = super::service(state) else {
        let inner = pane(look, buf, body, true, "LIVE", "");
        let text =
            if state.fleet.page.value().is_none() { "loading…" } else { "No service yet: 1 says how to get one." };
        return empty(look, buf, inner, &[(text, Token::Muted)]);
    };
    let Some(page) = state.watch.about(service) else {
        let inner = pane(look, buf, body, true, service, "");
        if let Remote::Failed(fault) = &state.watch.page.remote {
            return failed(look, buf, inner, fault);
        }
        return empty(look, buf, inner, &[("asking the agent…", Token::Muted)]);
    };
    let arm = super::arm(state);
    let at = panes(state, body);
    if let Some(area) = at[QUALITY] {
        quality(look, buf, area, state, page, arm);
    }
    if let Some(area) = at[TRAFFIC] {
        traffic(look, buf, area, state, page, arm);
    }
    if let Some(area) = at[HEAT] {
        drift(look, buf, area, state, page, arm, scroll);
    }
    if let Some(area) = at[FEATURE] {
        feature(look, buf, area, state);
    }
    if let Some(area) = at[SLICES] {
        slices(look, buf, area, state, page, arm, scroll);
    }
}

fn fresh(state: &State, page: &Page, arm: &Watched) -> Freshness {
    if state.watch.page.remote.is_stale() {
        return Freshness::Stale;
    }
    freshness(Some(arm.quality.last), arm.quality.batch.is_some(), page.at)
}

fn quality(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, page: &Page, arm: Option<&Watched>) {
    let bound = page.bound.map_or(String::new(), |b| format!("bad {}   ", b.shown()));
    let labels = arm.map_or(String::new(), |v| {
        let q = &v.quality;
        let lag = q.label_delay.map_or(String::new(), |(p50, _)| format!(", lag {}", format::rough_span(p50)));
        q.coverage.map_or(String::new(), |c| format!("labels {} %{lag}", words::per_cent(c)))
    });
    let length = words::length(page);
    let title = format!("{}  {length}", page.metric);
    let inner = pane(look, buf, area, state.live.pane == QUALITY, &title, &format!("{bound}{labels}"));
    let stale = state.watch.page.remote.is_stale();
    let warning = arm.and_then(|v| v.quality.warnings.first()).filter(|_| inner.height >= 9);
    let plot = Rect { height: inner.height - u16::from(warning.is_some()), ..inner };
    curve::draw(look, buf, plot, page, state.live.arm.as_deref(), stale);
    if let Some(text) = warning {
        put_all(look, buf, inner.x + 1, plot.bottom(), inner.width - 2, &[("! ", Token::Warn), (text, Token::Muted)]);
    }
}

/// Figures of one version over time, a small curve each.
fn traffic(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, page: &Page, arm: Option<&Watched>) {
    let name = arm.map_or(String::new(), |v| words::version(&v.version));
    let inner = pane(look, buf, area, state.live.pane == TRAFFIC, "TRAFFIC", &name);
    let Some(v) = arm else { return empty(look, buf, inner, &[("no prediction in this window", Token::Muted)]) };
    let q = &v.quality;
    let step = page.step as f64;
    let mut all: Vec<&crate::capability::monitoring::quality::Point> = v.points.iter().collect();
    // The last stretch goes on: its rate would be too low.
    if all.len() > 1 {
        all.pop();
    }
    let per_second: Vec<f64> = all.iter().map(|p| p.n as f64 / step).collect();
    let latency = |of: fn((f64, f64, f64)) -> f64| -> Vec<f64> {
        all.iter().map(|p| p.latency_ms.map_or(f64::NAN, of)).collect()
    };
    let errors: Vec<f64> = all.iter().map(|p| if p.n == 0 { f64::NAN } else { p.errors as f64 / p.n as f64 }).collect();
    let missing: Vec<f64> = (0..all.len()).map(|i| missing_at(v, i)).collect();
    let span = page.window.to.seconds_since(page.window.from).max(1.0);
    let ms = |of: fn((f64, f64, f64)) -> f64| q.latency_ms.map_or("-".to_owned(), |l| format!("{:.1}", of(l)));
    let mut rows = vec![
        ("rps", format!("{:.2}", q.n as f64 / span), per_second),
        ("p50", ms(|l| l.0), latency(|l| l.0)),
        ("p95", ms(|l| l.1), latency(|l| l.1)),
        ("p99", ms(|l| l.2), latency(|l| l.2)),
        ("err %", words::per_cent(q.errors as f64 / q.n.max(1) as f64), errors),
        ("miss %", words::per_cent(mean_missing(v)), missing),
    ];
    if q.latency_ms.is_none() {
        rows.retain(|(name, ..)| !matches!(*name, "p50" | "p95"));
    }
    if q.input_tokens + q.output_tokens > 0 {
        let tokens = format!(
            "{} in {} out",
            format::short_count(q.input_tokens.try_into().unwrap_or(i64::MAX)),
            format::short_count(q.output_tokens.try_into().unwrap_or(i64::MAX))
        );
        rows.insert(1, ("tokens", tokens, Vec::new()));
    }
    let muted = fresh(state, page, v) == Freshness::Stale;
    let tilde = if muted { "~" } else { "" };
    let shares = share_lines(state, page);
    let room = usize::from(inner.height).saturating_sub(if inner.height >= 9 { shares.len() } else { 0 });
    for (y, (name, value, curve)) in (inner.y..inner.bottom()).zip(rows.iter().take(room)) {
        let label = format!("{name:<7}");
        let value = format!("{tilde}{value:>8} ");
        let width = usize::from(inner.width).saturating_sub(20);
        let line = if curve.iter().any(|x| x.is_finite()) {
            format::sparkline(curve, width, look.glyphs.ramp)
        } else {
            String::new()
        };
        let token = if muted { Token::Unknown } else { Token::Text };
        put_all(
            look,
            buf,
            inner.x + 1,
            y,
            inner.width - 2,
            &[(&label, Token::Muted), (&value, token), (&line, Token::Info)],
        );
    }
    if inner.height >= 9 {
        for (y, (name, share, token)) in
            (inner.bottom() - u16::try_from(shares.len()).unwrap_or(0)..inner.bottom()).zip(&shares)
        {
            let room = f64::from(inner.width.saturating_sub(18));
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within the pane
            let bar: String = (0..(room * share / 100.0).round() as usize)
                .map(|_| look.glyphs.ramp.last().copied().unwrap_or('#'))
                .collect();
            let label = format!("{name:<6} {share:>5.1}% ");
            put_all(look, buf, inner.x + 1, y, inner.width - 2, &[(&label, Token::Text), (&bar, *token)]);
        }
    }
}

/// Who answers which share: by the plan where the router is ours, else by what was told.
fn share_lines(state: &State, page: &Page) -> Vec<(String, f64, Token)> {
    let stale = state.watch.page.remote.is_stale();
    let seen: Vec<&Watched> = page.versions.iter().filter(|v| v.role.serves()).collect();
    let total: u64 = seen.iter().map(|v| v.quality.n).sum();
    let share = |v: &&Watched| {
        (
            words::version(&v.version),
            v.quality.n as f64 * 100.0 / total.max(1) as f64,
            if stale { Token::Unknown } else { words::arm_token(page, v) },
        )
    };
    if seen.len() < 2 { Vec::new() } else { seen.iter().take(3).map(share).collect() }
}

fn missing_at(v: &Watched, i: usize) -> f64 {
    let all: Vec<f64> = v.courses.iter().filter_map(|c| c.missing.get(i).copied().flatten()).collect();
    if all.is_empty() { f64::NAN } else { all.iter().sum::<f64>() / all.len() as f64 }
}

fn mean_missing(v: &Watched) -> f64 {
    let n = v.drift.columns.len().max(1) as f64;
    v.drift.columns.iter().map(|c| c.missing).sum::<f64>() / n
}

fn drift(
    look: &Look<'_>,
    buf: &mut Buffer,
    area: Rect,
    state: &State,
    page: &Page,
    arm: Option<&Watched>,
    scroll: &mut Scroll,
) {
    let name = arm.map_or(String::new(), |v| format!("{} against {}", words::version(&v.version), v.drift.reference));
    let alarms = arm.map_or(0, |v| v.drift.alarms);
    let wide = area.width >= 100;
    let title = if wide {
        format!("DRIFT  {}   ({})", state.live.test.words(), heat_legend(look))
    } else {
        format!("DRIFT {}", state.live.test.words())
    };
    let note = match arm {
        None => String::new(),
        Some(_) if wide => format!("{name} · {alarms} alarms · D test"),
        Some(_) => format!("{name} · {alarms}!"),
    };
    let inner = pane(look, buf, area, state.live.pane == HEAT, &title, &note);
    match arm {
        Some(v) => super::heat::draw(look, buf, inner, state, page, v, fresh(state, page, v), scroll),
        None => empty(look, buf, inner, &[("no prediction in this window", Token::Muted)]),
    }
}

fn heat_legend(look: &Look<'_>) -> String {
    super::heat::legend(look)
}

/// One column in the training data and now.
fn feature(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State) {
    let here = state.live.pane == FEATURE;
    let (version, column) = &state.watch.feature_of;
    let shown = state.watch.feature.value();
    let title = if column.is_empty() {
        "FEATURE".to_owned()
    } else {
        let before = shown.map_or("training", |f| f.reference.as_str());
        format!("{column}  {before} vs {}", words::version(version))
    };
    let means = shown.and_then(|f| f.mean_reference.zip(f.mean));
    let note =
        means.map_or("↵ explain".to_owned(), |(a, b)| format!("mean {} → {}", show::metric(a), show::metric(b)));
    let inner = pane(look, buf, area, here, &title, &note);
    let Some(f) = shown else {
        let text = match &state.watch.feature.remote {
            Remote::Failed(fault) => fault.to_string(),
            _ if column.is_empty() => "no feature".to_owned(),
            _ => "asking the agent…".to_owned(),
        };
        return empty(look, buf, inner, &[(&text, Token::Muted)]);
    };
    let label = f.bars.iter().map(|b| format::width(&b.label)).max().unwrap_or(6).clamp(6, 16);
    let room = (usize::from(inner.width).saturating_sub(label + 18)) / 2;
    let most = f.bars.iter().map(|b| b.reference.max(b.now)).fold(0.0, f64::max).max(1e-9);
    let full = look.glyphs.ramp.last().copied().unwrap_or('#');
    let bar = |share: f64| -> String {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to room
        let cells = (share / most * room as f64).round() as usize;
        let text: String = (0..cells).map(|_| full).collect();
        format!("{text:<room$}")
    };
    let bars = most_moved(&f.bars, usize::from(inner.height));
    for (y, b) in (inner.y..inner.bottom()).zip(bars) {
        let name =
            format!("{:<label$} ", format::cut(&format::clean(&look.spell(&b.label)), label, look.glyphs.ellipsis));
        let off = (b.now - b.reference).abs();
        let token = if off > 0.1 {
            Token::Crit
        } else if off > 0.03 {
            Token::Warn
        } else {
            Token::Info
        };
        let (before, now) = (format!(" {:>5.1}% ", b.reference * 100.0), format!(" {:>5.1}%", b.now * 100.0));
        let pieces = [
            (name.as_str(), Token::Muted),
            (&*bar(b.reference), Token::Border),
            (before.as_str(), Token::Muted),
            (&*bar(b.now), token),
            (now.as_str(), token),
        ];
        put_all(look, buf, inner.x + 1, y, inner.width.saturating_sub(2), &pieces);
    }
}

/// All bars where there is room, else those that moved most, in their order.
fn most_moved(bars: &[Bar], room: usize) -> Vec<&Bar> {
    let mut order: Vec<usize> = (0..bars.len()).collect();
    let moved = |i: &usize| (bars[*i].now - bars[*i].reference).abs();
    order.sort_by(|a, b| moved(b).total_cmp(&moved(a)));
    order.truncate(room);
    order.sort_unstable();
    order.into_iter().map(|i| &bars[i]).collect()
}

fn slices(
    look: &Look<'_>,
    buf: &mut Buffer,
    area: Rect,
    state: &State,
    page: &Page,
    arm: Option<&Watched>,
    scroll: &mut Scroll,
) {
    let here = state.live.pane == SLICES;
    let title = arm.map_or("SLICES".to_owned(), |v| format!("SLICES ({})", words::version(&v.version)));
    let inner = pane(look, buf, area, here, &title, if area.width >= 50 { "by share of the loss" } else { "" });
    match arm {
        Some(v) => super::slices::table_of(look, buf, inner, Some(page), v, state.live.cursors[SLICES], here, scroll),
        None => empty(look, buf, inner, &[("no prediction in this window", Token::Muted)]),
    }
}
