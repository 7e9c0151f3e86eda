//! Does the erasures that are decided, also those that an earlier agent did not end.

use std::time::Duration;

use super::{App, woken};
use crate::capability::{Hint, keeping};

pub(super) async fn keep(app: App) {
    let mut hints = app.ctx().hints.listen();
    loop {
        let mut period = Duration::from_hours(1);
        if let Err(fault) = keeping::finish(app.ctx()).await {
            tracing::warn!("an erasure is put off: {fault}");
            period = Duration::from_mins(1);
        }
        if !woken(&app, &mut hints, period, |h| matches!(h, Hint::Audit | Hint::Everything)).await {
            return;
        }
    }
}
