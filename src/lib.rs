//! opsroom: a terminal control room for models in production.
#![allow(missing_docs)]

pub mod agent;
pub mod base;
pub mod capability;
pub mod chart;
pub mod cli;
pub mod client;
pub mod config;
pub mod db;
pub mod demo;
pub mod local;
pub mod router;
pub mod run;
pub mod tui;
