//! Data of this machine: scanning a tree (a look-up when nothing changed), sending what the store has not, checking
//! versions out, and holding trees against them.

mod add;
mod cache;
mod checkout;
mod cut;
mod scan;
mod upload;
mod verify;
mod walk;

pub use add::{Add, Added, Ready, add, host};
pub use cache::Cache;
pub use checkout::{CheckedOut, Checkout, checkout};
pub use scan::{Scanned, ScannedFile, scan};
pub use verify::{Damage, Verified, verify, verify_at};

/// How far some work is; called from many threads.
pub type Progress<'a> = &'a (dyn Fn(Step, u64, u64) + Sync);

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Bytes read and digested.
    Digest,
    /// Tables profiled.
    Profile,
    /// Bytes sent.
    Send,
    /// Files written.
    Write,
    /// Packs checked.
    Check,
}

impl Step {
    /// Whether what is counted is bytes.
    pub fn in_bytes(self) -> bool {
        matches!(self, Self::Digest | Self::Send)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Digest => "reading",
            Self::Profile => "profiling",
            Self::Send => "sending",
            Self::Write => "writing",
            Self::Check => "checking",
        }
    }
}
