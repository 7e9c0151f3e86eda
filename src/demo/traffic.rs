//! Callers: later months' flights are asked for at the router, one after the other, while a version takes over or is
//! caught. The service's versions are started by the agent; what it says of them is what any team's callers would cause.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use super::ending::unexpected;
use super::features::{Categorical, Numeric};
use super::flights::Flights;
use super::live::{LAST, MONTH};
use super::meter::Meter;
use super::model::labelled;
use super::months::column_name;
use super::story::{NAME, Story, Trained, pretty};
use super::tracker::Experiment;
use crate::base::clock::{Clock, Stopwatch, SystemClock};
use crate::base::money::HOUR_US;
use crate::base::{Fault, Timestamp, fault::Result};
use crate::capability::Command;
use crate::capability::cost;
use crate::capability::form::Document;
use crate::capability::rollout::{self, Rollout, ServerState, ServiceView, State};

/// The service, as `opsroom apply` reads it.
const DECLARED: &str = include_str!("../../assets/service.toml");
/// Callers at a time.
const CALLERS: usize = 4;
/// How long a rollout may take before something is wrong.
const PATIENCE: Duration = Duration::from_mins(2);
const LOOK: Duration = Duration::from_millis(100);
/// Between two requests of a caller, at speed 1.
const PACE: Duration = Duration::from_millis(8);

/// What the callers met.
#[derive(Debug, Default)]
struct Met {
    answered: AtomicU64,
    failed: AtomicU64,
}

/// Callers who ask until this is dropped.
struct Callers {
    tasks: JoinSet<()>,
    met: Arc<Met>,
}

impl Story {
    /// From now on the model is served: its version in production gets a server, and the router sends callers there.
    pub(super) async fn open_service(&self, version: u32) -> Result<()> {
        let mut document = Document::parse("service.toml", DECLARED)?;
        let mut service =
            rollout::parse(&mut document)?.pop().ok_or_else(|| Fault::bug("the demonstration has no service"))?;
        if let Some(launch) = &mut service.launch
            && let Some(program) = launch.command.first_mut()
        {
            *program = self.workshop.program.display().to_string();
        }
        let mut placements = cost::parse_serving(&mut document)?;
        // It costs from the hour on that the year in service begins in, not since the calendar month began: without a viewer
        // the year is told as if it had just passed.
        let began = SystemClock.now().minus(MONTH * u32::from(LAST));
        let hour = Timestamp(began.0.div_euclid(HOUR_US) * HOUR_US);
        placements.iter_mut().for_each(|p| p.since = Some(hour));
        let known = self.client.services().await?.into_iter().any(|s| s.service == service);
        if !known {
            let command = Command::Rollouts(rollout::Command::SetService { service });
            self.decide(command, "callers ask the router, and opsroom starts the servers").await?;
            for placement in placements {
                let (service, placements) = (placement.service.clone(), vec![placement]);
                let command = Command::Cost(cost::Command::SetServing { service, placements });
                self.decide(command, "so that a prediction has a price").await?;
            }
        }
        let view = self.until("the server of the first version is ready", |view| {
            view.servers.iter().any(|s| s.version == version && s.state == ServerState::Ready)
        });
        let view = view.await?;
        let server = view.servers.iter().find(|s| s.version == version);
        self.tell_line(&format!(
            "service {NAME}: v{version} answers, process {} at {}",
            server.map_or(0, |s| s.pid),
            server.map(|s| s.url.as_str()).unwrap_or_default()
        ));
        Ok(())
    }

    /// A version takes over step by step while callers ask for these months' flights. It has to arrive.
    pub(super) async fn roll_out(&self, version: u32, months: RangeInclusive<u8>, reason: &str) -> Result<()> {
        let (ended, met) = self.rollout_to_its_end(version, months, reason).await?;
        if ended.state != State::Promoted || met.failed.load(Ordering::Relaxed) > 0 {
            return Err(unexpected(format!(
                "the rollout of v{version} ended {} ({}), {} requests failed",
                ended.state.words(),
                ended.why,
                met.failed.load(Ordering::Relaxed)
            )));
        }
        self.tell_line(&format!(
            "v{version} promoted by its rollout: {}; {} requests, none failed",
            ended.why,
            met.answered.load(Ordering::Relaxed)
        ));
        Ok(())
    }

    /// A version that is truly worse: it fails where a value was not recorded. The judge has to take it back.
    pub(super) async fn bad_canary(
        &self,
        experiment: &Experiment,
        months: RangeInclusive<u8>,
        stable: (&Trained, u32),
    ) -> Result<()> {
        let note = "The same weights behind new serving code, which takes every value for recorded.";
        let run =
            experiment.start("new-serving-code", &[], BTreeMap::from([("mlflow.note.content", note.into())])).await?;
        let mut meter = Meter::default();
        let packed = meter.work(|| pretty(&stable.0.model))?;
        run.upload("model/model.json", packed).await?;
        run.metrics(&[meter.point()], 1).await?;
        run.upload("model/serving.json", json!({"refuses_missing": true}).to_string().into_bytes()).await?;
        run.finish().await?;
        let version = self
            .register_run("new-serving-code", &run.id, note.to_owned(), BTreeMap::new(), "new serving code")
            .await?;
        let (ended, met) = self.rollout_to_its_end(version, months, "new serving code, the same weights").await?;
        if ended.state != State::Dropped || !ended.why.starts_with("errors") {
            return Err(unexpected(format!("the bad canary ended {}: {}", ended.state.words(), ended.why)));
        }
        let (answered, failed) = (met.answered.load(Ordering::Relaxed), met.failed.load(Ordering::Relaxed));
        self.tell_line(&format!(
            "v{version} dropped by the judge: {}; {failed} of {} requests failed, v{} answers all of them now",
            ended.why,
            answered + failed,
            stable.1
        ));
        let command = rollout::Command::ForbidVersion { model: NAME.to_owned(), version };
        self.decide(Command::Rollouts(command), "it fails where a value was not recorded").await.map(drop)
    }

