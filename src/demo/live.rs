//! The model in service: every month's flights are predicted by the version in production, and later it is known which were
//! late. A second service is the first model left to itself for the whole year: what would have become of it.
//!
//! A month takes a minute. Without a viewer the year is told as if it had just passed: its minutes end now.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::ending::unexpected;
use super::features::{Categorical, Numeric};
use super::flights::Flights;
use super::model::{Model, labelled};
use super::months::column_name;
use super::record::month_name;
use super::story::{NAME, Story};
use crate::base::clock::{Clock, SystemClock};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::capability::Command;
use crate::capability::form::Document;
use crate::capability::monitoring::incident::{self, AlertRule, Command as Incidents, Incident, headline};
use crate::capability::monitoring::quality::Asked;
use crate::capability::registry::Stage;

/// The first model all year long, whatever happens to the other service.
pub const UNTOUCHED: &str = "flight-delay-untouched";
/// Flights of a month that are predicted, evenly over it.
const FLIGHTS: usize = 1500;
/// A month's predictions come in so many parts.
const PARTS: usize = 12;
/// A month, in the time of the service.
pub(super) const MONTH: Duration = Duration::from_mins(1);
/// The first month that is served, and the last one.
const FIRST: u8 = 3;
pub(super) const LAST: u8 = 12;
/// How long the monitor may take to see what is wrong.
const PATIENCE: Duration = Duration::from_secs(40);
/// A version is calibrated up to here, and has lost its calibration from there on.
const CALIBRATED: f64 = 0.05;
const COLLAPSED: f64 = 0.2;

/// What is known of the year in service.
#[derive(Debug, Default)]
pub(super) struct Year {
    /// Models by version.
    models: Mutex<BTreeMap<u32, Model>>,
    /// Where the last month ended.
    ended: Mutex<Option<Timestamp>>,
    /// What was measured of the first model, month by month.
    seen: Mutex<BTreeMap<u8, Seen>>,
}

/// A month of the first model, as the agent measured it.
#[derive(Debug, Clone, Copy)]
struct Seen {
    accuracy: f64,
    brier: f64,
    ece: f64,
    /// Whether the scores drifted, and how far the input that drifted most.
    scores_drift: bool,
    worst_input: f64,
    inputs: u64,
}

impl Year {
    pub(super) fn knows(&self, version: u32, model: Model) {
        self.models.lock().unwrap_or_else(PoisonError::into_inner).insert(version, model);
    }

    fn model(&self, version: u32) -> Option<Model> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner).get(&version).cloned()
    }

    fn first(&self) -> Option<(u32, Model)> {
        let models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        models.first_key_value().map(|(version, model)| (*version, model.clone()))
    }

    /// Where the minute of a month begins: after the one before, and so that the year ends now, whatever the pace.
    fn minute(&self, month: u8, pace: Duration, now: Timestamp) -> Timestamp {
        let ahead = MONTH.saturating_sub(pace) * u32::from(LAST + 1 - month.min(LAST));
        let due = Timestamp(now.minus(ahead).0.div_euclid(60_000_000) * 60_000_000);
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = ended.map_or(due, |end| end.max(due));
        *ended = Some(begins.plus(MONTH));
        begins
    }
}

/// The rules that watch it, as `opsroom apply` reads them.
fn rules() -> Result<Vec<AlertRule>> {
    incident::parse(&mut Document::parse("flights.toml", super::proof::DECLARED)?)
}

impl Story {
    /// From now on somebody is told when the service goes wrong.
    pub(super) async fn is_watched(&self) -> Result<()> {
        let rules = rules()?;
        let names: Vec<&str> = rules.iter().map(|r| r.name.as_str()).collect();
        self.tell_line(&format!("service {NAME} is watched: {}", names.join(", ")));
        let known = self.client.alert_rules().await?;
        for rule in rules.into_iter().filter(|r| !known.contains(r)) {
            self.decide(Command::Incidents(Incidents::SetAlert { rule }), "somebody has to be told").await?;
        }
        Ok(())
    }

