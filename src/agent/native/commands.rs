//! The one route that changes what is decided.

use axum::extract::{Extension, State};

use std::time::Duration;

use super::super::App;
use super::super::fault::Own;
use super::super::json::Json;
use super::reads::Body;
use crate::capability::{self, Actor, Command, Envelope, Outcome, rollout};
use crate::db::Source;

/// How long an answer waits for the router.
const SERVED: Duration = Duration::from_millis(500);

pub(super) async fn perform(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Body(envelope): Body<Envelope>,
) -> Result<Json<Outcome>, Own> {
    // Whoever posts a command can write a reason into it.
    let actor = Actor { can_give_reason: true, ..actor };
    let moves_callers = matches!(&envelope.command, Command::Rollouts(c) if c.touches_traffic());
    let outcome = capability::perform(app.ctx(), &actor, envelope).await?;
    if moves_callers && !outcome.dry_run && !app.router().0.is_empty() {
        // The answer means that nobody new gets the old version: it comes when the router says so. Where the router
        // cannot, the decision stands all the same.
        let generation = rollout::route_table(Source::Pool(app.ctx().db.read())).await?.generation;
        let _ = tokio::time::timeout(SERVED, app.served(generation)).await;
    }
    Ok(Json(outcome))
}
