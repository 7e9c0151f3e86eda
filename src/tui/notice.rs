//! Telling a person who looks elsewhere that what they waited for has happened.

use std::io::{self, Write};

use super::clipboard::through_tmux;
use super::format;

/// By which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Notice {
    #[default]
    Bell,
    /// A notice of the desktop, where the terminal takes OSC 9, and a bell.
    Osc9,
    /// The same for terminals that take OSC 777.
    Osc777,
    /// The same for terminals that take OSC 99.
    Osc99,
    Off,
}

/// Characters of a notice at most.
const TEXT_CHARS_MAX: usize = 120;

impl Notice {
    /// `None`: there is no such way.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "" | "bell" => Self::Bell,
            "osc9" => Self::Osc9,
            "osc777" => Self::Osc777,
            "osc99" => Self::Osc99,
            "off" => Self::Off,
            _ => return None,
        })
    }

    fn sequence(self, text: &str, in_tmux: bool) -> String {
        let text: String = format::clean(text).chars().filter(|c| *c != ';').take(TEXT_CHARS_MAX).collect();
        let shown = match self {
            Self::Off => return String::new(),
            Self::Bell => String::new(),
            Self::Osc9 => through_tmux(&format!("\x1b]9;opsroom: {text}\x07"), in_tmux),
            Self::Osc777 => through_tmux(&format!("\x1b]777;notify;opsroom;{text}\x07"), in_tmux),
            Self::Osc99 => through_tmux(&format!("\x1b]99;;opsroom: {text}\x1b\\"), in_tmux),
        };
        // The bell comes too, so that a multiplexer marks the window.
        shown + "\x07"
    }

    /// # Errors
    /// The terminal cannot be written to.
    pub fn give(self, text: &str) -> io::Result<()> {
        let in_tmux = std::env::var_os("TMUX").is_some_and(|v| !v.is_empty());
        let mut out = io::stdout();
        out.write_all(self.sequence(text, in_tmux).as_bytes()).and_then(|()| out.flush())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_says_what_happened_and_rings() {
        assert_eq!(Notice::Bell.sequence("v43 is in prod", false), "\x07");
        assert_eq!(Notice::Osc9.sequence("v43\x1b is; in prod", false), "\x1b]9;opsroom: v43  is in prod\x07\x07");
        assert_eq!(Notice::Osc99.sequence("v43", false), "\x1b]99;;opsroom: v43\x1b\\\x07");
        assert!(Notice::Osc9.sequence("x", true).starts_with("\x1bPtmux;\x1b\x1b]9;"));
        assert_eq!(Notice::Off.sequence("x", false), "");
        assert_eq!(Notice::named("loud"), None);
    }
}
