//! Metrics as every receiver is told them: families of samples, each with the model on it.

use crate::base::stats::sketch::Sketch;

/// Ends of the latency histogram's buckets, seconds; the last one has none.
pub const BOUNDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the agent lives.
    Counter,
    Gauge,
    Histogram,
}

/// One metric with all its samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// As Prometheus names it: `opsroom_requests_total`.
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
    pub samples: Vec<Sample>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub labels: Labels,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Number(f64),
    Latency(Box<Sketch>),
}

/// Name and value, in one order for all samples of a family. An empty value is as good as none.
pub type Labels = Vec<(&'static str, String)>;

/// Which version of which model a point is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Subject {
    pub model: String,
    pub version: String,
    pub service: String,
    pub stage: String,
}

impl Subject {
    pub fn labels(&self) -> Labels {
        vec![
            ("model_id", self.model.clone()),
            ("version", self.version.clone()),
            ("service", self.service.clone()),
            ("stage", self.stage.clone()),
        ]
    }

    pub fn with(&self, name: &'static str, value: impl Into<String>) -> Labels {
        let mut labels = self.labels();
        labels.push((name, value.into()));
        labels
    }
}

impl Family {
    pub fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { name, help, kind, samples: Vec::new() }
    }

    /// What is no number is not told.
    pub fn put(&mut self, labels: Labels, value: f64) {
        if value.is_finite() {
            self.samples.push(Sample { labels, value: Value::Number(value) });
        }
    }

    pub fn put_latency(&mut self, labels: Labels, sketch: Sketch) {
        self.samples.push(Sample { labels, value: Value::Latency(Box::new(sketch)) });
    }
}

/// Samples up to each bound, all of them, and their sum in seconds.
pub struct Buckets {
    pub up_to: [u64; BOUNDS.len()],
    pub count: u64,
    pub sum: f64,
}

impl Buckets {
    /// Of milliseconds.
    pub fn of(sketch: &Sketch) -> Self {
        let count = sketch.count();
        let up_to = BOUNDS.map(|bound| count - sketch.above(bound * 1000.0).min(count));
        Self { up_to, count, sum: sketch.sum_thousandths() as f64 / 1e6 }
    }
}

/// Leaves off what is more than `most` series, and says how many. A histogram is as many as it has lines.
pub fn bounded(families: &mut [Family], most: usize) -> usize {
    let (mut kept, mut left_off) = (0, 0);
    for family in families {
        let each = if family.kind == Kind::Histogram { BOUNDS.len() + 3 } else { 1 };
        let room = most.saturating_sub(kept) / each;
        left_off += family.samples.len().saturating_sub(room) * each;
        family.samples.truncate(room);
        kept += family.samples.len() * each;
    }
    left_off
}
