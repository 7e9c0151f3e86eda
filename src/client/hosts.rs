//! Calls about hosts.

use super::Client;
use crate::base::{Timestamp, fault::Result};
use crate::capability::cost::HostView;
use crate::capability::hosts::Minute;

impl Client {
    /// # Errors
    /// `Unavailable`.
    pub async fn hosts(&self) -> Result<Vec<HostView>> {
        self.get("/api/v1/hosts", &[("", ""); 0]).await
    }

    /// Minutes of a host since a moment, oldest first.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn host_minutes(&self, host: &str, since: Timestamp) -> Result<Vec<Minute>> {
        let path = format!("/api/v1/hosts/{}/minutes", super::calls::encode(host));
        self.get(&path, &[("since", since.to_string())]).await
    }
}
