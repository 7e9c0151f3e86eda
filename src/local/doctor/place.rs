//! The machine and the terminal of the caller, and how the agent is reached from there.

use std::path::{Path, PathBuf};

use super::{Check, State};
use crate::base::{Fault, Timestamp, show};
use crate::capability::wire::Status;

/// Files that the agent and its clients may have open at once before it gets tight.
const FILES_MIN: u64 = 1024;
/// Free space that leaves room for a backup before a migration, bytes.
const FREE_MIN: u64 = 1 << 30;
/// Beyond this, ages on the screen mislead, seconds.
const SKEW_MAX: f64 = 2.0;

/// What the caller's process was started with.
pub struct Surroundings {
    /// The environment.
    pub variable: fn(&str) -> Option<String>,
    /// Columns and rows of the terminal; `None` without one.
    pub size: Option<(u16, u16)>,
    /// Where the store lies by default.
    pub data: PathBuf,
    /// Where an agent of this configuration would listen.
    pub listen: String,
}

impl Surroundings {
    /// Those of this process.
    pub fn here(data: PathBuf, listen: String) -> Self {
        let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
        let size = size.map(|s| (s.ws_col, s.ws_row)).filter(|s| s.0 > 0);
        Self { variable: |name| std::env::var(name).ok(), size, data, listen }
    }

    fn is(&self, name: &str) -> bool {
        (self.variable)(name).is_some_and(|v| !v.is_empty())
    }

    fn text(&self, name: &str) -> String {
        (self.variable)(name).unwrap_or_default()
    }
}

/// Terminal, fonts, colours, clipboard, disk, limits.
pub fn machine(around: &Surroundings) -> Vec<Check> {
    vec![terminal(around), glyphs(around), colours(around), clipboard(around), disk(&around.data), limits()]
}

fn terminal(around: &Surroundings) -> Check {
    let name = "terminal";
    match around.size {
        None => Check::with(
            name,
            State::Unknown,
            "this is no terminal",
            "run `opsroom doctor` in the terminal that you use",
        ),
        Some((columns, rows)) if columns < 80 || rows < 24 => Check::with(
            name,
            State::Partly,
            format!("{columns}x{rows}"),
            "screens are made for 80x24 and more; smaller ones show less",
        ),
        Some(_) if around.text("TERM") == "dumb" => {
            Check::with(name, State::Partly, "TERM=dumb", "the room is told in sentences here (`--plain`)")
        }
        Some((columns, rows)) => Check::good(name, format!("{columns}x{rows}, TERM={}", around.text("TERM"))),
    }
}

fn glyphs(around: &Surroundings) -> Check {
    let name = "characters";
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].map(|n| around.text(n)).into_iter().find(|v| !v.is_empty());
    let locale = locale.unwrap_or_default();
    let lower = locale.to_ascii_lowercase();
    if lower.contains("utf-8") || lower.contains("utf8") {
        // Whether a font has them only eyes can tell.
        return Check::good(name, format!("{locale}; these should be a ramp of dots and of shades: ⣀⣤⣶⣿ ░▒▓█ ✓"));
    }
    let found = if locale.is_empty() { "no locale is set".to_owned() } else { locale };
    Check::with(name, State::Partly, found, "charts are drawn in ASCII; `export LANG=C.UTF-8` for finer ones")
}

fn colours(around: &Surroundings) -> Check {
    let name = "colours";
    let (term, depth) = (around.text("TERM"), around.text("COLORTERM"));
    if around.is("NO_COLOR") {
        return Check::good(name, "none, as NO_COLOR asks");
    }
    if matches!(depth.as_str(), "truecolor" | "24bit") {
        return Check::good(name, format!("16 million, COLORTERM={depth}"));
    }
    if term.contains("256color") || term.contains("direct") {
        let next = if around.is("SSH_CONNECTION") { "sshd forwards TERM only: " } else { "" };
        let next = format!("{next}`--color truecolor` if the terminal has more");
        return Check::with(name, State::Good, format!("256, TERM={term}"), next);
    }
    Check::with(name, State::Partly, format!("16, TERM={term}"), "set TERM=xterm-256color if the terminal has more")
}

fn clipboard(around: &Surroundings) -> Check {
    let name = "clipboard";
    let display = around.is("WAYLAND_DISPLAY") || around.is("DISPLAY");
    if display && !around.is("SSH_CONNECTION") {
        return Check::good(name, "the desktop's own");
    }
    if around.is("TMUX") {
        return Check::with(
            name,
            State::Good,
            "tmux's buffer, and on to the terminal",
            "needs `set -g set-clipboard on`",
        );
    }
    Check::with(name, State::Good, "by the terminal (OSC 52)", "if nothing arrives, `client.clipboard = \"file\"`")
}

