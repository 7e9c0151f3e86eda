//! The team's Envoys as a target: clusters and routes are files that they watch, and their admin interfaces tell which
//! generation they serve by and what they counted.

mod config;
mod kept;
mod stats;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::monitors::{QUIET, Woken, woken_by};
use super::targets::{self, TrafficTarget};
use super::{App, http};
use crate::base::clock::{Clock, Stopwatch, SystemClock};
use crate::base::{Fault, fault::Result};
use crate::capability::Hint;
use crate::capability::rollout::link::Windows;
use crate::capability::rollout::{self, EnvoyStatus, RouteTable};
use crate::db::Source;
use kept::Kept;
use stats::Told;

/// Between two takings of counts.
const PERIOD: Duration = Duration::from_secs(1);
/// How long Envoy may take to say that it serves by what was written.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two questions whether it does.
const TICK: Duration = Duration::from_millis(5);
/// Of one answer of an admin interface.
const ANSWER: Duration = Duration::from_secs(2);

/// Where this store's clusters and routes are written.
pub fn folder(app: &App) -> PathBuf {
    app.settings().socket.with_extension("envoy")
}

/// Runs as long as the agent.
pub async fn keep(app: App) {
    let mut hints = app.ctx().hints.listen();
    let mut told = String::new();
    let mut envoys = None;
    loop {
        let done = tokio::select! {
            done = tend(&app, &mut envoys) => done,
            () = app.stopped() => return,
        };
        let problem = done.err().map(|fault| fault.to_string());
        if let Some(envoys) = &mut envoys {
            envoys.status.problem.clone_from(&problem);
            app.set_envoy(envoys.status.clone());
        }
        // Once a cause, not once a second.
        let problem = problem.unwrap_or_default();
        if !problem.is_empty() && problem != told {
            tracing::warn!("Envoy: {problem}");
        }
        told = problem;
        // A way back does not wait.
        let wanted = |h: &Hint| matches!(h, Hint::Rollouts | Hint::Everything);
        let period = tokio::time::sleep(if envoys.is_some() { PERIOD } else { QUIET });
        if woken_by(&app, &mut hints, period, Duration::ZERO, wanted).await == Woken::End {
            return;
        }
    }
}

/// One round: they serve by the newest table, and their counts are in the store.
async fn tend(app: &App, envoys: &mut Option<Envoys>) -> Result<()> {
    let (table, admin) = rollout::envoy_table(Source::Pool(app.ctx().db.read())).await?;
    let envoys = match envoys {
        Some(envoys) => envoys,
        None if admin.is_empty() => return Ok(()),
        none => none.insert(Envoys::open(folder(app))?),
    };
    envoys.admin = admin;
    if envoys.kept.table.routes != table.routes || envoys.status.confirmed.is_none() {
        // What came by the table before is counted by it.
        let counted = targets::record(app, envoys).await;
        envoys.apply(&table).await?;
        counted?;
    }
    targets::record(app, envoys).await
}

struct Envoys {
    folder: PathBuf,
    admin: Vec<String>,
    kept: Kept,
    http: reqwest::Client,
    status: EnvoyStatus,
}

impl Envoys {
    fn open(folder: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&folder)
            .map_err(|e| Fault::unavailable(format!("cannot make {}", folder.display())).why(e.to_string()))?;
        let kept = Kept::read(&state(&folder))?;
        let status = EnvoyStatus {
            folder: folder.display().to_string(),
            generation: kept.table.generation,
            ..EnvoyStatus::default()
        };
        Ok(Self { admin: Vec::new(), kept, http: http::client(ANSWER, [])?, status, folder })
    }

    async fn ask(&self, admin: &str, what: &str, filter: &str) -> Result<String> {
        let away = |e: reqwest::Error| {
            Fault::unavailable(format!("the admin interface {admin} does not answer"))
                .why(e.without_url().to_string())
                .next("see that Envoy runs and its admin address is the one in the service's envoy.admin")
        };
        let asked = self.http.get(format!("{}{what}", admin.trim_end_matches('/'))).query(&[("filter", filter)]);
        let answer = asked.send().await.and_then(reqwest::Response::error_for_status).map_err(away)?;
        answer.text().await.map_err(away)
    }

    /// Waits until every Envoy says that it has what was written.
    async fn confirmed(&self, has: impl Fn(&Told) -> bool) -> Result<()> {
        let watch = Stopwatch::start();
        for admin in &self.admin {
            loop {
                let told = Told::read(&self.ask(admin, "/stats", stats::TOLD).await?);
                if has(&told) {
                    break;
                }
                if watch.elapsed() > PATIENCE {
                    return Err(Fault::unavailable(format!("Envoy at {admin} does not serve by what was written"))
                        .why(told.why_not())
                        .next(format!("it has to watch {}", self.folder.display())));
                }
                tokio::time::sleep(TICK).await;
            }
        }
        Ok(())
    }
}

/// Beside the folder, which is Envoy's to read.
fn state(folder: &Path) -> PathBuf {
    folder.with_extension("envoy-counts.json")
}

impl TrafficTarget for Envoys {
    /// Clusters first, and routes once those are ready: a route never leads to a cluster that is not there. An Envoy
    /// that does not confirm its clusters gets the routes all the same after a while: what takes a version back must
    /// reach the others.
    async fn apply(&mut self, table: &RouteTable) -> Result<()> {
        self.status.confirmed = None;
        if self.kept.table.routes != table.routes || self.kept.table.generation == 0 {
            self.kept.before = std::mem::replace(&mut self.kept.table, table.clone());
            self.kept.write(&state(&self.folder))?;
        }
        let generation = self.kept.table.generation;
        self.status.generation = generation;
        kept::replace(&self.folder.join("cds.json"), &config::clusters([&self.kept.table, &self.kept.before]))?;
        let ready = self.confirmed(|told| told.has_clusters(generation)).await;
        kept::replace(&self.folder.join("rds.json"), &config::routes(&self.kept.table))?;
        ready?;
        self.confirmed(|told| told.has_routes(generation)).await?;
        self.status.confirmed = Some(SystemClock.now());
        Ok(())
    }

    async fn counts(&mut self) -> Result<Windows> {
        if self.kept.batch.is_empty() {
            let mut counted = self.kept.counted.clone();
            let mut batch = Vec::new();
            for admin in &self.admin {
                let now = stats::totals(&self.ask(admin, "/stats/prometheus", stats::TOTALS).await?);
                let before = counted.entry(admin.clone()).or_default();
                let grown = stats::since(&now, before);
                batch.extend(stats::windows(&grown, [&self.kept.table, &self.kept.before], SystemClock.now()));
                *before = now;
            }
            if !batch.is_empty() {
                self.kept = Kept { sequence: self.kept.sequence + 1, batch, counted, ..self.kept.clone() };
                self.kept.write(&state(&self.folder))?;
            }
        }
        Ok(Windows { router: self.kept.id.clone(), sequence: self.kept.sequence, windows: self.kept.batch.clone() })
    }

    /// In memory alone: after a crash the batch comes again, and the store knows it by its number.
    fn settle(&mut self, sequence: i64) {
        if sequence == self.kept.sequence {
            self.kept.batch.clear();
        }
    }
}
