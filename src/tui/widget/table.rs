//! A table that keeps what matters: a column that does not fit goes as a whole, the least important one first.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::{Look, Scroll, Spot, put, put_right};
use crate::tui::format;
use crate::tui::theme::Token;

/// One column.
#[derive(Debug, Clone)]
pub struct Col {
    pub title: String,
    pub width: u16,
    pub right: bool,
    /// 0 always stays; the highest number goes first.
    pub priority: u8,
    /// How many columns it may grow where there is room.
    pub grow: u16,
    /// Sorted by it, and whether downwards.
    pub sorted: Option<bool>,
}

impl Col {
    pub fn left(title: impl Into<String>, width: u16, priority: u8) -> Self {
        Self { title: title.into(), width, right: false, priority, grow: 0, sorted: None }
    }

    pub fn right(title: impl Into<String>, width: u16, priority: u8) -> Self {
        Self { right: true, ..Self::left(title, width, priority) }
    }

    #[must_use]
    pub fn grows(mut self, by: u16) -> Self {
        self.grow = by;
        self
    }

    #[must_use]
    pub fn sorted(mut self, descending: Option<bool>) -> Self {
        self.sorted = descending;
        self
    }
}

/// What stands in one place.
#[derive(Debug, Clone)]
pub struct Cell<'a> {
    pub text: Cow<'a, str>,
    pub token: Token,
    /// Cut in the middle, for ids.
    pub id: bool,
}

impl<'a> Cell<'a> {
    pub fn new(text: impl Into<Cow<'a, str>>, token: Token) -> Self {
        Self { text: text.into(), token, id: false }
    }

    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::new(text, Token::Text)
    }

    pub fn muted(text: impl Into<Cow<'a, str>>) -> Self {
        Self::new(text, Token::Muted)
    }

    pub fn id(text: impl Into<Cow<'a, str>>) -> Self {
        Self { id: true, ..Self::text(text) }
    }
}

/// A row to draw.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    pub cells: Vec<Cell<'a>>,
    pub at_cursor: bool,
    pub marked: bool,
}

/// The rows of a list in an area, from the first one to show: its cursor is always among them. Where the list is not the
/// pane's first matter, the cursor is seen with the focus only (`shows`).
pub fn rows<'a, T>(
    scroll: &mut Scroll,
    list: &'static str,
    area: Rect,
    (cursor, shows): (usize, bool),
    items: &'a [T],
    cells: impl Fn(&'a T) -> Vec<Cell<'a>>,
) -> impl Iterator<Item = Row<'a>> {
    let first = scroll.keep(list, cursor, items.len(), usize::from(area.height.saturating_sub(1)));
    let row = move |(i, item)| Row { cells: cells(item), at_cursor: shows && i == cursor, marked: false };
    items.iter().enumerate().skip(first).map(row)
}

const GAP: u16 = 2;
/// The cursor bar and the mark.
const LEAD: u16 = 2;

/// Which columns fit, and how wide they are.
pub fn fit(columns: &[Col], width: u16) -> Vec<(usize, u16)> {
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    let need = |kept: &[usize]| LEAD + kept.iter().map(|i| columns[*i].width + GAP).sum::<u16>().saturating_sub(GAP);
    while need(&kept) > width && kept.len() > 1 {
        let Some(worst) =
            kept.iter().copied().filter(|i| columns[*i].priority > 0).max_by_key(|i| (columns[*i].priority, *i))
        else {
            break;
        };
        kept.retain(|i| *i != worst);
    }
    let mut spare = width.saturating_sub(need(&kept));
    kept.into_iter()
        .map(|i| {
            let more = columns[i].grow.min(spare);
            spare -= more;
            (i, columns[i].width + more)
        })
        .collect()
}

