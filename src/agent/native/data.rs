//! Datasets on opsroom's own API: what is stored, and the bytes on their way in and out.

use std::sync::LazyLock;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use futures::StreamExt;
use serde::Deserialize;

use super::super::App;
use super::super::fault::Own;
use super::super::json::Json;
use crate::base::Fault;
use crate::base::spare::Spare;
use crate::capability::datasets::{self, DatasetView, Digest, Located, PackCheck, Stored};

use crate::capability::datasets::pack::PACK_BYTES_MAX;
/// Digests that one question may hold: a million.
pub(super) const LOCATE_BYTES_MAX: usize = 32 << 20;
/// A manifest of some five million files.
pub(super) const DOCUMENT_BYTES_MAX: usize = 1 << 30;

type Answer<T> = Result<Json<T>, Own>;

pub(super) async fn datasets(State(app): State<App>) -> Answer<Vec<DatasetView>> {
    let ctx = app.ctx();
    Ok(Json(datasets::datasets(ctx.db.read(), &ctx.tracking).await?))
}

pub(super) async fn dataset(State(app): State<App>, Path(name): Path<String>) -> Answer<DatasetView> {
    let ctx = app.ctx();
    Ok(Json(datasets::dataset(ctx.db.read(), &ctx.tracking, &name).await?))
}

fn document(bytes: Bytes, kind: &str) -> Result<Response, Own> {
    let response = Response::builder().header("content-type", kind).body(Body::from(bytes));
    Ok(response.map_err(|e| Fault::bug("answer").why(e.to_string()))?)
}

pub(super) async fn manifest(
    State(app): State<App>,
    Path((name, version)): Path<(String, u32)>,
) -> Result<Response, Own> {
    let ctx = app.ctx();
    let version = datasets::version(ctx.db.read(), &name, version).await?;
    document(datasets::manifest_bytes(ctx.artifacts.blobs(), &version.doc.manifest).await?, "application/x-ndjson")
}

pub(super) async fn profile(
    State(app): State<App>,
    Path((name, version)): Path<(String, u32)>,
) -> Result<Response, Own> {
    let ctx = app.ctx();
    let found = datasets::version(ctx.db.read(), &name, version).await?;
    let profile = found.doc.profile.ok_or_else(|| {
        Fault::not_found(format!("{name} v{version} has no profile"))
            .why("there is no CSV or Parquet file in it that was profiled")
            .next("see `opsroom data show`")
    })?;
    document(datasets::profile_bytes(ctx.artifacts.blobs(), &profile).await?, "application/json")
}

pub(super) async fn locate(State(app): State<App>, body: Bytes) -> Answer<Located> {
    let wanted: Vec<Digest> = body.as_chunks::<{ Digest::BYTES }>().0.iter().map(|d| Digest(*d)).collect();
    if wanted.len() * Digest::BYTES != body.len() {
        return Err(Own(Fault::invalid("not a row of digests of 32 bytes")));
    }
    Ok(Json(datasets::locate(app.ctx().db.read(), &wanted).await?))
}

/// Packs on their way in.
static SPARE: LazyLock<Spare> = LazyLock::new(Spare::default);

/// Into one buffer as it comes.
async fn collected(body: Body) -> Result<Bytes, Fault> {
    let mut pack = SPARE.take(0);
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|e| Fault::invalid("the pack broke off").why(e.to_string()).next("send it again"))?;
        if pack.len() + piece.len() > PACK_BYTES_MAX {
            return Err(Fault::invalid(format!("a pack of more than {PACK_BYTES_MAX} bytes")));
        }
        pack.extend_from_slice(&piece);
    }
    Ok(Bytes::from_owner(SPARE.lend(pack)))
}

pub(super) async fn put_pack(State(app): State<App>, body: Body) -> Answer<Stored> {
    let (ctx, pack) = (app.ctx().clone(), collected(body).await?);
    // To its end, also when the sender hangs up meanwhile: bytes without their row would be sent again.
    let stored = tokio::spawn(async move { datasets::put_pack(&ctx.db, ctx.artifacts.blobs(), pack).await });
    Ok(Json(stored.await.map_err(|e| Fault::bug("keeping a pack broke off").why(e.to_string()))??))
}

pub(super) async fn put_manifest(State(app): State<App>, body: Bytes) -> Answer<Stored> {
    // The end of an addition.
    SPARE.release();
    let ctx = app.ctx();
    Ok(Json(datasets::put_manifest(&ctx.db, ctx.artifacts.blobs(), body).await?))
}

pub(super) async fn put_profile(State(app): State<App>, body: Bytes) -> Answer<Stored> {
    Ok(Json(datasets::put_profile(app.ctx().artifacts.blobs(), body).await?))
}

#[derive(Deserialize)]
pub(super) struct Range {
    from: u64,
    to: u64,
}

fn pack_name(text: &str) -> Result<Digest, Own> {
    text.parse().map_err(|()| Own(Fault::not_found(format!("no pack {text}"))))
}

pub(super) async fn pack(
    State(app): State<App>,
    Path(pack): Path<String>,
    Query(range): Query<Range>,
) -> Result<Response, Own> {
    let content = datasets::pack_bytes(app.ctx().artifacts.blobs(), &pack_name(&pack)?, range.from..range.to).await?;
    let response = Response::builder()
        .header("content-type", "application/octet-stream")
        .header("content-length", content.range.end - content.range.start)
        .body(Body::from_stream(content.stream));
    Ok(response.map_err(|e| Fault::bug("answer").why(e.to_string()))?)
}

pub(super) async fn check_pack(State(app): State<App>, Path(pack): Path<String>) -> Answer<PackCheck> {
    let ctx = app.ctx();
    Ok(Json(datasets::check_pack(ctx.db.read(), ctx.artifacts.blobs(), &pack_name(&pack)?).await?))
}
