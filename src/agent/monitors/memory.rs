//! Gives back what the allocator keeps. Counters come and go by thousands every few seconds, and between those that stay more than
//! half of the agent's memory would be holes.

use std::time::Duration;

use super::App;

const EVERY: Duration = Duration::from_secs(20);
/// A small agent is left alone.
const WORTH_BYTES: u64 = 96 << 20;

pub(super) async fn keep(app: App) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = app.stopped() => return,
        }
        // Some milliseconds, in which who allocates may wait: on a thread of its own.
        if resident_bytes().is_some_and(|bytes| bytes > WORTH_BYTES)
            && let Err(e) = tokio::task::spawn_blocking(trim).await
        {
            tracing::warn!("memory: {e}");
        }
    }
}

/// `None` where nobody tells.
fn resident_bytes() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let resident: u64 = pages.split(' ').nth(1)?.parse().ok()?;
    Some(resident * u64::try_from(rustix::param::page_size()).ok()?)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)] // malloc_trim has no safe wrapper; any thread may call it at any time
fn trim() {
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}
