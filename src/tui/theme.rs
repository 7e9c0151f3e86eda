//! Colours by meaning, and the only place that names one. Which theme and how many colours is decided once, at the start.

use std::collections::BTreeMap;

use ratatui::style::{Color, Modifier, Style};

/// What a colour means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    Text,
    Muted,
    Border,
    BorderFocus,
    Select,
    Accent,
    Ok,
    Warn,
    Crit,
    Info,
    Unknown,
    BadgeProd,
    BadgeOther,
    /// One of six curves, counted from 0.
    Series(usize),
}

const TOKENS: [(Token, &str); 19] = [
    (Token::Text, "text"),
    (Token::Muted, "text.muted"),
    (Token::Border, "border"),
    (Token::BorderFocus, "border.focus"),
    (Token::Select, "select"),
    (Token::Accent, "accent"),
    (Token::Ok, "ok"),
    (Token::Warn, "warn"),
    (Token::Crit, "crit"),
    (Token::Info, "info"),
    (Token::Unknown, "unknown"),
    (Token::BadgeProd, "badge.prod"),
    (Token::BadgeOther, "badge.other"),
    (Token::Series(0), "series.1"),
    (Token::Series(1), "series.2"),
    (Token::Series(2), "series.3"),
    (Token::Series(3), "series.4"),
    (Token::Series(4), "series.5"),
    (Token::Series(5), "series.6"),
];

/// How many colours the terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    True,
    Indexed,
    Sixteen,
    Mono,
}

impl Depth {
    /// By its word; `Some(None)` leaves it to the surroundings, `None` is no such word.
    #[allow(clippy::option_option)] // whether it can be read, and what it says
    pub fn named(word: &str) -> Option<Option<Self>> {
        Some(match word {
            "" | "auto" => None,
            "truecolor" | "24bit" => Some(Self::True),
            "256" => Some(Self::Indexed),
            "16" => Some(Self::Sixteen),
            "mono" | "none" | "never" => Some(Self::Mono),
            _ => return None,
        })
    }
}

/// The themes that ship with the program.
pub const SHIPPED: [(&str, &str); 5] = [
    ("dark", include_str!("../../config/themes/dark.toml")),
    ("light", include_str!("../../config/themes/light.toml")),
    ("high-contrast", include_str!("../../config/themes/high-contrast.toml")),
    ("ansi", include_str!("../../config/themes/ansi.toml")),
    ("mono", include_str!("../../config/themes/mono.toml")),
];

/// A style for every token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    pub name: String,
    styles: Vec<Style>,
}

impl Theme {
    /// A shipped theme by name, or `None`.
    pub fn shipped(name: &str, depth: Depth) -> Option<Self> {
        let (name, text) = SHIPPED.iter().find(|(n, _)| *n == name)?;
        Self::parse(name, text, depth).ok()
    }

    pub fn mono() -> Self {
        Self::shipped("mono", Depth::Mono)
            .unwrap_or(Self { name: "mono".into(), styles: vec![Style::new(); TOKENS.len()] })
    }

    /// A file of the person's may leave tokens out; they are those of the shipped theme that `base` names, or of dark.
    ///
    /// # Errors
    /// Text that is not TOML, a token that does not exist, or a colour that cannot be read, with the line.
    pub fn parse(name: &str, text: &str, depth: Depth) -> Result<Self, String> {
        let mut given = BTreeMap::new();
        let table: toml::Table = toml::from_str(text).map_err(|e| {
            let line = e.span().map_or(1, |s| text[..s.start.min(text.len())].matches('\n').count() + 1);
            format!("theme {name} line {line}: {}", e.message().lines().next().unwrap_or_default())
        })?;
        flatten("", &table, &mut given).map_err(|why| format!("theme {name}: {why}"))?;
        let at = |key: &str| format!("theme {name} line {}", line_of(text, key));
        let base = given.remove("base").unwrap_or_else(|| "dark".into());
        let (_, below) = SHIPPED
            .iter()
            .find(|(shipped, _)| *shipped == base)
            .ok_or_else(|| format!("{}: no shipped theme is called \"{base}\"", at("base")))?;
        if let Some(unknown) = given.keys().find(|k| !TOKENS.iter().any(|(_, t)| t == k)) {
            return Err(format!("{}: no token is called \"{unknown}\"", at(unknown)));
        }
        let mut all = BTreeMap::new();
        if let Ok(table) = toml::from_str(below) {
            flatten("", &table, &mut all)?;
        }
        all.extend(given);
        let style_of = |token: &str| {
            let spec = all.get(token).ok_or_else(|| format!("theme {name}: \"{token}\" is missing"))?;
            parse_style(spec, depth).map_err(|why| format!("{}: {token}: {why}", at(token)))
        };
        let styles = TOKENS.iter().map(|(_, t)| style_of(t)).collect::<Result<_, _>>()?;
        Ok(Self { name: name.to_owned(), styles })
    }

