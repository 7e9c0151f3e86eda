//! The table of metrics: the base's value, then of each run the value, how far it is from the base, and the grade.
//! Runs that do not fit scroll sideways with the cursor; the base stays.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::{Compare, METRICS};
use crate::base::show;
use crate::capability::tracking::compare::{Better, Cell, Grade, Measured};
use crate::tui::format::{self, Decimals};
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::{Look, Scroll, put, put_all, put_right};

const GAP: u16 = 2;
/// Columns in which most names of runs can be read.
const NAMED: u16 = 24;
/// Columns of a grade.
const GRADE: u16 = 2;

/// What stands in one line, as text.
struct Line<'a> {
    measured: &'a Measured,
    name: String,
    values: Vec<String>,
    differences: Vec<String>,
}

/// How wide the parts are, and which runs are on screen.
struct Plan {
    name: u16,
    value: u16,
    difference: u16,
    noise: u16,
    base: u16,
    /// Of one run's value, difference and grade, with room for its name.
    run: u16,
    first: usize,
    shown: usize,
}

pub fn draw(look: &Look<'_>, buf: &mut Buffer, area: Rect, compare: &Compare, scroll: &mut Scroll) {
    let order = compare.order();
    let lines: Vec<Line<'_>> = compare.metrics().into_iter().map(|m| line(look, m, &order, compare.relative)).collect();
    let plan = plan(area.width.saturating_sub(3), &lines, &order, compare.column);
    let others = order.len().saturating_sub(1);
    let part = if plan.shown < others {
        format!("runs {}-{} of {others} ←→ · ", plan.first, plan.first + plan.shown - 1)
    } else {
        String::new()
    };
    let only = if compare.only_differing { "d all" } else { "d only differing" };
    let way = if compare.relative { "% absolute" } else { "% relative" };
    let legend =
        if area.width >= 110 { "METRIC DIFF  (++ -- beyond 3σ, + - beyond 1σ, · luck)" } else { "METRIC DIFF" };
    let inner = pane(look, buf, area, compare.pane == METRICS, legend, &format!("{part}{only} · {way}"));
    if inner.height < 2 {
        return;
    }
    if lines.is_empty() {
        let why = match (compare.filter_text.is_empty(), compare.only_differing) {
            (false, _) => "no metric fits the filter: Esc clears it",
            (true, true) => "no metric differs between these runs: d shows all",
            (true, false) => "these runs logged no metric",
        };
        return empty(look, buf, inner, &[(why, Token::Muted)]);
    }
    heads(look, buf, Rect { height: 1, ..inner }, compare, &order, &plan);
    let rows = usize::from(inner.height.saturating_sub(2));
    let first = scroll.keep("compare.metrics", compare.cursors[METRICS], lines.len(), rows);
    for (i, (y, line)) in (inner.y + 1..inner.bottom() - 1).zip(lines.iter().skip(first)).enumerate() {
        let at_cursor = first + i == compare.cursors[METRICS];
        row(look, buf, Rect { y, height: 1, ..inner }, line, &plan, compare, at_cursor);
    }
    if let Some(line) = lines.get(compare.cursors[METRICS]) {
        explain(look, buf, Rect { y: inner.bottom() - 1, height: 1, ..inner }, compare, &order, line);
    }
}

fn line<'a>(look: &Look<'_>, measured: &'a Measured, order: &[usize], relative: bool) -> Line<'a> {
    let cells: Vec<&Cell> = order.iter().filter_map(|i| measured.cells.get(*i)).collect();
    let decimals = Decimals::fit(cells.iter().filter_map(|c| c.value));
    let base = cells.first().and_then(|c| c.value);
    let arrow = measured.better.map_or("?", Better::arrow);
    let arrow = match (look.glyphs.ascii, measured.better) {
        (true, Some(Better::Higher)) => "^",
        (true, Some(Better::Lower)) => "v",
        _ => arrow,
    };
    Line {
        measured,
        name: format!("{} {arrow}", look.spell(&measured.key)),
        values: cells.iter().map(|c| c.value.map_or_else(|| "-".to_owned(), |v| decimals.write(v))).collect(),
        differences: cells
            .iter()
            .map(|c| c.difference.map_or_else(String::new, |d| apart(d, base, relative)))
            .collect(),
    }
}

