//! Drift: inputs, scores and predictions of a version against what it was trained on.
//!
//! Invariant: an alarm needs a shift that chance does not give with so many rows and columns, and one that is of weight.

mod beside;
mod between;
mod course;
mod judge;
mod report;

pub use beside::{Against, against, labels};
pub use between::between;
pub use course::{Bar, Course, Feature, course, feature};
pub use judge::{ColumnDrift, Compared, FALSE_ALARMS, PRACTICAL_PSI, judge};
pub use report::{DriftReport, VersionDrift, of_cell, report};
