//! The demonstration: real flights, a real model, and what is trained on them and why.
//!
//! The data, the mathematics and the plan are pure: no file, socket or clock. `months` and `predict` touch files, `serve` a socket, `traffic` the router, `live`
//! the agent.

mod decisions;
mod ending;
pub mod features;
pub mod flights;
pub mod live;
pub mod logistic;
mod meter;
pub mod model;
pub mod months;
mod packed;
pub mod plan;
pub mod predict;
pub mod proof;
pub mod quality;
pub mod random;
pub mod record;
pub mod serve;
pub mod story;
mod tracker;
mod traffic;
