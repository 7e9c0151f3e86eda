//! Frames as bytes: only what differs from the last frame, moved where it only moved, with no more control sequences
//! than that takes. A cursor that moves by one row costs a few hundred bytes, so the room stays quick over a slow line.

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr;

/// Frames longer than this are wrapped as one synchronized update; a shorter one arrives in one piece anyway. Bytes.
const SYNC_BYTES_MIN: usize = 1024;
/// Rows that a scroll must save before it is worth its sequences.
const SCROLL_ROWS_MIN: usize = 3;
/// Blank cells that are erased by number rather than written.
const ERASE_CELLS_MIN: u16 = 9;
/// Modifiers that show on a blank cell.
const ON_BLANK: Modifier = Modifier::REVERSED.union(Modifier::UNDERLINED).union(Modifier::CROSSED_OUT);

/// How the terminal writes now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Pen {
    fg: Color,
    bg: Color,
    modifier: Modifier,
}

/// What the terminal shows, and where its cursor and pen stand.
#[derive(Debug, Default)]
pub struct Wire {
    shown: Option<Buffer>,
    pen: Pen,
    at: Option<(u16, u16)>,
}

impl Wire {
    /// The next frame is written whole.
    pub fn forget(&mut self) {
        self.shown = None;
    }

    /// What the terminal shows, as far as it is known.
    pub fn shown(&self) -> Option<&Buffer> {
        self.shown.as_ref()
    }

    /// Leaves everything in `body` but `keep` as the terminal shows it.
    pub fn hold(&self, frame: &mut Buffer, body: Rect, keep: Rect) {
        let Some(shown) = self.shown.as_ref().filter(|s| s.area == frame.area) else { return };
        let body = body.intersection(frame.area);
        for y in body.y..body.bottom() {
            for x in (body.x..body.right()).filter(|x| !keep.contains((*x, y).into())) {
                frame[(x, y)] = shown[(x, y)].clone();
            }
        }
    }

    /// The bytes that make the terminal show `frame`; none when it does already.
    pub fn write(&mut self, mut frame: Buffer) -> Vec<u8> {
        let mut out = String::new();
        frame.content.iter_mut().for_each(plain_blank);
        let known = self.shown.take().filter(|s| s.area == frame.area);
        let whole = known.is_none();
        let mut shown = known.unwrap_or_else(|| Buffer::empty(frame.area));
        self.at = None;
        if whole {
            self.pen = Pen::default();
            out.push_str("\x1b[m\x1b[2J");
        } else {
            self.scroll(&mut out, &mut shown, &frame);
        }
        let changes: Vec<(u16, u16)> = shown.diff(&frame).into_iter().map(|(x, y, _)| (x, y)).collect();
        let mut rest = changes.as_slice();
        while let Some(((x, y), tail)) = rest.split_first() {
            let blanks = blank_run(rest, &frame);
            self.go(&mut out, (*x, *y), &frame);
            if blanks >= ERASE_CELLS_MIN {
                self.take(&mut out, Pen::default());
                let _ = write!(out, "\x1b[{blanks}X");
                rest = &rest[usize::from(blanks)..];
            } else {
                self.put(&mut out, (*x, *y), &frame);
                rest = tail;
            }
        }
        self.shown = Some(frame);
        if out.len() > SYNC_BYTES_MIN {
            out.insert_str(0, "\x1b[?2026h");
            out.push_str("\x1b[?2026l");
        }
        out.into_bytes()
    }

    /// Writes one cell at the cursor.
    fn put(&mut self, out: &mut String, (x, y): (u16, u16), frame: &Buffer) {
        let cell = &frame[(x, y)];
        self.take(out, self.pen_for(cell));
        out.push_str(cell.symbol());
        // Past the last column and past wide or composed characters terminals disagree about where the cursor is.
        self.at = (x + 1 < frame.area.right() && is_narrow(cell)).then_some((x + 1, y));
    }

    /// Brings the cursor to a place, by writing over what stands there already where that is shorter.
    fn go(&mut self, out: &mut String, (x, y): (u16, u16), frame: &Buffer) {
        if self.at == Some((x, y)) {
            return;
        }
        if let Some((from, row)) = self.at
            && row == y
            && from < x
        {
            let gap = x - from;
            let forward = if gap == 1 { "\x1b[C".to_owned() } else { format!("\x1b[{gap}C") };
            let between = || (from..x).map(|x| &frame[(x, y)]);
            let same = between().all(|c| is_narrow(c) && self.pen_for(c) == self.pen);
            if same && between().map(|c| c.symbol().len()).sum::<usize>() <= forward.len() {
                between().for_each(|c| out.push_str(c.symbol()));
            } else {
                out.push_str(&forward);
            }
        } else if x == 0 {
            let _ = write!(out, "\x1b[{}H", y + 1);
        } else {
            let _ = write!(out, "\x1b[{};{}H", y + 1, x + 1);
        }
        self.at = Some((x, y));
    }

