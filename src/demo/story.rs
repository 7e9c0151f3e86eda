//! The story: a winter of experiments, a model in production, a spring in which it ages, and its successor.
//!
//! It is told through the agent's own API alone, so what the room then shows is what any team's scripts would
//! have left there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{FutureExt, StreamExt, TryStreamExt};

use super::ending;
use super::flights::Flights;
use super::live::Year;
use super::logistic::{Settings, Training};
use super::meter::Meter;
use super::model::Model;
use super::months::{self, Months};
use super::plan::{self, Planned, Season};
use super::proof::Workshop;
use super::quality::Quality;
use super::record;
use super::tracker::{self, Dataset, Experiment};
use crate::base::Fault;
use crate::base::fault::Result;
use crate::capability::datasets::DatasetVersion;
use crate::capability::evals::Suite;
use crate::capability::registry::Stage;
use crate::capability::tracking::RunQuery;
use crate::client::Client;

/// Both the experiment and the registered model.
pub const NAME: &str = "flight-delay";
const NOTE: &str =
    "Will a flight from New York arrive more than 15 minutes late? 336,776 departures of 2013 with weather.";
/// The alias that callers would load: the version in production.
pub(super) const ALIAS: &str = "champion";
/// Trainings at a time.
const TOGETHER: usize = 3;
/// Between two reports of a training, at speed 1.
const REPORT_PACE: Duration = Duration::from_millis(150);
/// Between two events that a viewer should see one after the other, at speed 1.
const EVENT_PACE: Duration = Duration::from_millis(1500);

/// Tells the story to an agent.
pub struct Story {
    pub(super) client: Client,
    pub(super) speed: f64,
    say: Box<dyn Fn(&str) + Send + Sync>,
    pub(super) flights: Arc<Flights>,
    pub(super) workshop: Workshop,
    months: Months,
    /// Versions of the dataset, January first.
    arrived: Mutex<Vec<DatasetVersion>>,
    pub(super) year: Year,
}

/// A run that has ended, with what it learned.
pub(super) struct Trained {
    pub(super) name: &'static str,
    pub(super) run_id: String,
    pub(super) settings: Settings,
    pub(super) model: Model,
    /// On the first month after its training data.
    pub(super) unseen: Quality,
}

