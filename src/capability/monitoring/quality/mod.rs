//! Live quality: metrics of what is labelled, with coverage and intervals, and an estimate for what is not, each scored against
//! the other. Pure functions of counters, so that a figure can be worked out anew.

mod estimate;
mod metrics;
mod report;
mod series;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use estimate::{Calibrator, estimated};
pub use metrics::{accuracy, calibration, measured};
pub use report::{before, brief, of_counts, report};
pub use series::{Point, STEPS, lower_is_better, main_metric, points, step_minutes};

use super::counters::Task;
use crate::base::stats::sketch::Sketch;
use crate::base::{Fault, Timestamp, fault::Result};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// Seconds.
    pub window: u64,
    /// End of the window; now, if nobody said.
    pub to: Option<Timestamp>,
    pub version: Option<String>,
    pub slice: Option<String>,
}

impl Asked {
    /// The window that is meant: it ends with the minute that goes on, unless somebody said otherwise.
    ///
    /// # Errors
    /// `Invalid` for less than a minute.
    pub fn bounds(&self, now: Timestamp) -> Result<Window> {
        if self.window < 60 {
            return Err(Fault::invalid("a window is a minute at least: counts are kept by the minute"));
        }
        let to = self.to.unwrap_or_else(|| Timestamp((now.0.div_euclid(60_000_000) + 1) * 60_000_000));
        Ok(Window { from: to.minus(Duration::from_secs(self.window)), to })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub from: Timestamp,
    pub to: Timestamp,
}

/// A figure with what it stands on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    pub value: f64,
    /// 95 %; `None` where no interval is known.
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub n: u64,
}

/// Quality of a service's versions in one window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QualityReport {
    pub service: String,
    pub window: Window,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice: Option<String>,
    pub versions: Vec<VersionQuality>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionQuality {
    pub version: String,
    pub model: Option<String>,
    pub task: Option<Task>,
    /// What was counted: whole hours where minutes are no longer kept.
    pub counted: Window,
    pub n: u64,
    pub errors: u64,
    pub labelled: u64,
    /// Share of predictions that have their label.
    pub coverage: Option<f64>,
    /// Predictions whose label would come too late to be counted.
    pub evicted: u64,
    pub corrected: u64,
    /// Seconds from answer to label: median and 90 %.
    pub label_delay: Option<(f64, f64)>,
    /// Median, 95 % and 99 %.
    pub latency_ms: Option<(f64, f64, f64)>,
    /// All of it.
    #[serde(skip)]
    pub latency: Sketch,
    pub metrics: BTreeMap<String, Metric>,
    /// Without labels, from calibrated scores.
    pub estimated: BTreeMap<String, Metric>,
    pub trust: Option<Trust>,
    pub calibration: Vec<CalibrationBin>,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub batch: Option<(String, Timestamp)>,
    /// Newest prediction ever.
    pub last: Timestamp,
    pub warnings: Vec<String>,
    /// Slices by their share of the loss, greatest first.
    pub slices: Vec<SliceQuality>,
}

/// How well estimates of earlier windows met what labels then said.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Trust {
    pub windows: u32,
    /// Mean distance of accuracies.
    pub mean_error: f64,
    /// Windows whose accuracy lay within the estimate's interval.
    pub within: u32,
}

/// Scores of a tenth against what came true.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CalibrationBin {
    pub n: u64,
    pub score: f64,
    pub came_true: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SliceQuality {
    pub slice: String,
    pub n: u64,
    pub labelled: u64,
    /// Accuracy, or mean absolute error.
    pub metric: String,
    pub value: f64,
    /// Share of all mistakes, beside the share of all labels.
    pub loss_share: f64,
    pub label_share: f64,
}
