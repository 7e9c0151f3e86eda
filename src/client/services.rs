//! Calls about services and rollouts, and the way to a router when no agent answers.

use reqwest::Method;

use super::Client;
use crate::base::{Fault, Timestamp, fault::Result};
use crate::capability::rollout::link::{Intent, Swapped};
use crate::capability::rollout::{ServiceView, Standing};

const NOTHING: [(&str, &str); 0] = [];

impl Client {
    /// # Errors
    /// `Unavailable`.
    pub async fn services(&self) -> Result<Vec<Standing>> {
        self.get("/api/v1/services", &NOTHING).await
    }

    /// As they stood at a moment.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn services_at(&self, at: Timestamp) -> Result<Vec<Standing>> {
        self.get("/api/v1/services", &[("as_of", at.to_string())]).await
    }

    /// # Errors
    /// `NotFound`.
    pub async fn service_at(&self, name: &str, at: Timestamp) -> Result<ServiceView> {
        self.get(&format!("/api/v1/services/{name}"), &[("as_of", at.to_string())]).await
    }

    /// # Errors
    /// `NotFound`.
    pub async fn service(&self, name: &str) -> Result<ServiceView> {
        self.get(&format!("/api/v1/services/{name}"), &NOTHING).await
    }

    /// To a router's own socket: does what lowers the risk at once, and keeps it for the agent's record.
    ///
    /// # Errors
    /// `NotFound`, `Refused`; `Unavailable` when no router answers either.
    pub async fn wish(&self, intent: &Intent) -> Result<Swapped> {
        let request = self.request(Method::POST, "/v1/intents").json(intent);
        let unreadable =
            |e: reqwest::Error| Fault::unavailable("the router's answer cannot be read").why(e.to_string());
        self.send(request).await?.json().await.map_err(unreadable)
    }
}
