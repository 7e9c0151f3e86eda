//! What every room may use: ids, time, kinds of failure, figures. No I/O and nothing of ours above it.

pub mod clock;
pub mod fault;
pub mod figure;
pub mod hex;
pub mod holder;
pub mod id;
pub mod money;
pub mod names;
pub mod number;
pub mod show;
pub mod spare;
pub mod stats;

pub use clock::{Clock, Timestamp};
pub use fault::{Fault, Kind};
pub use figure::Figure;
pub use holder::Holder;
