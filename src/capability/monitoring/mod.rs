//! Monitoring: what happens to the predictions of models in production.

pub mod event;
pub mod incident;
pub mod traffic;

pub use event::{Label, Prediction, Score, Usage};
pub use traffic::{ArmRole, TrafficWindow};
