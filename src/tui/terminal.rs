//! The terminal itself: taken over on entry and given back on every way out, read on a thread of its own, and watched for
//! the moment it goes away.

use std::io::{self, IsTerminal, Stdout, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste, EnableFocusChange, Event,
    KeyCode, KeyModifiers, MouseEventKind,
};
use crossterm::terminal::{self, EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{cursor, execute};
use ratatui::buffer::Buffer;
use rustix::event::{PollFd, PollFlags};
use tokio::sync::mpsc::Sender;

use super::key;
use super::msg::Msg;
use super::wire::Wire;

/// Whether the terminal is ours now, so that giving it back twice does no harm.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Whether the reader should go on.
static READING: AtomicBool = AtomicBool::new(false);

/// Whether the terminal's answer to a question may still come, among the keys.
static ANSWER_LATE: AtomicBool = AtomicBool::new(false);

/// The terminal was asked something and did not answer in time.
pub fn expect_late_answer() {
    ANSWER_LATE.store(true, Ordering::SeqCst);
}

/// Keys that a late answer is read as, at most.
const ANSWER_KEYS_MAX: usize = 40;

/// Tells a late answer (`ESC ] … BEL` or `ESC \\`) from what a person types.
#[derive(Debug, Default)]
struct LateAnswer {
    left: usize,
}

impl LateAnswer {
    fn swallows(&mut self, event: &Event) -> bool {
        let Event::Key(key) = event else { return false };
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        if self.left == 0 {
            let begins = alt && key.code == KeyCode::Char(']') && ANSWER_LATE.swap(false, Ordering::SeqCst);
            self.left = if begins { ANSWER_KEYS_MAX } else { 0 };
            return begins;
        }
        let bell = key.code == KeyCode::Char('g') && key.modifiers.contains(KeyModifiers::CONTROL);
        let ends = bell || (alt && key.code == KeyCode::Char('\\'));
        self.left = if ends { 0 } else { self.left - 1 };
        true
    }
}

/// The drawn screen, and what it showed before: only what changed is written.
pub struct Screen {
    out: Stdout,
    pub wire: Wire,
}

impl Screen {
    /// Takes the terminal over: raw, alternate screen, bracketed paste, no cursor. A panic gives it back first.
    ///
    /// # Errors
    /// Stdout is no terminal, or the terminal refuses.
    pub fn open() -> io::Result<Self> {
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err(io::Error::other("the room needs a terminal; use the commands (opsroom help) in scripts"));
        }
        take()?;
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
        Ok(Self { out: io::stdout(), wire: Wire::default() })
    }

    pub fn size() -> (u16, u16) {
        terminal::size().unwrap_or((80, 24))
    }

    /// The next frame is drawn whole.
    pub fn forget(&mut self) {
        self.wire.forget();
    }

    /// Writes what differs from the last frame in one piece; nothing at all when nothing differs.
    ///
    /// # Errors
    /// The terminal cannot be written to.
    pub fn show(&mut self, frame: Buffer) -> io::Result<()> {
        let bytes = self.wire.write(frame);
        if bytes.is_empty() {
            return Ok(());
        }
        self.out.write_all(&bytes)?;
        self.out.flush()
    }

    /// Gives the terminal to the shell until `fg`.
    ///
    /// # Errors
    /// The terminal cannot be taken back.
    pub fn suspend(&mut self) -> io::Result<()> {
        give_back();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TSTP)?;
        take()?;
        self.forget();
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> io::Result<()> {
    terminal::enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, EnableFocusChange, cursor::Hide)
}

/// Gives the terminal back as it was. Does nothing when it is not taken.
pub fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // Whatever fails here, the rest must still be tried, and there is nobody left to tell.
        let _ = execute!(
            io::stdout(),
            terminal::EndSynchronizedUpdate,
            DisableMouseCapture,
            DisableFocusChange,
            DisableBracketedPaste,
            LeaveAlternateScreen,
            cursor::Show
        );
        let _ = terminal::disable_raw_mode();
    }
}

/// # Errors
/// The terminal cannot be written to.
pub fn mouse(on: bool) -> io::Result<()> {
    // Presses and the wheel alone: reports of every motion would be traffic that nobody needs.
    let mut out = io::stdout();
    out.write_all(if on { b"\x1b[?1000h\x1b[?1006h" } else { b"\x1b[?1006l\x1b[?1000l" })?;
    out.flush()
}

/// Reads keys on a thread of its own until the room closes.
pub fn read_input(to: Sender<Msg>) {
    READING.store(true, Ordering::SeqCst);
    std::thread::spawn(move || {
        let mut late = LateAnswer::default();
        while READING.load(Ordering::SeqCst) {
            match crossterm::event::poll(Duration::from_secs(1)) {
                Ok(false) => continue,
                Ok(true) => {}
                Err(_) => break,
            }
            let Ok(event) = crossterm::event::read() else { break };
            if late.swallows(&event) {
                continue;
            }
            if let Some(msg) = message(event)
                && to.blocking_send(msg).is_err()
            {
                break;
            }
        }
    });
}

pub fn stop_input() {
    READING.store(false, Ordering::SeqCst);
}

fn message(event: Event) -> Option<Msg> {
    Some(match event {
        Event::Key(k) => Msg::Key(key::from_crossterm(k)?),
        Event::Paste(text) => Msg::Paste(text),
        Event::Resize(width, height) => Msg::Resize(width, height),
        Event::Mouse(m) => match m.kind {
            MouseEventKind::ScrollDown => Msg::Wheel { down: true },
            MouseEventKind::ScrollUp => Msg::Wheel { down: false },
            MouseEventKind::Down(_) => Msg::Click { x: m.column, y: m.row, spot: None },
            _ => return None,
        },
        Event::FocusGained => Msg::Focus(true),
        Event::FocusLost => Msg::Focus(false),
    })
}

/// How long the room has to end by itself after its terminal has gone.
const GRACE: Duration = Duration::from_millis(500);

/// Ends the process when the terminal goes away. The reader cannot notice: it spins on a descriptor that is always ready.
pub fn watch_hangup(to: Sender<Msg>) {
    std::thread::spawn(move || {
        loop {
            let stdin = io::stdin();
            let mut fds = [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::empty())];
            match rustix::event::poll(&mut fds, None) {
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => break,
                Ok(_) if fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) => break,
                Ok(_) => {}
            }
        }
        let _ = to.try_send(Msg::Terminate);
        std::thread::sleep(GRACE);
        std::process::exit(0);
    });
}
