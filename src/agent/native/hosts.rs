//! Hosts on opsroom's own API: edges tell, the room asks.

use axum::extract::{Extension, Path, Query, State};
use serde::Deserialize;

use super::super::App;
use super::super::fault::Own;
use super::super::json::Json;
use super::predictions::moment;
use super::reads::Body;
use crate::base::Fault;
use crate::capability::access::Role;
use crate::capability::cost::{self, HostView};
use crate::capability::hosts::{self, Minute, Taken, Told};
use crate::capability::{Actor, Hint};
use crate::db::Source;

/// Without a word about it, the last hour.
const WINDOW_US: i64 = 3_600_000_000;

pub(super) async fn tell(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Body(told): Body<Told>,
) -> Result<Json<Taken>, Own> {
    if actor.role < Role::Client {
        return Err(Own(Fault::denied(format!("{} may not tell of hosts", actor.who.name))
            .why(format!("it needs role client, yours is {}", actor.role.name()))
            .next("give the edge another token: `opsroom token create NAME --role operator`")));
    }
    let ctx = app.ctx();
    let mut tx = ctx.db.begin().await?;
    let taken = match hosts::record(&mut tx, &told, true, app.now()).await {
        Ok(taken) => taken,
        Err(fault) => {
            tx.rollback().await;
            return Err(Own(fault));
        }
    };
    tx.commit().await?;
    ctx.hints.give(Hint::Hosts);
    Ok(Json(taken))
}

pub(super) async fn list(State(app): State<App>) -> Result<Json<Vec<HostView>>, Own> {
    Ok(Json(cost::hosts(app.ctx(), app.now()).await?))
}

#[derive(Deserialize)]
pub(super) struct Since {
    #[serde(default)]
    since: Option<String>,
}

pub(super) async fn minutes(
    State(app): State<App>,
    Path(host): Path<String>,
    Query(of): Query<Since>,
) -> Result<Json<Vec<Minute>>, Own> {
    let now = app.now();
    let since = of.since.filter(|t| !t.is_empty()).map(|t| moment(&t)).transpose()?;
    let since = since.unwrap_or(crate::base::Timestamp(now.0 - WINDOW_US));
    let source = || Source::Pool(app.ctx().db.read());
    let all = hosts::minutes(source(), &host, since, now).await?;
    if all.is_empty() && !hosts::hosts(source(), now).await?.iter().any(|h| h.name == host) {
        return Err(Own(Fault::not_found(format!("no host {host}")).next("see `opsroom hosts`")));
    }
    Ok(Json(all))
}