    /// What a cell is written with. A blank shows neither its colour nor its weight, so it takes those of the pen.
    fn pen_for(&self, cell: &Cell) -> Pen {
        if cell.symbol() == " " && !cell.modifier.intersects(ON_BLANK) {
            return Pen { bg: cell.bg, modifier: self.pen.modifier.difference(ON_BLANK), ..self.pen };
        }
        Pen { fg: cell.fg, bg: cell.bg, modifier: cell.modifier }
    }

    /// Changes the pen by the shorter of a difference and a fresh start.
    fn take(&mut self, out: &mut String, pen: Pen) {
        if pen == self.pen {
            return;
        }
        let (change, anew) = (difference(self.pen, pen), difference(Pen::default(), pen));
        if change.len() <= anew.len() + usize::from(!anew.is_empty()) {
            let _ = write!(out, "\x1b[{change}m");
        } else if anew.is_empty() {
            out.push_str("\x1b[m");
        } else {
            let _ = write!(out, "\x1b[;{anew}m");
        }
        self.pen = pen;
    }

    /// Lets the terminal move rows that only moved up or down, as a list that scrolls does.
    fn scroll(&mut self, out: &mut String, shown: &mut Buffer, frame: &Buffer) {
        let best =
            [1, -1, 2, -2, 3, -3].into_iter().filter_map(|by| Move::find(shown, frame, by)).max_by_key(|m| m.saved);
        let Some(found) = best.filter(|m| m.saved >= SCROLL_ROWS_MIN) else { return };
        // What comes in is blank in the pen's background.
        self.take(out, Pen::default());
        let (n, way) = (found.by.unsigned_abs(), if found.by > 0 { 'S' } else { 'T' });
        let _ = write!(out, "\x1b[{};{}r\x1b[{n}{way}\x1b[r", found.top + 1, found.bottom + 1);
        found.carry_out(shown);
        self.at = None;
    }
}

/// Rows `top..=bottom` of the screen move up by `by` (down where it is negative).
#[derive(Debug, Clone, Copy)]
struct Move {
    top: u16,
    bottom: u16,
    by: i32,
    /// Rows that need not be written, less those that must be written because of it.
    saved: usize,
}

impl Move {
    fn find(shown: &Buffer, frame: &Buffer, by: i32) -> Option<Self> {
        let height = i32::from(frame.area.height);
        let moved = |y: &i32| (0..height).contains(&(y + by)) && row(frame, *y) == row(shown, y + by);
        let stayed = |y: &i32| row(frame, *y) == row(shown, *y);
        let gains: Vec<i32> = (0..height).filter(|y| !stayed(y) && moved(y)).collect();
        let (first, last) = (*gains.first()?, *gains.last()?);
        let losses = (first..=last).filter(|y| stayed(y) && !moved(y)).count();
        let (top, bottom) = (first.min(first + by), last.max(last + by));
        let saved = gains.len().checked_sub(losses + usize::try_from(by.unsigned_abs()).unwrap_or(0))?;
        Some(Self { top: u16::try_from(top).ok()?, bottom: u16::try_from(bottom).ok()?, by, saved })
    }

    fn carry_out(self, shown: &mut Buffer) {
        let width = usize::from(shown.area.width);
        let rows = usize::from(self.top) * width..(usize::from(self.bottom) + 1) * width;
        let moved = usize::try_from(self.by.unsigned_abs()).unwrap_or(0) * width;
        let region = &mut shown.content[rows];
        if self.by > 0 {
            region.rotate_left(moved);
            let end = region.len();
            region[end - moved..].fill(Cell::EMPTY);
        } else {
            region.rotate_right(moved);
            region[..moved].fill(Cell::EMPTY);
        }
    }
}

fn row(buffer: &Buffer, y: i32) -> &[Cell] {
    let width = usize::from(buffer.area.width);
    let from = usize::try_from(y).unwrap_or(0) * width;
    buffer.content.get(from..from + width).unwrap_or(&[])
}

