//! A key press as data: parsed from `keymap.toml`, recorded, compared, shown.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Code {
    Char(char),
    Enter,
    Esc,
    Tab,
    Backspace,
    Delete,
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    PageUp,
    PageDown,
    F(u8),
}

/// One press. Shift is kept apart only where the character does not carry it (`shift-tab`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    pub code: Code,
    pub ctrl: bool,
    pub shift: bool,
}

const NAMES: [(&str, Code); 15] = [
    ("space", Code::Char(' ')),
    ("enter", Code::Enter),
    ("esc", Code::Esc),
    ("tab", Code::Tab),
    ("backspace", Code::Backspace),
    ("del", Code::Delete),
    ("up", Code::Up),
    ("down", Code::Down),
    ("left", Code::Left),
    ("right", Code::Right),
    ("home", Code::Home),
    ("end", Code::End),
    ("pgup", Code::PageUp),
    ("pgdn", Code::PageDown),
    ("plus", Code::Char('+')),
];

impl Key {
    pub const fn plain(code: Code) -> Self {
        Self { code, ctrl: false, shift: false }
    }

    pub const fn char(c: char) -> Self {
        Self::plain(Code::Char(c))
    }

    /// The character it types, if it types one.
    pub fn typed(self) -> Option<char> {
        match self.code {
            Code::Char(c) if !self.ctrl => Some(c),
            _ => None,
        }
    }

    /// One or two presses: `ctrl-d`, `shift-tab`, `gg`.
    ///
    /// # Errors
    /// Text that names no key.
    pub fn parse_sequence(text: &str) -> Result<Vec<Self>, String> {
        if let Some(key) = Self::parse(text) {
            return Ok(vec![key]);
        }
        let chars: Vec<char> = text.chars().collect();
        match chars[..] {
            [a, b] => Ok(vec![Self::char(a), Self::char(b)]),
            _ => Err(format!("\"{text}\" is not a key")),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix("ctrl-") {
            return Self::parse(rest).map(|k| Self { ctrl: true, ..k });
        }
        if let Some(rest) = text.strip_prefix("shift-") {
            return Self::parse(rest).map(|k| Self { shift: true, ..k });
        }
        if let Some((_, code)) = NAMES.iter().find(|(name, _)| *name == text) {
            return Some(Self::plain(*code));
        }
        if let Some(n) = text.strip_prefix('f').and_then(|n| n.parse().ok()) {
            return (1..=12).contains(&n).then(|| Self::plain(Code::F(n)));
        }
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) => Some(Self::char(c)),
            _ => None,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ctrl {
            f.write_str("^")?;
        }
        if self.shift {
            f.write_str("S-")?;
        }
        match self.code {
            Code::Char(' ') => f.write_str("Space"),
            Code::Char(c) => write!(f, "{c}"),
            Code::Enter => f.write_str("↵"),
            Code::Esc => f.write_str("Esc"),
            Code::Tab => f.write_str("Tab"),
            Code::Backspace => f.write_str("Bksp"),
            Code::Delete => f.write_str("Del"),
            Code::Up => f.write_str("↑"),
            Code::Down => f.write_str("↓"),
            Code::Left => f.write_str("←"),
            Code::Right => f.write_str("→"),
            Code::Home => f.write_str("Home"),
            Code::End => f.write_str("End"),
            Code::PageUp => f.write_str("PgUp"),
            Code::PageDown => f.write_str("PgDn"),
            Code::F(n) => write!(f, "F{n}"),
        }
    }
}

/// What crossterm reads, in our words; `None` for releases and for keys that mean nothing here.
pub fn from_crossterm(event: crossterm::event::KeyEvent) -> Option<Key> {
    use crossterm::event::{KeyCode, KeyEventKind, KeyModifiers};
    if event.kind == KeyEventKind::Release || event.modifiers.contains(KeyModifiers::ALT) {
        return None;
    }
    let shifted = event.modifiers.contains(KeyModifiers::SHIFT);
    let (code, shift) = match event.code {
        KeyCode::Char(c) => (Code::Char(c), false),
        KeyCode::BackTab => (Code::Tab, true),
        KeyCode::Enter => (Code::Enter, shifted),
        KeyCode::Esc => (Code::Esc, false),
        KeyCode::Tab => (Code::Tab, shifted),
        KeyCode::Backspace => (Code::Backspace, false),
        KeyCode::Delete => (Code::Delete, shifted),
        KeyCode::Up => (Code::Up, shifted),
        KeyCode::Down => (Code::Down, shifted),
        KeyCode::Left => (Code::Left, shifted),
        KeyCode::Right => (Code::Right, shifted),
        KeyCode::Home => (Code::Home, shifted),
        KeyCode::End => (Code::End, shifted),
        KeyCode::PageUp => (Code::PageUp, shifted),
        KeyCode::PageDown => (Code::PageDown, shifted),
        KeyCode::F(n) => (Code::F(n), shifted),
        _ => return None,
    };
    Some(Key { code, ctrl: event.modifiers.contains(KeyModifiers::CONTROL), shift })
}

/// For the text area that writes reasons.
pub fn to_textarea(key: Key) -> tui_textarea::Input {
    use tui_textarea::{Input, Key as K};
    let k = match key.code {
        Code::Char(c) => K::Char(c),
        Code::Enter => K::Enter,
        Code::Esc => K::Esc,
        Code::Tab => K::Tab,
        Code::Backspace => K::Backspace,
        Code::Delete => K::Delete,
        Code::Up => K::Up,
        Code::Down => K::Down,
        Code::Left => K::Left,
        Code::Right => K::Right,
        Code::Home => K::Home,
        Code::End => K::End,
        Code::PageUp => K::PageUp,
        Code::PageDown => K::PageDown,
        Code::F(n) => K::F(n),
    };
    Input { key: k, ctrl: key.ctrl, alt: false, shift: key.shift }
}
