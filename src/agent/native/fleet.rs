//! The fleet and one service in full, on opsroom's own API.

use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::super::App;
use super::super::fault::Own;
use super::super::json::Json;
use super::predictions::moment;
use crate::base::Timestamp;
use crate::capability::drift::{self, Feature};
use crate::capability::fleet::{self, AskedFleet, AskedLive, Fleet, Live};
use crate::capability::monitoring::quality::Asked;

type Answer<T> = Result<Json<T>, Own>;

/// Without a word about it, the last hour.
const WINDOW: u64 = 3600;

#[derive(Deserialize)]
#[allow(clippy::struct_field_names)] // as it is asked for
pub(super) struct Of {
    /// Seconds.
    #[serde(default)]
    window: Option<u64>,
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    as_of: Option<String>,
    #[serde(default)]
    metric: Option<String>,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    column: Option<String>,
}

/// A moment that is asked for, if one is.
pub(super) fn past(text: Option<String>) -> Result<Option<Timestamp>, Own> {
    text.filter(|t| !t.is_empty()).map(|t| moment(&t)).transpose().map_err(Own::from)
}

pub(super) async fn overview(State(app): State<App>, Query(of): Query<Of>) -> Answer<Fleet> {
    let ctx = app.ctx();
    let as_of = past(of.as_of)?;
    let asked = AskedFleet { window: of.window.unwrap_or(WINDOW), as_of };
    Ok(Json(fleet::fleet(ctx.db.read(), &ctx.counters, asked, app.now()).await?))
}

pub(super) async fn live(State(app): State<App>, Path(service): Path<String>, Query(of): Query<Of>) -> Answer<Live> {
    let ctx = app.ctx();
    let to = of.to.filter(|t| !t.is_empty()).map(|t| moment(&t)).transpose()?;
    let as_of = past(of.as_of)?;
    let asked = AskedLive { window: of.window.unwrap_or(WINDOW), to, as_of, metric: of.metric };
    Ok(Json(fleet::live(ctx.db.read(), &ctx.counters, &service, &asked, app.now()).await?))
}

pub(super) async fn feature(
    State(app): State<App>,
    Path(service): Path<String>,
    Query(of): Query<Of>,
) -> Answer<Feature> {
    let to = of.to.filter(|t| !t.is_empty()).map(|t| moment(&t)).transpose()?;
    let mut asked = Asked { window: of.window.unwrap_or(WINDOW), to, version: of.version, slice: None };
    let (counters, now) = (&app.ctx().counters, app.now());
    if asked.to.is_none() {
        asked.to = Some(fleet::looked_at(counters, &service, asked.bounds(now)?).to);
    }
    let column = of.column.unwrap_or_default();
    Ok(Json(drift::feature(counters, &service, &column, &asked, now).await?))
}
