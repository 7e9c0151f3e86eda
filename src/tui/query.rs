//! The language of filters, as every list of the room takes it; the agent evaluates the same over runs.

pub use crate::capability::tracking::query::{Held, Misread, Op, Query, Term};
