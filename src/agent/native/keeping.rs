//! How long things are kept, and what would be collected.

use axum::extract::{Extension, Query, State};
use serde::Deserialize;

use super::super::App;
use super::super::fault::Own;
use super::super::json::Json;
use super::reads::Body;
use crate::base::Fault;
use crate::capability::access::Role;
use crate::capability::keeping::{self, Asked as Person, Erasure, Plan};
use crate::capability::{Actor, Command, Envelope, perform};

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    unreferenced: bool,
}

pub(super) async fn garbage(State(app): State<App>, Query(asked): Query<Asked>) -> Result<Json<Plan>, Own> {
    Ok(Json(keeping::plan(app.ctx(), asked.unreferenced).await?.plan))
}

/// Announces and decides; a monitor does it. A dry run only looks.
pub(super) async fn erase(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Body(asked): Body<Person>,
) -> Result<Json<Erasure>, Own> {
    if actor.role < Role::Admin {
        return Err(Own(Fault::denied(format!("{} may not erase persons", actor.who.name))
            .why("it cannot be taken back")
            .next("come by the agent's own socket, or with an admin's token")));
    }
    let ctx = app.ctx();
    let at = app.now();
    if asked.dry_run {
        let found = Some(keeping::look(ctx, &asked).await?);
        let state = keeping::State::Announced;
        return Ok(Json(Erasure { digest: String::new(), at, state, kind: asked.kind, found }));
    }
    let digest = keeping::announce(ctx, &asked).await?;
    let command = Command::Keeping(keeping::Command::ErasePerson { digest: digest.clone() });
    let envelope = Envelope { idempotency_key: asked.idempotency_key, ..Envelope::new(command, asked.reason) };
    perform(ctx, &actor, envelope).await?;
    Ok(Json(Erasure { digest, at, state: keeping::State::Begun, kind: asked.kind, found: None }))
}

pub(super) async fn erasures(State(app): State<App>) -> Result<Json<Vec<Erasure>>, Own> {
    Ok(Json(keeping::erasures(app.ctx().db.read()).await?))
}
