//! All services at a glance: the worst first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Arm, Fleet, Role, Row, Way, Worst, bound, changes, looked_at, raised, role};
use crate::base::stats::sketch::Sketch;
use crate::base::{Timestamp, fault::Result};
use crate::capability::drift;
use crate::capability::monitoring::counters::{Cell, Counters, Stretch, Tally};
use crate::capability::monitoring::incident::{self, AlertRule, Change, Incident};
use crate::capability::monitoring::quality::{self, Asked, Metric, Window, lower_is_better, main_metric};
use crate::capability::monitoring::{self, ArmRole};
use crate::capability::registry::{self, Stage};
use crate::capability::rollout::{self, Standing};
use crate::db::{Pool, Source};

/// Stretches of the small curve.
const COURSE: i64 = 15;
/// Incidents that closed so long ago are still told of, and changes.
const DAY: Duration = Duration::from_hours(24);

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskedFleet {
    /// Seconds.
    pub window: u64,
    /// As everything stood then; now, if nobody said.
    pub as_of: Option<Timestamp>,
}

/// # Errors
/// `Invalid` for less than a minute; the store's.
pub async fn fleet(pool: &Pool, counters: &Counters, asked: AskedFleet, now: Timestamp) -> Result<Fleet> {
    let window = Asked { window: asked.window, to: asked.as_of, ..Asked::default() }.bounds(now)?;
    let standings = match asked.as_of {
        None => rollout::services(Source::Pool(pool)).await?,
        Some(at) => rollout::services_at(Source::Pool(pool), at).await?,
    };
    let now = asked.as_of.unwrap_or(now);
    let rules = incident::rules(Source::Pool(pool)).await?;
    let changes = changes(pool, now.minus(DAY), now).await?;
    let mut incidents = incident::incidents(Source::Pool(pool), None).await?;
    if let Some(at) = asked.as_of {
        incidents = incidents.iter().filter_map(|i| i.as_of(at)).collect();
        incidents.sort_by_key(|i| (!i.is_open(), Reverse(i.id)));
    }
    incidents.retain(|i| i.closed.is_none_or(|at| at >= now.minus(DAY)));
    let told: BTreeSet<String> = counters.standing().versions.into_iter().map(|v| v.service).collect();
    let names: BTreeSet<String> = standings.iter().map(|s| s.service.name.clone()).chain(told).collect();
    let mut services = Vec::new();
    for name in names {
        let standing = standings.iter().find(|s| s.service.name == name);
        let window = looked_at(counters, &name, window);
        let known = Known {
            pool,
            counters,
            rules: &rules,
            incidents: &incidents,
            changes: &changes,
            window,
            now,
            as_of: asked.as_of,
        };
        services.push(known.row(&name, standing).await?);
    }
    services.sort_by_cached_key(|row| badness(row, &incidents));
    Ok(Fleet { window, at: now, services, incidents, changes, shed: counters.shed() })
}

/// The gravest incident first, then bad quality, drift, what is not known, and last the name.
fn badness(row: &Row, incidents: &[Incident]) -> (u8, bool, Reverse<bool>, bool, String) {
    let open = incidents.iter().filter(|i| i.is_open() && i.service == row.service).map(|i| i.severity).min();
    let drifts = row.drift.as_ref().is_some_and(|d| d.alarm);
    (open.unwrap_or(u8::MAX), row.complaint().is_none(), Reverse(drifts), row.quality.is_some(), row.service.clone())
}

struct Known<'a> {
    pool: &'a Pool,
    counters: &'a Counters,
    rules: &'a [AlertRule],
    incidents: &'a [Incident],
    changes: &'a [Change],
    window: Window,
    now: Timestamp,
    as_of: Option<Timestamp>,
}

/// What the counters say of one version.
struct Told {
    arm: monitoring::counters::Arm,
    role: Role,
    stretches: Vec<Stretch>,
    all: Cell,
}

