//! Evals and gates on opsroom's own API.

use axum::body::Bytes;
use axum::extract::{Extension, Path, Query, State};
use serde::Deserialize;

use super::super::App;
use super::super::fault::Own;
use super::super::json::Json;
use crate::base::Fault;
use crate::capability::access::Role;
use crate::capability::evals::{self, Evidence, Suite};
use crate::capability::gates::{self, Decision, Standing};
use crate::capability::registry::Stage;
use crate::capability::wire::{Judged, Uploaded};
use crate::capability::{Actor, Ctx};
use crate::db::Source;

type Answer<T> = Result<Json<T>, Own>;

/// Packed examples of one evaluation: some ten million rows.
pub(super) const EXAMPLES_BYTES_MAX: usize = 512 << 20;

fn read(ctx: &Ctx) -> Source<'_> {
    Source::Pool(ctx.db.read())
}

pub(super) async fn suites(State(app): State<App>) -> Answer<Vec<Suite>> {
    Ok(Json(evals::suites(read(app.ctx())).await?))
}

#[derive(Deserialize)]
pub(super) struct Of {
    model: String,
    #[serde(default)]
    version: Option<u32>,
}

pub(super) async fn results(State(app): State<App>, Query(of): Query<Of>) -> Answer<Vec<Evidence>> {
    Ok(Json(evals::results(read(app.ctx()), &of.model, of.version).await?))
}

pub(super) async fn result(State(app): State<App>, Path(id): Path<i64>) -> Answer<Evidence> {
    Ok(Json(evals::result(read(app.ctx()), id).await?))
}

/// Bytes first: the command that makes them evidence names them by digest.
pub(super) async fn examples(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    bytes: Bytes,
) -> Answer<Uploaded> {
    if actor.role < Role::Operator {
        return Err(Own(Fault::denied(format!("{} may not keep evidence", actor.who.name))
            .why(format!("it needs role operator, yours is {}", actor.role.name()))
            .next("come by the agent's own socket, or with an operator's token")));
    }
    Ok(Json(Uploaded { digest: evals::upload(&app.ctx().artifacts, bytes).await? }))
}

#[derive(Deserialize)]
pub(super) struct Whose {
    #[serde(default)]
    model: Option<String>,
}

pub(super) async fn standing(State(app): State<App>, Query(of): Query<Whose>) -> Answer<Standing> {
    Ok(Json(gates::standing(read(app.ctx()), of.model.as_deref(), app.now()).await?))
}

#[derive(Deserialize)]
pub(super) struct Asked {
    model: String,
    version: u32,
    stage: Stage,
}

fn house(ctx: &Ctx) -> gates::House<'_> {
    gates::House {
        ctx,
        pool: ctx.db.read(),
        tracking: &ctx.tracking,
        artifacts: &ctx.artifacts,
        settings: &ctx.settings.gates,
    }
}

pub(super) async fn check(State(app): State<App>, Query(asked): Query<Asked>) -> Answer<Decision> {
    let (ctx, of) = (app.ctx(), (asked.model.as_str(), asked.version, asked.stage));
    Ok(Json(gates::decide(read(ctx), house(ctx), of, app.now()).await?))
}

pub(super) async fn decision(State(app): State<App>, Path(id): Path<i64>) -> Answer<Judged> {
    let decision = gates::decision(read(app.ctx()), id).await?;
    let same = gates::judged_anew(&app.ctx().artifacts, &decision).await?;
    Ok(Json(Judged { decision, same }))
}

/// Packed examples, for whoever carries a result elsewhere.
pub(super) async fn fetch_examples(State(app): State<App>, Path(digest): Path<String>) -> Result<Bytes, Own> {
    Ok(evals::fetch(app.ctx().artifacts.blobs(), &digest).await?)
}
