//! What all screens draw with. Nothing here knows a place or changes the state.

pub mod chart;
pub mod editor;
pub mod footer;
pub mod frame;
pub mod overlay;
pub mod pane;
pub mod prompt;
pub mod sheet;
pub mod table;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use serde::{Deserialize, Serialize};

use super::action::Action;
use super::format;
use super::glyph::Glyphs;
use super::theme::{Theme, Token};

/// With what everything is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    pub theme: &'a Theme,
    pub glyphs: &'a Glyphs,
    pub zones: &'a Zones,
}

/// What lies where on the frame that was drawn last: for the mouse, and for what follows the cursor.
#[derive(Debug, Default)]
pub struct Zones {
    focus: Cell<Rect>,
    spots: RefCell<Vec<(Rect, Spot)>>,
}

/// What a click may land on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Spot {
    /// A row of the focused list, counted from the one under the cursor.
    Row(i64),
    /// The title of a column.
    Column(String),
    /// Something with a key of its own: a tab, an entry of the footer.
    Action(Action),
}

impl Zones {
    fn clear(&self) {
        self.focus.set(Rect::ZERO);
        self.spots.borrow_mut().clear();
    }

    pub fn add(&self, at: Rect, spot: Spot) {
        self.spots.borrow_mut().push((at, spot));
    }

    /// The pane that has the keyboard.
    pub fn focus(&self) -> Rect {
        self.focus.get()
    }

    /// What was drawn at this place, the last on top.
    pub fn at(&self, x: u16, y: u16) -> Option<Spot> {
        let spots = self.spots.borrow();
        spots.iter().rev().find(|(at, _)| at.contains((x, y).into())).map(|(_, spot)| spot.clone())
    }
}

impl Look<'_> {
    pub fn style(&self, token: Token) -> Style {
        self.theme.style(token)
    }

    /// Foreign or own text, made safe and spelled in the alphabet of this screen.
    pub fn spell<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let plain = text.bytes().all(|b| (0x20..0x7f).contains(&b));
        if plain { Cow::Borrowed(text) } else { Cow::Owned(self.glyphs.spell(&format::clean(text))) }
    }
}

/// Where the lists stand, and what was drawn where: the only things that drawing may change.
#[derive(Debug, Clone, Default)]
pub struct Scroll {
    firsts: BTreeMap<&'static str, usize>,
    zones: Rc<Zones>,
}

impl Scroll {
    pub fn zones(&self) -> Rc<Zones> {
        self.zones.clone()
    }

    /// A new frame begins.
    pub fn begin(&self) -> Rc<Zones> {
        self.zones.clear();
        self.zones()
    }

    /// The first row to draw so that the cursor is inside, moving as little as possible.
    pub fn keep(&mut self, list: &'static str, cursor: usize, len: usize, height: usize) -> usize {
        let first = self.firsts.entry(list).or_default();
        let margin = usize::from(height > 6) * 2;
        let low = (cursor + margin + 1).saturating_sub(height);
        let high = cursor.saturating_sub(margin);
        *first = (*first).clamp(low.min(high), high.max(low.min(high))).min(len.saturating_sub(height));
        *first
    }
}

/// Writes at most `width` columns and returns how many it used.
#[allow(clippy::cast_possible_truncation)] // a screen is far narrower than 65,535 columns
pub fn put(look: &Look<'_>, buf: &mut Buffer, x: u16, y: u16, width: u16, text: &str, style: Style) -> u16 {
    if !buf.area.contains((x, y).into()) || width == 0 {
        return 0;
    }
    let spelled = look.spell(text);
    let cut = format::cut(&spelled, usize::from(width), look.glyphs.ellipsis);
    let (end, _) = buf.set_stringn(x, y, &cut, usize::from(width), style);
    end - x
}

/// Writes pieces one after the other and returns how many columns they used.
pub fn put_all(look: &Look<'_>, buf: &mut Buffer, x: u16, y: u16, width: u16, pieces: &[(&str, Token)]) -> u16 {
    let mut used = 0;
    for (text, token) in pieces {
        if used >= width {
            break;
        }
        used += put(look, buf, x + used, y, width - used, text, look.style(*token));
    }
    used
}

/// Writes so that the text ends at `right` (exclusive); nothing when it does not fit.
#[allow(clippy::cast_possible_truncation)] // a screen is far narrower than 65,535 columns
pub fn put_right(look: &Look<'_>, buf: &mut Buffer, left: u16, right: u16, y: u16, text: &str, style: Style) -> u16 {
    let spelled = look.spell(text).into_owned();
    let width = format::width(&spelled) as u16;
    if width == 0 || left + width > right {
        return 0;
    }
    buf.set_stringn(right - width, y, &spelled, usize::from(width), style);
    width
}
