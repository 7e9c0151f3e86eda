//! The outside: the only place that asks the agent, fills a clipboard or writes a file. Whatever comes of it returns as a message.

use std::future::Future;
use std::io::Write;
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use tokio::sync::mpsc::Sender;

use super::model::{Envelope, Outcome};
use super::msg::{Changed, Effect, Msg, Page, Want};
use super::views;
use crate::base::Fault;
use crate::base::clock::{Clock, SystemClock};

/// What is answered later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who is told what may have changed.
pub type Hear = Box<dyn Fn(Option<Changed>) + Send + Sync>;

/// Where the room gets what it shows: an agent, or files that are only read.
pub trait Source: Send + Sync + 'static {
    fn load(&self, want: Want) -> Later<'_, Result<Page, Fault>>;
    fn perform(&self, envelope: Envelope) -> Later<'_, Result<Outcome, Fault>>;
    /// Hints of what may have changed, given to `hear` until the stream breaks; then why it broke. `None` is a sign of life:
    /// the stream is open and has nothing to say.
    fn listen(&self, hear: Hear) -> Later<'_, Fault>;
}

/// Carries out what the room asks and sends back what came of it.
#[derive(Clone)]
pub struct Outside {
    pub source: Arc<dyn Source>,
    pub to: Sender<Msg>,
}

impl Outside {
    /// Starts an effect that needs no terminal; returns those that do.
    pub fn start(&self, effect: Effect) -> Option<Effect> {
        let (source, to) = (self.source.clone(), self.to.clone());
        match effect {
            Effect::Load(id, want) => {
                tokio::spawn(async move {
                    let page = source.load(want).await;
                    let _ = to.send(Msg::Loaded(id, Box::new(page))).await;
                });
            }
            Effect::Perform(id, envelope) => {
                tokio::spawn(async move {
                    let answer = source.perform(envelope).await;
                    let _ = to.send(Msg::Performed(id, answer)).await;
                });
            }
            Effect::Export(job) => {
                tokio::spawn(async move {
                    let written = match std::env::current_dir() {
                        Ok(folder) => super::export::write(*job, source.as_ref(), &folder, SystemClock.now()).await,
                        Err(e) => Err(format!("there is no current directory: {e}")),
                    };
                    let _ = to.send(Msg::Exported(written)).await;
                });
            }
            Effect::Copy(text) => {
                tokio::task::spawn_blocking(move || {
                    let _ = to.blocking_send(Msg::Copied(copy(&text)));
                });
            }
            Effect::SaveViews(all) => {
                tokio::task::spawn_blocking(move || {
                    let _ = to.blocking_send(Msg::Saved(views::save(&all)));
                });
            }
            other => return Some(other),
        }
        None
    }

    /// Listens for hints for as long as the room is open, with a pause that grows while nobody answers.
    pub fn listen(&self) {
        let (source, to) = (self.source.clone(), self.to.clone());
        tokio::spawn(async move {
            let mut pause = 1;
            loop {
                let alive = Arc::new(AtomicBool::new(false));
                let (heard, seen) = (to.clone(), alive.clone());
                // A full channel means that the room is busy; it will look again by itself, so the hint may go.
                let hear = Box::new(move |changed: Option<Changed>| {
                    seen.store(true, Ordering::Relaxed);
                    drop(heard.try_send(changed.map_or(Msg::Events(Ok(())), Msg::Hint)));
                });
                let fault = source.listen(hear).await;
                if to.send(Msg::Events(Err(fault.what))).await.is_err() {
                    return;
                }
                pause = if alive.load(Ordering::Relaxed) { 1 } else { (pause * 2).min(10) };
                tokio::time::sleep(Duration::from_secs(pause)).await;
            }
        });
    }
}

/// Most bytes that terminals take in one OSC 52, encoded.
const OSC52_BYTES_MAX: usize = 74_994;

/// Puts text on a clipboard by the first way there is: the desktop's, tmux's, the terminal's own, else a file.
fn copy(text: &str) -> Result<String, String> {
    let text: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    let set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    let said = |way: &str| format!("copied {} bytes ({way})", text.len());
    if !set("SSH_CONNECTION") {
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
    if set("TMUX") && pipe("tmux", &["load-buffer", "-w", "-"], &text) {
        return Ok(said("tmux"));
    }
    let encoded = base64::engine::general_purpose::STANDARD.encode(&text);
    if encoded.len() <= OSC52_BYTES_MAX {
        let mut out = std::io::stdout();
        let written = write!(out, "\x1b]52;c;{encoded}\x07").and_then(|()| out.flush());
        return written.map(|()| said("the terminal, OSC 52")).map_err(|e| e.to_string());
    }
    let dir = directories::ProjectDirs::from("", "", "opsroom")
        .and_then(|d| d.state_dir().map(std::path::Path::to_path_buf))
        .ok_or("no state directory")?;
    let file = dir.join("clip.txt");
    std::fs::create_dir_all(&dir)
        .and_then(|()| std::fs::write(&file, &text))
        .map_err(|e| format!("{}: {e}", file.display()))?;
    Ok(format!("too long for the terminal: written to {}", file.display()))
}

fn pipe(program: &str, args: &[&str], text: &str) -> bool {
    let child =
        Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = child else { return false };
    let fed = child.stdin.take().is_some_and(|mut i| i.write_all(text.as_bytes()).is_ok());
    child.wait().is_ok_and(|s| s.success()) && fed
}
