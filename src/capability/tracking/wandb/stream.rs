//! A run's streams: lines that the client numbers, sends, and sends again when it did not hear an answer. Each counts once.
//!
//! Lines beyond what has come are new. Lines before it are a repetition, or come from a second script that logs to the same
//! run: their points are held against the ones that are there, and what is not there yet is kept. So nothing of either
//! script is lost, and nothing is twice.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use super::line::Line;
use super::summary::same;
use super::{PROGRESS_TAG, progress};
use crate::base::id::RunId;
use crate::base::{Fault, fault::Result};
use crate::capability::tracking::effect::{Effect, RunPatch, RunPoints};
use crate::capability::tracking::points::Point;
use crate::capability::tracking::types::{Key, Lifecycle, Run, RunStatus, Text};
use crate::capability::tracking::writer::{Decision, Tracking};
use crate::capability::tracking::{rules, runs};

/// Lines that one stream may have.
const LINES_MAX: u64 = 1 << 40;

/// Clocks of a script and of the agent differ by less.
const SAME_MOMENT_MS: i64 = 5000;
/// A live script says something of its machine more often than this.
const LIVE_WITHIN_MS: i64 = 120_000;

/// How far the streams of a run have come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Lines of the history.
    pub history: u64,
    /// Lines of the machine's figures.
    pub events: u64,
    /// Lines of the console.
    pub output: u64,
    /// The greatest step, which a script that goes on wants back.
    pub step: i64,
    /// Seconds that the scripts ran.
    pub runtime: f64,
    /// The moment of the newest line, in milliseconds since 1970.
    pub at_ms: i64,
}

impl Progress {
    pub fn written(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Lines from a number on.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    pub offset: u64,
    pub lines: Vec<Line>,
}

/// What one request brings.
#[derive(Debug, Clone, Default)]
pub struct Update {
    pub history: Lines,
    pub events: Lines,
    /// Lines of the console, after this request.
    pub output: u64,
    /// Values that only a summary has; they hold for the newest step.
    pub summary: Vec<(String, f64)>,
    /// Texts of the summary, as tags.
    pub texts: Vec<(String, String)>,
    pub ended: Option<RunStatus>,
}

impl Update {
    /// A metric's value after the lines of this request.
    pub(super) fn newest(&self, run: &Run, key: &str) -> Option<f64> {
        let value = |line: &Line| line.values.iter().find(|(k, _)| k == key).map(|(_, v)| *v);
        let sent = self.history.lines.iter().rev().find_map(value);
        sent.or_else(|| run.metrics.get(key).map(|l| l.value))
    }

    fn brings_lines(&self) -> bool {
        !self.history.lines.is_empty() || !self.events.lines.is_empty() || self.output > 0
    }
}

/// A point to the bit.
type Mark = (Key, i64, i64, u64);

fn mark(key: Key, point: &Point) -> Mark {
    (key, point.step, point.timestamp, point.value.to_bits())
}

impl Tracking {
    /// Takes lines in.
    ///
    /// # Errors
    /// `NotFound`, `Invalid` for a deleted run, `Unavailable`; then nothing of it was taken.
    pub async fn stream_wandb(&self, id: RunId, update: Update, now_ms: i64) -> Result<()> {
        if [update.history.offset, update.events.offset, update.output].iter().any(|n| *n > LINES_MAX) {
            return Err(Fault::invalid("a line's number is beyond all bounds"));
        }
        let before = self.read(|s| s.run(id).cloned()).ok_or_else(|| runs::missing(id))?;
        let seen = progress(&before).unwrap_or_default();
        let known = self.known_marks(id, &update, &seen).await?;
        self.write(move |staged| {
            let run = staged.run(id).ok_or_else(|| runs::missing(id))?;
            if run.lifecycle == Lifecycle::Deleted {
                return Err(Fault::invalid(format!("the run {id} is deleted")).next("restore it first"));
            }
            Ok(Decision::new(take(&run, &update, &seen, &known, now_ms), ()))
        })
        .await
    }