/// A difference in the metric's unit, or in per cent of the base where that is not near nothing.
fn apart(difference: f64, base: Option<f64>, relative: bool) -> String {
    let percent = base.filter(|b| relative && b.abs() > 1e-9).map(|b| difference / b.abs() * 100.0);
    match percent.filter(|p| p.abs() < 10_000.0) {
        Some(p) => format!("{}%", show::difference(p)),
        None => show::difference(difference),
    }
}

fn plan(width: u16, lines: &[Line<'_>], order: &[usize], column: usize) -> Plan {
    let widest = |texts: &mut dyn Iterator<Item = &String>, least: usize, most: usize| {
        u16::try_from(texts.map(|t| format::width(t)).max().unwrap_or(0).clamp(least, most)).unwrap_or(8)
    };
    let noise = if width >= 100 { 9 } else { 0 };
    let most = if width >= 100 { 26 } else { 16 };
    let mut plan = Plan {
        name: widest(&mut lines.iter().map(|l| &l.name), 8, most),
        value: widest(&mut lines.iter().flat_map(|l| &l.values), 6, 11),
        difference: widest(&mut lines.iter().flat_map(|l| &l.differences), 6, 10),
        noise,
        base: 0,
        run: 0,
        first: 1,
        shown: 1,
    };
    plan.base = plan.value.max(if width >= 100 { 14 } else { 10 });
    plan.run = plan.value + 1 + plan.difference + 1 + GRADE;
    let noise_room = if noise > 0 { noise + GAP } else { 0 };
    let room = width.saturating_sub(1 + plan.name + GAP + plan.base + noise_room);
    let others = order.len().saturating_sub(1);
    plan.shown = usize::from(room / (plan.run + GAP)).clamp(1, others.max(1));
    let each = room / u16::try_from(plan.shown).unwrap_or(1);
    plan.run = each.saturating_sub(GAP).clamp(plan.run, plan.run.max(NAMED));
    // As far left as the cursor lets it.
    plan.first = (column + 1).saturating_sub(plan.shown).max(1);
    plan
}

/// The columns of the runs on screen: which one, counted as on the screen, and where it begins.
fn places(plan: &Plan, line: Rect, count: usize) -> impl Iterator<Item = (usize, u16)> + '_ {
    let start = line.x + 1 + plan.name + GAP;
    let others = start + plan.base + GAP;
    let shown = (plan.first..count).take(plan.shown).enumerate();
    std::iter::once((0, start))
        .chain(shown.map(move |(i, n)| (n, others + (plan.run + GAP) * u16::try_from(i).unwrap_or(0))))
}

fn heads(look: &Look<'_>, buf: &mut Buffer, line: Rect, compare: &Compare, order: &[usize], plan: &Plan) {
    put(look, buf, line.x + 1, line.y, plan.name, "METRIC", look.style(Token::Muted));
    for (n, x) in places(plan, line, order.len()) {
        let Some(run) = order.get(n).and_then(|i| compare.runs().get(*i)) else { continue };
        let width = if n == 0 { plan.base } else { plan.run };
        let live = if run.is_live() && n > 0 { " live" } else { "" };
        let room = usize::from(width).saturating_sub(live.len());
        let name = format::cut_middle(&look.spell(&run.name), room, look.glyphs.ellipsis);
        let name = if n == 0 {
            format::cut_middle(&format!("{} base", look.spell(&run.name)), room, look.glyphs.ellipsis)
        } else {
            name
        };
        let mut style = look.style(if n == 0 { Token::Accent } else { Token::Text });
        if n == compare.column {
            style = look.style(Token::Select).add_modifier(Modifier::BOLD | Modifier::UNDERLINED);
        }
        put(look, buf, x, line.y, width, &format!("{name}{live}"), style);
    }
    if plan.noise > 0 {
        put_right(look, buf, line.x, line.right() - 1, line.y, "noise σ", look.style(Token::Muted));
    }
}

