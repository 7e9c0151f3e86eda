//! How the agent does, and asking it to end.

use axum::extract::{Extension, State};
use axum::http::StatusCode;

use super::super::App;
use super::super::fault::Own;
use super::super::json::Json;
use crate::base::Fault;
use crate::capability::Actor;
use crate::capability::access::Role;
use crate::capability::tracking::RunStatus;

use crate::capability::wire::Status;

pub(super) async fn status(State(app): State<App>, Extension(actor): Extension<Actor>) -> Json<Status> {
    let ctx = app.ctx();
    let (experiments, runs, running, tail_points) = ctx.tracking.read(|s| {
        let running = s.runs().iter().filter(|r| r.status == RunStatus::Running).count();
        (s.experiments().count(), s.runs().len(), running, s.tail_points())
    });
    let (router, tap) = app.router();
    Json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        address: app.address().to_owned(),
        socket: app.settings().socket.display().to_string(),
        store: app.store_shown(),
        artifacts: ctx.artifacts.blobs().place().to_owned(),
        badge: app.settings().badge.clone(),
        pid: std::process::id(),
        started: app.started(),
        now: app.now(),
        actor: actor.who.name,
        verified: actor.who.verified,
        role: actor.role,
        experiments,
        runs,
        running,
        writes_queued: ctx.tracking.queued(),
        unfolded_points: tail_points,
        tap,
        shed: ctx.counters.shed(),
        router,
    })
}

pub(super) async fn stop(State(app): State<App>, Extension(actor): Extension<Actor>) -> Result<StatusCode, Own> {
    if actor.role < Role::Admin {
        return Err(Own(Fault::denied(format!("{} may not stop the agent", actor.who.name))
            .next("come by the agent's own socket, or with an admin's token")));
    }
    app.stop_all();
    Ok(StatusCode::ACCEPTED)
}