    /// The points that are there of the keys that repeated lines speak of.
    async fn known_marks(&self, id: RunId, update: &Update, seen: &Progress) -> Result<HashSet<Mark>> {
        let mut keys: HashSet<Key> = HashSet::new();
        for (lines, count) in [(&update.history, seen.history), (&update.events, seen.events)] {
            let old = usize::try_from(count.saturating_sub(lines.offset)).unwrap_or(usize::MAX);
            keys.extend(lines.lines.iter().take(old).flat_map(|l| l.values.iter().map(|(k, _)| Key::from(k))));
        }
        let mut known = HashSet::new();
        for key in keys {
            known.extend(self.history(id, key.as_str()).await?.iter().map(|p| mark(key, p)));
        }
        Ok(known)
    }
}

/// The effects of an update. `seen` is how far the streams had come when `known` was read.
fn take(run: &Run, update: &Update, seen: &Progress, known: &HashSet<Mark>, now_ms: i64) -> Vec<Effect> {
    let mut now = progress(run).unwrap_or_default();
    let lively = update.brings_lines();
    let mut series = Series::default();
    let counted =
        [(&update.history, now.history, seen.history, false), (&update.events, now.events, seen.events, true)];
    for (lines, count, seen, numbered) in counted {
        for (n, line) in (lines.offset..).zip(&lines.lines) {
            let step = if numbered { i64::try_from(n).unwrap_or(i64::MAX) } else { line.step.unwrap_or(0) };
            let timestamp = line.at_ms.unwrap_or(now_ms);
            let points = line.values.iter().map(|(k, value)| (Key::from(k), Point { step, timestamp, value: *value }));
            if n >= count {
                series.extend(points);
            } else if n < seen {
                series.extend(points.filter(|(key, p)| !known.contains(&mark(*key, p))));
            }
        }
    }
    now.history = now.history.max(end(&update.history));
    now.events = now.events.max(end(&update.events));
    now.output = now.output.max(update.output);
    for line in &update.history.lines {
        now.step = now.step.max(line.step.unwrap_or(0));
    }
    for line in update.history.lines.iter().chain(&update.events.lines) {
        now.runtime = now.runtime.max(line.runtime.unwrap_or(0.0));
        now.at_ms = now.at_ms.max(line.at_ms.unwrap_or(0));
    }
    let timestamp = if now.at_ms > 0 { now.at_ms } else { now_ms };
    for (key, value) in &update.summary {
        if update.newest(run, key).is_none_or(|known| !same(known, *value)) {
            series.extend(std::iter::once((Key::from(key), Point { step: now.step, timestamp, value: *value })));
        }
    }
    let mut effects = Vec::with_capacity(3);
    effects.extend(earlier(run, update).map(|run| Effect::PutRun(Box::new(run))));
    effects.extend(patch(run, update, &now, now_ms, lively).map(|p| Effect::PatchRun(Box::new(p))));
    if !series.0.is_empty() {
        effects.push(Effect::Points(RunPoints { run: run.id, series: series.0.into_iter().collect() }));
    }
    effects
}

/// Points by key.
#[derive(Default)]
struct Series(BTreeMap<Key, Vec<Point>>);

impl Series {
    fn extend(&mut self, points: impl Iterator<Item = (Key, Point)>) {
        points.for_each(|(key, point)| self.0.entry(key).or_default().push(point));
    }
}

fn end(lines: &Lines) -> u64 {
    if lines.lines.is_empty() { 0 } else { lines.offset + lines.lines.len() as u64 }
}

/// The run with the beginning that its lines tell, when they are older than it: an offline run that is sent now.
fn earlier(run: &Run, update: &Update) -> Option<Run> {
    let begin = |line: &Line| Some(line.at_ms? - super::line::millis(line.runtime.unwrap_or(0.0)));
    let lines = update.history.lines.iter().chain(&update.events.lines);
    let start_ms = lines.filter_map(begin).min().filter(|ms| (0..run.start_ms - SAME_MOMENT_MS).contains(ms))?;
    Some(Run { start_ms, ..run.clone() })
}

/// A run ends now, or with its newest line when that is long ago: an offline run that is sent now.
fn end_of(now: &Progress, now_ms: i64) -> i64 {
    if now.at_ms > 0 && now_ms - now.at_ms > LIVE_WITHIN_MS { now.at_ms } else { now_ms }
}

fn patch(run: &Run, update: &Update, now: &Progress, now_ms: i64, lively: bool) -> Option<RunPatch> {
    let mut patch = RunPatch::of(run.id);
    if progress(run).as_ref() != Some(now) {
        patch.tags.push((Key::from(PROGRESS_TAG), Some(Text::from(now.written()))));
    }
    let texts = update.texts.iter().filter(|(k, v)| run.tags.get(k).is_none_or(|known| known.as_str() != v));
    patch.tags.extend(texts.map(|(k, v)| (Key::from(k), Some(Text::from(rules::cut(v, rules::RUN_TAG_CHARS_MAX))))));
    let asked_to_stop = run.tags.get(rules::STOP_TAG).is_some();
    match update.ended {
        // Whoever stopped it is the cause of its end, whatever the script makes of it.
        Some(_) if asked_to_stop => (patch.status, patch.end_ms) = (Some(RunStatus::Killed), Some(end_of(now, now_ms))),
        Some(status) => (patch.status, patch.end_ms) = (Some(status), Some(end_of(now, now_ms))),
        // It was given up, and is there again.
        None if lively && run.status.is_over() && !asked_to_stop => patch.status = Some(RunStatus::Running),
        None => {}
    }
    (patch != RunPatch::of(run.id)).then_some(patch)
}