    pub fn style(&self, token: Token) -> Style {
        let token = if let Token::Series(n) = token { Token::Series(n % 6) } else { token };
        let at = TOKENS.iter().position(|(t, _)| *t == token).unwrap_or(0);
        self.styles.get(at).copied().unwrap_or_default()
    }

    /// For ratatui's canvas, which paints with a colour.
    pub fn paint(&self, token: Token) -> Color {
        self.style(token).fg.unwrap_or(Color::Reset)
    }
}

/// The line on which a key stands, counted from 1.
fn line_of(text: &str, key: &str) -> usize {
    let last = key.rsplit('.').next().unwrap_or(key);
    let stands = |line: &str, key: &str| line.trim_start().trim_start_matches('"').starts_with(key);
    let exact = text.lines().position(|l| stands(l, key));
    exact.or_else(|| text.lines().position(|l| stands(l, last))).map_or(1, |n| n + 1)
}

fn flatten(prefix: &str, table: &toml::Table, into: &mut BTreeMap<String, String>) -> Result<(), String> {
    for (key, value) in table {
        // Files quote dotted names, since TOML cannot hold both `text` and a table `text`; unquoted ones are joined here.
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::String(s) => {
                into.insert(name, s.clone());
            }
            toml::Value::Table(inner) => flatten(&name, inner, into)?,
            _ => return Err(format!("\"{name}\" is not a text")),
        }
    }
    Ok(())
}

fn parse_style(spec: &str, depth: Depth) -> Result<Style, String> {
    let mut style = Style::new();
    let mut background = false;
    for word in spec.split_whitespace() {
        match word {
            "on" => background = true,
            "bold" => style = style.add_modifier(Modifier::BOLD),
            "dim" => style = style.add_modifier(Modifier::DIM),
            "reverse" => style = style.add_modifier(Modifier::REVERSED),
            "underline" => style = style.add_modifier(Modifier::UNDERLINED),
            colour => {
                let c = reduce(parse_colour(colour)?, depth);
                style = match (c, background) {
                    (None, _) => style,
                    (Some(c), true) => style.bg(c),
                    (Some(c), false) => style.fg(c),
                };
                background = false;
            }
        }
    }
    Ok(style)
}

fn parse_colour(word: &str) -> Result<Color, String> {
    if word == "default" {
        return Ok(Color::Reset);
    }
    let known = word.starts_with('#') || word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let spelled = word.replace("bright-black", "darkgray").replace("bright-", "light");
    known.then(|| spelled.parse().ok()).flatten().ok_or_else(|| format!("\"{word}\" is not a colour"))
}

/// `None` leaves the terminal's own.
fn reduce(colour: Color, depth: Depth) -> Option<Color> {
    match (colour, depth) {
        (Color::Reset, _) | (_, Depth::Mono) => None,
        (Color::Rgb(r, g, b), Depth::Indexed) => Some(Color::Indexed(nearest(r, g, b))),
        (Color::Rgb(..), Depth::Sixteen) => None,
        _ => Some(colour),
    }
}

/// The nearest of the 6×6×6 cube and the 24 greys of the 256 colours.
fn nearest(r: u8, g: u8, b: u8) -> u8 {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let distance = |x: [u8; 3]| -> u32 { [r, g, b].iter().zip(x).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum() };
    let cube = (0..216_u8)
        .map(|i| (16 + i, [STEPS[usize::from(i / 36)], STEPS[usize::from(i / 6 % 6)], STEPS[usize::from(i % 6)]]));
    let greys = (0..24_u8).map(|i| (232 + i, [8 + 10 * i; 3]));
    cube.chain(greys).min_by_key(|(_, c)| distance(*c)).map_or(15, |(i, _)| i)
}

/// What the surroundings say about colour; read once at the start.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    pub theme: Option<String>,
    /// As the person asked.
    pub depth: Option<Depth>,
    pub no_color: bool,
    pub colorterm: String,
    pub term: String,
    pub colorfgbg: String,
    /// Lightness of the background, 0 to 1, where the terminal answered.
    pub background: Option<f64>,
}