/// A blank cell with a colour nobody sees is no different from one without.
fn plain_blank(cell: &mut Cell) {
    if cell.symbol() == " " && !cell.modifier.intersects(ON_BLANK) {
        cell.fg = Color::Reset;
        cell.modifier = Modifier::empty();
    }
}

fn is_narrow(cell: &Cell) -> bool {
    let mut chars = cell.symbol().chars();
    matches!((chars.next(), chars.next()), (Some(_), None)) && cell.symbol().width() == 1
}

/// How many of the changes, from the first on, are blanks side by side on the terminal's own background.
fn blank_run(changes: &[(u16, u16)], frame: &Buffer) -> u16 {
    let Some((x, y)) = changes.first() else { return 0 };
    let is_blank = |c: &Cell| c.symbol() == " " && c.bg == Color::Reset && c.modifier.is_empty();
    let run = changes.iter().zip(*x..).take_while(|(at, x)| **at == (*x, *y) && is_blank(&frame[**at]));
    u16::try_from(run.count()).unwrap_or(0)
}

/// The parameters of the sequence that leads from one pen to another.
fn difference(from: Pen, to: Pen) -> String {
    const WEIGHT: Modifier = Modifier::BOLD.union(Modifier::DIM);
    const CODES: [(Modifier, &str, &str); 7] = [
        (Modifier::BOLD, "1", "22"),
        (Modifier::DIM, "2", "22"),
        (Modifier::ITALIC, "3", "23"),
        (Modifier::UNDERLINED, "4", "24"),
        (Modifier::SLOW_BLINK, "5", "25"),
        (Modifier::REVERSED, "7", "27"),
        (Modifier::CROSSED_OUT, "9", "29"),
    ];
    let removed = from.modifier.difference(to.modifier);
    let mut added = to.modifier.difference(from.modifier);
    let mut codes: Vec<String> = Vec::new();
    for (modifier, _, off) in CODES {
        if removed.contains(modifier) && !codes.iter().any(|c| c == off) {
            codes.push(off.to_owned());
        }
    }
    // One code takes both weights away.
    if removed.intersects(WEIGHT) {
        added |= to.modifier.intersection(WEIGHT);
    }
    codes.extend(CODES.into_iter().filter(|(m, ..)| added.contains(*m)).map(|(_, on, _)| on.to_owned()));
    if from.fg != to.fg {
        codes.push(colour(to.fg, 30));
    }
    if from.bg != to.bg {
        codes.push(colour(to.bg, 40));
    }
    codes.join(";")
}

