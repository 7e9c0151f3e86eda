//! In front of the queue: for how many bytes there is room on their way in, and how many bodies are read at once. A flood waits
//! here before it takes memory, and who waits too long is told to come again; the rest of the agent keeps its share of the machine.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::check::{BODY_BYTES_MAX, Parsed};
use super::ingest::{Counters, PATIENCE};
use crate::base::{Fault, Timestamp, fault::Result};

/// Bodies that are being received, or wait to be read.
const ARRIVING_BYTES_MAX: usize = 2 * BODY_BYTES_MAX;
/// Bodies that are read at once.
const READING_MAX: usize = 4;

/// The room there is.
#[derive(Clone)]
pub(super) struct Door {
    arriving: Arc<Semaphore>,
    reading: Arc<Semaphore>,
}

impl Door {
    /// Half of the processors read bodies: the others are for whoever looks.
    pub fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let reading = (processors / 2).clamp(1, READING_MAX);
        Self { arriving: Arc::new(Semaphore::new(ARRIVING_BYTES_MAX)), reading: Arc::new(Semaphore::new(reading)) }
    }
}

/// A body may come in, and has its room until it was read.
pub struct Admitted {
    reading: Arc<Semaphore>,
    _room: OwnedSemaphorePermit,
}

impl Counters {
    /// Waits for room for a body of so many bytes; `None`: nobody said how long it is.
    ///
    /// # Errors
    /// `Unavailable` when there is none for too long; then the body need not even be received.
    pub async fn admit(&self, bytes: Option<usize>, now: Timestamp) -> Result<Admitted> {
        let bytes = bytes.unwrap_or(BODY_BYTES_MAX).clamp(1, BODY_BYTES_MAX);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let room = tokio::time::timeout(PATIENCE, self.door.arriving.clone().acquire_many_owned(bytes)).await;
        let Ok(Ok(room)) = room else {
            self.inner.shed_bodies.fetch_add(1, Ordering::Relaxed);
            self.inner.shed_last.store(now.0, Ordering::Relaxed);
            return Err(Fault::unavailable("the request was not taken")
                .why("more comes than can be read")
                .next("send it again, more slowly"));
        };
        Ok(Admitted { reading: self.door.reading.clone(), _room: room })
    }
}

impl Admitted {
    /// Has a body read, while others wait for their turn. The turn is given up when what was read has found room in the queue.
    ///
    /// # Errors
    /// What is wrong with the body.
    pub async fn read<T: Send + 'static>(
        self,
        work: impl FnOnce() -> Result<Parsed<T>> + Send + 'static,
    ) -> Result<Parsed<T>> {
        let turn = self.reading.clone().acquire_owned().await.ok();
        let read = tokio::task::spawn_blocking(work).await.map_err(|e| Fault::bug("the body").why(e.to_string()))?;
        read.map(|parsed| Parsed { turn, ..parsed })
    }
}
