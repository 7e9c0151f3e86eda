//! One call of the command line: its settings, its form of answer, and its client once it is needed.

use tokio::sync::OnceCell;

use super::connect::{self, Reached};
use super::{Format, Global};
use crate::base::{Fault, Kind, fault::Result};
use crate::client::Client;
use crate::config::Loaded;

/// What the verbs work with.
pub struct Session {
    pub loaded: Loaded,
    pub format: Format,
    read_only: bool,
    reached: OnceCell<Reached>,
}

impl Session {
    /// # Errors
    /// `Invalid` for a context that is not configured.
    pub fn new(loaded: Loaded, global: &Global) -> Result<Self> {
        let read_only = loaded.config.client.read_only || connect::context(&loaded)?.is_some_and(|c| c.read_only);
        Ok(Self { loaded, format: global.format(), read_only, reached: OnceCell::new() })
    }

    pub fn read_only(&self) -> bool {
        self.read_only
    }

    /// The agent; one is started when none was named and none answers.
    ///
    /// # Errors
    /// `Unavailable` with what to do.
    pub async fn client(&self) -> Result<&Client> {
        let reached = self.reached.get_or_try_init(|| connect::reach(&self.loaded, "cli", true)).await?;
        Ok(&reached.client)
    }

    /// The agent, if one is there.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn running(&self) -> Result<&Client> {
        let reached = self.reached.get_or_try_init(|| connect::reach(&self.loaded, "cli", false)).await?;
        Ok(&reached.client)
    }

    /// Before anything that changes something.
    ///
    /// # Errors
    /// `Denied` when this session may only look.
    pub fn check_writable(&self) -> Result<()> {
        if !self.read_only {
            return Ok(());
        }
        Err(Fault::new(Kind::Denied, "this session may only look")
            .why("read-only is set by --read-only, OPSROOM_READ_ONLY, client.read_only or the context")
            .next("see `opsroom config show`, and use a context that may change things"))
    }
}
