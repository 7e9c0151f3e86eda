//! The language of filters, as every list of the room takes it; the agent evaluates the same over runs.

use crate::base::Timestamp;
pub use crate::capability::tracking::query::{Held, Misread, Op, Query, Term};

/// A length of time before now (`90m`, `24h`, `7d`), or a date.
pub fn moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Timestamp::parse(text),
    };
    let n: i64 = text[..text.len() - 1].parse().ok()?;
    Some(Timestamp(now.0.saturating_sub(n.saturating_mul(unit * 1_000_000))))
}
