//! Services in sentences: what is wrong first, then each service, the worst first.

use clap::Args;

use super::Saying;
use crate::base::{Timestamp, fault::Result, show};
use crate::capability::fleet::{AskedLive, Fleet, Live, Row};
use crate::capability::monitoring::incident::headline;
use crate::client::Client;

/// The window that is looked at, seconds.
const WINDOW: u64 = 3600;

/// The screen of services: incidents, quality, drift and traffic of each
#[derive(Debug, Args)]
pub struct Screen {
    #[command(flatten)]
    pub saying: Saying,
}

pub(super) async fn document(client: &Client) -> Result<Fleet> {
    client.fleet(WINDOW, None).await
}

pub(super) async fn live(client: &Client, service: &str) -> Result<Live> {
    client.live(service, &AskedLive { window: WINDOW, ..AskedLive::default() }).await
}

/// One service, and each of its versions.
pub(super) async fn one(client: &Client, service: &str, now: Timestamp) -> Result<Vec<String>> {
    let page = live(client, service).await?;
    let fleet = document(client).await?;
    let row = fleet.services.iter().find(|r| r.service == service);
    let mut said: Vec<String> = row.map(|r| sentence(r, now)).into_iter().collect();
    for v in &page.versions {
        let q = &v.quality;
        let measured = q.metrics.get(&page.metric).map(|m| format!("{} {}", page.metric, show::metric(m.value)));
        let figure = measured.unwrap_or_else(|| "quality unknown".to_owned());
        let drifted: Vec<String> = v
            .drift
            .columns
            .iter()
            .filter(|c| c.alarm)
            .take(3)
            .map(|c| format!("{} PSI {}", c.name, c.psi.map_or("?".to_owned(), |p| format!("{p:.2}"))))
            .collect();
        let drifted =
            if drifted.is_empty() { "no input drifted".to_owned() } else { format!("drifted: {}", drifted.join(", ")) };
        let worst = q
            .slices
            .first()
            .map_or(String::new(), |s| format!("; {} has {:.0} % of the loss", s.slice, s.loss_share * 100.0));
        said.push(format!(
            "Version {}, {}: {figure}, {} predictions, {} labels; {drifted}{worst}.",
            v.version,
            v.role.words(),
            show::count(q.n),
            show::count(q.labelled)
        ));
        said.extend(q.warnings.iter().map(|w| format!("Warning: {w}.")));
    }
    Ok(said)
}

pub(super) async fn say(client: &Client, rows: usize, now: Timestamp) -> Result<Vec<String>> {
    let fleet = document(client).await?;
    let mut said = Vec::new();
    let open: Vec<_> = fleet.incidents.iter().filter(|i| i.is_open()).collect();
    if open.is_empty() {
        said.push("No incident is open.".to_owned());
    }
    for i in open {
        let owner = i.owner.as_ref().map_or("nobody has it".to_owned(), |o| format!("with {o}"));
        said.push(format!(
            "INC-{}, {}, for {}, {owner}: {}.",
            i.id,
            i.state(now),
            show::between(i.opened, now),
            headline(i)
        ));
    }
    if fleet.services.is_empty() {
        said.push("No service yet: apply a file with [service.NAME], or send predictions.".to_owned());
    }
    said.extend(fleet.services.iter().take(rows).map(|r| sentence(r, now)));
    said.push("More: opsroom quality SERVICE, opsroom drift SERVICE, opsroom incident N.".to_owned());
    Ok(said)
}

/// `delay: v2 in prod; auc 0.7412 of 1 204 labels; hour drifted most, PSI 0.31, an alarm; 3 310 requests, 0.01 % errors.`
pub(super) fn sentence(r: &Row, now: Timestamp) -> String {
    let mut parts = Vec::new();
    let stage = r.stage.map_or(String::new(), |s| format!(" in {}", s.name()));
    parts.push(format!("{}{stage}", r.version.as_deref().unwrap_or("no version answers")));
    parts.extend(
        r.candidate.as_ref().map(|c| format!("v{} on its way to {} % of callers, {}", c.version, c.share, c.state)),
    );
    let bad = r.complaint().map_or(String::new(), |why| format!(", {why}"));
    parts.push(match (r.quality, r.estimated) {
        (Some(m), _) => format!("{} {} of {} labels{bad}", r.metric, show::metric(m.value), show::count(m.n)),
        (None, Some(m)) => format!("{} about {} by its scores, no labels{bad}", r.metric, show::metric(m.value)),
        (None, None) => "quality unknown".to_owned(),
    });
    parts.extend(r.drift.as_ref().map(|d| {
        let alarm = if d.alarm { ", an alarm" } else { ", no alarm" };
        format!("{} of {} drifted most, PSI {:.2}{alarm}", d.column, d.version, d.psi)
    }));
    if r.requests > 0 {
        let latency = r.p99_ms.map_or(String::new(), |ms| format!(", {ms:.1} ms at 99 %"));
        parts.push(format!("{} requests, {} errors{latency}", show::count(r.requests), show::count(r.errors)));
    }
    parts.push(r.last.map_or("nothing came yet".to_owned(), |at| format!("the newest {} ago", show::age(now, at))));
    format!("{}: {}.", r.service, parts.join("; "))
}
