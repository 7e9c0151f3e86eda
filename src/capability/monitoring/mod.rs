//! Monitoring: what happens to the predictions of models in production.

pub mod counters;
pub mod event;
pub mod incident;
pub mod quality;
mod store;
pub mod traffic;

pub use event::{Label, Prediction, Score, Usage};
pub use store::STATEMENTS;
pub use traffic::{ArmRole, TrafficWindow};

use crate::base::{Timestamp, fault::Result};
use crate::db::{Source, Tx};

/// Microseconds of a minute.
const MINUTE_US: i64 = 60_000_000;

/// Adds a batch of a router's counts, unless it was added before. Answers whether it was new.
///
/// # Errors
/// The store's.
pub async fn record(
    tx: &mut Tx,
    router: &str,
    sequence: i64,
    windows: &[TrafficWindow],
    now: Timestamp,
) -> Result<bool> {
    if store::sequence(tx, router).await?.is_some_and(|known| known >= sequence) {
        return Ok(false);
    }
    for window in windows {
        store::add(tx, window).await?;
    }
    store::put_sequence(tx, router, sequence, now).await?;
    Ok(true)
}

/// Traffic of a service between two moments, whole minutes, oldest first.
///
/// # Errors
/// The store's.
pub async fn windows(source: Source<'_>, service: &str, from: Timestamp, to: Timestamp) -> Result<Vec<TrafficWindow>> {
    store::windows(source, service, from.0.div_euclid(MINUTE_US), to.0.div_euclid(MINUTE_US) + 1).await
}

/// Services that routers counted requests of between two moments.
///
/// # Errors
/// The store's.
pub async fn routed(source: Source<'_>, from: Timestamp, to: Timestamp) -> Result<Vec<String>> {
    store::routed(source, from.0.div_euclid(MINUTE_US), to.0.div_euclid(MINUTE_US) + 1).await
}

/// Number and bytes of routers' counts before a moment.
///
/// # Errors
/// The store's.
pub async fn traffic_before(source: Source<'_>, before: Timestamp) -> Result<(u64, u64)> {
    let (windows, bytes) = store::before(source, before.0.div_euclid(MINUTE_US)).await?;
    Ok((u64::try_from(windows).unwrap_or(0), u64::try_from(bytes).unwrap_or(0)))
}

/// Takes them away.
///
/// # Errors
/// The store's.
pub async fn remove_traffic_before(tx: &mut Tx, before: Timestamp) -> Result<()> {
    store::remove_before(tx, before.0.div_euclid(MINUTE_US)).await
}