impl Known<'_> {
    async fn row(&self, name: &str, standing: Option<&Standing>) -> Result<Row> {
        let told = self.told(name, standing).await?;
        let seen: Vec<&Told> = told.iter().filter(|t| t.role.serves()).collect();
        let mut sum = Tally::default();
        seen.iter().for_each(|t| sum.merge(&t.all.tally));
        let positive = seen.iter().find_map(|t| t.arm.positive.clone());
        let (metric, bound) = match bound(self.rules, name) {
            Some((metric, bound)) => (metric, Some(bound)),
            None => (seen.first().map_or("accuracy", |t| main_metric(&t.arm)).to_owned(), None),
        };
        let measured = |tally: &Tally| quality::measured(tally, positive.as_deref()).get(&metric).copied();
        let quality = measured(&sum);
        let estimated = if quality.is_none() { self.estimated(name, &metric, &seen).await? } else { None };
        let arms: Vec<Arm> = told.iter().map(|t| self.arm(t, &metric)).collect();
        let drift = arms.iter().filter(|a| a.role.serves()).filter_map(|a| a.drift.clone());
        let drift = drift.fold(None, |worst, next| Some(next.worse(worst)));
        let model = standing.map(|s| s.service.model.clone()).or_else(|| seen.iter().find_map(|t| t.arm.model.clone()));
        let (requests, errors, p99_ms, last) = self.traffic(name, &sum, &seen).await?;
        let version = standing.and_then(|s| s.stable).map(|v| format!("v{v}")).or_else(|| versions(&seen));
        let change = |c: &&Change| c.matters() && c.concerns(name, model.as_deref());
        Ok(Row {
            service: name.to_owned(),
            stage: self.stage(standing, model.as_deref()).await?,
            version,
            candidate: standing.and_then(way),
            lower_is_better: lower_is_better(&metric),
            bound,
            raised: raised(self.rules, self.incidents, name, &metric),
            quality,
            course: course(&seen, |tally| measured(tally).or_else(|| plain_estimate(tally, &metric))),
            estimated,
            n: sum.n,
            labelled: u64::try_from(sum.labelled).unwrap_or(0),
            label_delay: sum.delay.quantile(0.5),
            drift,
            requests,
            errors,
            p99_ms,
            batch: seen.iter().filter_map(|t| t.arm.batch.clone()).max_by_key(|(_, at)| *at),
            last: last.map(|at| at.min(self.now)),
            change: self.changes.iter().find(change).cloned(),
            model,
            metric,
            arms,
        })
    }

    async fn told(&self, name: &str, standing: Option<&Standing>) -> Result<Vec<Told>> {
        let minutes = ((self.window.to.0 - self.window.from.0) / 60_000_000 / COURSE).max(1);
        let mut told = Vec::new();
        for (number, arm) in self.counters.arms(name).unwrap_or_default() {
            let role = role(standing, &arm.version);
            let window = (self.window.from, self.window.to);
            let stretches = self.counters.stretches(number, window, minutes, Some("")).await?;
            let mut all = Cell::default();
            stretches.iter().filter_map(Stretch::all).for_each(|c| all.merge(c));
            if all.tally.n > 0 || all.tally.labelled > 0 || role.serves() {
                told.push(Told { arm, role, stretches, all });
            }
        }
        // Of those who tell of their own predictions only the ones that did so in the window are of interest.
        if told.iter().any(|t| t.all.tally.n > 0) {
            told.retain(|t| t.role != Role::Told || t.all.tally.n > 0);
        }
        Ok(told)
    }

    fn arm(&self, told: &Told, metric: &str) -> Arm {
        let drift = drift::of_cell(&told.arm, &told.all, self.window);
        Arm {
            version: told.arm.version.clone(),
            role: told.role,
            n: told.all.tally.n,
            quality: quality::measured(&told.all.tally, told.arm.positive.as_deref()).get(metric).copied(),
            drift: Worst::of(&drift),
            last: told.arm.last,
        }
    }

    /// Without labels: what calibrated scores let expect of the version that most callers see.
    async fn estimated(&self, name: &str, metric: &str, seen: &[&Told]) -> Result<Option<Metric>> {
        let Some(most) = seen.iter().max_by_key(|t| t.all.tally.n).filter(|t| !t.all.tally.scores.is_empty()) else {
            return Ok(None);
        };
        let seconds = u64::try_from((self.window.to.0 - self.window.from.0) / 1_000_000).unwrap_or(0);
        let version = Some(most.arm.version.clone());
        let asked = Asked { window: seconds, to: Some(self.window.to), version, slice: None };
        let report = quality::brief(self.counters, name, &asked, self.now).await?;
        Ok(report.versions.first().and_then(|v| v.estimated.get(metric).copied()))
    }

    async fn stage(&self, standing: Option<&Standing>, model: Option<&str>) -> Result<Option<Stage>> {
        let (Some(version), Some(model)) = (standing.and_then(|s| s.stable), model) else { return Ok(None) };
        match registry::model(Source::Pool(self.pool), model, self.as_of).await {
            Ok(view) => Ok(view.version(version).map(|v| v.stage)),
            Err(fault) if fault.kind == crate::base::Kind::NotFound => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Requests, errors, the 99 % latency and the newest moment: the router's where it was there, else what was told.
    async fn traffic(
        &self,
        name: &str,
        sum: &Tally,
        seen: &[&Told],
    ) -> Result<(u64, u64, Option<f64>, Option<Timestamp>)> {
        let before = Timestamp(self.window.to.0 - 1);
        let mut windows = monitoring::windows(Source::Pool(self.pool), name, self.window.from, before).await?;
        windows.retain(|w| w.arm != ArmRole::Shadow);
        let told = seen.iter().map(|t| t.arm.last).filter(|at| at.0 > 0).max();
        if windows.is_empty() {
            return Ok((sum.n, sum.errors, sum.latency.quantile(0.99), told));
        }
        let (mut requests, mut errors, mut latency) = (0, 0, Sketch::default());
        for w in &windows {
            requests += w.requests;
            errors += w.errors;
            latency.merge(&w.latency);
        }
        let last = windows.iter().map(|w| w.last).chain(told).max();
        Ok((requests, errors, latency.quantile(0.99), last))
    }
}

pub(super) fn way(standing: &Standing) -> Option<Way> {
    let on = standing.candidate.as_ref()?;
    let state = if on.shadow { "shadow" } else { on.state.words() };
    Some(Way { version: on.version, share: rollout::service::percent(on.weight), state: state.to_owned() })
}

/// Those that told, the newest first.
fn versions(seen: &[&Told]) -> Option<String> {
    let mut all: Vec<(Timestamp, &str)> = seen.iter().map(|t| (t.arm.last, t.arm.version.as_str())).collect();
    all.sort_by_key(|(at, _)| Reverse(*at));
    let more = all.len().saturating_sub(1);
    let first = all.first()?.1;
    let named = if first.starts_with(|c: char| c.is_ascii_digit()) { format!("v{first}") } else { first.to_owned() };
    Some(if more > 0 { format!("{named} +{more}") } else { named })
}

/// One figure a stretch, of all versions that callers see.
fn course(seen: &[&Told], figure: impl Fn(&Tally) -> Option<Metric>) -> Vec<Option<f64>> {
    let mut sums: BTreeMap<usize, Tally> = BTreeMap::new();
    for told in seen {
        for (i, stretch) in told.stretches.iter().enumerate() {
            let sum = sums.entry(i).or_default();
            if let Some(cell) = stretch.all() {
                sum.merge(&cell.tally);
            }
        }
    }
    sums.values().map(|tally| figure(tally).map(|m| m.value)).collect()
}

/// Of uncalibrated scores: the shape of the curve, where there are no labels.
fn plain_estimate(tally: &Tally, metric: &str) -> Option<Metric> {
    quality::estimated(tally, None, true).get(metric).copied()
}
