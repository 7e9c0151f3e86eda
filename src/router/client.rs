//! A client's connection as its requests see it, and the router's patience with clients that ask nothing.
//!
//! A timer for each request would cost more than all else that the router says about time: a worker looks at all its
//! connections once a second instead, so that a client's time to send its headers is right to a second.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::live::Live;
use super::state::State;

/// Between two looks at a worker's connections.
const TICK: Duration = Duration::from_secs(1);
/// How many of them a client may take to agree on encryption, to send its headers, or to ask again.
pub const TICKS_MAX: u32 = 15;
/// In place of the tick since which a client asks nothing: it has asked something.
const ASKS: u32 = u32::MAX;

thread_local! {
    /// Looks that this worker has taken.
    static NOW: Cell<u32> = const { Cell::new(0) };
}

/// One connection.
pub struct Client {
    pub state: Arc<State>,
    /// The service whose own address it came by; otherwise a request's path begins with the service.
    pub own: Option<Arc<str>>,
    /// The tick since which it asks nothing.
    since: AtomicU32,
}

impl Client {
    pub fn new(state: Arc<State>, own: Option<Arc<str>>) -> Self {
        Self { state, own, since: AtomicU32::new(NOW.get()) }
    }

    /// It is given time from now on.
    pub fn waits(&self) {
        self.since.store(NOW.get(), Ordering::Relaxed);
    }

    /// It is not waited for: it has asked something, or its protocol sees for itself whether it is still there.
    pub fn asks(&self) {
        self.since.store(ASKS, Ordering::Relaxed);
    }

    fn is_overdue(&self, now: u32) -> bool {
        let since = self.since.load(Ordering::Relaxed);
        since != ASKS && now.saturating_sub(since) > TICKS_MAX
    }
}

/// A client that is connected; it counts as one while this lives.
pub struct Connected(Arc<Client>);

impl Connected {
    pub fn new(client: &Arc<Client>) -> Self {
        client.state.connections.fetch_add(1, Ordering::Relaxed);
        Self(client.clone())
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.state.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request that is open; it counts as one while this lives.
pub struct Open {
    pub client: Arc<Client>,
    pub live: Arc<Live>,
    multiplexed: bool,
}

impl Open {
    /// A connection that is `multiplexed` has several of them at once.
    pub fn new(client: &Arc<Client>, live: Arc<Live>, multiplexed: bool) -> Self {
        client.asks();
        live.open.fetch_add(1, Ordering::Relaxed);
        client.state.open.fetch_add(1, Ordering::Relaxed);
        Self { client: client.clone(), live, multiplexed }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.live.open.fetch_sub(1, Ordering::Relaxed);
        self.client.state.open.fetch_sub(1, Ordering::Relaxed);
        if !self.multiplexed {
            self.client.waits();
        }
    }
}

/// The connections of one worker.
#[derive(Default)]
pub struct Clients {
    all: RefCell<Vec<(AbortHandle, Arc<Client>)>>,
    came: Notify,
}

impl Clients {
    /// Serves a connection until it ends, or its client has asked nothing for too long.
    pub fn serve(&self, client: Arc<Client>, serving: impl Future<Output = ()> + Send + 'static) {
        let connected = Connected::new(&client);
        let task = tokio::spawn(async move {
            let _connected = connected;
            serving.await;
        });
        self.all.borrow_mut().push((task.abort_handle(), client));
        self.came.notify_one();
    }

    /// Ends connections whose clients keep it waiting, and idle ones to model servers that have closed them. Sleeps while there are none.
    pub async fn look(&self, state: &State) {
        loop {
            while self.all.borrow().is_empty() {
                self.came.notified().await;
            }
            tokio::time::sleep(TICK).await;
            NOW.set(NOW.get() + 1);
            state.upstreams.sweep();
            self.all.borrow_mut().retain(|(task, client)| {
                if client.is_overdue(NOW.get()) {
                    task.abort();
                }
                !task.is_finished()
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_that_asks_nothing_becomes_overdue() {
        let folder = tempfile::tempdir().unwrap();
        let state = Arc::new(State::open(folder.path(), "http://h".to_owned(), None).unwrap());
        let client = Client::new(state, None);
        let begin = NOW.get();
        assert!(!client.is_overdue(begin + TICKS_MAX));
        assert!(client.is_overdue(begin + TICKS_MAX + 1));
        client.asks();
        assert!(!client.is_overdue(begin + 10 * TICKS_MAX));
        NOW.set(begin + 10 * TICKS_MAX);
        client.waits();
        assert!(!client.is_overdue(NOW.get() + TICKS_MAX));
        assert!(client.is_overdue(NOW.get() + TICKS_MAX + 1));
    }
}
