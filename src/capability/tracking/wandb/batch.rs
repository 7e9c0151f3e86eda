//! Lines that were read from a file, as they travel: a head of JSON, then packed points. They are numbered as a live client
//! numbers them, so that a run that came live is not doubled by its file, and what the line to the agent lost is found there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::stream::Progress;
use super::summary::same;
use super::{IMPORTED_TAG, PROGRESS_TAG, progress};
use crate::base::id::RunId;
use crate::base::{Fault, fault::Result};
use crate::capability::tracking::effect::{Effect, RunPatch, RunPoints};
use crate::capability::tracking::points::{self, Point};
use crate::capability::tracking::types::{Key, Lifecycle, Run, RunStatus, Text};
use crate::capability::tracking::writer::{Decision, Tracking};
use crate::capability::tracking::{rules, runs};

/// What a batch of lines says besides points.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Batch {
    /// From and to.
    pub history: (u64, u64),
    pub events: (u64, u64),
    pub step: i64,
    pub runtime: f64,
    pub at_ms: i64,
    pub summary: Vec<Value>,
    pub texts: BTreeMap<String, String>,
    /// How the run ended, and when.
    pub ended: Option<(RunStatus, i64)>,
}

/// A value of the summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Value {
    pub key: String,
    #[serde(with = "crate::base::number")]
    pub value: f64,
}

/// Series by metric.
pub type Series = Vec<(String, Vec<Point>)>;

impl Batch {
    /// # Errors
    /// `Bug` when it cannot be written.
    pub fn written(&self, series: &Series) -> Result<Vec<u8>> {
        let mut body = serde_json::to_vec(self).map_err(|e| Fault::bug("lines").why(e.to_string()))?;
        body.push(b'\n');
        let mut part = |bytes: &[u8]| {
            body.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
            body.extend(bytes);
        };
        for (key, points) in series {
            part(key.as_bytes());
            part(&points::pack(points));
        }
        Ok(body)
    }

    /// # Errors
    /// `Invalid`.
    pub fn read(body: &[u8]) -> Result<(Self, Series)> {
        let invalid = |why: String| Fault::invalid("no lines of a file").why(why);
        let end = body.iter().position(|b| *b == b'\n').ok_or_else(|| invalid("the head does not end".to_owned()))?;
        let head = serde_json::from_slice(&body[..end]).map_err(|e| invalid(e.to_string()))?;
        let mut rest = &body[end + 1..];
        let mut part = || {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let (bytes, after) = after.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
            rest = after;
            Some(bytes)
        };
        let mut series = Vec::new();
        while let Some(key) = part() {
            let points = part().ok_or_else(|| invalid("a series is cut short".to_owned()))?;
            let points = points::unpack(points).map_err(|e| invalid(e.to_string()))?;
            series.push((String::from_utf8_lossy(key).into_owned(), points));
        }
        if rest.is_empty() { Ok((head, series)) } else { Err(invalid("it is cut short".to_owned())) }
    }
}

impl Tracking {
    /// Takes lines from a file in. They must go on where the run's streams are.
    ///
    /// # Errors
    /// `NotFound`, `Invalid` for a deleted run, `Conflict` when the streams are elsewhere by now: read on from there.
    pub async fn take_wandb_batch(&self, id: RunId, batch: Batch, series: Series) -> Result<Progress> {
        self.write(move |staged| {
            let run = staged.run(id).ok_or_else(|| runs::missing(id))?;
            if run.lifecycle == Lifecycle::Deleted {
                return Err(Fault::invalid(format!("the run {id} is deleted")).next("restore it first"));
            }
            let before = progress(&run).unwrap_or_default();
            if (before.history, before.events) != (batch.history.0, batch.events.0) {
                return Err(
                    Fault::conflict(format!("run {id} has other lines by now")).next("read on from its last ones")
                );
            }
            let (effects, now) = take(&run, &before, batch, series);
            Ok(Decision::new(effects, now))
        })
        .await
    }
}

fn take(run: &Run, before: &Progress, batch: Batch, series: Series) -> (Vec<Effect>, Progress) {
    let now = Progress {
        history: before.history.max(batch.history.1),
        events: before.events.max(batch.events.1),
        output: before.output,
        step: before.step.max(batch.step),
        runtime: before.runtime.max(batch.runtime),
        at_ms: before.at_ms.max(batch.at_ms),
    };
    let mut series: Vec<(Key, Vec<Point>)> =
        series.into_iter().map(|(key, points)| (Key::from(&key), points)).collect();
    for Value { key, value } in batch.summary {
        let known = run.metrics.get(&key).map(|l| l.value);
        if known.is_none_or(|k| !same(k, value)) {
            series.push((Key::from(&key), vec![Point { step: now.step, timestamp: now.at_ms, value }]));
        }
    }
    let mut patch = RunPatch::of(run.id);
    if now != *before {
        patch.tags.push((Key::from(PROGRESS_TAG), Some(Text::from(now.written()))));
    }
    let texts = batch.texts.iter().filter(|(k, v)| run.tags.get(k).is_none_or(|known| known.as_str() != v.as_str()));
    patch.tags.extend(texts.map(|(k, v)| (Key::from(k), Some(Text::from(rules::cut(v, rules::RUN_TAG_CHARS_MAX))))));
    // A run that a live script tells of ends by its word; one that is over stays what it is.
    let told_by_file = run.tags.get(IMPORTED_TAG).is_some();
    if let Some((status, at)) =
        batch.ended.filter(|_| !run.status.is_over() || told_by_file && run.status == RunStatus::Failed)
        && (run.status, run.end_ms) != (status, Some(at))
    {
        (patch.status, patch.end_ms) = (Some(status), Some(at));
    }
    let mut effects = Vec::with_capacity(2);
    if patch != RunPatch::of(run.id) {
        effects.push(Effect::PatchRun(Box::new(patch)));
    }
    if !series.is_empty() {
        effects.push(Effect::Points(RunPoints { run: run.id, series }));
    }
    (effects, now)
}
