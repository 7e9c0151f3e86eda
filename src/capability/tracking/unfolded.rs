//! What memory holds and the tables do not yet: changed documents, and points without a chunk. A fold takes all of it
//! as it stands at one moment, while new writes are added behind.

use std::collections::{HashMap, HashSet};

use super::points::Point;
use super::types::Key;
use crate::base::id::{ExperimentId, ModelId, RunId};

/// One metric of one run.
pub type SeriesId = (RunId, Key);

/// Which documents have changed.
#[derive(Debug, Default, Clone)]
pub struct Changed {
    pub experiments: HashSet<ExperimentId>,
    pub runs: HashSet<RunId>,
    pub models: HashSet<ModelId>,
}

impl Changed {
    pub fn is_empty(&self) -> bool {
        self.experiments.is_empty() && self.runs.is_empty() && self.models.is_empty()
    }

    pub fn add(&mut self, more: &Self) {
        self.experiments.extend(&more.experiments);
        self.runs.extend(&more.runs);
        self.models.extend(&more.models);
    }
}

/// See the file's head.
#[derive(Debug, Default)]
pub struct Unfolded {
    tail: HashMap<SeriesId, Vec<Point>>,
    points: usize,
    /// Since the last fold began.
    changed: Changed,
    folding: Option<Folding>,
}

/// What a fold under way has taken: up to which group of the journal, and how much of each tail.
#[derive(Debug)]
struct Folding {
    seq: i64,
    journal_bytes: usize,
    changed: Changed,
    lengths: Vec<(SeriesId, usize)>,
}

impl Unfolded {
    pub fn is_empty(&self) -> bool {
        self.points == 0 && self.changed.is_empty() && self.folding.is_none()
    }

    /// Points that no chunk holds yet.
    pub fn points(&self) -> usize {
        self.points
    }

    pub fn changed(&self) -> &Changed {
        &self.changed
    }

    pub fn tail(&self, series: SeriesId) -> &[Point] {
        self.tail.get(&series).map_or(&[], Vec::as_slice)
    }

    pub fn add_points(&mut self, series: SeriesId, points: Vec<Point>) {
        self.points += points.len();
        self.tail.entry(series).or_default().extend(points);
    }

    pub fn add_changed(&mut self, more: &Changed) {
        self.changed.add(more);
    }

    /// Whether a fold has yet to write something of a run.
    pub fn holds_run(&self, run: RunId) -> bool {
        self.changed.runs.contains(&run) || self.tail.keys().any(|(of, _)| *of == run)
    }

    pub fn holds_model(&self, model: ModelId) -> bool {
        self.changed.models.contains(&model)
    }

    /// Begins a fold of all groups up to `seq`: answers what has changed, and the tails.
    pub fn begin(&mut self, seq: i64, journal_bytes: usize) -> (Changed, Vec<(SeriesId, Vec<Point>)>) {
        // One that was given up before its commit.
        self.end(false);
        let changed = std::mem::take(&mut self.changed);
        let tails: Vec<_> = self.tail.iter().map(|(series, points)| (*series, points.clone())).collect();
        let lengths = tails.iter().map(|(series, points)| (*series, points.len())).collect();
        self.folding = Some(Folding { seq, journal_bytes, changed: changed.clone(), lengths });
        (changed, tails)
    }

    /// The newest group of the fold under way.
    pub fn folding(&self) -> Option<i64> {
        self.folding.as_ref().map(|f| f.seq)
    }

    /// Ends the fold under way, whether its commit held or not. Answers the bytes that the journal is shorter by.
    pub fn end(&mut self, held: bool) -> usize {
        let Some(folding) = self.folding.take() else { return 0 };
        if !held {
            self.changed.add(&folding.changed);
            return 0;
        }
        for (series, length) in folding.lengths {
            let Some(points) = self.tail.get_mut(&series) else { continue };
            self.points -= length.min(points.len());
            if points.len() <= length {
                self.tail.remove(&series);
            } else {
                points.drain(..length);
            }
        }
        if self.tail.is_empty() {
            self.tail = HashMap::new();
        }
        folding.journal_bytes
    }
}
