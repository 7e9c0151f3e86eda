//! The two alphabets of the screen: box drawing and braille, or plain ASCII for `LANG=C` and screens that show no more.

use ratatui::symbols::Marker;

/// The characters that differ between the alphabets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glyphs {
    pub ascii: bool,
    pub crumb: &'static str,
    pub cursor: &'static str,
    pub mark: &'static str,
    pub ok: &'static str,
    pub fail: &'static str,
    pub warn: &'static str,
    pub crit: &'static str,
    pub live: &'static str,
    pub stopped: &'static str,
    pub waiting: &'static str,
    pub ellipsis: &'static str,
    pub down: &'static str,
    pub up: &'static str,
    pub arrow: &'static str,
    pub dot: &'static str,
    pub ramp: &'static [char],
    pub light: Lines,
    pub heavy: Lines,
    pub marker: Marker,
}

/// The parts of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lines {
    pub top_left: &'static str,
    pub top_right: &'static str,
    pub bottom_left: &'static str,
    pub bottom_right: &'static str,
    pub across: &'static str,
    pub along: &'static str,
}

const PLAIN: Lines =
    Lines { top_left: "+", top_right: "+", bottom_left: "+", bottom_right: "+", across: "-", along: "|" };

pub const UNICODE: Glyphs = Glyphs {
    ascii: false,
    crumb: "▸",
    cursor: "▌",
    mark: "●",
    ok: "✓",
    fail: "✗",
    warn: "!",
    crit: "!!",
    live: "●",
    stopped: "■",
    waiting: "○",
    ellipsis: "…",
    down: "▾",
    up: "▴",
    arrow: "→",
    dot: "·",
    ramp: &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
    light: Lines {
        top_left: "┌", top_right: "┐", bottom_left: "└", bottom_right: "┘", across: "─", along: "│"
    },
    heavy: Lines {
        top_left: "┏", top_right: "┓", bottom_left: "┗", bottom_right: "┛", across: "━", along: "┃"
    },
    marker: Marker::Braille,
};

pub const ASCII: Glyphs = Glyphs {
    ascii: true,
    crumb: ">",
    cursor: ">",
    mark: "*",
    ok: "ok",
    fail: "x",
    warn: "!",
    crit: "!!",
    live: "o",
    stopped: "#",
    waiting: ".",
    ellipsis: "~",
    down: "v",
    up: "^",
    arrow: "->",
    dot: ".",
    ramp: &['_', '.', '-', '=', '+', '*', '%', '#'],
    light: PLAIN,
    heavy: Lines { across: "=", ..PLAIN },
    marker: Marker::Custom('*'),
};

impl Glyphs {
    /// A text of ours in this alphabet: ASCII replaces what it cannot show.
    pub fn spell(&self, text: &str) -> String {
        if !self.ascii {
            return text.to_owned();
        }
        text.chars().map(replacement).collect()
    }
}

fn replacement(c: char) -> String {
    let plain = match c {
        '…' => "~",
        '→' => "->",
        '←' => "<-",
        '↑' => "up",
        '↓' => "down",
        '↵' => "Enter",
        '·' | '•' => ".",
        '▸' => ">",
        '×' => "x",
        '±' => "+-",
        '≥' => ">=",
        '≤' => "<=",
        '✓' => "ok",
        '✗' => "x",
        '“' | '”' => "\"",
        '’' => "'",
        'Δ' => "d",
        'σ' => "sd",
        c if c.is_ascii() => return c.to_string(),
        _ => "?",
    };
    plain.to_owned()
}

/// ASCII where the locale names no UTF-8 (`LC_ALL`, else `LC_CTYPE`, else `LANG`).
pub fn choose(asked: Option<&str>, locale: &str) -> Glyphs {
    let utf8 = locale.to_ascii_lowercase().replace('-', "").contains("utf8");
    match asked {
        Some("ascii") => ASCII,
        Some(_) => UNICODE,
        None if utf8 => UNICODE,
        None => ASCII,
    }
}
