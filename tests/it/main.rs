//! The integration tests: one binary, so that it links once.

mod architecture;
mod harness;
mod support;
