//! What to do about cost, each with what was seen: runs that stand still, runs that another one beats, and services that
//! are larger than their work.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::HostView;
use super::bill::{Part, bill};
use super::gather::{self, Book, DAY_US, Served};
use super::rates::at;
use super::serving::On;
use crate::base::id::RunId;
use crate::base::money::{Exact, HOUR_US, Micro};
use crate::base::{Timestamp, show};
use crate::capability::Ctx;
use crate::capability::tracking::compare::{Better, better};
use crate::capability::tracking::health::{Health, Sign, health, is_loss};
use crate::capability::tracking::{Run, RunStatus};

/// A machine that works more than this share of its time is no waste.
const BUSY_ENOUGH: f64 = 0.25;
/// What replicas may be busy once there are fewer of them.
const BUSY_AIM: f64 = 0.6;
const RUNNING_MAX: usize = 200;
const ADVICE_MAX: usize = 50;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Advice {
    pub what: String,
    /// What was seen.
    pub why: String,
    #[serde(rename = "saves_day_micros")]
    pub saves_day: Option<Micro>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The line that does it.
    pub next: String,
}

/// All of it, by what it saves.
pub fn advice(ctx: &Ctx, book: &Book, served: &Served, hosts: &[HostView], now: Timestamp) -> Vec<Advice> {
    let uses = super::hosts::uses(hosts);
    let mut running: Vec<Arc<Run>> = ctx.tracking.read(|s| {
        s.runs().iter().filter(|r| r.status == RunStatus::Running).rev().take(RUNNING_MAX).cloned().collect()
    });
    running.sort_by_key(|r| r.id);
    let mut found: Vec<Advice> = running.iter().filter_map(|run| still(run, book, &uses, now)).collect();
    for run in &running {
        if found.iter().any(|a| a.run == Some(run.id)) {
            continue;
        }
        let rivals: Vec<Arc<Run>> = ctx.tracking.read(|s| s.runs_of(run.experiment).cloned().collect());
        found.extend(beaten(run, &rivals, book, now));
    }
    found.extend(oversized(book, served, now));
    found.sort_by(|a, b| b.saves_day.cmp(&a.saves_day).then_with(|| a.what.cmp(&b.what)));
    found.truncate(ADVICE_MAX);
    found
}

/// What a run costs for a day that it goes on: GPUs it keeps, or its host.
pub(super) fn a_day_of(run: &Run, book: &Book, now: Timestamp) -> Option<Micro> {
    let taken = gather::taken(run, now);
    let rates = &at(&book.lists, now)?.rates;
    if let Some(price) = taken.host.as_ref().and_then(|h| rates.hosts.get(h)) {
        return Some(price.for_time(DAY_US).rounded());
    }
    let lived = (taken.to.0 - taken.from.0).max(1);
    let cpu = taken.cpu.map(|cpu| rates.cpu.of_part(cpu * i128::from(DAY_US) / i128::from(lived), HOUR_US.into()));
    let gpu = (taken.gpus > 0).then(|| rates.gpu.for_time(DAY_US).scaled(i128::from(taken.gpus), 1));
    (cpu.is_some() || gpu.is_some()).then(|| [cpu, gpu].into_iter().flatten().sum::<Exact>().rounded())
}

/// Seconds for which a run has been silent, where that is long for its own pace.
pub(super) fn silence(run: &Run, now: Timestamp) -> Option<f64> {
    match health_of(run, now) {
        Health::Stalled { silent_seconds } => Some(silent_seconds),
        Health::Diverged { .. } | Health::Well => None,
    }
}

fn health_of(run: &Run, now: Timestamp) -> Health {
    let keys: Vec<(String, _)> = run.metrics.iter().map(|(k, m)| (k.to_string(), *m)).collect();
    let signs = keys.iter().map(|(key, m)| Sign {
        key,
        value: m.value,
        step: m.step,
        at: Timestamp::from_millis(m.timestamp),
        count: m.count.into(),
    });
    health(run.status, Timestamp::from_millis(run.start_ms), now, signs)
}

