//! Alerts and incidents on opsroom's own API.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::super::App;
use super::super::fault::Own;
use super::super::json::Json;
use crate::base::Timestamp;
use crate::base::fault::Result as OfOurs;
use crate::capability::Ctx;
use crate::capability::audit::{self, AuditQuery};
use crate::capability::fleet;
use crate::capability::monitoring::incident::{self, AlertRule, Incident, Suspect};
use crate::capability::rollout;
use crate::capability::wire::IncidentView;
use crate::db::Source;

type Answer<T> = Result<Json<T>, Own>;

/// Changes further back than this are suspected of nothing.
const LOOKS_BACK: Duration = Duration::from_hours(24);
/// Records that are looked at.
const CHANGES_MAX: usize = 500;

pub(super) async fn rules(State(app): State<App>) -> Answer<Vec<AlertRule>> {
    Ok(Json(incident::rules(Source::Pool(app.ctx().db.read())).await?))
}

#[derive(Deserialize)]
pub(super) struct Of {
    #[serde(default)]
    service: Option<String>,
}

pub(super) async fn list(State(app): State<App>, Query(of): Query<Of>) -> Answer<Vec<Incident>> {
    Ok(Json(incident::incidents(Source::Pool(app.ctx().db.read()), of.service.as_deref()).await?))
}

pub(super) async fn show(State(app): State<App>, Path(id): Path<i64>) -> Answer<IncidentView> {
    let ctx = app.ctx();
    let incident = incident::incident(Source::Pool(ctx.db.read()), id).await?;
    let suspects = suspects(ctx, &incident).await?;
    let reason = incident::reason(&incident, &suspects);
    Ok(Json(IncidentView { incident, suspects, reason }))
}

/// What was changed before it opened, the likeliest cause first.
async fn suspects(ctx: &Ctx, incident: &Incident) -> OfOurs<Vec<Suspect>> {
    // The newest window of the alert ends at the breach; the incident opened a little later.
    let breach = incident.alerts.first().map_or(incident.opened, |a| a.alert.to);
    let query = AuditQuery {
        since: Some(breach.minus(LOOKS_BACK)),
        until: Some(Timestamp(breach.0.saturating_add(1))),
        refused: Some(false),
        limit: CHANGES_MAX,
        ..AuditQuery::default()
    };
    let records = audit::list(ctx.db.read(), &query).await?.records;
    let services = rollout::services(Source::Pool(ctx.db.read())).await?;
    let model = services.iter().find(|s| s.service.name == incident.service).map(|s| s.service.model.as_str());
    Ok(incident::suspects(records.into_iter().map(fleet::change).collect(), &incident.service, model, breach))
}