impl Story {
    /// `speed` scales the pace: 1 to watch, large to have done. `say` hears one line an event.
    ///
    /// # Errors
    /// `Invalid` for a speed that is no positive number, `Bug` when the bundled data are damaged.
    pub fn new(
        client: Client,
        speed: f64,
        workshop: Workshop,
        say: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self> {
        if speed.is_nan() || speed <= 0.0 {
            return Err(
                Fault::invalid(format!("speed {speed} does not move")).next("give a speed above 0; 1 is to watch")
            );
        }
        let flights = Flights::bundled().map_err(|e| Fault::bug("the demonstration has no data").why(e.to_string()))?;
        let months = Months::in_folder(workshop.folder.join("flights"));
        let (say, flights) = (Box::new(say), Arc::new(flights));
        Ok(Self { client, speed, say, flights, workshop, months, arrived: Mutex::default(), year: Year::default() })
    }

    /// Tells it, unless this store has heard it; then only the audit trail is checked.
    ///
    /// # Errors
    /// As [`Story::tell`].
    pub async fn tell_once(&self) -> Result<()> {
        if !self.was_told().await? {
            return self.tell().await;
        }
        let records = self.check_audit().await?;
        self.tell_line(&format!("this store has heard the story already; {records} audit records verified"));
        Ok(())
    }

    /// Ends the runs of a telling that will not go on.
    ///
    /// # Errors
    /// The agent's.
    pub async fn break_off(&self) -> Result<()> {
        let experiment = Experiment::named(&self.client, NAME, NOTE).await?;
        self.end_leftovers(&experiment).await
    }

    /// Tells it from the beginning and checks that it ended as it should.
    ///
    /// # Errors
    /// The agent's, or `Bug` when the end is not the expected one.
    pub async fn tell(&self) -> Result<()> {
        let experiment = Experiment::named(&self.client, NAME, NOTE).await?;
        self.end_leftovers(&experiment).await?;
        self.tell_line(&format!(
            "experiment {NAME}: {} flights, the question is which will be late",
            self.flights.len()
        ));

        let winter = plan::winter();
        self.arrive(1..=2).await?;
        let trained = self.train(&experiment, &winter).await?;
        self.arrive(winter.judged_on..=winter.judged_on).await?;
        let suite = self.ask_for(winter.judged_on).await?;
        let (first, first_version) = self.promote_best(&winter, &trained, &suite).await?;
        self.open_service(first_version).await?;
        self.is_watched().await?;
        self.serve(winter.judged_on).await?;
        self.watch(&experiment, first, first_version, winter.judged_on + 1..=6, None).await?;

        let summer = plan::summer();
        let trained = self.train(&experiment, &summer).await?;
        self.arrive(summer.judged_on..=summer.judged_on).await?;
        self.serve(summer.judged_on).await?;
        self.is_paged().await?;
        let suite = self.ask_for(summer.judged_on).await?;
        // The version in production answers the same questions as those that want its place.
        self.evaluate(&suite, first_version).await?;
        let (second, second_version) = self.succeed(&summer, &trained, first_version, first, &suite).await?;
        self.watch(&experiment, second, second_version, summer.judged_on + 1..=12, Some(first)).await?;
        self.check_year()?;

        self.bad_canary(&experiment, summer.judged_on + 1..=12, (second, second_version)).await?;
        self.check(&experiment, winter.runs.len() + summer.runs.len() + 3, first_version, second_version).await
    }

    /// Months come in, each as a version of the dataset.
    async fn arrive(&self, months: std::ops::RangeInclusive<u8>) -> Result<()> {
        for month in months {
            let version = self.months.arrive(&self.client, &self.flights, month).await?;
            let rows: u64 = version.doc.tables.iter().map(|t| t.rows).sum();
            self.tell_line(&format!(
                "data {}@{}: {}, {rows} flights",
                version.dataset,
                version.version,
                record::month_name(month)
            ));
            self.arrived.lock().unwrap_or_else(PoisonError::into_inner).push(version);
        }
        Ok(())
    }

    /// Months as the inputs of a run.
    fn inputs(&self, months: std::ops::RangeInclusive<u8>, context: &'static str) -> Vec<Dataset> {
        let arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let chosen = months.filter_map(|month| arrived.get(usize::from(month) - 1));
        chosen.map(|version| months::input(version, context)).collect()
    }

    /// An interrupted telling leaves runs that nobody continues.
    async fn end_leftovers(&self, experiment: &Experiment) -> Result<()> {
        for run in self.runs(experiment, "attributes.status = 'RUNNING'").await? {
            tracker::kill(&self.client, run.id).await?;
            self.tell_line(&format!("run {}: left over from an interrupted demonstration, ended", run.name));
        }
        Ok(())
    }

    pub(super) async fn runs(
        &self,
        experiment: &Experiment,
        filter: &str,
    ) -> Result<Vec<crate::capability::tracking::RunView>> {
        let id = self.client.experiments().await?.into_iter().find(|e| e.id.to_string() == experiment.id).map(|e| e.id);
        let query = RunQuery {
            experiments: id.into_iter().collect(),
            filter: filter.to_owned(),
            limit: 1000,
            ..RunQuery::default()
        };
        Ok(self.client.search_runs(&query).await?.runs)
    }

    async fn train(&self, experiment: &Experiment, season: &Season) -> Result<Vec<Trained>> {
        self.tell_line(&format!(
            "{}: {} runs, judged on {}, which none of them has seen",
            season.name,
            season.runs.len(),
            record::month_name(season.judged_on)
        ));
        // Boxed: a stream of borrowing futures is otherwise not seen to be movable between threads.
        let runs: Vec<_> =
            season.runs.iter().map(|run| self.train_one(experiment, run, season.judged_on).boxed()).collect();
        futures::stream::iter(runs).buffered(TOGETHER).try_collect().await
    }

    async fn train_one(&self, experiment: &Experiment, planned: &Planned, judged_on: u8) -> Result<Trained> {
        let (flights, settings) = (self.flights.clone(), planned.settings.clone());
        let prepared = tokio::task::spawn_blocking(move || {
            let mut meter = Meter::default();
            (meter.work(|| Training::new(&flights, settings)), meter)
        });
        let (training, mut meter) =
            prepared.await.map_err(|e| Fault::bug("a training broke off").why(e.to_string()))?;
        let mut training =
            training.map_err(|e| Fault::bug(format!("{} cannot be trained", planned.name)).why(e.to_string()))?;
        let (rows, held_out) = (training.training_rows(), training.held_out_rows());

        let data = self.inputs(planned.settings.months.clone(), "training");
        let labels = BTreeMap::from([("mlflow.note.content", planned.question.to_owned())]);
        let run = experiment.start(planned.name, &data, labels).await?;
        run.params(&record::params(&planned.settings, rows, held_out)).await?;
        self.tell_line(&format!("run {}: started. {}", planned.name, planned.question));
        while let Some(progress) = meter.work(|| training.next()) {
            run.metrics(&record::points(&progress), progress.step).await?;
            self.pause(REPORT_PACE).await;
        }

        let model = training.model();
        let unseen = meter.work(|| model.judge(&self.flights, judged_on..=judged_on));
        let unseen = unseen.ok_or_else(|| Fault::bug("a month without flights"))?;
        run.metrics(&record::unseen_points(&unseen), training.steps()).await?;
        run.metrics(&[meter.point()], training.steps()).await?;
        run.upload("model/model.json", pretty(&model)?).await?;
        run.upload("model/README.md", record::card(&planned.settings, &model, &unseen, judged_on).into_bytes()).await?;
        run.finish().await?;
        self.tell_line(&format!(
            "run {}: finished, AUC {} on {}",
            planned.name,
            record::figure(&unseen),
            record::month_name(judged_on)
        ));
        Ok(Trained { name: planned.name, run_id: run.id, settings: planned.settings.clone(), model, unseen })
    }

    /// Winter: the best goes through staging to production.
    async fn promote_best<'a>(
        &self,
        season: &Season,
        trained: &'a [Trained],
        suite: &Suite,
    ) -> Result<(&'a Trained, u32)> {
        let judged: Vec<Quality> = trained.iter().map(|t| t.unseen).collect();
        let winner = record::best(&judged).ok_or_else(|| Fault::bug("a season without runs"))?;
        let reason = record::reason(season, winner, &judged);
        let version = self.register(&trained[winner], &reason).await?;
        self.evaluate(suite, version).await?;
        self.stage(version, Stage::Staging, &reason).await?;
        self.stage(version, Stage::Prod, &format!("first model in production; {reason}")).await?;
        self.alias(version, "callers load the version in production by this name").await?;
        Ok((&trained[winner], version))
    }

