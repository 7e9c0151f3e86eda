//! Exit codes, and how a failure is told: what, why, and what to do next.

use std::process::ExitCode;

use crate::base::{Fault, Kind};

/// How a verb ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done,
    /// A gate or an interlock says no.
    Refused,
    /// More data is needed.
    Inconclusive,
    /// A check found a difference.
    Difference,
    /// As the command that was run ended.
    Of(u8),
}

impl Exit {
    pub fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Done => 0,
            Self::Refused => 3,
            Self::Inconclusive => 8,
            Self::Difference => 9,
            Self::Of(status) => status,
        })
    }
}

/// The exit code of a failure: the only place that says so.
pub fn code(kind: Kind) -> u8 {
    match kind {
        Kind::Bug => 1,
        Kind::Invalid | Kind::Unsupported => 2,
        Kind::Refused => 3,
        Kind::NotFound => 4,
        Kind::Unavailable | Kind::Exhausted => 5,
        Kind::Unauthenticated | Kind::Denied => 6,
        Kind::Conflict | Kind::Exists => 7,
    }
}

/// Tells a failure on stderr.
pub fn report(fault: &Fault) -> ExitCode {
    eprint!("{}", told(fault));
    ExitCode::from(code(fault.kind))
}

fn told(fault: &Fault) -> String {
    let mut text = format!("opsroom: {}\n", fault.what);
    for (label, part) in [("why", &fault.why), ("next", &fault.next)] {
        if !part.is_empty() {
            text.extend(["  ", label, ": ", part, "\n"]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_why_and_next() {
        let fault = Fault::not_found("no run ab").why("it is not here").next("see `opsroom runs list`");
        assert_eq!(told(&fault), "opsroom: no run ab\n  why: it is not here\n  next: see `opsroom runs list`\n");
        assert_eq!(told(&Fault::bug("x")), "opsroom: x\n");
    }
}
