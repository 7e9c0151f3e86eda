//! One line of text under a cursor.

use serde::{Deserialize, Serialize};

use crate::tui::key::{Code, Key};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    text: Vec<char>,
    cursor: usize,
}

impl Line {
    pub fn new(text: &str) -> Self {
        let text: Vec<char> = text.chars().collect();
        Self { cursor: text.len(), text }
    }

    pub fn text(&self) -> String {
        self.text.iter().collect()
    }

    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The text before and from the cursor on.
    pub fn split(&self) -> (String, String) {
        (self.text[..self.cursor].iter().collect(), self.text[self.cursor..].iter().collect())
    }

    /// Pasted text arrives as one line.
    pub fn paste(&mut self, text: &str) {
        for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
            self.insert(c);
        }
    }

    fn insert(&mut self, c: char) {
        self.text.insert(self.cursor, c);
        self.cursor += 1;
    }

    /// Whether the key was an editing key and the text may have changed.
    pub fn press(&mut self, key: Key) -> bool {
        match (key.code, key.ctrl) {
            (Code::Char('u'), true) => {
                self.text.drain(..self.cursor);
                self.cursor = 0;
            }
            (Code::Char('w'), true) => self.delete_word(),
            (Code::Char('a'), true) | (Code::Home, _) => self.cursor = 0,
            (Code::Char('e'), true) | (Code::End, _) => self.cursor = self.text.len(),
            (Code::Char(c), false) => self.insert(c),
            (Code::Backspace, _) if self.cursor > 0 => {
                self.cursor -= 1;
                self.text.remove(self.cursor);
            }
            (Code::Delete, _) if self.cursor < self.text.len() => {
                self.text.remove(self.cursor);
            }
            (Code::Left, _) => self.cursor = self.cursor.saturating_sub(1),
            (Code::Right, _) => self.cursor = (self.cursor + 1).min(self.text.len()),
            _ => return false,
        }
        true
    }

    fn delete_word(&mut self) {
        let end = self.cursor;
        while self.cursor > 0 && self.text[self.cursor - 1].is_whitespace() {
            self.cursor -= 1;
        }
        while self.cursor > 0 && !self.text[self.cursor - 1].is_whitespace() {
            self.cursor -= 1;
        }
        self.text.drain(self.cursor..end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_like_a_shell() {
        let mut line = Line::new("auc>0.9 geo");
        line.press(Key { code: Code::Char('w'), ctrl: true, shift: false });
        assert_eq!(line.text(), "auc>0.9 ");
        line.paste("a\nb");
        assert_eq!(line.text(), "auc>0.9 a b");
        line.press(Key::plain(Code::Home));
        line.press(Key::plain(Code::Delete));
        assert_eq!(line.split(), (String::new(), "uc>0.9 a b".into()));
        assert!(!line.press(Key::plain(Code::Enter)));
    }
}
