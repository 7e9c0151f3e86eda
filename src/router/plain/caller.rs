//! The client of a plain request, who is listened to while its model server is waited for.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Sleep, sleep};

use super::buffer::Buffer;
use crate::base::clock::Stopwatch;

/// A client's connection, and what was read from it and not yet answered.
pub struct Caller<I> {
    pub io: I,
    pub read: Buffer,
    patience: Patience,
}

/// Why a model server is no longer waited for.
pub enum Gone {
    Client,
    Late,
}

/// How long an answer may take.
pub struct Term {
    pub since: Stopwatch,
    pub timeout: Duration,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Caller<I> {
    pub fn new(io: I) -> Self {
        Self { io, read: Buffer::default(), patience: Patience::default() }
    }

    /// Reads more; 0 when there is nothing more to come.
    pub async fn fill(&mut self) -> io::Result<usize> {
        std::future::poll_fn(|cx| self.read.poll_fill(cx, &mut self.io)).await
    }

    /// Writes all of it; encryption may hold some back until it is flushed.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.io.write_all(bytes).await?;
        self.io.flush().await
    }

    /// Waits for something, unless the client leaves or, where there is a term, it is over. What the client sends
    /// meanwhile is read as far as there is room.
    pub async fn meanwhile<T>(
        &mut self,
        term: Option<&Term>,
        mut something: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Result<T, Gone> {
        std::future::poll_fn(|cx| {
            if let Poll::Ready(done) = something(cx) {
                return Poll::Ready(Ok(done));
            }
            while !self.read.is_full() {
                match self.read.poll_fill(cx, &mut self.io) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Gone::Client)),
                    Poll::Ready(Ok(_)) => {}
                    Poll::Pending => break,
                }
            }
            match term {
                Some(term) if self.patience.is_over(cx, term) => Poll::Ready(Err(Gone::Late)),
                _ => Poll::Pending,
            }
        })
        .await
    }
}

/// One timer for all requests of a connection: it rings at or before the end of a term, and most terms are over long
/// before. To set one for each request would cost more than its answer.
#[derive(Default)]
struct Patience {
    timer: Option<Pin<Box<Sleep>>>,
    /// Its timeout when it was set.
    length: Duration,
}

impl Patience {
    fn is_over(&mut self, cx: &mut Context<'_>, term: &Term) -> bool {
        if self.timer.is_none() || self.length > term.timeout {
            self.set(term);
        }
        while let Some(timer) = &mut self.timer {
            if timer.as_mut().poll(cx).is_pending() {
                return false;
            }
            if term.since.elapsed() >= term.timeout {
                self.timer = None;
            } else {
                self.set(term);
            }
        }
        true
    }

    fn set(&mut self, term: &Term) {
        let timer = sleep(term.timeout.saturating_sub(term.since.elapsed()));
        match &mut self.timer {
            Some(old) => old.set(timer),
            none => *none = Some(Box::pin(timer)),
        }
        self.length = term.timeout;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_term_is_over_in_time_whatever_the_timer_was_set_for() {
        let (near, _far) = tokio::io::duplex(64);
        let mut caller = Caller::new(near);
        let ms = Duration::from_millis;
        for (timeout, answers) in [(60_000, true), (30, false), (100, true), (80, false), (40, false)] {
            let term = Term { since: Stopwatch::start(), timeout: ms(timeout) };
            let mut asked = 0;
            let waited = caller.meanwhile(Some(&term), |_| {
                asked += 1;
                if answers && asked > 1 { Poll::Ready(()) } else { Poll::Pending }
            });
            if answers {
                // Asked once, then left: the timer stays set.
                let _ = tokio::time::timeout(ms(5), waited).await;
            } else {
                assert!(matches!(waited.await, Err(Gone::Late)));
                assert!((ms(timeout)..ms(timeout + 1000)).contains(&term.since.elapsed()));
            }
        }
    }

    #[tokio::test]
    async fn what_is_written_is_not_held_back() {
        // As encryption does while a client does not read.
        let (near, mut far) = tokio::io::duplex(64);
        let mut caller = Caller::new(tokio::io::BufWriter::new(near));
        caller.write(b"all").await.unwrap();
        let mut got = [0; 3];
        let read =
            tokio::time::timeout(Duration::from_secs(5), tokio::io::AsyncReadExt::read_exact(&mut far, &mut got));
        assert!(matches!(read.await, Ok(Ok(3))) && &got == b"all");
    }

    #[tokio::test]
    async fn a_client_that_leaves_is_seen_and_what_it_sends_is_kept() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut caller = Caller::new(near);
        far.write_all(b"more").await.unwrap();
        drop(far);
        assert!(matches!(caller.meanwhile(None, |_| Poll::<()>::Pending).await, Err(Gone::Client)));
        assert_eq!(caller.read.data(), b"more");
    }
}
