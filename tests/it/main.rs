//! The integration tests: one binary, so that it links once.
// Tests panic to fail, count small things, and wait by the wall clock.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::cast_possible_wrap,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::needless_pass_by_value,
    clippy::large_types_passed_by_value,
    clippy::unused_self,
    clippy::too_many_lines
)]

mod alerts_act;
mod architecture;
mod carry;
mod cli_access;
mod cli_config;
mod cli_detached;
mod cli_gates;
mod cli_plain;
mod cli_verbs;
mod clients;
mod cost;
mod data;
mod demo;
mod doctor;
mod durability;
mod envoy;
mod fault_proxy;
mod harness;
mod hosts;
mod incidents;
mod keeping;
mod launch;
mod local_import;
mod local_open;
mod mirror;
mod mirror_upgrade;
mod mlflow_artifacts;
mod mlflow_registry;
mod mlflow_support;
mod mlflow_tracking;
mod monitoring;
mod monitoring_faults;
mod monitoring_journal;
mod notify;
mod one_model;
mod readme;
mod rollouts;
mod router;
mod router_plain;
mod router_ways;
mod stage;
mod store_audit;
mod store_backup;
mod store_engines;
mod store_faults;
mod store_figures;
mod store_past;
mod store_schema;
mod store_simulation;
mod stores;
mod support;
mod telemetry;
mod training;
mod tui_changes;
mod tui_compare;
mod tui_cost;
mod tui_data;
mod tui_fixture;
mod tui_fleet;
mod tui_frame;
mod tui_gates;
mod tui_past;
mod tui_registry;
mod tui_rollouts;
mod tui_safety;
mod tui_screens;
mod tui_source;
mod tui_terminal;
mod wandb;
