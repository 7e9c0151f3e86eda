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
#[error("{}", sentence(what, why, next))]
pub struct Fault {
    pub kind: Kind,
    pub what: String,
    #[serde(default)]
    pub why: String,
    #[serde(default)]
    pub next: String,
}

/// All parts in one line; a part's own full stop gives way to what follows.
fn sentence(what: &str, why: &str, next: &str) -> String {
    let mut text = what.to_owned();
    for (separator, part) in [(": ", why), (". ", next)].into_iter().filter(|(_, part)| !part.is_empty()) {
        text.truncate(text.trim_end_matches('.').len());
        text.push_str(separator);
        text.push_str(part);
    }
    text
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

/// What lies behind an error at last: by itself, one of a request says only that it failed, and where.
pub fn root_cause(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |e| e.source()).last().map_or_else(String::new, ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_without_doubled_full_stops() {
        let fault = Fault::invalid("Missing 'name'.");
        assert_eq!(fault.to_string(), "Missing 'name'.");
        assert_eq!(fault.clone().next("See the docs.").to_string(), "Missing 'name'. See the docs.");
        assert_eq!(
            fault.why("it is required").next("give one").to_string(),
            "Missing 'name': it is required. give one"
        );
    }
}
