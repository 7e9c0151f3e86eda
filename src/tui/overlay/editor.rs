//! A text of several lines under a cursor: a model card is not one line.

use tui_textarea::TextArea;

use super::prompt::{Prompted, Typed};
use crate::tui::key::{self, Code, Key};

#[derive(Debug, Clone)]
pub struct Editor {
    pub title: String,
    pub area: TextArea<'static>,
    pub what: Prompted,
}

impl Editor {
    pub fn new(title: impl Into<String>, text: &str, what: Prompted) -> Self {
        let mut area = TextArea::new(text.lines().map(crate::tui::format::clean).collect());
        area.set_wrap_mode(tui_textarea::WrapMode::Word);
        area.move_cursor(tui_textarea::CursorMove::Bottom);
        area.move_cursor(tui_textarea::CursorMove::End);
        Self { title: title.into(), area, what }
    }

    /// Tab ends it; Enter is a new line; Esc leaves the text as it was.
    pub fn press(&mut self, key: Key) -> Typed {
        match key.code {
            Code::Esc => return Typed::Close,
            Code::Char('c' | 'g') if key.ctrl => return Typed::Close,
            Code::Tab => return Typed::Done(self.what.clone(), self.area.lines().join("\n")),
            _ => {
                self.area.input(key::to_textarea(key));
            }
        }
        Typed::Nothing
    }

    pub fn paste(&mut self, text: &str) {
        let lines: Vec<String> = text.lines().map(crate::tui::format::clean).collect();
        self.area.insert_str(lines.join("\n"));
    }
}
