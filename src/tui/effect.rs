//! The outside: the only place that asks the agent, fills a clipboard or writes a file. Whatever comes of it returns as a message.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tokio::task::AbortHandle;

use super::clipboard::{self, Clipboard};
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

/// Agents under names, to change between.
pub trait Contexts: Send + Sync + std::fmt::Debug + 'static {
    fn names(&self) -> Vec<String>;
    /// Reaches the agent of a context.
    fn enter(&self, name: String) -> Later<'_, Result<Entered, Fault>>;
}

/// An agent that answers.
pub struct Entered {
    pub source: Arc<dyn Source>,
    /// Why nothing may be changed there.
    pub read_only: Option<String>,
}

/// Carries out what the room asks and sends back what came of it.
pub struct Outside {
    pub source: Arc<dyn Source>,
    pub to: Sender<Msg>,
    pub contexts: Option<Arc<dyn Contexts>>,
    pub clipboard: Clipboard,
    /// The agent that was asked for and answers, until it takes the place of the one in use.
    asked_for: Arc<Mutex<Option<Arc<dyn Source>>>>,
    listening: Option<AbortHandle>,
}

impl Outside {
    pub fn new(
        source: Arc<dyn Source>,
        to: Sender<Msg>,
        contexts: Option<Arc<dyn Contexts>>,
        clipboard: Clipboard,
    ) -> Self {
        Self { source, to, contexts, clipboard, asked_for: Arc::default(), listening: None }
    }

    /// Reaches the agent of a context; it waits for [`Outside::exchange`].
    pub fn enter(&self, name: String) {
        let Some(contexts) = self.contexts.clone() else { return };
        let (to, asked_for) = (self.to.clone(), self.asked_for.clone());
        tokio::spawn(async move {
            let answer = contexts.enter(name.clone()).await.map(|entered| {
                if let Ok(mut place) = asked_for.lock() {
                    *place = Some(entered.source);
                }
                entered.read_only
            });
            let _ = to.send(Msg::Entered(name, answer)).await;
        });
    }

    /// The agent that was asked for takes the place of the one in use.
    pub fn exchange(&mut self) {
        let Some(source) = self.asked_for.lock().ok().and_then(|mut place| place.take()) else { return };
        self.source = source;
        self.listen();
    }

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
                let how = self.clipboard;
                tokio::task::spawn_blocking(move || {
                    let _ = to.blocking_send(Msg::Copied(clipboard::copy(&text, how)));
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
    pub fn listen(&mut self) {
        let (source, to) = (self.source.clone(), self.to.clone());
        if let Some(before) = self.listening.take() {
            before.abort();
        }
        let listening = tokio::spawn(async move {
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
        self.listening = Some(listening.abort_handle());
    }
}
