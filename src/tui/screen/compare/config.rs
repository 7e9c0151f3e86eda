//! What was set differently: params, data, code and tags, a column a run.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::{CONFIG, Compare};
use crate::capability::tracking::compare::Setting;
use crate::tui::format;
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::{Look, Scroll, put};

/// A column narrower than this cannot be read.
const VALUE_MIN: u16 = 7;
const VALUE_MAX: u16 = 24;

pub fn draw(look: &Look<'_>, buf: &mut Buffer, area: Rect, compare: &Compare, scroll: &mut Scroll) {
    let settings = compare.settings();
    let all = compare.result.as_ref().map_or(0, |r| r.settings.len());
    let differing = compare.result.iter().flat_map(|r| &r.settings).filter(|s| s.differs()).count();
    let note = format!("{differing} of {all} differ");
    let inner = pane(look, buf, area, compare.pane == CONFIG, "CONFIG DIFF", &note);
    if inner.height < 2 {
        return;
    }
    if settings.is_empty() {
        let why = match (compare.filter_text.is_empty(), all) {
            (false, _) => "nothing fits the filter: Esc clears it",
            (true, 0) => "these runs logged no params, data, code or tags",
            (true, _) => "params, data, code and tags are the same: d shows them",
        };
        return empty(look, buf, inner, &[(why, Token::Muted)]);
    }
    let order = compare.order();
    let label =
        settings.iter().map(|s| format::width(&s.key)).max().unwrap_or(0).clamp(6, usize::from(inner.width) / 3);
    let label = u16::try_from(label).unwrap_or(12) + 1;
    let room = inner.width.saturating_sub(label + 2);
    let shown = usize::from(room / (VALUE_MIN + 1)).clamp(1, order.len().max(1));
    let width = (room / u16::try_from(shown).unwrap_or(1)).saturating_sub(1).min(VALUE_MAX);
    // The base stays, the others move with the cursor of the table.
    let first = (compare.column + 2).saturating_sub(shown).max(1);
    let columns: Vec<usize> = std::iter::once(0).chain((first..order.len()).take(shown - 1)).collect();
    let at = |nth: usize| inner.x + 1 + label + (width + 1) * u16::try_from(nth).unwrap_or(0);
    put(look, buf, inner.x + 1, inner.y, label, "KEY", look.style(Token::Muted));
    for (nth, n) in columns.iter().enumerate() {
        let Some(run) = order.get(*n).and_then(|i| compare.runs().get(*i)) else { continue };
        let name = format::cut_middle(&look.spell(&run.name), usize::from(width), look.glyphs.ellipsis);
        let mut style = look.style(if *n == 0 { Token::Accent } else { Token::Text });
        if *n == compare.column {
            style = style.add_modifier(Modifier::UNDERLINED);
        }
        put(look, buf, at(nth), inner.y, width, &name, style);
    }
    let rows = lines(&settings);
    let cursor = rows.iter().position(|r| *r == Line::Setting(compare.cursors[CONFIG])).unwrap_or(0);
    let top = scroll.keep("compare.config", cursor, rows.len(), usize::from(inner.height - 1));
    for (y, line) in (inner.y + 1..inner.bottom()).zip(rows.iter().skip(top)) {
        let i = match line {
            Line::Head(title) => {
                put(look, buf, inner.x + 1, y, inner.width - 1, title, look.style(Token::Muted));
                continue;
            }
            Line::Setting(i) => *i,
        };
        let setting = settings[i];
        let key = format::cut_middle(&look.spell(&setting.key), usize::from(label - 1), look.glyphs.ellipsis);
        put(look, buf, inner.x + 1, y, label - 1, &key, look.style(Token::Text));
        let value = |n: usize| order.get(n).and_then(|i| setting.values.get(*i)).and_then(Option::as_deref);
        for (nth, n) in columns.iter().enumerate() {
            let text = value(*n).map_or_else(|| "-".into(), |v| look.spell(v));
            let differs = value(*n) != value(0);
            let token = if *n == 0 || differs { Token::Text } else { Token::Muted };
            let mut style = look.style(token);
            if differs {
                style = style.add_modifier(Modifier::BOLD);
            }
            let text = format::cut_middle(&text, usize::from(width), look.glyphs.ellipsis);
            put(look, buf, at(nth), y, width, &text, style);
        }
        if i == compare.cursors[CONFIG] && compare.pane == CONFIG {
            put(look, buf, inner.x, y, 1, look.glyphs.cursor, look.style(Token::BorderFocus));
            buf.set_style(Rect { y, height: 1, ..inner }, look.style(Token::Select));
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Line {
    Head(&'static str),
    Setting(usize),
}

/// The settings with a heading for each section but the first, which the title names well enough.
fn lines(settings: &[&Setting]) -> Vec<Line> {
    let mut lines = Vec::new();
    for (i, setting) in settings.iter().enumerate() {
        if i > 0 && settings[i - 1].section != setting.section || i == 0 && setting.section.title() != "PARAMS" {
            lines.push(Line::Head(setting.section.title()));
        }
        lines.push(Line::Setting(i));
    }
    lines
}