    /// Summer: two candidates. One is better than production on the whole and refused for a slice; the other takes over.
    async fn succeed<'a>(
        &self,
        season: &Season,
        trained: &'a [Trained],
        old: u32,
        older: &Trained,
        suite: &Suite,
    ) -> Result<(&'a Trained, u32)> {
        let judged: Vec<Quality> = trained.iter().map(|t| t.unseen).collect();
        let winner = &trained[record::best(&judged).ok_or_else(|| Fault::bug("a season without runs"))?];
        let others: Vec<&Trained> = trained.iter().filter(|t| t.settings.months != winner.settings.months).collect();
        let others_judged: Vec<Quality> = others.iter().map(|t| t.unseen).collect();
        if let Some(second) = record::best(&others_judged).map(|index| others[index]) {
            let why = format!("a second opinion, learned from months {}", record::months(&second.settings));
            let version = self.register(second, &why).await?;
            self.evaluate(suite, version).await?;
            self.stage(version, Stage::Staging, &why).await?;
            let hope = format!("AUC {} on {}", record::figure(&second.unseen), record::month_name(season.judged_on));
            self.is_refused(version, &hope).await?;
        }
        let month = season.judged_on;
        let then =
            older.model.judge(&self.flights, month..=month).ok_or_else(|| Fault::bug("a month without flights"))?;
        if then.auc >= winner.unseen.auc {
            return Err(ending::unexpected("no successor beats the first model"));
        }
        let reason = record::takeover_reason(month, &then, &winner.unseen);
        let version = self.register(winner, &reason).await?;
        self.evaluate(suite, version).await?;
        self.stage(version, Stage::Staging, &reason).await?;
        // Stage and traffic move together: it arrives in production by its rollout.
        self.roll_out(version, month..=month, &reason).await?;
        self.alias(version, &format!("follows production from v{old} to v{version}")).await?;
        Ok((winner, version))
    }

    /// A model in use, month by month; beside it the model that it replaced.
    async fn watch(
        &self,
        experiment: &Experiment,
        trained: &Trained,
        version: u32,
        months: std::ops::RangeInclusive<u8>,
        replaced: Option<&Trained>,
    ) -> Result<()> {
        let note = format!("Version {version} ({}) in production, month by month.", trained.name);
        let run = experiment
            .start(&format!("in-production-v{version}"), &[], BTreeMap::from([("mlflow.note.content", note)]))
            .await?;
        run.params(&[("version", version.to_string()), ("trained_by", trained.run_id.clone())]).await?;
        let (mut judged, mut meter) = (Vec::new(), Meter::default());
        for month in months {
            self.arrive(month..=month).await?;
            self.serve(month).await?;
            run.inputs(&self.inputs(month..=month, "evaluation")).await?;
            let mut judge = |model: &Model| {
                let quality = meter.work(|| model.judge(&self.flights, month..=month));
                quality.ok_or_else(|| Fault::bug("a month without flights"))
            };
            let quality = judge(&trained.model)?;
            let mut points = record::month_points(&quality);
            let before = replaced.map(|old| judge(&old.model)).transpose()?;
            points.extend(before.and_then(|q| q.auc).map(|auc| ("month/auc_of_replaced", auc)));
            points.push(meter.point());
            run.metrics(&points, usize::from(month)).await?;
            self.tell_line(&format!("v{version} in {}", record::month_sentence(month, &quality)));
            judged.push((month, quality));
            self.pause(EVENT_PACE).await;
        }
        run.upload("months.csv", record::months_csv(&judged).into_bytes()).await?;
        run.finish().await
    }

    pub(super) fn tell_line(&self, line: &str) {
        (self.say)(line);
    }

    pub(super) async fn pause_for_event(&self) {
        self.pause(EVENT_PACE).await;
    }

    pub(super) fn scaled(&self, at_speed_one: Duration) -> Duration {
        at_speed_one.div_f64(self.speed.max(1e-3))
    }

    pub(super) async fn pause(&self, at_speed_one: Duration) {
        let pause = self.scaled(at_speed_one);
        // Below a millisecond a timer would wait longer than it is asked to.
        if pause >= Duration::from_millis(1) {
            tokio::time::sleep(pause).await;
        }
    }
}

pub(super) fn pretty(model: &Model) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(model).map_err(|e| Fault::bug("a model cannot be written").why(e.to_string()))
}
