//! The agent: the only writer of its store. It serves HTTP and runs the monitors.

mod app;
pub mod auth;
pub mod fault;
pub mod mlflow;
mod native;

pub use app::App;