/// Colour and sign say the same.
fn token_of(grade: Grade) -> Token {
    match grade {
        Grade::MuchBetter | Grade::Better => Token::Ok,
        Grade::MuchWorse | Grade::Worse => Token::Crit,
        Grade::Luck | Grade::Base => Token::Muted,
        Grade::Unknown => Token::Unknown,
    }
}

fn row(look: &Look<'_>, buf: &mut Buffer, at: Rect, line: &Line<'_>, plan: &Plan, compare: &Compare, at_cursor: bool) {
    let name = format::cut_middle(&line.name, usize::from(plan.name), look.glyphs.ellipsis);
    put(look, buf, at.x + 1, at.y, plan.name, &name, look.style(Token::Text));
    let order = compare.order();
    let stale = compare.rows.remote.is_stale();
    for (n, x) in places(plan, at, line.values.len()) {
        let Some(cell) = order.get(n).and_then(|i| line.measured.cells.get(*i)) else { continue };
        let finite = cell.value.is_none_or(f64::is_finite);
        let token = if stale {
            Token::Unknown
        } else if finite {
            Token::Text
        } else {
            Token::Crit
        };
        put_right(look, buf, x, x + plan.value, at.y, &line.values[n], look.style(token));
        if n == 0 {
            continue;
        }
        let token = if stale { Token::Unknown } else { token_of(cell.grade) };
        let x = x + plan.value + 1;
        put_right(look, buf, x, x + plan.difference, at.y, &line.differences[n], look.style(token));
        let mut style = look.style(token);
        if matches!(cell.grade, Grade::MuchBetter | Grade::MuchWorse) {
            style = style.add_modifier(Modifier::BOLD);
        }
        // Where there is no value there is nothing to grade; the line below the table says why.
        if cell.value.is_some() {
            put(look, buf, x + plan.difference + 1, at.y, GRADE, cell.grade.sign(), style);
        }
    }
    if plan.noise > 0 {
        let noise = line.measured.noise.map_or_else(|| "?".to_owned(), |n| show::metric(n.of_difference()));
        put_right(look, buf, at.x, at.right() - 1, at.y, &noise, look.style(Token::Muted));
    }
    if at_cursor {
        put(look, buf, at.x, at.y, 1, look.glyphs.cursor, look.style(Token::BorderFocus));
        if compare.pane == METRICS {
            buf.set_style(at, look.style(Token::Select));
        } else {
            buf.set_style(at, ratatui::style::Style::new().add_modifier(Modifier::BOLD));
        }
    }
}

/// One line on the value under the cursor: how it came to its grade.
fn explain(look: &Look<'_>, buf: &mut Buffer, at: Rect, compare: &Compare, order: &[usize], line: &Line<'_>) {
    let n = compare.column.min(order.len().saturating_sub(1));
    let Some((run, cell)) = order.get(n).and_then(|i| Some((compare.runs().get(*i)?, line.measured.cells.get(*i)?)))
    else {
        return;
    };
    let luck = line.measured.noise.map_or_else(String::new, |noise| {
        format!(
            "   σ of a difference {} from {} runs of {} setups",
            show::metric(noise.of_difference()),
            noise.runs,
            noise.groups
        )
    });
    let stands = match (cell.grade, cell.why) {
        (Grade::Base, _) => "the base".to_owned(),
        (_, Some(why)) => why.to_owned(),
        (grade, None) => {
            let by = cell.sigmas.filter(|s| s.is_finite()).map_or(String::new(), |s| format!(" {s:.1}σ"));
            let word = match grade {
                Grade::MuchBetter => "much better",
                Grade::Better => "better",
                Grade::Worse => "worse",
                Grade::MuchWorse => "much worse",
                _ => "within luck",
            };
            format!("{word}{by}")
        }
    };
    let name = format::cut_middle(&format::clean(&run.name), 24, look.glyphs.ellipsis);
    let pieces = [
        (name.as_str(), Token::Muted),
        (" ", Token::Muted),
        (&line.measured.key, Token::Muted),
        (": ", Token::Muted),
        (&stands, token_of(cell.grade)),
        (&luck, Token::Muted),
    ];
    put_all(look, buf, at.x + 1, at.y, at.width - 1, &pieces);
}