/// Draws the titles and as many rows as there is room for. `rows` come from the first one to show.
pub fn table<'a>(
    look: &Look<'_>,
    buf: &mut Buffer,
    area: Rect,
    columns: &[Col],
    rows: impl Iterator<Item = Row<'a>>,
    focused: bool,
) {
    if area.height == 0 {
        return;
    }
    let fitted = fit(columns, area.width);
    let mut x = area.x + LEAD;
    for (i, width) in &fitted {
        let column = &columns[*i];
        let arrow = column.sorted.map_or("", |down| if down { look.glyphs.down } else { look.glyphs.up });
        let room = usize::from(*width).saturating_sub(format::width(arrow));
        let title = format!("{}{arrow}", format::cut_middle(&look.spell(&column.title), room, look.glyphs.ellipsis));
        let style = look.style(if column.sorted.is_some() { Token::Accent } else { Token::Muted });
        place(look, buf, x, area.y, *width, column.right, &title, style);
        if focused {
            look.zones.add(Rect::new(x, area.y, *width, 1), Spot::Column(column.title.clone()));
        }
        x += width + GAP;
    }
    let mut drawn = Vec::new();
    for (y, row) in (area.y + 1..area.bottom()).zip(rows) {
        let line = Rect::new(area.x, y, area.width, 1);
        draw_row(look, buf, line, columns, &fitted, &row, focused);
        drawn.push((line, row.at_cursor));
    }
    if let Some(cursor) = drawn.iter().position(|(_, at_cursor)| *at_cursor) {
        let from = i64::try_from(cursor).unwrap_or(0);
        drawn.iter().zip(-from..).for_each(|((line, _), by)| look.zones.add(*line, Spot::Row(by)));
    }
}

fn draw_row(
    look: &Look<'_>,
    buf: &mut Buffer,
    line: Rect,
    columns: &[Col],
    fitted: &[(usize, u16)],
    row: &Row<'_>,
    focused: bool,
) {
    let mut x = line.x + LEAD;
    for (i, width) in fitted {
        if let Some(cell) = row.cells.get(*i) {
            let text = look.spell(&cell.text);
            let text = if cell.id {
                Cow::Owned(format::cut_middle(&text, usize::from(*width), look.glyphs.ellipsis))
            } else {
                text
            };
            // On the cursor's ground only what says how something stands keeps its colour: quieter tones would be hard to
            // read there, and each change of colour costs a move of the cursor 20 bytes.
            let chosen = row.at_cursor && focused;
            let quiet = matches!(cell.token, Token::Muted | Token::Series(_) | Token::Accent);
            let token = if chosen && quiet { Token::Text } else { cell.token };
            place(look, buf, x, line.y, *width, columns[*i].right, &text, look.style(token));
        }
        x += width + GAP;
    }
    if row.marked {
        put(look, buf, line.x + 1, line.y, 1, look.glyphs.mark, look.style(Token::Accent));
    }
    if row.at_cursor {
        put(look, buf, line.x, line.y, 1, look.glyphs.cursor, look.style(Token::BorderFocus));
        if focused {
            buf.set_style(line, look.style(Token::Select));
        } else {
            buf.set_style(line, ratatui::style::Style::new().add_modifier(Modifier::BOLD));
        }
    }
}

#[allow(clippy::too_many_arguments)] // a position, a width and what to write there
fn place(
    look: &Look<'_>,
    buf: &mut Buffer,
    x: u16,
    y: u16,
    width: u16,
    right: bool,
    text: &str,
    style: ratatui::style::Style,
) {
    if !right || put_right(look, buf, x, x + width, y, text, style) == 0 {
        put(look, buf, x, y, width, text, style);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_important_column_goes_first_and_as_a_whole() {
        let columns = [Col::left("RUN", 10, 0).grows(5), Col::right("LOSS", 8, 1), Col::left("NOTE", 12, 9)];
        assert_eq!(fit(&columns, 60), [(0, 15), (1, 8), (2, 12)]);
        assert_eq!(fit(&columns, 24), [(0, 12), (1, 8)]);
        assert_eq!(fit(&columns, 12), [(0, 10)]);
        assert_eq!(fit(&columns, 3), [(0, 10)], "the first column stays, cut");
    }
}
