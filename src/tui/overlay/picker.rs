//! A list to pick from, narrowed by typing: the palette, sort order, metric, columns, experiment, copy.

use super::{Choice, Line};
use crate::tui::fuzzy::Typed;
use crate::tui::key::{Code, Key};
use crate::tui::verb;

#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub label: String,
    /// The key that does the same, or a remark.
    pub note: String,
    /// Why it cannot be picked now; such items stay and say why.
    pub why_not: Option<String>,
    pub checked: Option<bool>,
    pub choice: Choice,
    /// Other words by which it is found.
    pub find: String,
    /// Lower ones come first where they fit alike.
    pub rank: u8,
    /// What Tab makes of the line.
    pub complete: Option<String>,
}

impl Item {
    pub fn new(label: impl Into<String>, note: impl Into<String>, choice: Choice) -> Self {
        Self {
            label: label.into(),
            note: note.into(),
            why_not: None,
            checked: None,
            choice,
            find: String::new(),
            rank: 0,
            complete: None,
        }
    }

    /// A text that can be copied, shown beside its label.
    pub fn copies(label: impl Into<String>, text: String) -> Self {
        Self::new(label, text.clone(), Choice::Copy(text))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Picker {
    pub title: String,
    pub line: Line,
    pub items: Vec<Item>,
    pub cursor: usize,
    /// Whether picking leaves it open, to tick several.
    pub stays: bool,
    /// Whether the line itself can be a command, as in the palette.
    pub command: bool,
}

/// What a key did to the list.
#[derive(Debug, Clone, PartialEq)]
pub enum Picked {
    Nothing,
    Close,
    Refused(String),
    Choice(Choice),
}

impl Picker {
    pub fn new(title: &str, items: Vec<Item>) -> Self {
        Self { title: title.into(), line: Line::default(), items, cursor: 0, stays: false, command: false }
    }

    /// Puts the cursor on the first item that fits.
    #[must_use]
    pub fn at(mut self, choice: impl Fn(&Choice) -> bool) -> Self {
        self.cursor = self.items.iter().position(|i| choice(&i.choice)).unwrap_or(0);
        self
    }

    /// Indices of the items that match what was typed, best first.
    pub fn shown(&self) -> Vec<usize> {
        let typed = Typed::new(&self.line.text());
        let score = |item: &Item| {
            // The words one sees count a little more than those one only knows.
            let label = typed.score(&item.label).map(|s| s + 12);
            label.max(typed.score(&item.find))
        };
        let items = self.items.iter().enumerate();
        let mut scored: Vec<(u32, u8, usize)> =
            items.filter_map(|(i, item)| score(item).map(|s| (u32::MAX - s, item.rank, i))).collect();
        scored.sort_unstable();
        if self.line.is_empty() {
            scored.sort_by_key(|(_, rank, i)| (*rank, *i));
        }
        scored.into_iter().map(|(_, _, i)| i).collect()
    }

    pub fn press(&mut self, key: Key) -> Picked {
        let shown = self.shown();
        match key.code {
            Code::Esc => return Picked::Close,
            Code::Char('c' | 'g') if key.ctrl => return Picked::Close,
            Code::Tab if self.command => self.complete(&shown),
            Code::Down | Code::Tab => self.cursor = (self.cursor + 1).min(shown.len().saturating_sub(1)),
            Code::Char('n' | 'j') if key.ctrl => self.cursor = (self.cursor + 1).min(shown.len().saturating_sub(1)),
            Code::Up => self.cursor = self.cursor.saturating_sub(1),
            Code::Char('p' | 'k') if key.ctrl => self.cursor = self.cursor.saturating_sub(1),
            Code::PageDown => self.cursor = (self.cursor + 10).min(shown.len().saturating_sub(1)),
            Code::PageUp => self.cursor = self.cursor.saturating_sub(10),
            Code::Enter if self.command && verb::is_command(&self.line.text()) => {
                return Picked::Choice(Choice::Command(self.line.text()));
            }
            Code::Enter => return self.pick(&shown),
            Code::Char(' ') if self.stays && self.line.is_empty() => return self.pick(&shown),
            _ => {
                if self.line.press(key) {
                    self.cursor = 0;
                }
            }
        }
        Picked::Nothing
    }

    fn complete(&mut self, shown: &[usize]) {
        let item = shown.get(self.cursor).and_then(|i| self.items.get(*i));
        if let Some(text) = item.map(|i| i.complete.as_ref().unwrap_or(&i.label)) {
            self.line = Line::new(text);
            self.cursor = 0;
        }
    }

    fn pick(&mut self, shown: &[usize]) -> Picked {
        let Some(item) = shown.get(self.cursor).and_then(|i| self.items.get_mut(*i)) else { return Picked::Nothing };
        if let Some(why) = &item.why_not {
            return Picked::Refused(why.clone());
        }
        if let Some(checked) = &mut item.checked {
            *checked = !*checked;
        }
        Picked::Choice(item.choice.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::action::Action;

    #[test]
    fn typing_narrows_and_the_best_comes_first() {
        let item = |label: &str| Item::new(label, "", Choice::Do(Action::Help));
        let mut picker = Picker::new("", vec![item("freeze the screen"), item("refresh"), item("rfx zoom")]);
        for c in "rfr".chars() {
            picker.press(Key::char(c));
        }
        assert_eq!(picker.shown(), [1]);
        assert_eq!(picker.press(Key::plain(Code::Enter)), Picked::Choice(Choice::Do(Action::Help)));
    }

    #[test]
    fn what_cannot_be_picked_says_why() {
        let mut picker = Picker::new(
            "",
            vec![Item { why_not: Some("read-only".into()), ..Item::new("a", "", Choice::Do(Action::Help)) }],
        );
        assert_eq!(picker.press(Key::plain(Code::Enter)), Picked::Refused("read-only".into()));
    }
}
