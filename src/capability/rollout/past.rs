//! Services as they stood at a past moment: from their rollouts, which say when they began and ended, and from what routers
//! counted, which says who answered and with which weight.

use super::standing::{Rollout, ServiceView, Standing, State};
use super::store;
use crate::base::{Fault, Timestamp, fault::Result};
use crate::capability::monitoring::{self, ArmRole, TrafficWindow};
use crate::capability::registry;
use crate::db::Source;

/// How far back traffic tells who answered.
const TOLD_US: i64 = 3_600_000_000;

/// Every service, by name.
///
/// # Errors
/// The store's.
pub async fn services_at(mut source: Source<'_>, at: Timestamp) -> Result<Vec<Standing>> {
    let mut all = Vec::new();
    for now in store::services(source.again()).await? {
        let rollouts = store::rollouts(source.again(), &now.service.name).await?;
        let from = Timestamp(at.0 - TOLD_US);
        let mut windows = monitoring::windows(source.again(), &now.service.name, from, at).await?;
        windows.retain(|w| w.minute.saturating_mul(60_000_000) <= at.0);
        let mut then = then(now, &rollouts, &windows, at);
        if then.stable.is_none() {
            then.stable = prod_at(source.again(), &then.service.model, at).await?;
        }
        all.push(then);
    }
    Ok(all)
}

/// A service with the rollouts that had ended by then. What a judge said is not kept, so nothing is said for it.
///
/// # Errors
/// `NotFound`.
pub async fn view_at(mut source: Source<'_>, name: &str, at: Timestamp) -> Result<ServiceView> {
    let standing = services_at(source.again(), at).await?.into_iter().find(|s| s.service.name == name);
    let standing =
        standing.ok_or_else(|| Fault::not_found(format!("no service {name}")).next("see `opsroom service list`"))?;
    let mut history = store::rollouts(source, name).await?;
    history.retain(|r| r.ended.is_some_and(|end| end <= at));
    Ok(ServiceView {
        standing,
        judgement: None,
        history,
        recovery: None,
        servers: Vec::new(),
        forbidden: Vec::new(),
        seen: Vec::new(),
        envoy_status: None,
    })
}

/// The version that was in prod then, where the model is still there.
async fn prod_at(source: Source<'_>, model: &str, at: Timestamp) -> Result<Option<u32>> {
    match registry::model(source, model, Some(at)).await {
        Ok(view) => Ok(view.in_stage(registry::Stage::Prod).next().map(|v| v.version)),
        Err(fault) if fault.kind == crate::base::Kind::NotFound => Ok(None),
        Err(fault) => Err(fault),
    }
}

fn then(now: Standing, rollouts: &[Rollout], windows: &[TrafficWindow], at: Timestamp) -> Standing {
    let newest = |arm: ArmRole| windows.iter().filter(|w| w.arm == arm).max_by_key(|w| w.minute);
    let begun = || rollouts.iter().filter(|r| r.started <= at);
    let going = begun().filter(|r| r.ended.is_none_or(|end| end > at)).max_by_key(|r| r.started);
    let promoted =
        begun().filter(|r| r.state == State::Promoted && r.ended.is_some_and(|end| end <= at)).max_by_key(|r| r.ended);
    let candidate = going.map(|r| {
        let told =
            windows.iter().filter(|w| w.version == r.version && w.arm != ArmRole::Stable).max_by_key(|w| w.minute);
        Rollout {
            // How it ended was not known then, and of its way only what was counted is.
            state: if r.ended.is_some() { State::Running } else { r.state },
            weight: told.map_or(if r.ended.is_some() { 0 } else { r.weight }, |w| w.weight),
            shadow: told.map_or(r.shadow, |w| w.arm == ArmRole::Shadow),
            ended: None,
            why: String::new(),
            ..r.clone()
        }
    });
    let stable = newest(ArmRole::Stable)
        .map(|w| w.version)
        .or_else(|| going.map(|r| r.against))
        .or_else(|| promoted.map(|r| r.version));
    Standing {
        stable,
        previous: promoted.map(|r| r.against),
        candidate,
        awaited: None,
        turned: now.turned.clone().filter(|t| t.at <= at),
        ..now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: i64 = 1_700_000_000_000_000 / 60_000_000 * 60_000_000;

    fn at(minute: i64) -> Timestamp {
        Timestamp(T + minute * 60_000_000)
    }

    fn rollout(id: i64, version: u32, from: i64, to: Option<i64>, state: &str) -> Rollout {
        serde_json::from_value(serde_json::json!({
            "id": id, "service": "s", "version": version, "against": version - 1, "salt": "x", "state": state, "step": 1,
            "weight": 10_000, "shadow": false, "started": at(from), "step_since": at(from), "by": "kim", "reason": "",
            "ended": to.map(at), "why": "it ended"
        }))
        .unwrap()
    }

    fn standing() -> Standing {
        serde_json::from_value(serde_json::json!({
            "name": "s", "model": "m", "protocol": "json", "key": "none", "backend": [],
            "rollout": {"steps": [], "automatic": false}, "stable": 3, "previous": 2, "generation": 9
        }))
        .unwrap()
    }

    fn window(minute: i64, version: u32, arm: &str, weight: u16) -> TrafficWindow {
        serde_json::from_value(serde_json::json!({
            "service": "s", "version": version, "arm": arm, "minute": at(minute).0 / 60_000_000, "weight": weight,
            "requests": 1, "errors": 0, "latency": {}, "last": at(minute)
        }))
        .unwrap()
    }

    #[test]
    fn a_service_stands_as_its_rollouts_and_its_traffic_say() {
        let rollouts = [rollout(1, 2, 10, Some(20), "promoted"), rollout(2, 3, 30, Some(50), "promoted")];
        let told = |minute: i64, windows: &[TrafficWindow]| {
            let then = then(standing(), &rollouts, windows, at(minute));
            (then.stable, then.candidate.map(|r| (r.version, r.state, r.weight)), then.previous)
        };
        assert_eq!(told(5, &[]), (None, None, None), "nothing is known from before");
        assert_eq!(told(15, &[]), (Some(1), Some((2, State::Running, 0)), None), "its weight then was not counted");
        assert_eq!(told(25, &[]), (Some(2), None, Some(1)));
        let windows = [window(31, 2, "stable", 500), window(31, 3, "candidate", 500), window(39, 3, "candidate", 2500)];
        assert_eq!(told(40, &windows), (Some(2), Some((3, State::Running, 2500)), Some(1)));
        assert_eq!(told(60, &[]), (Some(3), None, Some(2)));
        let going = then(standing(), &rollouts, &[], at(40)).candidate.unwrap();
        assert!(going.why.is_empty() && going.ended.is_none(), "how it ended was not known then");
    }
}
