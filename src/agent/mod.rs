//! The agent: the only writer of its store. It serves HTTP and runs the monitors.

mod app;
pub mod auth;
mod envoy;
pub mod fault;
mod here;
pub mod host;
mod http;
mod json;
pub mod mlflow;
mod monitors;
mod native;
mod notify;
mod restore;
mod routers;
mod server;
mod supervise;
mod targets;
mod telemetry;
mod wandb;

pub use app::App;
pub use restore::restore;
pub use server::{Agent, router, start};
