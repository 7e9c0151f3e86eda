//! What the work of a run took of a core, so that the run has a price.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// As `opsroom run` logs it.
const METRIC: &str = "system/process_cpu_seconds";

/// By the kernel's clock of the thread that works.
#[derive(Debug, Default)]
pub struct Meter(Duration);

impl Meter {
    /// Does a piece of the work, without handing the thread to anybody else.
    pub fn work<T>(&mut self, piece: impl FnOnce() -> T) -> T {
        let begin = now();
        let done = piece();
        self.0 += now().saturating_sub(begin);
        done
    }

    pub fn point(&self) -> (&'static str, f64) {
        (METRIC, self.0.as_secs_f64())
    }
}

fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
