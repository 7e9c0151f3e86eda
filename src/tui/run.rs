//! The loop: one channel in, one owner of state, frames out on change only.

use std::sync::Arc;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Rect};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, channel};

use super::effect::{Outside, Source};
use super::msg::{Effect, Msg};
use super::notice::Notice;
use super::prepare::{Options, Prepared, Wardrobe, prepare};
use super::session::{Session, Store};
use super::state::State;
use super::terminal::{self, Screen};
use super::theme::Theme;
use super::update::update;
use super::view::{shows_sheet, view};
use super::views;
use super::widget::Scroll;
use crate::base::clock::{Clock, Stopwatch, SystemClock};

/// Messages that may wait; a hint that finds it full is dropped, since the room looks again by itself.
const QUEUE_MAX: usize = 1024;

/// Between two looks at whether the session has to be kept.
const KEEP_PERIOD: Duration = Duration::from_secs(30);

/// Opens the room on `source` and stays until the person leaves.
///
/// # Errors
/// There is no terminal, or it cannot be written to.
pub async fn run_on(source: Arc<dyn Source>, options: Options) -> anyhow::Result<()> {
    let (to, from) = channel(QUEUE_MAX);
    let mut screen = Screen::open()?;
    let Prepared { setup, theme, wardrobe, notice, clipboard } = prepare(&options);
    terminal::watch_hangup(to.clone());
    terminal::read_input(to.clone());
    if setup.mouse {
        terminal::mouse(true)?;
    }
    let mut outside = Outside::new(source, to, options.contexts, clipboard);
    outside.listen();
    let mut state = State::new(setup, Screen::size(), SystemClock.now());
    match views::load() {
        Ok(views) => state.views = views,
        Err(why) => state.banners.push(why),
    }
    let mut room = Room {
        state,
        theme,
        scroll: Scroll::default(),
        outside,
        wardrobe,
        notice,
        sessions: options.state.as_deref().map(Store::in_folder),
        kept: None,
        copy_pane: false,
        armed: 0,
    };
    let result = match room.take_up_session(&mut screen) {
        Ok(()) => {
            room.open_at(options.place);
            room.live(&mut screen, from).await
        }
        Err(fault) => Err(fault),
    };
    room.keep_session(true);
    terminal::stop_input();
    drop(screen);
    result
}

struct Room {
    state: State,
    theme: Theme,
    scroll: Scroll,
    outside: Outside,
    wardrobe: Wardrobe,
    notice: Notice,
    sessions: Option<Store>,
    /// The session as it was last kept.
    kept: Option<Session>,
    /// The focused pane is to be copied from the next frame.
    copy_pane: bool,
    /// The face of the sheet that the terminal holds already.
    armed: u64,
}

impl Room {
    /// Begins where the command line says, whatever the last session showed.
    fn open_at(&mut self, place: Option<super::state::View>) {
        for effect in place.map(|place| self.state.open_at(place)).unwrap_or_default() {
            self.outside.start(effect);
        }
    }

    async fn live(&mut self, screen: &mut Screen, mut from: Receiver<Msg>) -> anyhow::Result<()> {
        let mut ends =
            [signal(SignalKind::terminate())?, signal(SignalKind::hangup())?, signal(SignalKind::interrupt())?];
        let mut slot = FrameSlot::new();
        let mut dirty = true;
        let mut since_kept = Stopwatch::start();
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
            if since_kept.elapsed() > KEEP_PERIOD {
                self.keep_session(false);
                since_kept = Stopwatch::start();
            }
        }
    }

    /// Puts the room to where it was left on this agent.
    fn take_up_session(&mut self, screen: &mut Screen) -> anyhow::Result<()> {
        let Some(store) = &self.sessions else { return Ok(()) };
        match store.load(&self.state.context) {
            Ok(None) => {}
            Ok(Some(session)) => {
                self.kept = Some(session.clone());
                self.take(Msg::Restore(Box::new(session)), screen)?;
            }
            Err(why) => {
                self.take(Msg::Said(Err(format!("the last session is lost: {why}"))), screen)?;
            }
        }
        Ok(())
    }

    /// Writes down where the room stands, if that changed.
    fn keep_session(&mut self, leaving: bool) {
        let Some(store) = &self.sessions else { return };
        let session = Session::of(&self.state);
        // A full disk must not end the room; the next try says so again at its own time.
        let same = |kept: &Session| Session { left: session.left, ..kept.clone() } == session;
        if (leaving || !self.kept.as_ref().is_some_and(same)) && store.save(&self.state.context, &session).is_ok() {
            self.kept = Some(session);
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
                Some(Effect::Suspend) => {
                    screen.suspend()?;
                    terminal::mouse(self.state.mouse)?;
                }
                Some(Effect::Mouse(on)) => terminal::mouse(on)?,
                Some(Effect::CopyPane) => self.copy_pane = true,
                Some(Effect::Notify(text)) => self.notice.give(&text)?,
                Some(Effect::Theme(name)) => self.change_theme(&name, screen)?,
                Some(Effect::Enter(name)) => {
                    self.keep_session(true);
                    self.outside.enter(name);
                }
                Some(Effect::Exchange(_)) => {
                    self.outside.exchange();
                    self.kept = None;
                    self.take_up_session(screen)?;
                    self.take(Msg::Tick, screen)?;
                }
                Some(_) => {}
            }
        }
        Ok(false)
    }

    fn change_theme(&mut self, name: &str, screen: &mut Screen) -> anyhow::Result<()> {
        let said = match self.wardrobe.theme(name) {
            Ok(theme) => {
                self.theme = theme;
                screen.forget();
                Ok(format!("theme {name}; `theme = \"{name}\"` under [client] in opsroom.toml keeps it"))
            }
            Err(why) => Err(why),
        };
        self.take(Msg::Said(said), screen).map(drop)
    }

    /// The text of the focused pane, as it was just drawn.
    fn pane_text(&self, frame: &Buffer) -> String {
        let at = self.scroll.zones().focus().inner(Margin::new(1, 1)).intersection(frame.area);
        let line = |y| (at.x..at.right()).map(|x| frame[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (at.y..at.bottom()).map(line).collect::<Vec<_>>().join("\n")
    }

    fn draw(&mut self, screen: &mut Screen, slot: &mut FrameSlot) -> anyhow::Result<()> {
        let area = Rect::new(0, 0, self.state.size.0, self.state.size.1);
        let mut frame = Buffer::empty(area);
        view(&self.state, &mut self.scroll, &self.theme, area, &mut frame);
        if std::mem::take(&mut self.copy_pane) {
            self.outside.start(Effect::Copy(self.pane_text(&frame)));
        }
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
