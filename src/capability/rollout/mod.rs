//! Rollout: which version of a model answers which share of a service's traffic.
//!
//! Invariants: a service has one stable version and one candidate at most; stage and stable version move together; raising
//! a weight moves nobody back; a rollout's number is never given twice.

mod apply;
mod back;
mod command;
mod external;
mod form;
pub mod judge;
pub mod link;
mod past;
mod recovery;
pub mod server;
pub mod service;
pub mod split;
mod stages;
mod standing;
mod store;
pub mod table;

pub use apply::{Applied, By, apply, service as standing};
pub use command::Command;
pub use external::begun as deploy_begun;
pub use form::parse;
pub use past::{services_at, view_at};
pub use recovery::{Recovery, Turn};
pub use server::{Server, ServerState};
pub use service::{Deploy, Envoy, Launch, Service, Traffic};
pub use stages::{check_served, check_stage, stage_set};
pub use standing::{Awaited, EnvoyStatus, Forbidden, Rollout, Seen, ServiceView, Standing, State};
pub use store::STATEMENTS;
pub use table::{Answers, Arm, Limits, Protocol, Route, RouteTable, StickyKey};

use std::collections::BTreeSet;

use crate::base::{Timestamp, fault::Result};
use crate::capability::{Ctx, monitoring};
use crate::db::{Source, Tx};

/// How far before a way back its version is looked at.
const BEFORE_US: i64 = 3_600_000_000;

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
pub async fn view(ctx: &Ctx, name: &str, now: Timestamp) -> Result<ServiceView> {
    let mut source = Source::Pool(ctx.db.read());
    let standing = apply::service(source.again(), name).await?;
    let judgement = match &standing.candidate {
        Some(rollout) => Some(judgement(ctx, &standing, rollout, now).await?),
        None => None,
    };
    let mut history = store::rollouts(source.again(), name).await?;
    history.retain(|r| r.state.is_over());
    let recovery = match &standing.turned {
        None => None,
        Some(turn) => {
            let from = Timestamp(turn.at.0 - BEFORE_US);
            Some(Recovery::of(turn, &monitoring::windows(source.again(), name, from, now).await?))
        }
    };
    let servers = store::servers(source.again(), Some(name)).await?;
    let forbidden = store::forbidden_of(source, &standing.service.model).await?;
    let (seen, envoy_status) = (Vec::new(), None);
    Ok(ServiceView { standing, judgement, history, recovery, servers, forbidden, seen, envoy_status })
}

/// What the judge says of a rollout, from its beginning to now.
///
/// # Errors
/// The store's.
pub async fn judgement(ctx: &Ctx, standing: &Standing, rollout: &Rollout, now: Timestamp) -> Result<judge::Judgement> {
    let windows = windows_of(Source::Pool(ctx.db.read()), rollout, now).await?;
    let seen = ctx.gathered.of(ctx, standing, rollout, now).await?;
    Ok(judge::judge(&windows, standing.service.guards, standing.service.is_sticky(), &seen))
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
pub async fn route_table(source: Source<'_>) -> Result<RouteTable> {
    Ok(carried_by(source, Traffic::Router).await?.0)
}

/// What the team's Envoys serve by, and the addresses where they tell so.
///
/// # Errors
/// The store's.
pub async fn envoy_table(source: Source<'_>) -> Result<(RouteTable, Vec<String>)> {
    let (table, standing) = carried_by(source, Traffic::Envoy).await?;
    let envoys = standing.into_iter().filter(|s| s.service.traffic == Traffic::Envoy);
    let admin: BTreeSet<String> = envoys.filter_map(|s| s.service.envoy).flat_map(|e| e.admin).collect();
    Ok((table, admin.into_iter().collect()))
}

async fn carried_by(mut source: Source<'_>, by: Traffic) -> Result<(RouteTable, Vec<Standing>)> {
    let generation = store::generation(source.again()).await?;
    let servers = store::servers(source.again(), None).await?;
    let standing = store::services(source).await?;
    let routes = standing.iter().filter_map(|s| s.route(by, &servers)).collect();
    Ok((RouteTable { generation, routes }, standing))
}

/// Every model server that the agent runs.
///
/// # Errors
/// The store's.
pub async fn servers(source: Source<'_>) -> Result<Vec<Server>> {
    store::servers(source, None).await
}

/// Keeps how a server does; routers hear of it when its address matters to them.
///
/// # Errors
/// The store's.
pub async fn put_server(tx: &mut Tx, server: &Server, reroutes: bool) -> Result<()> {
    store::put_server(tx, server).await?;
    if reroutes { store::raise(tx).await } else { Ok(()) }
}

/// It runs no more.
///
/// # Errors
/// The store's.
pub async fn remove_server(tx: &mut Tx, server: &Server) -> Result<()> {
    store::remove_server(tx, &server.service, server.version).await?;
    store::raise(tx).await
}

/// A router went on by itself, as far as `generation`: what the store says next is newer.
///
/// # Errors
/// The store's.
pub async fn raise_generation(tx: &mut Tx, generation: i64) -> Result<()> {
    store::raise_to(tx, generation).await
}