    async fn rollout_to_its_end(
        &self,
        version: u32,
        months: RangeInclusive<u8>,
        reason: &str,
    ) -> Result<(Rollout, Arc<Met>)> {
        let callers = self.callers(months).await?;
        let service = NAME.to_owned();
        let start = rollout::Command::StartRollout { service, version };
        let outcome = self.decide(Command::Rollouts(start), reason).await?;
        self.tell_line(&format!("rollout of v{version}: {reason} (audit #{})", outcome.audit));
        let over = |view: &ServiceView| view.standing.candidate.is_none();
        let view = self.until(&format!("the rollout of v{version} ends"), over).await?;
        let met = callers.met.clone();
        drop(callers);
        let ended = view.history.into_iter().find(|r| r.version == version);
        Ok((ended.ok_or_else(|| unexpected("the rollout left no record"))?, met))
    }

    async fn until(&self, what: &str, holds: impl Fn(&ServiceView) -> bool) -> Result<ServiceView> {
        let watch = Stopwatch::start();
        loop {
            let view = self.client.service(NAME).await?;
            if holds(&view) {
                return Ok(view);
            }
            if watch.elapsed() > PATIENCE {
                let servers: Vec<&str> = view.servers.iter().map(|s| s.why.as_str()).collect();
                return Err(unexpected(format!("waited in vain until {what}; {servers:?}")));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn callers(&self, months: RangeInclusive<u8>) -> Result<Callers> {
        let watch = Stopwatch::start();
        let mut router = self.client.status().await?.router;
        while router.is_empty() && watch.elapsed() < PATIENCE {
            tokio::time::sleep(LOOK).await;
            router = self.client.status().await?.router;
        }
        let url = format!("{router}/{NAME}/invocations");
        let rows: Arc<Vec<(usize, bool)>> = Arc::new(labelled(&self.flights, months));
        let (met, mut tasks) = (Arc::new(Met::default()), JoinSet::new());
        let http = reqwest::Client::builder().no_proxy().build();
        let http = http.map_err(|e| Fault::bug("no HTTP client").why(e.to_string()))?;
        let pace = self.scaled(PACE);
        for first in 0..CALLERS {
            let (http, url, rows, met) = (http.clone(), url.clone(), rows.clone(), met.clone());
            let (flights, client) = (self.flights.clone(), self.client.clone());
            tasks.spawn(async move {
                let mut labels = Vec::new();
                for (row, late) in rows.iter().skip(first).step_by(CALLERS).cycle() {
                    let answer = ask(&http, &url, &flights, *row).await;
                    let count = if answer.is_some() { &met.answered } else { &met.failed };
                    count.fetch_add(1, Ordering::Relaxed);
                    labels.extend(answer.map(|id| json!({"id": id, "label": u8::from(*late)}).to_string()));
                    if labels.len() >= 100 {
                        // The truth comes in behind; a label that is lost costs coverage and nothing else.
                        let lines = std::mem::take(&mut labels).join("\n").into_bytes();
                        let _ = client.add_labels(lines).await;
                    }
                    tokio::time::sleep(pace).await;
                }
            });
        }
        Ok(Callers { tasks, met })
    }
}

impl Drop for Callers {
    fn drop(&mut self) {
        self.tasks.abort_all();
    }
}

/// Asks about one flight; the id of the answer, `None` when it failed.
async fn ask(http: &reqwest::Client, url: &str, flights: &Flights, row: usize) -> Option<String> {
    let body = json!({ "dataframe_records": [features(flights, row)] });
    let caller = format!("{}{}", flights.carrier.get(row), flights.flight(row));
    let request = http.post(url).header("x-user-id", caller).header("content-type", "application/json");
    let answer = request.body(body.to_string()).send().await.ok()?;
    let id = answer.headers().get("x-opsroom-prediction-id")?.to_str().ok()?.to_owned();
    (answer.status().is_success() && answer.bytes().await.is_ok()).then_some(id)
}

/// What is known of a flight before it leaves; what was not recorded is null.
fn features(flights: &Flights, row: usize) -> Map<String, Value> {
    let numbers = Numeric::ALL.iter().map(|c| (column_name(c), json!(c.value(flights, row))));
    let words = Categorical::ALL.iter().map(|c| (column_name(c), json!(c.value(flights, row))));
    numbers.chain(words).collect()
}
