//! Hosts with the runs on each, and those runs that stand still while their host does nothing, with what an hour of it costs.

use std::collections::BTreeMap;

use super::gather::{self, Book, HOST_TAG};
use super::{HostView, Stalled, advice};
use crate::base::money::Micro;
use crate::base::{Timestamp, fault::Result, show};
use crate::capability::Ctx;
use crate::capability::hosts::{self, Host};
use crate::capability::tracking::{Run, RunStatus};
use crate::db::Source;

/// Every host by name.
///
/// # Errors
/// The store's.
pub async fn hosts(ctx: &Ctx, now: Timestamp) -> Result<Vec<HostView>> {
    let book = gather::book(Source::Pool(ctx.db.read())).await?;
    let known = hosts::hosts(Source::Pool(ctx.db.read()), now).await?;
    let running: Vec<std::sync::Arc<Run>> =
        ctx.tracking.read(|s| s.runs().iter().filter(|r| r.status == RunStatus::Running).cloned().collect());
    Ok(known.into_iter().map(|host| view(host, &running, &book, now)).collect())
}

fn view(host: Host, running: &[std::sync::Arc<Run>], book: &Book, now: Timestamp) -> HostView {
    let on = |r: &&std::sync::Arc<Run>| r.tags.get(HOST_TAG).is_some_and(|h| **h == *host.name);
    let here: Vec<&std::sync::Arc<Run>> = running.iter().filter(on).collect();
    let still = |r: &&std::sync::Arc<Run>| {
        let silent = advice::silence(r, now)?;
        let idle = host.newest.as_ref().filter(|m| !host.away && m.figures.is_idle())?;
        Some(Stalled {
            run: r.id,
            name: r.name.to_string(),
            why: format!("no step for {}, {}", show::span(silent), idle.figures.use_words()),
            hour: advice::a_day_of(r, book, now).map(|m| Micro(m.0 / 24)),
        })
    };
    let stalled = here.iter().filter_map(still).collect();
    let runs = here.iter().map(|r| r.name.to_string()).collect();
    HostView { host, runs, stalled }
}

/// What hosts do, by name: for whoever says why a run stands still.
pub(super) fn uses(all: &[HostView]) -> BTreeMap<&str, String> {
    let told = |v: &HostView| v.host.newest.as_ref().filter(|_| !v.host.away).map(|m| m.figures.use_words());
    all.iter().filter_map(|v| Some((v.host.name.as_str(), told(v)?))).collect()
}
