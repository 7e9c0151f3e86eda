//! Copying from wherever the room runs to the clipboard of whoever looks at it.

use std::io::Write;
use std::process::{Command, Stdio};

use base64::Engine;

/// Most bytes that terminals take in one OSC 52, encoded.
const OSC52_BYTES_MAX: usize = 74_994;

/// By which way text is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clipboard {
    /// The first way there is.
    #[default]
    Auto,
    Native,
    Tmux,
    Osc52,
    File,
}

impl Clipboard {
    /// `None`: there is no such way.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "" | "auto" => Self::Auto,
            "native" => Self::Native,
            "tmux" => Self::Tmux,
            "osc52" => Self::Osc52,
            "file" => Self::File,
            _ => return None,
        })
    }

    fn may(self, way: Self) -> bool {
        self == Self::Auto || self == way
    }
}

/// Puts text on a clipboard by the first way there is: the desktop's, tmux's, the terminal's own, else a file.
pub fn copy(text: &str, how: Clipboard) -> Result<String, String> {
    let text: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    let set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    let said = |way: &str| format!("copied {} bytes ({way})", text.len());
    if how == Clipboard::Native || (how == Clipboard::Auto && !set("SSH_CONNECTION")) {
        let native: [(&str, &str, &[&str]); 3] = [
            ("WAYLAND_DISPLAY", "wl-copy", &[]),
            ("DISPLAY", "xclip", &["-selection", "clipboard"]),
            ("HOME", "pbcopy", &[]),
        ];
        if let Some((_, program, _)) =
            native.iter().find(|(needs, program, args)| set(needs) && pipe(program, args, &text))
        {
            return Ok(said(program));
        }
    }
    if how.may(Clipboard::Tmux) && set("TMUX") && pipe("tmux", &["load-buffer", "-w", "-"], &text) {
        return Ok(said("tmux"));
    }
    let encoded = base64::engine::general_purpose::STANDARD.encode(&text);
    let fits = encoded.len() <= OSC52_BYTES_MAX;
    if how.may(Clipboard::Osc52) && fits {
        let mut out = std::io::stdout();
        let sequence = through_tmux(&format!("\x1b]52;c;{encoded}\x07"), set("TMUX"));
        let written = out.write_all(sequence.as_bytes()).and_then(|()| out.flush());
        return written.map(|()| said("the terminal, OSC 52")).map_err(|e| e.to_string());
    }
    let dir = directories::ProjectDirs::from("", "", "opsroom")
        .and_then(|d| d.state_dir().map(std::path::Path::to_path_buf))
        .ok_or("no state directory")?;
    let file = dir.join("clip.txt");
    std::fs::create_dir_all(&dir)
        .and_then(|()| std::fs::write(&file, &text))
        .map_err(|e| format!("{}: {e}", file.display()))?;
    let why = if fits { "" } else { "too long for the terminal: " };
    Ok(format!("{why}written to {}", file.display()))
}

/// A sequence for the terminal around tmux, which would else keep it to itself.
pub fn through_tmux(sequence: &str, inside: bool) -> String {
    if inside { format!("\x1bPtmux;{}\x1b\\", sequence.replace('\x1b', "\x1b\x1b")) } else { sequence.to_owned() }
}

fn pipe(program: &str, args: &[&str], text: &str) -> bool {
    let child =
        Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = child else { return false };
    let fed = child.stdin.take().is_some_and(|mut i| i.write_all(text.as_bytes()).is_ok());
    child.wait().is_ok_and(|s| s.success()) && fed
}
