//! What the room is opened with: keys, colours, signs and the last session, out of the person's files and the surroundings.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::clipboard::Clipboard;
use super::effect::Contexts;
use super::keymap::Keymap;
use super::notice::Notice;
use super::probe::{self, Background};
use super::state::Setup;
use super::theme::{self, Depth, Surroundings, Theme};
use super::{glyph, terminal};

/// How the room is opened.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub theme: Option<String>,
    /// `truecolor`, `256`, `16` or `mono`.
    pub color: Option<String>,
    /// `unicode` or `ascii`.
    pub glyphs: Option<String>,
    /// `on` or `off`; else on where the terminal is near.
    pub mouse: Option<String>,
    /// `bell`, `osc9`, `osc777`, `osc99` or `off`.
    pub notify: Option<String>,
    /// `native`, `tmux`, `osc52` or `file`; else the first of them that there is.
    pub clipboard: Option<String>,
    /// Why nothing may be changed, if the person asked for that.
    pub read_only: Option<String>,
    /// What the agent in use is called; sessions are kept by it.
    pub context: String,
    /// Other agents to change to.
    pub contexts: Option<Arc<dyn Contexts>>,
    /// Where keymap and themes lie; `None`: there are none.
    pub config: Option<PathBuf>,
    /// Where sessions are kept; `None`: they are not.
    pub state: Option<PathBuf>,
    /// Where it opens; else where the last session was.
    pub place: Option<super::state::View>,
}

/// The room's clothes: how themes are found while it is open.
#[derive(Debug, Clone)]
pub struct Wardrobe {
    folder: Option<PathBuf>,
    depth: Depth,
}

impl Wardrobe {
    /// A theme of the person's own, else a shipped one.
    ///
    /// # Errors
    /// There is none, or its file has an error, with its line.
    pub fn theme(&self, name: &str) -> Result<Theme, String> {
        let plain = name.chars().all(|c| c.is_alphanumeric() || "-_".contains(c));
        let file = self.folder.as_ref().filter(|_| plain).map(|f| f.join(format!("{name}.toml")));
        if let Some(text) = file.and_then(|f| std::fs::read_to_string(f).ok()) {
            return Theme::parse(name, &text, self.depth);
        }
        Theme::shipped(name, self.depth).ok_or_else(|| {
            let shipped: Vec<&str> = theme::SHIPPED.iter().map(|(n, _)| *n).collect();
            format!("no theme is called \"{name}\"; there are {}", shipped.join(", "))
        })
    }
}

/// Everything that is decided before the first frame.
pub struct Prepared {
    pub setup: Setup,
    pub theme: Theme,
    pub wardrobe: Wardrobe,
    pub notice: Notice,
    pub clipboard: Clipboard,
}

fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// Reads the files and asks the terminal, which is ours already and which nobody reads yet.
pub fn prepare(options: &Options) -> Prepared {
    let mut banners = Vec::new();
    let own = |name: &str| options.config.as_ref().and_then(|dir| std::fs::read_to_string(dir.join(name)).ok());
    let (keys, faults) = Keymap::with_own(own("keymap.toml").as_deref());
    banners.extend(faults);
    let (theme, wardrobe) = dress(options, &mut banners);
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().map(env).find(|v| !v.is_empty()).unwrap_or_default();
    let far = !env("SSH_CONNECTION").is_empty();
    let setup = Setup {
        keys,
        glyphs: glyph::choose(options.glyphs.as_deref(), &locale),
        session: crate::base::hex::encode(&crate::base::id::random_u128().to_be_bytes()[..8]),
        read_only: options.read_only.clone(),
        mouse: named(options.mouse.as_ref(), "mouse", switch, &mut banners).flatten().unwrap_or(!far),
        context: options.context.clone(),
        contexts: options.contexts.as_ref().map(|c| c.names()).unwrap_or_default(),
        banners: Vec::new(),
    };
    let notice = named(options.notify.as_ref(), "notify", Notice::named, &mut banners).unwrap_or_default();
    let clipboard = named(options.clipboard.as_ref(), "clipboard", Clipboard::named, &mut banners).unwrap_or_default();
    Prepared { setup: Setup { banners, ..setup }, theme, wardrobe, notice, clipboard }
}

/// `Some(None)`: as it suits.
#[allow(clippy::option_option)] // whether it can be read, and what it says
fn switch(text: &str) -> Option<Option<bool>> {
    match text {
        "on" => Some(Some(true)),
        "off" => Some(Some(false)),
        "" | "auto" => Some(None),
        _ => None,
    }
}

/// A setting by its word; one that is not known is named in a banner.
fn named<T>(given: Option<&String>, key: &str, read: fn(&str) -> Option<T>, banners: &mut Vec<String>) -> Option<T> {
    let text = given?;
    let found = read(text);
    if found.is_none() {
        banners.push(format!("{key} = \"{text}\" is not known; see the comment in the sample opsroom.toml"));
    }
    found
}

fn dress(options: &Options, banners: &mut Vec<String>) -> (Theme, Wardrobe) {
    let asked = options.theme.clone().or_else(|| Some(env("OPSROOM_THEME")).filter(|t| !t.is_empty()));
    let mut surroundings = Surroundings {
        theme: asked,
        depth: named(options.color.as_ref(), "color", Depth::named, banners).flatten(),
        no_color: !env("NO_COLOR").is_empty(),
        colorterm: env("COLORTERM"),
        term: env("TERM"),
        colorfgbg: env("COLORFGBG"),
        background: None,
    };
    let (_, depth) = theme::choose(&surroundings);
    let colourful = matches!(depth, Depth::True | Depth::Indexed);
    if surroundings.theme.is_none() && colourful {
        match probe::background() {
            Background::Known(lightness) => surroundings.background = Some(lightness),
            Background::Untold => {}
            Background::Late => terminal::expect_late_answer(),
        }
    }
    let (name, depth) = theme::choose(&surroundings);
    let wardrobe = Wardrobe { folder: options.config.as_deref().map(|c: &Path| c.join("themes")), depth };
    let theme = wardrobe.theme(&name).unwrap_or_else(|why| {
        banners.push(format!("{why}; the default colours hold"));
        Theme::shipped("dark", depth).unwrap_or_else(Theme::mono)
    });
    (theme, wardrobe)
}