fn still(run: &Run, book: &Book, uses: &BTreeMap<&str, String>, now: Timestamp) -> Option<Advice> {
    let why = match health_of(run, now) {
        Health::Stalled { silent_seconds } => {
            let host = run.tags.get(gather::HOST_TAG).map(ToString::to_string).unwrap_or_default();
            let busy = uses.get(host.as_str()).map_or(String::new(), |busy| format!(", {host}: {busy}"));
            format!("no step for {}{busy}", show::span(silent_seconds))
        }
        Health::Diverged { key, step, value } => format!("{key} is {} since step {step}", show::metric(value)),
        Health::Well => return None,
    };
    Some(stop(run, why, book, now))
}

fn stop(run: &Run, why: String, book: &Book, now: Timestamp) -> Advice {
    Advice {
        what: format!("stop {}", run.name),
        why,
        saves_day: a_day_of(run, book, now),
        run: Some(run.id),
        service: None,
        next: format!("opsroom runs stop {}", run.id),
    }
}

/// A run is beaten when another one of its experiment was at least as good in all that both are judged by, and better in
/// something, in no more steps.
fn beaten(run: &Run, rivals: &[Arc<Run>], book: &Book, now: Timestamp) -> Option<Advice> {
    let rival = rivals.iter().filter(|r| r.id != run.id).find_map(|rival| {
        let mut lead: Option<(String, f64, f64)> = None;
        for (key, mine) in run.metrics.iter() {
            let direction = better::of(&key).or(is_loss(&key).then_some(Better::Lower));
            let Some(direction) = direction.filter(|_| !key.starts_with("system/")) else { continue };
            let theirs = rival.metrics.get(&key)?;
            if theirs.step > mine.step || mine.count < 2 {
                return None;
            }
            let ahead = match direction {
                Better::Higher => theirs.value - mine.value,
                Better::Lower => mine.value - theirs.value,
            };
            // Not a number is never ahead.
            if ahead.is_nan() || ahead < 0.0 {
                return None;
            }
            if ahead > 0.0 {
                lead = Some((key.to_string(), mine.value, theirs.value));
            }
        }
        lead.map(|lead| (rival, lead))
    });
    let (rival, (key, mine, theirs)) = rival?;
    let why = format!("beaten by {}: {key} {} against {}", rival.name, show::metric(mine), show::metric(theirs));
    Some(stop(run, why, book, now))
}

/// Replicas that are not needed for the work of the last full days.
fn oversized(book: &Book, served: &Served, now: Timestamp) -> Vec<Advice> {
    let to = Timestamp(now.0.div_euclid(DAY_US) * DAY_US);
    let from = Timestamp(to.0 - 7 * DAY_US);
    let (pieces, uses) = served.within(from, to);
    let days = pieces.iter().map(|p| p.to.0 - p.from.0).sum::<i64>() as f64 / DAY_US as f64;
    if days < 1.0 {
        return Vec::new();
    }
    let mut found = Vec::new();
    for p in &book.placements {
        let alone = bill(&pieces, &book.lists, std::slice::from_ref(p), &uses);
        let of = |part: Part| alone.lines.iter().filter(|(c, _)| c.part == part).map(|(_, m)| m.0).sum::<i64>() as f64;
        let (busy, idle) = (of(Part::Busy), of(Part::Idle));
        if of(Part::Kept) > 0.0 || busy + idle <= 0.0 {
            continue;
        }
        let share = busy / (busy + idle);
        let needed = (f64::from(p.replicas) * share / BUSY_AIM).ceil().max(1.0);
        let spare = f64::from(p.replicas) - needed;
        let worked = uses.iter().any(|u| u.service == p.service && u.requests > 0);
        let (what, saved) = match worked {
            true if share >= BUSY_ENOUGH || spare < 1.0 || matches!(p.on, On::Host(_)) => continue,
            true => {
                (format!("{}: {spare:.0} of {} replicas less", p.service, p.replicas), spare / f64::from(p.replicas))
            }
            false => (format!("{}: end what nobody calls", p.service), 1.0),
        };
        #[allow(clippy::cast_possible_truncation)] // an amount of money
        let saves = Micro(((busy + idle) / days * saved).round() as i64);
        found.push(Advice {
            what,
            why: format!(
                "{}, busy {:.0} % of {days:.0} days",
                show::many(u64::from(p.replicas), "replica", "replicas"),
                share * 100.0
            ),
            saves_day: Some(saves),
            run: None,
            service: Some(p.service.clone()),
            next: "change its replicas, then its [[serving]], and `opsroom apply` it".to_owned(),
        });
    }
    found
}
