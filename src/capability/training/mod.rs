//! Reproducible training: what a run stood on, and whether it comes out the same again, bit by bit.
//!
//! Collecting and running is done on the machine that trains (`local::run`); what was collected is a document among the
//! run's artifacts. The grade is a fact: the agent itself compares the two runs and keeps what it finds, and tags of the
//! run and of its versions mirror it, which nobody else can set.

pub mod capture;
pub mod causes;
pub mod command;
pub mod compare;
pub mod environment;
pub mod grade;
pub mod normalise;
mod repetition;
mod store;
mod zip;

pub use capture::{Capture, Hardware, Interpreter, LockFile, Package, PinnedData, Program, Source, StandIn};
pub use causes::{Cause, causes};
pub use command::Command;
pub use compare::{Comparison, Difference, Point, Verdict, first_in_metrics};
pub use grade::{Grade, Made};
pub use normalise::{Identity, Normalised, first_entry, normalise};
pub use repetition::{Prepared, apply, grade, grade_of, prepare, tags};
pub use store::STATEMENTS;

pub use super::tracking::rules::{GRADE_TAG, RERUN_TAG};

/// Where a run's capture lies among its artifacts.
pub const CAPTURE: &str = "opsroom/capture.json";
pub const PATCH: &str = "opsroom/source.patch";
pub const STDOUT: &str = "opsroom/stdout.log";
pub const STDERR: &str = "opsroom/stderr.log";

/// Tag of a repetition: the run that it repeats.
pub const RERUN_OF_TAG: &str = "opsroom.rerun_of";
/// Tag of a captured run.
pub const CAPTURED_TAG: &str = "opsroom.captured";

/// Metrics that tell about the machine and not about the model.
pub fn is_system_metric(key: &str) -> bool {
    key.starts_with("system/")
}