/// `base` is 30 for the foreground and 40 for the background.
fn colour(colour: Color, base: u8) -> String {
    let named = |n: u8| (base + n).to_string();
    match colour {
        Color::Reset => named(9),
        Color::Black => named(0),
        Color::Red => named(1),
        Color::Green => named(2),
        Color::Yellow => named(3),
        Color::Blue => named(4),
        Color::Magenta => named(5),
        Color::Cyan => named(6),
        Color::Gray => named(7),
        Color::DarkGray => named(60),
        Color::LightRed => named(61),
        Color::LightGreen => named(62),
        Color::LightYellow => named(63),
        Color::LightBlue => named(64),
        Color::LightMagenta => named(65),
        Color::LightCyan => named(66),
        Color::White => named(67),
        Color::Indexed(n) => format!("{};5;{n}", base + 8),
        Color::Rgb(r, g, b) => format!("{};2;{r};{g};{b}", base + 8),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use proptest::prelude::*;
    use ratatui::style::Style;

    use super::*;

    const AREA: Rect = Rect::new(0, 0, 24, 12);

    fn frame(cells: &[(u16, u16, &str, Style)]) -> Buffer {
        let mut buffer = Buffer::empty(AREA);
        for (x, y, text, style) in cells {
            buffer.set_stringn(*x, *y, text, usize::from(AREA.width - x), *style);
        }
        // Bold and dim are one attribute to the terminal of this test.
        let both = |c: &&mut Cell| c.modifier.contains(Modifier::BOLD);
        buffer.content.iter_mut().filter(both).for_each(|c| c.modifier.remove(Modifier::DIM));
        buffer
    }

    /// What a terminal shows after `bytes`.
    fn assert_shows(terminal: &vt100::Parser, frame: &Buffer) {
        for y in 0..AREA.height {
            let mut x = 0;
            while x < AREA.width {
                let (cell, seen) = (&frame[(x, y)], terminal.screen().cell(y, x).unwrap());
                let text = if seen.contents().is_empty() { " " } else { seen.contents() };
                assert_eq!(text, cell.symbol(), "at {x},{y}");
                let colour = |c: Color| match c {
                    Color::Rgb(r, g, b) => vt100::Color::Rgb(r, g, b),
                    Color::Indexed(n) => vt100::Color::Idx(n),
                    Color::Red => vt100::Color::Idx(1),
                    Color::LightGreen => vt100::Color::Idx(10),
                    _ => vt100::Color::Default,
                };
                assert_eq!(seen.bgcolor(), colour(cell.bg), "background at {x},{y}");
                if text != " " {
                    assert_eq!(seen.fgcolor(), colour(cell.fg), "colour at {x},{y}");
                    assert_eq!(seen.bold(), cell.modifier.contains(Modifier::BOLD), "bold at {x},{y}");
                }
                assert_eq!(seen.inverse(), cell.modifier.contains(Modifier::REVERSED), "reverse at {x},{y}");
                x += u16::try_from(cell.symbol().width().max(1)).unwrap();
            }
        }
    }

    fn any_style() -> impl Strategy<Value = Style> {
        let colour = || {
            prop_oneof![
                Just(Color::Reset),
                Just(Color::Red),
                Just(Color::LightGreen),
                Just(Color::Indexed(200)),
                Just(Color::Rgb(1, 2, 3))
            ]
        };
        let weight = prop_oneof![Just(Modifier::empty()), Just(Modifier::BOLD), Just(Modifier::DIM)];
        (colour(), colour(), weight, any::<bool>()).prop_map(|(fg, bg, weight, reverse)| {
            let style = Style::new().fg(fg).bg(bg).add_modifier(weight);
            if reverse { style.add_modifier(Modifier::REVERSED) } else { style }
        })
    }

    type Piece = (u16, u16, String, Style);

    fn any_frame() -> impl Strategy<Value = Vec<Piece>> {
        proptest::collection::vec((0..20_u16, 0..12_u16, "[a-z ●…]{0,14}", any_style()), 0..20)
    }

    proptest! {
        /// Whatever frames follow each other, scrolled or not, the terminal shows the last one.
        #[test]
        fn the_terminal_shows_every_frame(
            frames in proptest::collection::vec((any_frame(), -3_i32..4), 1..6)
        ) {
            let (mut wire, mut terminal) = (Wire::default(), vt100::Parser::new(NonZeroU16::new(12).unwrap(), NonZeroU16::new(24).unwrap(), 0));
            let mut pieces: Vec<Piece> = Vec::new();
            for (more, scrolled) in frames {
                // Half of a frame is the one before, moved.
                pieces.truncate(12);
                for piece in &mut pieces {
                    piece.1 = u16::try_from((i32::from(piece.1) - scrolled).clamp(0, 11)).unwrap();
                }
                pieces.extend(more);
                let cells: Vec<_> = pieces.iter().map(|(x, y, t, s)| (*x, *y, t.as_str(), *s)).collect();
                let buffer = frame(&cells);
                terminal.process(&wire.write(buffer.clone()));
                assert_shows(&terminal, &buffer);
                prop_assert!(wire.write(buffer).is_empty(), "the same frame again costs nothing");
            }
        }
    }

    #[test]
    fn a_list_that_scrolls_is_moved_by_the_terminal() {
        let list = |from: u16| -> Buffer {
            let lines: Vec<String> = (0..10).map(|i| format!("row number {}", from + i)).collect();
            let cells: Vec<_> = (1..11_u16).zip(&lines).map(|(y, l)| (1, y, l.as_str(), Style::new())).collect();
            frame(&cells)
        };
        let (mut wire, mut terminal) =
            (Wire::default(), vt100::Parser::new(NonZeroU16::new(12).unwrap(), NonZeroU16::new(24).unwrap(), 0));
        terminal.process(&wire.write(list(100)));
        let bytes = wire.write(list(101));
        assert!(bytes.len() < 50, "{}", String::from_utf8_lossy(&bytes).escape_debug());
        terminal.process(&bytes);
        assert_shows(&terminal, &list(101));
    }

    #[test]
    fn what_is_held_stays_as_it_was() {
        let mut wire = Wire::default();
        wire.write(frame(&[(0, 1, "old", Style::new()), (0, 5, "old", Style::new())]));
        let mut next = frame(&[(0, 1, "new", Style::new()), (0, 5, "new", Style::new())]);
        wire.hold(&mut next, AREA, Rect::new(0, 0, 24, 3));
        assert_eq!((next[(0, 1)].symbol(), next[(0, 5)].symbol()), ("n", "o"));
    }
}
