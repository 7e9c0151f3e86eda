//! Reproducible training: what a run stood on, and whether it comes out the same again, bit by bit.
//!
//! All of it is pure: collecting and running is done on the machine that trains (`local::run`), what was collected is
//! a document among the run's artifacts, and the grade is a tag of the run and of the versions it made.

pub mod capture;
pub mod causes;
pub mod compare;
pub mod environment;
pub mod normalise;
mod zip;

pub use capture::{Capture, Hardware, Interpreter, LockFile, Package, PinnedData, Program, Source};
pub use causes::{Cause, causes};
pub use compare::{Comparison, Difference, Point, Verdict, first_in_metrics};
pub use normalise::{Identity, Normalised, normalise};

/// Where a run's capture lies among its artifacts.
pub const CAPTURE: &str = "opsroom/capture.json";
pub const PATCH: &str = "opsroom/source.patch";
pub const STDOUT: &str = "opsroom/stdout.log";
pub const STDERR: &str = "opsroom/stderr.log";
pub const COMPARISON: &str = "opsroom/rerun.json";

/// Tag of a run and of its versions: the grade of its last repetition.
pub const GRADE_TAG: &str = "opsroom.grade";
/// Tag of a run and of its versions: the run that repeated it.
pub const RERUN_TAG: &str = "opsroom.rerun";
/// Tag of a repetition: the run that it repeats.
pub const RERUN_OF_TAG: &str = "opsroom.rerun_of";
/// Tag of a captured run.
pub const CAPTURED_TAG: &str = "opsroom.captured";

/// Metrics that tell about the machine and not about the model.
pub fn is_system_metric(key: &str) -> bool {
    key.starts_with("system/")
}
