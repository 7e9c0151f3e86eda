//! Gates that ask what a version does where it answers already: as a canary, in the shadow, or in batches. How long, how well by
//! labels, and what a prediction costs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::judge::{Word, number};
use super::{Gate, Rule, Verdict};
use crate::base::{Kind, Timestamp, fault::Result, show};
use crate::capability::evals::Limit;
use crate::capability::monitoring::counters::Lived;
use crate::capability::monitoring::quality::{self, Metric};
use crate::capability::{Ctx, cost};

use Verdict::{Fail, Inconclusive, Pass};

/// What was seen of a version, for one gate.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Live {
    /// Services that it answers in.
    pub services: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lived: Option<Lived>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_per_1k: Option<f64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub currency: String,
    /// Why something is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

/// By the name of the gate.
pub(super) async fn gather(
    ctx: &Ctx,
    gates: &[Gate],
    (model, version): (&str, u32),
    now: Timestamp,
) -> Result<BTreeMap<String, Live>> {
    let mut found = BTreeMap::new();
    for gate in gates {
        let (Rule::Soak { service, .. } | Rule::LiveQuality { service, .. } | Rule::Cost { service, .. }) = &gate.rule
        else {
            continue;
        };
        found.insert(gate.name.clone(), one(ctx, &gate.rule, service.as_deref(), (model, version), now).await?);
    }
    Ok(found)
}

fn is_version(told: &str, version: u32) -> bool {
    told.trim_start_matches('v') == version.to_string()
}

async fn one(
    ctx: &Ctx,
    rule: &Rule,
    service: Option<&str>,
    (model, version): (&str, u32),
    now: Timestamp,
) -> Result<Live> {
    let mut all = ctx.counters.standing().versions;
    all.retain(|v| is_version(&v.version, version) && v.model.as_deref().unwrap_or(&v.service) == model);
    all.retain(|v| service.is_none_or(|service| v.service == service));
    let mut live = Live { services: all.iter().map(|v| v.service.clone()).collect(), ..Live::default() };
    let [seen] = all.as_slice() else { return Ok(live) };
    match rule {
        Rule::Soak { .. } => live.lived = Some(ctx.counters.lived(&seen.service, &seen.version, now).await?),
        Rule::LiveQuality { metric, window, .. } => {
            let asked =
                quality::Asked { window: *window, to: Some(now), version: Some(seen.version.clone()), slice: None };
            let report = quality::brief(&ctx.counters, &seen.service, &asked, now).await?;
            let of = report.versions.first();
            live.metric = of.and_then(|v| v.metrics.get(metric.as_str())).copied();
            if let (None, Some(v)) = (live.metric, of) {
                let known: Vec<&str> = v.metrics.keys().map(String::as_str).collect();
                live.unknown.push(match known.as_slice() {
                    [] => format!("none of {} answers has a label", show::count(v.n)),
                    known => format!("{metric} is not measured; there are {}", known.join(", ")),
                });
            }
        }
        Rule::Cost { window, .. } => {
            let since = now.minus(Duration::from_secs(*window));
            let asked = cost::Asked { by: cost::By::Version, since: Some(since), ..cost::Asked::default() };
            let report = match cost::report(ctx, &asked, now).await {
                Ok(report) => report,
                Err(fault) if fault.kind == Kind::Invalid => {
                    live.unknown.push(fault.what);
                    return Ok(live);
                }
                Err(fault) => return Err(fault),
            };
            let own = |r: &&cost::Row| {
                r.service.as_deref() == Some(seen.service.as_str())
                    && r.version.as_deref().is_some_and(|v| is_version(v, version))
            };
            live.currency = report.currency;
            if let Some(row) = report.rows.iter().find(own) {
                live.unknown.clone_from(&row.unknown);
                // Of what is known would be too little.
                live.cost_per_1k = row.per_1k.filter(|_| row.unknown.is_empty());
            }
        }
        _ => {}
    }
    Ok(live)
}

/// The word of a gate of this kind.
pub(super) fn word(live: Option<&Live>, rule: &Rule) -> Word {
    let Some(live) = live else { return Word::new(Inconclusive, Value::Null, "it was not looked at") };
    match live.services.as_slice() {
        [] => {
            return Word::new(Inconclusive, Value::Null, "no prediction of this version ever came")
                .next("start a rollout, or a shadow, and let it answer");
        }
        [_] => {}
        many => {
            let why = format!("it answers in {}", many.join(", "));
            return Word::new(Inconclusive, Value::Null, why).next("say in the gate which service is meant");
        }
    }
    match rule {
        Rule::Soak { seconds, predictions_min, errors_max, .. } => {
            soaked(live.lived.unwrap_or_default(), *seconds, *predictions_min, *errors_max)
        }
        Rule::LiveQuality { metric, limit, labels_min, .. } => measured(live, metric, limit, *labels_min),
        Rule::Cost { per_1k_max, .. } => cheap(live, *per_1k_max),
        _ => Word::new(Inconclusive, Value::Null, "not a gate of this kind"),
    }
}

fn cheap(live: &Live, per_1k_max: f64) -> Word {
    let Some(cost) = live.cost_per_1k else {
        let why = live.unknown.first().map_or("it answered nothing that has a price", String::as_str);
        return Word::new(Inconclusive, Value::Null, format!("what a prediction costs is not known: {why}"))
            .next("say what it runs on in [[serving]], and its price in [rates]");
    };
    let why = format!("1,000 predictions cost {} {}", show::metric(cost), live.currency);
    Word::new(if cost <= per_1k_max { Pass } else { Fail }, number(cost), why)
}

