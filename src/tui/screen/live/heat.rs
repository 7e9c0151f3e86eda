//! The heat map of drift: features by time. A cell is lit only where the shift is more than chance gives.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Test;
use crate::capability::drift::ColumnDrift;
use crate::capability::fleet::{Live, Role, Watched};
use crate::tui::format;
use crate::tui::screen::watch::words::{self, Freshness};
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::pane::empty;
use crate::tui::widget::{Look, Scroll, put, put_right};

/// Where a shade begins.
const SHADES: [f64; 4] = [0.05, 0.10, 0.20, 0.25];

/// How far a shift is, 0 to 4.
fn level(psi: f64) -> usize {
    SHADES.iter().filter(|s| psi >= **s).count()
}

fn shade(look: &Look<'_>, psi: Option<f64>) -> &'static str {
    let signs = if look.glyphs.ascii { [" ", ".", ":", "*", "#"] } else { [" ", "░", "▒", "▓", "█"] };
    match psi {
        None => {
            if look.glyphs.ascii {
                " "
            } else {
                "·"
            }
        }
        Some(psi) => signs[level(psi)],
    }
}

fn token(psi: f64) -> Token {
    match level(psi) {
        0 | 1 => Token::Muted,
        2 => Token::Warn,
        _ => Token::Crit,
    }
}

/// Draws the map with its titles.
#[allow(clippy::too_many_arguments)] // a place, what to draw, and where the cursor is
pub fn draw(
    look: &Look<'_>,
    buf: &mut Buffer,
    inner: Rect,
    state: &State,
    page: &Live,
    arm: &Watched,
    fresh: Freshness,
    scroll: &mut Scroll,
) {
    let columns = super::features(state, arm);
    if columns.is_empty() {
        let text = if arm.drift.columns.is_empty() {
            "No features came with the predictions."
        } else {
            "No feature fits the filter."
        };
        return empty(look, buf, inner, &[(text, Token::Muted)]);
    }
    let here = state.live.pane == super::HEAT;
    let wide = inner.width >= 100;
    let name = if wide { 18 } else { 14 };
    let other = page.versions.iter().find(|v| v.role == Role::Stable && v.version != arm.version).filter(|_| wide);
    let right = 9 + if other.is_some() { 10 } else { 0 } + 8 + if wide { 22 } else { 0 };
    let map = inner.width.saturating_sub(name + 2 + right);
    titles(look, buf, inner, page, arm, other, (name, map, wide), state.live.test);
    let cursor = state.live.cursors[super::HEAT].min(columns.len().saturating_sub(1));
    let first = scroll.keep("heat", cursor, columns.len(), usize::from(inner.height.saturating_sub(1)));
    for (y, (n, column)) in (inner.y + 1..inner.bottom()).zip(columns.iter().enumerate().skip(first)) {
        let x = inner.x + 1;
        let label = format::cut_middle(&look.spell(&column.name), usize::from(name), look.glyphs.ellipsis);
        put(look, buf, x, y, name, &label, look.style(Token::Text));
        let course = arm.courses.iter().find(|c| c.name == column.name).map_or(&[][..], |c| c.psi.as_slice());
        cells(look, buf, x + name + 1, y, map, course);
        let mut at = x + name + 1 + map;
        let (text, sign) = figure(look, column, state.live.test, fresh);
        put_right(look, buf, at, at + 9, y, &text, look.style(sign));
        at += 9;
        if let Some(other) = other {
            let same = other.drift.columns.iter().chain(&other.drift.score).find(|c| c.name == column.name);
            let (text, sign) = same.map_or(("-".to_owned(), Token::Muted), |c| figure(look, c, state.live.test, fresh));
            put_right(look, buf, at, at + 10, y, &text, look.style(sign));
            at += 10;
        }
        let moved = column.missing - column.missing_reference > 0.01;
        let missing = format!("{}{}", words::per_cent(column.missing), if moved { "!" } else { "" });
        put_right(look, buf, at, at + 8, y, &missing, look.style(if moved { Token::Warn } else { Token::Muted }));
        if wide {
            put(look, buf, at + 10, y, inner.right().saturating_sub(at + 10), &note(column), look.style(Token::Muted));
        }
        if n == cursor {
            put(look, buf, inner.x, y, 1, look.glyphs.cursor, look.style(Token::BorderFocus));
            let line = Rect { x: inner.x, y, width: name + 1, height: 1 };
            buf.set_style(
                line,
                if here {
                    look.style(Token::Select)
                } else {
                    ratatui::style::Style::new().add_modifier(ratatui::style::Modifier::BOLD)
                },
            );
        }
    }
}

#[allow(clippy::too_many_arguments)] // a line of titles
fn titles(
    look: &Look<'_>,
    buf: &mut Buffer,
    inner: Rect,
    page: &Live,
    arm: &Watched,
    other: Option<&Watched>,
    (name, map, wide): (u16, u16, bool),
    test: Test,
) {
    let (x, y, muted) = (inner.x + 1, inner.y, look.style(Token::Muted));
    put(look, buf, x, y, name, "FEATURE", muted);
    let from = format::clock(page.window.from);
    let from: String = from.chars().take(5).collect();
    put(look, buf, x + name + 1, y, map, &format!("{from}Z"), muted);
    // The newest batch of a model that answers in batches may be of yesterday.
    let until: String = format::clock(page.window.to).chars().take(5).collect::<String>() + "Z";
    let recent = page.at.seconds_since(page.window.to) < page.step as f64;
    put_right(look, buf, x + name + 1, x + name + 1 + map, y, if recent { "now" } else { &until }, muted);
    let mut at = x + name + 1 + map;
    let title = |v: &Watched| format!("{} {}", test.words().to_uppercase(), words::version(&v.version));
    put_right(look, buf, at, at + 9, y, &title(arm), muted);
    at += 9;
    if let Some(other) = other {
        put_right(look, buf, at, at + 10, y, &title(other), muted);
        at += 10;
    }
    put_right(look, buf, at, at + 8, y, "MISS %", muted);
    if wide {
        put(look, buf, at + 10, y, inner.right().saturating_sub(at + 10), "NOTE", muted);
    }
}

/// One row of cells; where there are more stretches than columns the worst of those that share one is shown, and where there
/// are fewer each takes several columns.
fn cells(look: &Look<'_>, buf: &mut Buffer, x: u16, y: u16, width: u16, course: &[Option<f64>]) {
    if course.is_empty() || width == 0 {
        return;
    }
    let (n, columns) = (course.len(), usize::from(width));
    for i in 0..columns {
        let (from, to) = (i * n / columns, ((i + 1) * n).div_ceil(columns));
        let part = &course[from..to.clamp(from + 1, n)];
        let worst = part.iter().flatten().copied().fold(None, |a: Option<f64>, b| Some(a.map_or(b, |a| a.max(b))));
        let sign = shade(look, worst);
        let style = look.style(worst.map_or(Token::Border, token));
        put(look, buf, x + u16::try_from(i).unwrap_or(0), y, 1, sign, style);
    }
}

fn figure(look: &Look<'_>, c: &ColumnDrift, test: Test, fresh: Freshness) -> (String, Token) {
    let value = match test {
        Test::Psi => return words::psi(look.glyphs, c.psi, c.alarm, fresh),
        Test::Ks => c.ks.map(|(low, _)| low),
        Test::Js => c.js,
        Test::Wasserstein => c.wasserstein,
    };
    // The verdict is PSI's, whatever is shown: one rule for all columns.
    let sign = match (c.psi, c.alarm) {
        (None, _) => "?",
        (_, true) => look.glyphs.warn,
        _ => look.glyphs.ok,
    };
    let token = if fresh == Freshness::Stale || c.psi.is_none() {
        Token::Unknown
    } else if c.alarm {
        Token::Crit
    } else {
        Token::Ok
    };
    (value.map_or("-".to_owned(), |v| format!("{v:.3} {sign}")), token)
}

/// What is particular about a column.
fn note(c: &ColumnDrift) -> String {
    let mut notes = Vec::new();
    if c.missing - c.missing_reference > 0.01 {
        notes.push(format!("missing {}% → {}%", words::per_cent(c.missing_reference), words::per_cent(c.missing)));
    }
    if c.new > 0.005 {
        notes.push(format!("{}% new", words::per_cent(c.new)));
    }
    if c.outside > 0.005 {
        notes.push(format!("{}% out of range", words::per_cent(c.outside)));
    }
    if c.psi.is_none() {
        notes.push(format!("n={}", format::count(c.n)));
    }
    notes.join(", ")
}

/// What the shades mean.
pub fn legend(look: &Look<'_>) -> String {
    let signs: Vec<String> = SHADES.iter().map(|s| format!("{} {s:.2}", shade(look, Some(*s)))).collect();
    signs.join(" ")
}
