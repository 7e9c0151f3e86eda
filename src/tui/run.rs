//! The loop: one channel in, one owner of state, frames out on change only.

use std::sync::Arc;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, channel};

use super::effect::{Outside, Source};
use super::glyph;
use super::keymap::Keymap;
use super::msg::{Effect, Msg};
use super::state::{Setup, State};
use super::terminal::{self, Screen};
use super::theme::{self, Surroundings, Theme};
use super::update::update;
use super::view::{shows_sheet, view};
use super::views;
use super::widget::Scroll;
use crate::base::clock::{Clock, Stopwatch, SystemClock};

/// Messages that may wait; a hint that finds it full is dropped, since the room looks again by itself.
const QUEUE_MAX: usize = 1024;

/// How the room is opened.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub theme: Option<String>,
    /// `unicode` or `ascii`.
    pub glyphs: Option<String>,
    /// Why nothing may be changed, if the person asked for that.
    pub read_only: Option<String>,
}

/// Opens the room on `source` and stays until the person leaves.
///
/// # Errors
/// There is no terminal, or it cannot be written to.
pub async fn run_on(source: Arc<dyn Source>, options: Options) -> anyhow::Result<()> {
    let (setup, theme) = prepare(&options);
    let (to, from) = channel(QUEUE_MAX);
    let mut screen = Screen::open()?;
    terminal::watch_hangup(to.clone());
    terminal::read_input(to.clone());
    let outside = Outside { source, to };
    outside.listen();
    let mut state = State::new(setup, Screen::size(), SystemClock.now());
    match views::load() {
        Ok(views) => state.views = views,
        Err(why) => state.banners.push(why),
    }
    let result = Room { state, theme, scroll: Scroll::default(), outside, armed: 0 }.live(&mut screen, from).await;
    terminal::stop_input();
    drop(screen);
    result
}

fn prepare(options: &Options) -> (Setup, Theme) {
    let config = directories::ProjectDirs::from("", "", "opsroom").map(|d| d.config_dir().to_path_buf());
    let own = |name: &str| config.as_ref().and_then(|dir| std::fs::read_to_string(dir.join(name)).ok());
    let (keys, mut banners) = Keymap::with_own(own("keymap.toml").as_deref());
    let env = |name: &str| std::env::var(name).unwrap_or_default();
    let asked = options.theme.clone().or_else(|| Some(env("OPSROOM_THEME")).filter(|t| !t.is_empty()));
    let surroundings = Surroundings {
        theme: asked,
        no_color: !env("NO_COLOR").is_empty(),
        colorterm: env("COLORTERM"),
        term: env("TERM"),
        colorfgbg: env("COLORFGBG"),
        background: None,
    };
    let (name, depth) = theme::choose(&surroundings);
    let theme = match own(&format!("themes/{name}.toml")) {
        Some(text) => Theme::parse(&name, &text, depth).map_err(|why| banners.push(why)).ok(),
        None => None,
    };
    let theme = theme.or_else(|| Theme::shipped(&name, depth)).unwrap_or_else(|| {
        banners.push(format!("no theme is called \"{name}\""));
        Theme::shipped("dark", depth).unwrap_or_else(Theme::mono)
    });
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().map(env).find(|v| !v.is_empty()).unwrap_or_default();
    let glyphs = glyph::choose(options.glyphs.as_deref(), &locale);
    let session = crate::base::hex::encode(&crate::base::id::random_u128().to_be_bytes()[..8]);
    (Setup { keys, glyphs, session, read_only: options.read_only.clone(), banners }, theme)
}

struct Room {
    state: State,
    theme: Theme,
    scroll: Scroll,
    outside: Outside,
    /// The face of the sheet that the terminal holds already.
    armed: u64,
}

