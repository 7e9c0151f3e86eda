//! Above: what was spent of each budget, and what each day cost.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::view::{aged, shown};
use crate::base::Timestamp;
use crate::base::money::Micro;
use crate::capability::cost::{CostReport, Day, Standing};
use crate::tui::format;
use crate::tui::screen::lines::wrap;
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::pane::pane;
use crate::tui::widget::{Look, put, put_all, put_right};

pub(super) fn budgets(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State) {
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
        let how = "No budget yet: write [[budget]] into a file, opsroom apply it";
        let rows = wrap(how, usize::from(inner.width.saturating_sub(2)));
        lines.extend(rows.into_iter().map(|row| vec![(row, Token::Muted)]));
    }
    let why = report.unknown.first().map(|why| format!("unknown: {why}")).unwrap_or_default();
    let rows = wrap(&why, usize::from(inner.width.saturating_sub(2)));
    lines.extend(rows.into_iter().map(|row| vec![(row, Token::Unknown)]));
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
    let forecast = format!("  → {forecast} ");
    let burn = b.burn_hour.map_or(String::new(), |m| format!("   {}/h", shown(report, m)));
    // Whole or not at all.
    let fits = format::width(&forecast) + format::width(&word) + format::width(&burn) + 2 <= usize::from(width);
    let burn = if fits { burn } else { String::new() };
    vec![
        vec![
            (format!("{} ", format::cut(&b.name, 12, look.glyphs.ellipsis)), Token::Text),
            (on.repeat(full), token),
            (off.repeat(cells - full), Token::Muted),
            (format!(" {:.0} % of {}", b.share * 100.0, short(report, b.month)), Token::Text),
        ],
        vec![(forecast, Token::Muted), (word, token), (burn, Token::Muted)],
    ]
}

/// What a bar is made of, from below: each its own sign, so that colour does not tell alone.
fn kinds(look: &Look<'_>) -> [(&'static str, &'static str, Token); 3] {
    let [train, serve, store] = if look.glyphs.ascii { ["x", "#", "o"] } else { ["▒", "█", "░"] };
    [("train", train, Token::Series(2)), ("serve", serve, Token::Series(0)), ("store", store, Token::Series(1))]
}

/// What each day cost, as bars of training, serving and storage on top of each other.
pub(super) fn spend(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State) {
    let kinds = kinds(look);
    let inner = pane(look, buf, area, false, "SPEND / DAY", "30d");
    let Some(report) = state.cost.report().filter(|r| !r.days.is_empty()) else { return };
    let legend: Vec<(String, Token)> =
        kinds.iter().map(|(name, sign, token)| (format!(" {sign} {name} "), *token)).collect();
    let pieces: Vec<(&str, Token)> = legend.iter().map(|(text, token)| (text.as_str(), *token)).collect();
    put_all(look, buf, area.right().saturating_sub(35), area.y, 28, &pieces);
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
        bar(look, buf, Rect { x, y: inner.y, width: each.max(2) - 1, height: rows }, d, most, &kinds);
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
fn bar(look: &Look<'_>, buf: &mut Buffer, area: Rect, d: &Day, most: i64, kinds: &[(&str, &str, Token); 3]) {
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
        let (_, whole, token) = if middle < train {
            kinds[0]
        } else if middle < serve.max(train) {
            kinds[1]
        } else {
            kinds[2]
        };
        let ramp = look.glyphs.ramp;
        let level = usize::from(high.min(height) - low) * ramp.len() / 8;
        let sign = if level < ramp.len() { ramp[level.max(1) - 1].to_string() } else { whole.to_owned() };
        for x in area.x..area.right() {
            put(look, buf, x, area.bottom() - 1 - row, 1, &sign, look.style(token));
        }
    }
}
