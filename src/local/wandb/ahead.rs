//! A log that is read on a thread of its own, from before there is an agent to tell it to.

use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::log::Log;
use super::record::Story;
use crate::base::{Fault, fault::Result};
use crate::capability::tracking::points::Point;
use crate::capability::tracking::wandb::Upsert;

/// Points that are sent at once: this bounds the memory that reading takes.
pub const POINTS_AT_ONCE: usize = 65_536;
/// Stretches that wait for the agent; then reading waits, too.
const WAITING_MAX: usize = 6;

/// Lines that go to the agent together, and how far the log has come with them.
pub struct Stretch {
    pub series: Vec<(String, Vec<Point>)>,
    pub history: u64,
    pub events: u64,
    pub step: i64,
    pub runtime: f64,
    pub at_ms: i64,
}

impl Stretch {
    /// Takes the points out of a story that wait in it.
    pub fn cut(story: &mut Story) -> Self {
        Self {
            series: story.columns.take(),
            history: story.history,
            events: story.events,
            step: story.step,
            runtime: story.runtime,
            at_ms: story.at_ms,
        }
    }
}

/// What is new about the run, and the next lines.
type Next = (Option<Upsert>, Stretch);

/// The reading of a log of which the agent knows nothing yet.
pub struct Ahead {
    read: mpsc::Receiver<Next>,
    end: JoinHandle<Result<(Log, Story)>>,
}

impl Ahead {
    /// Begins to read; for a runtime only.
    pub fn begin(path: PathBuf) -> Self {
        let (to, read) = mpsc::channel(WAITING_MAX);
        let end = tokio::task::spawn_blocking(move || {
            let (mut log, mut story) = (Log::default(), Story::default());
            log.read(&path, |record| {
                let naming = !story.named;
                story.take(record);
                if !(naming && story.named) && story.columns.waiting < POINTS_AT_ONCE {
                    return true;
                }
                // Nobody wants it any more when this fails.
                !story.named || to.blocking_send((story.news(), Stretch::cut(&mut story))).is_ok()
            })?;
            Ok((log, story))
        });
        Self { read, end }
    }

    /// The next lines, until only those are left that stand in the story.
    pub async fn next(&mut self) -> Option<Next> {
        self.read.recv().await
    }

    /// How far it came, with what was read last.
    ///
    /// # Errors
    /// As [`Log::read`].
    pub async fn end(self) -> Result<(Log, Story)> {
        self.end.await.unwrap_or_else(|e| Err(Fault::bug("a log was not read").why(e.to_string())))
    }
}
