//! What a write does to the documents, as data: journalled, replayed after a crash, and applied in one place.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::{Deserialize, Serialize};

use super::points::{self, Point};
use super::types::{DatasetInput, Experiment, Key, Latest, Lifecycle, LoggedModel, ModelOutput, Run, RunStatus, Text};
use crate::base::id::{ModelId, RunId};

/// One change, decided and checked. Applying it cannot fail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    PutExperiment(Experiment),
    PutRun(Box<Run>),
    PatchRun(Box<RunPatch>),
    Points(RunPoints),
    PutModel(Box<LoggedModel>),
}

/// What changes in a run's document. Empty means unchanged.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunPatch {
    pub run: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<RunStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<(Key, Text)>,
    /// `None` removes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<(Key, Option<Text>)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<DatasetInput>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub model_inputs: Vec<ModelId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub model_outputs: Vec<ModelOutput>,
}

impl RunPatch {
    pub fn of(run: RunId) -> Self {
        Self { run: Some(run), ..Self::default() }
    }
}

/// New points of one run, by key, in order of arrival.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunPoints {
    pub run: RunId,
    #[serde(with = "packed_series")]
    pub series: Vec<(Key, Vec<Point>)>,
}

/// Points travel through the journal packed: a number costs about ten bytes and keeps every bit.
mod packed_series {
    use serde::{Deserializer, Serializer, de};

    use super::{BASE64_STANDARD, BTreeMap, Deserialize, Engine, Key, Point, points};

    pub(super) fn serialize<S: Serializer>(series: &[(Key, Vec<Point>)], s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(series.iter().map(|(k, p)| (k.as_str(), BASE64_STANDARD.encode(points::pack(p)))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<(Key, Vec<Point>)>, D::Error> {
        let packed = BTreeMap::<String, String>::deserialize(d)?;
        let unpack = |(key, text): (String, String)| {
            let bytes = BASE64_STANDARD.decode(text).map_err(de::Error::custom)?;
            Ok((Key::from(&key), points::unpack(&bytes).map_err(de::Error::custom)?))
        };
        packed.into_iter().map(unpack).collect()
    }
}

/// Takes one point into a metric's latest value.
pub fn observe(latest: Option<Latest>, point: Point) -> Latest {
    let fresh = Latest { value: point.value, step: point.step, timestamp: point.timestamp, count: 1 };
    let Some(old) = latest else { return fresh };
    let count = old.count.saturating_add(1);
    // NaN stands below every number at the same step and time.
    let rank = |l: &Latest| (l.step, l.timestamp, !l.value.is_nan());
    let newer = rank(&fresh)
        .cmp(&rank(&old))
        .then_with(|| fresh.value.partial_cmp(&old.value).unwrap_or(std::cmp::Ordering::Equal));
    if newer.is_ge() { Latest { count, ..fresh } } else { Latest { count, ..old } }
}

/// Applies a patch to its run's document.
pub fn patch(run: &mut Run, change: &RunPatch) {
    if let Some(name) = &change.name {
        run.name.clone_from(name);
    }
    if let Some(status) = change.status {
        run.status = status;
    }
    if change.end_ms.is_some() {
        run.end_ms = change.end_ms;
    }
    if let Some(lifecycle) = change.lifecycle {
        run.lifecycle = lifecycle;
    }
    for (key, value) in &change.params {
        run.params.insert(*key, value.clone());
    }
    for (key, value) in &change.tags {
        match value {
            Some(value) => run.tags.insert(*key, value.clone()),
            None => drop(run.tags.remove(key.as_str())),
        }
    }
    for input in &change.inputs {
        match run.inputs.iter_mut().find(|i| i.name == input.name && i.digest == input.digest) {
            Some(known) => merge_tags(&mut known.tags, &input.tags),
            None => run.inputs.push(input.clone()),
        }
    }
    for model in &change.model_inputs {
        if !run.model_inputs.contains(model) {
            run.model_inputs.push(*model);
        }
    }
    for output in &change.model_outputs {
        if !run.model_outputs.contains(output) {
            run.model_outputs.push(*output);
        }
    }
    run.params.shrink();
    run.tags.shrink();
}

fn merge_tags(known: &mut Vec<(String, String)>, new: &[(String, String)]) {
    for (key, value) in new {
        match known.iter_mut().find(|(k, _)| k == key) {
            Some((_, v)) => v.clone_from(value),
            None => known.push((key.clone(), value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(step: i64, timestamp: i64, value: f64) -> Point {
        Point { step, timestamp, value }
    }

    #[test]
    fn latest_is_the_greatest_by_step_time_value_not_the_last_received() {
        let mut latest = None;
        for p in [point(1, 5, 0.1), point(3, 1, 0.3), point(2, 9, 0.9), point(3, 1, 0.2), point(3, 1, f64::NAN)] {
            latest = Some(observe(latest, p));
        }
        let latest = latest.unwrap();
        assert_eq!((latest.step, latest.timestamp, latest.value, latest.count), (3, 1, 0.3, 5));
    }

    #[test]
    fn effects_survive_the_journal_bit_for_bit() {
        let nan = f64::from_bits(0x7ff8_0000_0000_1234);
        let series = vec![(Key::from("a/b"), vec![point(-1, 2, nan), point(i64::MAX, i64::MIN, f64::NEG_INFINITY)])];
        let effect = Effect::Points(RunPoints { run: RunId(7), series });
        let Effect::Points(back) = serde_json::from_slice(serde_json::to_string(&effect).unwrap().as_bytes()).unwrap()
        else {
            panic!("another effect");
        };
        assert_eq!(back.series[0].1[0].value.to_bits(), nan.to_bits());
        assert_eq!(back.series[0].1[1], point(i64::MAX, i64::MIN, f64::NEG_INFINITY));
    }
}
