//! Why a request got no answer, and what its client is told.

use hyper::StatusCode;

use super::passing::{Answer, refuse};
use crate::capability::rollout::Limits;

/// Why there is no answer.
pub enum Failed {
    /// The version has none.
    NoAddress,
    /// It went nowhere: a connection that had been closed.
    Closed,
    Late,
    Broke(String),
}

impl Failed {
    pub fn answer(self, version: u32, limits: &Limits) -> Answer {
        let (status, what, next) = match self {
            Self::NoAddress => (
                StatusCode::BAD_GATEWAY,
                format!("version {version} has no address"),
                "give it one in the service's file",
            ),
            Self::Closed => (
                StatusCode::BAD_GATEWAY,
                format!("version {version} closes its connections"),
                "see the model server's log",
            ),
            Self::Broke(why) => (
                StatusCode::BAD_GATEWAY,
                format!("version {version} does not answer: {why}"),
                "see the model server's log",
            ),
            Self::Late => (
                StatusCode::GATEWAY_TIMEOUT,
                format!("version {version} took longer than {} ms", limits.timeout_ms),
                "see the model server's log",
            ),
        };
        refuse(status, &what, next)
    }
}

/// Whether a request may be sent again when its connection broke before anything of an answer came: it cannot do anything
/// twice, or its service allows that.
pub fn repeats(method: &str, limits: &Limits) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE") || (limits.retry_post && method == "POST")
}
