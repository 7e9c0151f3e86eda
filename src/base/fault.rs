//! The one shape of failure that crosses a door: what happened, why, and what to do next.

use serde::{Deserialize, Serialize};

/// What kind of failure a caller faces. Each door maps it once: HTTP status, `MLflow` error code, exit code, tone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The thing named does not exist.
    NotFound,
    /// The request itself is wrong; sending it again will not help.
    Invalid,
    /// Something of that name exists already.
    Exists,
    /// A rule, gate or interlock says no.
    Refused,
    /// It moved since the caller looked.
    Conflict,
    /// No identity, or an unknown one.
    Unauthenticated,
    /// The identity is known and its role does not allow this.
    Denied,
    /// Over a limit; later may work.
    Exhausted,
    /// Store, disk or agent cannot serve now.
    Unavailable,
    /// Not offered here.
    Unsupported,
    /// A fault of opsroom.
    Bug,
}

/// A failure with its cause and the way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{what}{}{}", join(": ", why), join(". ", next))]
pub struct Fault {
    pub kind: Kind,
    pub what: String,
    #[serde(default)]
    pub why: String,
    #[serde(default)]
    pub next: String,
}

fn join(separator: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{separator}{text}") }
}

impl Fault {
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), why: String::new(), next: String::new() }
    }

    pub fn not_found(what: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, what)
    }

    pub fn invalid(what: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, what)
    }

    pub fn exists(what: impl Into<String>) -> Self {
        Self::new(Kind::Exists, what)
    }

    pub fn refused(what: impl Into<String>) -> Self {
        Self::new(Kind::Refused, what)
    }

    pub fn conflict(what: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, what)
    }

    pub fn denied(what: impl Into<String>) -> Self {
        Self::new(Kind::Denied, what)
    }

    pub fn unavailable(what: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, what)
    }

    pub fn bug(what: impl Into<String>) -> Self {
        Self::new(Kind::Bug, what)
    }

    #[must_use]
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = next.into();
        self
    }
}

pub type Result<T, E = Fault> = std::result::Result<T, E>;