impl Room {
    async fn live(mut self, screen: &mut Screen, mut from: Receiver<Msg>) -> anyhow::Result<()> {
        let mut ends =
            [signal(SignalKind::terminate())?, signal(SignalKind::hangup())?, signal(SignalKind::interrupt())?];
        let mut slot = FrameSlot::new();
        let mut dirty = true;
        if self.take(Msg::Tick, screen)? {
            return Ok(());
        }
        loop {
            if dirty && slot.is_open() {
                self.draw(screen, &mut slot)?;
                dirty = false;
            }
            let wait = if dirty { slot.wait() } else { self.pause() };
            let msg = tokio::select! {
                biased;
                () = ended(&mut ends) => Msg::Terminate,
                msg = from.recv() => msg.unwrap_or(Msg::Terminate),
                () = tokio::time::sleep(wait) => Msg::Tick,
            };
            if matches!(msg, Msg::Key(_)) {
                slot.hurry();
            }
            if self.take(msg, screen)? {
                return Ok(());
            }
            // What waits already is taken before the next frame, so that a burst costs one frame.
            for _ in 0..QUEUE_MAX {
                let Ok(msg) = from.try_recv() else { break };
                if self.take(msg, screen)? {
                    return Ok(());
                }
            }
            dirty = true;
        }
    }

    /// Takes a message and does what follows; `true` ends the room.
    fn take(&mut self, mut msg: Msg, screen: &mut Screen) -> anyhow::Result<bool> {
        if let Msg::Click { x, y, spot } = &mut msg {
            *spot = self.scroll.zones().at(*x, *y);
        }
        for effect in update(&mut self.state, SystemClock.now(), msg) {
            match self.outside.start(effect) {
                None => {}
                Some(Effect::Quit) => return Ok(true),
                Some(Effect::Redraw) => screen.forget(),
                Some(Effect::Suspend) => screen.suspend()?,
                Some(Effect::Mouse(on)) => terminal::mouse(on)?,
                Some(_) => {}
            }
        }
        Ok(false)
    }

    fn draw(&mut self, screen: &mut Screen, slot: &mut FrameSlot) -> anyhow::Result<()> {
        let area = Rect::new(0, 0, self.state.size.0, self.state.size.1);
        let mut frame = Buffer::empty(area);
        view(&self.state, &mut self.scroll, &self.theme, area, &mut frame);
        if self.state.is_moving() {
            let body = super::view::areas(&self.state, area).body;
            screen.wire.hold(&mut frame, body, self.scroll.zones().focus());
        }
        let flush = Stopwatch::start();
        screen.show(frame)?;
        slot.shut(flush.elapsed());
        // The sheet is armed by having been shown, in the frame that shows it as it is now.
        let shown = self.state.sheet().filter(|_| shows_sheet(area)).map(super::overlay::Sheet::token);
        if let Some(token) = shown.filter(|t| *t != self.armed) {
            self.armed = token;
            update(&mut self.state, SystemClock.now(), Msg::Drawn(token));
        }
        Ok(())
    }

    /// Until the clock's next second, or until something is due.
    fn pause(&self) -> Duration {
        let now = SystemClock.now();
        let second = 1_000_000 - now.0.rem_euclid(1_000_000);
        let due = self.state.deadline().map_or(second, |at| (at.0 - now.0).max(1_000));
        Duration::from_micros(u64::try_from(second.min(due)).unwrap_or(1_000_000))
    }
}

/// Waits until the process is told to end.
async fn ended(ends: &mut [Signal; 3]) {
    let [a, b, c] = ends;
    tokio::select! {
        _ = a.recv() => {}
        _ = b.recv() => {}
        _ = c.recv() => {}
    }
}

/// When the next frame may be drawn: 30 a second here, 10 over SSH, 4 where the terminal takes long to swallow one.
struct FrameSlot {
    since: Stopwatch,
    gap: Duration,
    usual: Duration,
}

impl FrameSlot {
    fn new() -> Self {
        let ssh = std::env::var_os("SSH_CONNECTION").is_some_and(|v| !v.is_empty());
        let usual = Duration::from_millis(if ssh { 100 } else { 33 });
        Self { since: Stopwatch::start(), gap: Duration::ZERO, usual }
    }

    /// A key is answered sooner than data, where the line is quick.
    fn hurry(&mut self) {
        if self.gap < Duration::from_millis(50) {
            self.gap = Duration::from_millis(8);
        }
    }

    fn is_open(&self) -> bool {
        self.since.elapsed() >= self.gap
    }

    fn wait(&self) -> Duration {
        self.gap.saturating_sub(self.since.elapsed()).max(Duration::from_millis(1))
    }

    fn shut(&mut self, flush: Duration) {
        self.since = Stopwatch::start();
        self.gap = if flush > Duration::from_millis(100) { Duration::from_millis(250) } else { self.usual };
    }
}