fn soaked(lived: Lived, seconds: u64, predictions_min: u64, errors_max: Option<f64>) -> Word {
    let (length, wanted) = (Duration::from_secs(lived.minutes * 60), Duration::from_secs(seconds));
    let share = lived.errors as f64 / lived.predictions.max(1) as f64;
    let why = format!(
        "it answered {} predictions in {}, {} of them errors",
        show::count(lived.predictions),
        show::length(length),
        show::count(lived.errors)
    );
    // A high share of few is no proof that it is too high; a soak that is over says enough.
    let over = length >= wanted && lived.predictions >= predictions_min;
    if let Some(most) = errors_max.filter(|most| over && share > *most) {
        return Word::new(Fail, number(share), format!("{why}; allowed is a share of {}", show::metric(most)));
    }
    if over {
        return Word::new(Pass, lived.minutes * 60, why);
    }
    let missing = predictions_min.saturating_sub(lived.predictions);
    let left = wanted.saturating_sub(length);
    let word = Word::new(Inconclusive, lived.minutes * 60, why).next(format!(
        "let it answer for {} more, and {} predictions at least",
        show::length(left),
        show::count(missing)
    ));
    Word { rows_missing: (missing > 0).then_some(missing), ..word }
}

fn measured(live: &Live, name: &str, limit: &Limit, labels_min: u64) -> Word {
    let Some(metric) = live.metric else {
        let why = live.unknown.first().map_or("no label came", String::as_str);
        return Word::new(Inconclusive, Value::Null, format!("live {name} is not known: {why}"))
            .next("send labels to POST /api/v1/labels");
    };
    let why = match (metric.low, metric.high) {
        (Some(low), Some(high)) => format!(
            "live {name} is {} ({} to {}) over {} labels",
            show::metric(metric.value),
            show::metric(low),
            show::metric(high),
            show::count(metric.n)
        ),
        _ => format!("live {name} is {} over {} labels", show::metric(metric.value), show::count(metric.n)),
    };
    if metric.n < labels_min {
        let missing = labels_min - metric.n;
        let word = Word::new(Inconclusive, number(metric.value), why)
            .next(format!("wait for {} more labels", show::count(missing)));
        return Word { rows_missing: Some(missing), ..word };
    }
    let (low, high) = (metric.low.unwrap_or(metric.value), metric.high.unwrap_or(metric.value));
    let within = |x: f64| limit.min.is_none_or(|min| x >= min) && limit.max.is_none_or(|max| x <= max);
    let outside = limit.min.is_some_and(|min| high < min) || limit.max.is_some_and(|max| low > max);
    if within(low) && within(high) {
        return Word::new(Pass, number(metric.value), why);
    }
    if outside {
        return Word::new(Fail, number(metric.value), why);
    }
    Word::new(Inconclusive, number(metric.value), format!("{why}: the bound lies within what chance leaves open"))
        .next("wait for more labels")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live() -> Live {
        Live { services: vec!["delay".into()], ..Live::default() }
    }

    #[test]
    fn a_soak_asks_for_time_and_predictions_and_few_errors() {
        let rule = Rule::Soak { service: None, seconds: 3600, predictions_min: 500, errors_max: Some(0.01) };
        let said = |minutes, predictions, errors| {
            let lived = Lived { minutes, predictions, errors };
            word(Some(&Live { lived: Some(lived), ..live() }), &rule).verdict
        };
        assert_eq!((said(60, 500, 5), said(59, 500, 0), said(60, 499, 0)), (Pass, Inconclusive, Inconclusive));
        assert_eq!((said(60, 500, 6), said(10, 50, 6)), (Fail, Inconclusive));
        // Unknown is never a pass.
        assert_eq!(word(Some(&Live::default()), &rule).verdict, Inconclusive);
        let two = Live { services: vec!["a".into(), "b".into()], ..Live::default() };
        assert_eq!((word(Some(&two), &rule).verdict, word(None, &rule).verdict), (Inconclusive, Inconclusive));
    }

    #[test]
    fn live_quality_needs_the_whole_interval_and_cost_a_price() {
        let limit = Limit { min: Some(0.7), max: None };
        let rule = Rule::LiveQuality { service: None, metric: "accuracy".into(), limit, window: 3600, labels_min: 100 };
        let said = |value: f64, half: f64, n| {
            let metric = Metric { value, low: Some(value - half), high: Some(value + half), n };
            word(Some(&Live { metric: Some(metric), ..live() }), &rule).verdict
        };
        assert_eq!((said(0.8, 0.05, 1000), said(0.72, 0.05, 1000), said(0.6, 0.05, 1000)), (Pass, Inconclusive, Fail));
        assert_eq!(said(0.9, 0.01, 99), Inconclusive);
        assert_eq!(word(Some(&live()), &rule).verdict, Inconclusive);
        let rule = Rule::Cost { service: None, per_1k_max: 0.5, window: 86_400 };
        let said = |cost| word(Some(&Live { cost_per_1k: cost, ..live() }), &rule).verdict;
        assert_eq!((said(Some(0.4)), said(Some(0.6)), said(None)), (Pass, Fail, Inconclusive));
    }
}