/// The name and depth to use: asked for, `NO_COLOR`, the terminal's background, `COLORFGBG`, dark.
pub fn choose(s: &Surroundings) -> (String, Depth) {
    let depth = if let Some(asked) = s.depth {
        asked
    } else if s.no_color {
        Depth::Mono
    } else if matches!(s.colorterm.as_str(), "truecolor" | "24bit") {
        Depth::True
    } else if s.term.contains("256color") || s.term.contains("direct") {
        Depth::Indexed
    } else {
        Depth::Sixteen
    };
    if let Some(name) = &s.theme {
        return (name.clone(), if name == "mono" { Depth::Mono } else { depth });
    }
    let light_by_env = s.colorfgbg.rsplit(';').next().is_some_and(|bg| matches!(bg, "7" | "15"));
    let name = match depth {
        Depth::Mono => "mono",
        Depth::Sixteen => "ansi",
        _ if s.background.map_or(light_by_env, |lightness| lightness > 0.5) => "light",
        _ => "dark",
    };
    (name.to_owned(), depth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_theme_has_every_token() {
        for (name, text) in SHIPPED {
            for depth in [Depth::True, Depth::Indexed, Depth::Sixteen, Depth::Mono] {
                Theme::parse(name, text, depth).unwrap();
            }
        }
    }

    #[test]
    fn text_reads_well_on_each_background() {
        let lightness = |c: Color| -> f64 {
            let Color::Rgb(r, g, b) = c else { panic!("{c:?}") };
            let linear = |v: u8| {
                let v = f64::from(v) / 255.0;
                if v <= 0.039_28 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
        };
        for (name, ground) in [
            ("dark", Color::Rgb(0x11, 0x15, 0x1c)),
            ("light", Color::Rgb(255, 255, 255)),
            ("high-contrast", Color::Rgb(0, 0, 0)),
        ] {
            let theme = Theme::shipped(name, Depth::True).unwrap();
            for (token, spelled) in TOKENS.iter().filter(|(t, _)| !matches!(t, Token::Select)) {
                let style = theme.style(*token);
                let (a, b) = (lightness(style.fg.unwrap()), lightness(style.bg.unwrap_or(ground)));
                let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
                let least = if spelled.starts_with("border") { 3.0 } else { 4.5 };
                assert!(contrast >= least, "{name} {spelled}: {contrast:.2}");
            }
        }
    }

    #[test]
    fn mono_has_no_colour_and_a_file_with_errors_says_so() {
        let theme = Theme::mono();
        assert!(TOKENS.iter().all(|(t, _)| theme.style(*t).fg.is_none() && theme.style(*t).bg.is_none()));
        let wrong = |text: &str| Theme::parse("x", text, Depth::True).unwrap_err();
        assert_eq!(wrong("ok = \"green\"\ntxt = \"red\""), "theme x line 2: no token is called \"txt\"");
        assert_eq!(wrong("\n\ntext = \"reddish\""), "theme x line 3: text: \"reddish\" is not a colour");
        assert!(wrong("ok = \"green\"\ntext = red").starts_with("theme x line 2: "));
        assert!(wrong("base = \"lihgt\"").starts_with("theme x line 1: no shipped theme"));
        let own = Theme::parse("x", "base = \"light\"\nok = \"#010203\"", Depth::True).unwrap();
        assert_eq!(own.style(Token::Ok).fg, Some(Color::Rgb(1, 2, 3)));
        assert_eq!(own.style(Token::Text), Theme::shipped("light", Depth::True).unwrap().style(Token::Text));
    }

    #[test]
    fn the_choice_follows_the_surroundings() {
        let s = |f: fn(&mut Surroundings)| {
            let mut s = Surroundings { term: "xterm-256color".into(), ..Default::default() };
            f(&mut s);
            choose(&s)
        };
        assert_eq!(s(|_| ()), ("dark".into(), Depth::Indexed));
        assert_eq!(s(|s| s.no_color = true), ("mono".into(), Depth::Mono));
        assert_eq!(s(|s| s.term = "xterm".into()), ("ansi".into(), Depth::Sixteen));
        assert_eq!(s(|s| s.background = Some(0.9)).0, "light");
        assert_eq!(s(|s| s.colorfgbg = "0;15".into()).0, "light");
        assert_eq!(
            s(|s| {
                s.theme = Some("high-contrast".into());
                s.colorterm = "truecolor".into();
            }),
            ("high-contrast".into(), Depth::True)
        );
    }
}
