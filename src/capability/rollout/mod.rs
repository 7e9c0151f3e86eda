//! Rollout: which version of a model answers which share of a service's traffic.

pub mod judge;
pub mod link;
pub mod split;
pub mod table;

pub use table::{Arm, Limits, Protocol, Route, RouteTable, StickyKey};