    /// A month of flights is predicted, and then it is known which were late.
    pub(super) async fn serve(&self, month: u8) -> Result<()> {
        let pace = MONTH.div_f64(self.speed.max(1.0));
        let begins = self.year.minute(month, pace, SystemClock.now());
        let all = labelled(&self.flights, month..=month);
        let every = (all.len() / FLIGHTS).max(1);
        let flights = mixed(all.into_iter().step_by(every).take(FLIGHTS).collect());
        let (first, untouched) = self.year.first().ok_or_else(|| Fault::bug("nothing is in service"))?;
        let mut serving = first;
        let part = flights.len().div_ceil(PARTS).max(1);
        for (number, chunk) in flights.chunks(part).enumerate() {
            // Whoever looks on may promote or roll back at any time: the next flights go to what is in production then.
            let (version, model) = match self.in_production().await? {
                Some(version) => (version, self.year.model(version).unwrap_or_else(|| untouched.clone())),
                None => (first, untouched.clone()),
            };
            serving = version;
            let at = |i: usize| begins.plus(MONTH.mul_f64((number * part + i) as f64 / flights.len() as f64));
            let (mut predictions, mut labels) = (Vec::new(), Vec::new());
            for (i, (row, late)) in chunk.iter().enumerate() {
                for (service, version, model) in [(NAME, version, &model), (UNTOUCHED, first, &untouched)] {
                    let id = format!("{service}-{month}-{row}-{}", begins.0 / 60_000_000);
                    let flight = Flight { id: &id, service, version, row: *row, at: at(i) };
                    lines(&mut predictions, &flight.predicted(&self.flights, model));
                    lines(&mut labels, &json!({"id": id, "label": u8::from(*late)}));
                }
            }
            self.client.add_predictions(predictions).await?;
            self.client.add_labels(labels).await?;
            self.pause(MONTH / u32::try_from(PARTS).unwrap_or(1)).await;
        }
        self.say_month(month, begins, first, serving, flights.len()).await
    }

    async fn in_production(&self) -> Result<Option<u32>> {
        Ok(self.client.model(NAME, None).await?.in_stage(Stage::Prod).next().map(|v| v.version))
    }

    /// What the agent makes of a month.
    async fn say_month(&self, month: u8, begins: Timestamp, first: u32, serving: u32, flights: usize) -> Result<()> {
        let seen = self.measured(UNTOUCHED, first, begins).await?;
        self.year.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(month, seen);
        let now = if serving == first { seen } else { self.measured(NAME, serving, begins).await? };
        let scores = if now.scores_drift { "scores drifted" } else { "scores as trained" };
        self.tell_line(&format!(
            "service {NAME} in {}: {flights} flights by v{serving}, {:.0} % right, calibration off by {:.3}; {scores}, {} inputs drifted",
            month_name(month),
            now.accuracy * 100.0,
            now.ece,
            now.inputs,
        ));
        Ok(())
    }

    async fn measured(&self, service: &str, version: u32, begins: Timestamp) -> Result<Seen> {
        let window = MONTH.as_secs();
        let asked = Asked { window, to: Some(begins.plus(MONTH)), version: Some(version.to_string()), slice: None };
        let missing = || Fault::bug("what was sent is not counted");
        let quality = self.client.quality(service, &asked).await?.versions.pop().ok_or_else(missing)?;
        let drift = self.client.drift(service, &asked).await?.versions.pop().ok_or_else(missing)?;
        let metric = |name: &str| quality.metrics.get(name).map(|m| m.value).ok_or_else(missing);
        Ok(Seen {
            accuracy: metric("accuracy")?,
            brier: metric("brier")?,
            ece: metric("ece")?,
            scores_drift: drift.score.as_ref().is_some_and(|s| s.alarm),
            worst_input: drift.columns.iter().filter_map(|c| c.psi).fold(0.0, f64::max),
            inputs: drift.columns.iter().filter(|c| c.alarm).count() as u64,
        })
    }

    /// The monitor sees what is wrong, and an incident opens.
    pub(super) async fn is_paged(&self) -> Result<()> {
        let step = Duration::from_millis(500);
        let mut waited = Duration::ZERO;
        loop {
            let all = self.client.incidents(Some(NAME)).await?;
            let raised = |i: &&Incident| i.alerts.iter().any(|a| a.alert.rule == "calibration");
            if let Some(found) = all.iter().find(raised) {
                self.tell_line(&format!("INC-{} opened: {}", found.id, headline(found)));
                return Ok(());
            }
            if waited >= PATIENCE {
                return Err(unexpected("no incident opened although the calibration was lost"));
            }
            tokio::time::sleep(step).await;
            waited += step;
        }
    }

