//! Rollout: which version of a model answers which share of a service's traffic.
//!
//! Invariants: a service has one stable version and one candidate at most; stage and stable version move together; raising
//! a weight moves nobody back; a rollout's number is never given twice.

mod apply;
mod command;
pub mod judge;
pub mod link;
pub mod service;
pub mod split;
mod standing;
mod store;
pub mod table;

pub use apply::{Applied, By, apply, check_served, check_stage, service as standing, stage_set};
pub use command::Command;
pub use service::{Service, parse};
pub use standing::{Rollout, ServiceView, Standing, State};
pub use store::STATEMENTS;
pub use table::{Arm, Limits, Protocol, Route, RouteTable, StickyKey};

use crate::base::{Timestamp, fault::Result};
use crate::capability::monitoring;
use crate::db::{Source, Tx};

/// Every service, by name.
///
/// # Errors
/// The store's.
pub async fn services(source: Source<'_>) -> Result<Vec<Standing>> {
    store::services(source).await
}

/// A service with the judge's word on what goes on, and what went before.
///
/// # Errors
/// `NotFound`.
pub async fn view(mut source: Source<'_>, name: &str, now: Timestamp) -> Result<ServiceView> {
    let standing = apply::service(source.again(), name).await?;
    let judgement = match &standing.candidate {
        Some(rollout) => Some(judgement(source.again(), &standing, rollout, now).await?),
        None => None,
    };
    let mut history = store::rollouts(source, name).await?;
    history.retain(|r| r.state.is_over());
    Ok(ServiceView { standing, judgement, history })
}

/// What the judge says of a rollout, from its beginning to now.
///
/// # Errors
/// The store's.
pub async fn judgement(
    source: Source<'_>,
    standing: &Standing,
    rollout: &Rollout,
    now: Timestamp,
) -> Result<judge::Judgement> {
    let windows = windows_of(source, rollout, now).await?;
    Ok(judge::judge(&windows, standing.service.guards, standing.service.is_sticky(), Vec::new()))
}

/// Traffic of a rollout's two versions since it began.
///
/// # Errors
/// The store's.
pub async fn windows_of(
    source: Source<'_>,
    rollout: &Rollout,
    now: Timestamp,
) -> Result<Vec<monitoring::TrafficWindow>> {
    let mut windows = monitoring::windows(source, &rollout.service, rollout.started, now).await?;
    windows.retain(|w| [rollout.version, rollout.against].contains(&w.version));
    Ok(windows)
}

/// What routers serve by.
///
/// # Errors
/// The store's.
pub async fn route_table(mut source: Source<'_>) -> Result<RouteTable> {
    let generation = store::generation(source.again()).await?;
    let routes = store::services(source).await?.iter().filter_map(Standing::route).collect();
    Ok(RouteTable { generation, routes })
}

/// A router went on by itself, as far as `generation`: what the store says next is newer.
///
/// # Errors
/// The store's.
pub async fn raise_generation(tx: &mut Tx, generation: i64) -> Result<()> {
    store::raise_to(tx, generation).await
}