fn disk(data: &Path) -> Check {
    let name = "disk";
    // The folder may not be there yet: its file system is that of the first parent that is.
    let there = data.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
    let Ok(about) = rustix::fs::statvfs(there) else {
        return Check::with(name, State::Unknown, format!("cannot look at {}", there.display()), "");
    };
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    let found = format!("{} free at {}", show::bytes(free), data.display());
    if free < FREE_MIN {
        return Check::with(name, State::Partly, found, "make room: a full disk refuses every write");
    }
    Check::good(name, found)
}

fn limits() -> Check {
    let name = "open files";
    match rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        Some(limit) if limit < FILES_MIN => Check::with(
            name,
            State::Partly,
            format!("{limit} at once"),
            format!("`ulimit -n {FILES_MIN}` before the agent starts, or fewer clients can connect"),
        ),
        Some(limit) => Check::good(name, format!("{limit} at once")),
        None => Check::good(name, "no limit"),
    }
}

/// The agent as it answered, or did not; `now` is the caller's clock.
pub fn reachable(around: &Surroundings, answered: &Result<Status, Fault>, now: Timestamp) -> Vec<Check> {
    let status = match answered {
        Ok(status) => status,
        Err(fault) => {
            let next = if fault.next.is_empty() { "start one with `opsroom agent &`" } else { &fault.next };
            let agent = Check::with("agent", State::Missing, fault.what.clone(), next);
            return vec![agent, port(&around.listen)];
        }
    };
    let agent = Check::good(
        "agent",
        format!("{} at {}, up {}", status.version, status.address, show::between(status.started, status.now)),
    );
    let who = if status.verified { "verified" } else { "claimed" };
    let role = Check::good("you are", format!("{} ({who}, {})", status.actor, status.role.name()));
    let store = match status.writes_queued {
        0..1000 => Check::good("store", status.store.clone()),
        n => Check::with(
            "store",
            State::Partly,
            format!("{} with {n} writes waiting", status.store),
            "is its disk slow?",
        ),
    };
    [Some(agent), version(status), Some(role), Some(store), Some(clock(status, now))].into_iter().flatten().collect()
}

fn version(status: &Status) -> Option<Check> {
    let own = env!("CARGO_PKG_VERSION");
    let minor = |v: &str| v.split('.').nth(1).and_then(|m| m.parse::<u32>().ok()).unwrap_or_default();
    if minor(own).abs_diff(minor(&status.version)) <= 1 {
        return None;
    }
    let found = format!("client {own}, agent {}", status.version);
    Some(Check::with("versions", State::Partly, found, "one minor version apart works; bring the older one up to date"))
}

fn clock(status: &Status, now: Timestamp) -> Check {
    let skew = now.seconds_since(status.now);
    if skew.abs() <= SKEW_MAX {
        return Check::good("clock", "with the agent's");
    }
    Check::with(
        "clock",
        State::Partly,
        format!("{skew:+.1} s beside the agent's"),
        "set both by NTP: ages would mislead",
    )
}

fn port(listen: &str) -> Check {
    match std::net::TcpListener::bind(listen) {
        Ok(_) => Check::good("port", format!("{listen} is free")),
        Err(e) => Check::with("port", State::Partly, format!("{listen}: {e}"), "choose another with `--listen`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(variable: fn(&str) -> Option<String>, size: Option<(u16, u16)>) -> Surroundings {
        Surroundings { variable, size, data: PathBuf::from("/no/such/place"), listen: "127.0.0.1:0".to_owned() }
    }

    #[test]
    fn a_bare_console_gets_advice_and_a_good_one_none() {
        let bare = around(|name| (name == "TERM").then(|| "linux".to_owned()), Some((60, 16)));
        let told = machine(&bare);
        let states: Vec<_> = told.iter().map(|c| (&*c.name, c.state)).collect();
        assert_eq!(
            states[..3],
            [("terminal", State::Partly), ("characters", State::Partly), ("colours", State::Partly)]
        );
        assert!(machine(&bare)[..3].iter().all(|c| !c.next.is_empty()));
        let good = around(
            |name| match name {
                "TERM" => Some("xterm-256color".to_owned()),
                "COLORTERM" => Some("truecolor".to_owned()),
                "LANG" => Some("en_GB.UTF-8".to_owned()),
                _ => None,
            },
            Some((120, 40)),
        );
        assert!(machine(&good)[..3].iter().all(|c| c.state == State::Good), "{:?}", machine(&good));
    }

    #[test]
    fn no_agent_is_said_with_what_to_do() {
        let answered = Err(Fault::unavailable("no agent answers"));
        let checks = reachable(&around(|_| None, None), &answered, Timestamp(0));
        assert_eq!((checks[0].state, checks[0].next.as_str()), (State::Missing, "start one with `opsroom agent &`"));
        assert_eq!(checks[1].state, State::Good);
    }
}