    /// The year as the agent measured it, held against what is in the data.
    pub(super) fn check_year(&self) -> Result<()> {
        let seen = self.year.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let seen = &seen;
        let of = |month: u8| {
            seen.get(&month).copied().ok_or_else(|| unexpected(format!("{} was not served", month_name(month))))
        };
        let (march, april, july, september, december) = (of(3)?, of(4)?, of(7)?, of(9)?, of(12)?);
        let all = || (FIRST..=LAST).filter_map(move |m| seen.get(&m));
        let checks = [
            (march.ece <= CALIBRATED && !march.scores_drift, "the model is not fine in March"),
            (april.scores_drift && april.inputs >= 3, "inputs and scores do not drift in April"),
            (july.ece >= COLLAPSED, "the calibration does not collapse by July"),
            (
                september.scores_drift && all().all(|s| september.accuracy >= s.accuracy && september.brier <= s.brier),
                "September does not drift while it is the best month",
            ),
            (
                !december.scores_drift
                    && all().all(|s| december.worst_input <= s.worst_input)
                    && december.accuracy < march.accuracy - 0.05,
                "December does not lose quality with the least drift of all months",
            ),
        ];
        if let Some((_, what)) = checks.iter().find(|(holds, _)| !holds) {
            return Err(unexpected(format!("{what}: {seen:?}")));
        }
        self.tell_line(&format!(
            "left to itself the first model was right in {:.0} % in March, {:.0} % in July, {:.0} % in September, {:.0} % in December",
            march.accuracy * 100.0,
            july.accuracy * 100.0,
            september.accuracy * 100.0,
            december.accuracy * 100.0,
        ));
        Ok(())
    }
}

/// A flight that is to be predicted.
struct Flight<'a> {
    id: &'a str,
    service: &'a str,
    version: u32,
    row: usize,
    at: Timestamp,
}

impl Flight<'_> {
    /// As a caller would tell of it.
    fn predicted(&self, flights: &Flights, model: &Model) -> Value {
        let numbers = Numeric::ALL.iter().map(|c| (column_name(c), json!(c.value(flights, self.row))));
        let words = Categorical::ALL.iter().map(|c| (column_name(c), json!(c.value(flights, self.row))));
        let features: Map<String, Value> = numbers.chain(words).collect();
        let score = model.score(flights, self.row);
        json!({
            "id": self.id,
            "service": self.service,
            "model": NAME,
            "version": self.version.to_string(),
            "time": self.at,
            "features": features,
            "prediction": u8::from(score >= 0.5),
            "score": score,
            "slices": {
                "origin": Categorical::Origin.value(flights, self.row),
                "carrier": Categorical::Carrier.value(flights, self.row),
            },
        })
    }
}

/// Going through the month seven times: a part of its minute speaks for all of it, as the first window of a version has to.
fn mixed(flights: Vec<(usize, bool)>) -> Vec<(usize, bool)> {
    const ROUNDS: usize = 7;
    let n = flights.len();
    if n.is_multiple_of(ROUNDS) {
        return flights;
    }
    (0..n).map(|i| flights[i * ROUNDS % n]).collect()
}

fn lines(to: &mut Vec<u8>, value: &Value) {
    to.extend(value.to_string().into_bytes());
    to.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_viewer_the_year_ends_now_and_with_one_it_goes_by_the_clock() {
        let now = Timestamp(1_000_000 * 60_000_000);
        let minutes = |pace: Duration, step: i64| -> Vec<i64> {
            let year = Year::default();
            let at = |i: i64| Timestamp(now.0 + i * step);
            (FIRST..=LAST).zip(0..).map(|(m, i)| (year.minute(m, pace, at(i)).0 - now.0) / 60_000_000).collect()
        };
        assert_eq!(minutes(Duration::ZERO, 0), [-10, -9, -8, -7, -6, -5, -4, -3, -2, -1]);
        assert_eq!(minutes(MONTH, 60_000_000), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        // A pause between two months stays a pause.
        assert_eq!(minutes(MONTH, 120_000_000)[..3], [0, 2, 4]);
    }

    #[test]
    fn every_flight_is_predicted_once() {
        let flights: Vec<(usize, bool)> = (0..FLIGHTS).map(|i| (i, false)).collect();
        let mut order: Vec<usize> = mixed(flights).into_iter().map(|f| f.0).collect();
        assert_eq!(order[..3], [0, 7, 14]);
        order.sort_unstable();
        assert!(order.into_iter().eq(0..FLIGHTS));
    }

    #[test]
    fn the_rules_can_be_read() {
        let names: Vec<String> = rules().unwrap().into_iter().map(|r| r.name).collect();
        assert_eq!(names, ["calibration", "scores"]);
    }
}
