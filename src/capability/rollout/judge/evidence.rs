//! What the judge looks at beside the router's counts: labels, inputs and cost of both versions, gathered at most twice a minute, since
//! reading them costs more than judging.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::super::{Rollout, Standing};
use super::{Answers, Beside, Inputs, Spend};
use crate::base::{Timestamp, fault::Result};
use crate::capability::monitoring::counters::Stretch;
use crate::capability::{Ctx, cost, drift};

/// So old may it be.
const AGE_MAX: Duration = Duration::from_secs(30);
/// Minutes are kept for three hours; a longer rollout is read by the hour.
const BY_MINUTE: f64 = 2.0 * 3600.0;
/// The judge looks back so far.
const HOURS_MAX: i64 = 900;

/// Of one rollout up to now.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Evidence {
    pub labelled: Vec<Beside>,
    pub inputs: Option<Inputs>,
    pub spend: Option<Spend>,
}

/// The newest evidence of each rollout that goes on.
#[derive(Clone, Default)]
pub struct Gathered(Arc<Mutex<Held>>);

/// By rollout.
type Held = BTreeMap<i64, (Timestamp, Arc<Evidence>)>;

impl Gathered {
    /// # Errors
    /// The store's.
    pub async fn of(&self, ctx: &Ctx, standing: &Standing, rollout: &Rollout, now: Timestamp) -> Result<Arc<Evidence>> {
        let held = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh =
            |(at, _): &&(Timestamp, Arc<Evidence>)| *at <= now && now.seconds_since(*at) < AGE_MAX.as_secs_f64();
        if let Some((_, known)) = held().get(&rollout.id).filter(fresh) {
            return Ok(known.clone());
        }
        let found = Arc::new(gather(ctx, standing, rollout, now).await?);
        let mut held = held();
        held.retain(|_, (at, _)| now.seconds_since(*at) < 3600.0);
        held.insert(rollout.id, (now, found.clone()));
        Ok(found)
    }
}

async fn gather(ctx: &Ctx, standing: &Standing, rollout: &Rollout, now: Timestamp) -> Result<Evidence> {
    let service = &standing.service.name;
    // A service that no prediction was told of has no arms here.
    let arms = ctx.counters.arms(service).unwrap_or_default();
    let number = |version: u32| arms.iter().find(|(_, a)| a.version == version.to_string()).map(|(n, _)| *n);
    let mut found = Evidence { spend: spend(ctx, service, rollout, now).await?, ..Evidence::default() };
    let (Some(stable), Some(candidate)) = (number(rollout.against), number(rollout.version)) else { return Ok(found) };
    let minutes = if now.seconds_since(rollout.started) < BY_MINUTE { 1 } else { 60 };
    let from = rollout.started.max(now.minus(Duration::from_secs(HOURS_MAX.unsigned_abs() * 3600)));
    let range = (from, Timestamp(now.0 + 60_000_000));
    let a = ctx.counters.stretches(stable, range, minutes, Some("")).await?;
    let b = ctx.counters.stretches(candidate, range, minutes, Some("")).await?;
    let answers = |s: &Stretch| s.all().map(|cell| Answers::of(&cell.tally)).unwrap_or_default();
    found.labelled = a.iter().zip(&b).map(|(s, c)| Beside { stable: answers(s), candidate: answers(c) }).collect();
    let of = |n: u32, all: &[Stretch]| {
        let arm = arms.iter().find(|(number, _)| *number == n).map(|(_, arm)| arm.clone()).unwrap_or_default();
        crate::capability::monitoring::counters::together(&arm, all)
    };
    let (a, b) = (of(stable, &a), of(candidate, &b));
    let rows = (a.all().tally.n, b.all().tally.n);
    let (columns, not_compared, score) = drift::between(&a, &b);
    found.inputs = (rows.0 > 0 && rows.1 > 0).then_some(Inputs { rows, columns, not_compared, score });
    Ok(found)
}

async fn spend(ctx: &Ctx, service: &str, rollout: &Rollout, now: Timestamp) -> Result<Option<Spend>> {
    let asked = cost::Asked { by: cost::By::Version, since: Some(rollout.started), ..cost::Asked::default() };
    let report = match cost::report(ctx, &asked, now).await {
        Ok(report) => report,
        // A rollout that began this very moment has no window yet.
        Err(fault) if fault.kind == crate::base::Kind::Invalid => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let row = |version: u32| {
        let of = |r: &&cost::Row| {
            r.kind == "serve"
                && r.service.as_deref() == Some(service)
                && r.version.as_deref().is_some_and(|v| v.trim_start_matches('v') == version.to_string())
        };
        report.rows.iter().find(of)
    };
    let (Some(a), Some(b)) = (row(rollout.against), row(rollout.version)) else { return Ok(None) };
    // With something unknown, what is known is too little.
    let known = |r: &cost::Row| r.marginal_per_prediction.filter(|_| r.unknown.is_empty());
    Ok(Some(Spend {
        currency: report.currency.clone(),
        stable: known(a),
        candidate: known(b),
        served: (a.served, b.served),
        unknown: a.unknown.iter().chain(&b.unknown).cloned().collect(),
    }))
}
