//! One line to type where a small change or a name is asked for.

use super::Line;
use crate::tui::key::{Code, Key};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    pub title: String,
    /// What to write, in one line below.
    pub hint: String,
    pub line: Line,
    pub what: Prompted,
}

/// What the line is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompted {
    /// The note of these runs.
    Note(Vec<String>),
    /// A tag of these runs: `key=value`, or `-key`.
    Tag(Vec<String>),
    /// The registered model that this run becomes a version of.
    ModelOf(String),
    /// A part of a registered version.
    Version { model: String, version: u32, part: crate::tui::small::version::Part },
    /// The view that is shown, to be saved.
    ViewName,
    /// A note on an incident, or who looks after it.
    Incident(i64, crate::tui::screen::incident::Typed),
    /// The moment at which the registry is shown.
    AsOf,
}

/// What a key on the prompt leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    Nothing,
    Close,
    Done(Prompted, String),
}

impl Prompt {
    pub fn new(title: impl Into<String>, hint: &str, text: &str, what: Prompted) -> Self {
        Self { title: title.into(), hint: hint.to_owned(), line: Line::new(text), what }
    }

    pub fn press(&mut self, key: Key) -> Typed {
        match key.code {
            Code::Esc => Typed::Close,
            Code::Char('c' | 'g') if key.ctrl => Typed::Close,
            Code::Enter => Typed::Done(self.what.clone(), self.line.text()),
            _ => {
                self.line.press(key);
                Typed::Nothing
            }
        }
    }
}
