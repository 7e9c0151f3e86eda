//! The one route that changes what is decided.

use axum::Json;
use axum::extract::{Extension, State};

use super::super::App;
use super::super::fault::Own;
use super::reads::Body;
use crate::capability::{self, Actor, Envelope, Outcome};

pub(super) async fn perform(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Body(envelope): Body<Envelope>,
) -> Result<Json<Outcome>, Own> {
    // Whoever posts a command can write a reason into it.
    let actor = Actor { can_give_reason: true, ..actor };
    Ok(Json(capability::perform(app.ctx(), &actor, envelope).await?))
}
