//! Wakes the agent once there is something to take. While nobody waits, a request pays one look at a flag for it.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

#[derive(Default)]
pub struct Bell {
    awaited: AtomicBool,
    rung: Notify,
}

impl Bell {
    /// Something is there. Whoever rings has put it there before, under a lock that `wait` looks under.
    pub fn ring(&self) {
        if self.awaited.load(Ordering::SeqCst) && self.awaited.swap(false, Ordering::SeqCst) {
            self.rung.notify_waiters();
        }
    }

    /// Resolves when something is there; at once if it is already.
    pub async fn wait(&self, is_there: impl Fn() -> bool) {
        loop {
            let mut rung = std::pin::pin!(self.rung.notified());
            // Listens before it looks, so that nothing is missed in between.
            rung.as_mut().enable();
            self.awaited.store(true, Ordering::SeqCst);
            if is_there() {
                return;
            }
            rung.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[tokio::test]
    async fn all_who_wait_hear_and_what_is_there_already_is_not_waited_for() {
        let (bell, there) = (Arc::new(Bell::default()), Arc::new(Mutex::new(0)));
        bell.ring();
        let wait = |least: i32| {
            let (bell, there) = (bell.clone(), there.clone());
            tokio::spawn(async move { bell.wait(|| *there.lock().unwrap() >= least).await })
        };
        let (first, other, late) = (wait(1), wait(1), wait(2));
        tokio::task::yield_now().await;
        *there.lock().unwrap() = 1;
        bell.ring();
        first.await.unwrap();
        other.await.unwrap();
        assert!(!late.is_finished());
        *there.lock().unwrap() = 2;
        bell.ring();
        late.await.unwrap();
        wait(2).await.unwrap();
    }
}
