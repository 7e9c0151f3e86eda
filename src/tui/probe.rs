//! Asks the terminal for its background before the first frame. A terminal that is slow to answer, or does not, is not waited for.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::base::clock::Stopwatch;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_millis(100);
/// The question for the background, and one that every terminal answers: after that answer nothing more comes.
const QUESTION: &[u8] = b"\x1b]11;?\x1b\\\x1b[c";
/// Bytes of an answer at most.
const ANSWER_BYTES_MAX: usize = 1024;

/// What came of asking.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Background {
    /// Lightness, 0 to 1.
    Known(f64),
    /// The terminal does not tell.
    Untold,
    /// No answer yet; it may still come among the keys.
    Late,
}

/// Asks a terminal in raw mode that nobody else reads yet.
pub fn background() -> Background {
    let mut out = io::stdout();
    if out.write_all(QUESTION).and_then(|()| out.flush()).is_err() {
        return Background::Untold;
    }
    let watch = Stopwatch::start();
    let mut answer = Vec::new();
    while let Some(left) = PATIENCE.checked_sub(watch.elapsed()) {
        let stdin = io::stdin();
        let mut fds = [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)];
        let wait = Timespec { tv_sec: 0, tv_nsec: left.subsec_nanos().into() };
        match rustix::event::poll(&mut fds, Some(&wait)) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let mut part = [0_u8; 256];
        let Ok(n @ 1..) = rustix::io::read(stdin.as_fd(), &mut part) else { break };
        answer.extend_from_slice(&part[..n]);
        if is_complete(&answer) || answer.len() > ANSWER_BYTES_MAX {
            return lightness(&answer).map_or(Background::Untold, Background::Known);
        }
    }
    lightness(&answer).map_or(Background::Late, Background::Known)
}

/// Whether the answer to the second question is there: `ESC [ ? … c`.
fn is_complete(answer: &[u8]) -> bool {
    let begun = answer.windows(3).position(|w| w == b"\x1b[?");
    begun.is_some_and(|at| answer[at..].contains(&b'c'))
}

/// From `ESC ] 11 ; rgb:RRRR/GGGG/BBBB`, with one to four digits a colour.
fn lightness(answer: &[u8]) -> Option<f64> {
    let text = String::from_utf8_lossy(answer);
    let (_, colours) = text.split_once("]11;rgb")?;
    let colours = colours.trim_start_matches('a').strip_prefix(':')?;
    let end = colours.find(|c: char| !c.is_ascii_hexdigit() && c != '/').unwrap_or(colours.len());
    let parts: Vec<f64> = colours[..end]
        .split('/')
        .filter_map(|p| {
            let most = 16_f64.powi(i32::try_from(p.len()).ok()?) - 1.0;
            u32::from_str_radix(p, 16).ok().map(|v| f64::from(v) / most)
        })
        .collect();
    let [r, g, b, ..] = parts[..] else { return None };
    Some(0.2126 * r + 0.7152 * g + 0.0722 * b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_terminals_are_read() {
        let light = |text: &str| lightness(text.as_bytes()).map(|l| (l * 100.0).round() / 100.0);
        assert_eq!(light("\x1b]11;rgb:ffff/ffff/ffff\x1b\\\x1b[?62;c"), Some(1.0));
        assert_eq!(light("\x1b]11;rgb:11/15/1c\x07"), Some(0.08));
        assert_eq!(light("\x1b]11;rgba:0000/0000/0000/ffff\x07"), Some(0.0));
        assert_eq!(light("\x1b[?62;22c"), None);
        assert!(is_complete(b"x\x1b[?62;22c") && !is_complete(b"\x1b]11;rgb:cc"));
    }
}
