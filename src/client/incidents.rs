//! Calls about alerts and incidents.

use super::Client;
use crate::base::fault::Result;
use crate::capability::monitoring::incident::{AlertRule, Incident};
use crate::capability::wire::IncidentView;

const NOTHING: [(&str, &str); 0] = [];

impl Client {
    /// # Errors
    /// `Unavailable`.
    pub async fn alert_rules(&self) -> Result<Vec<AlertRule>> {
        self.get("/api/v1/alerts", &NOTHING).await
    }

    /// Open ones first, then the newest.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn incidents(&self, service: Option<&str>) -> Result<Vec<Incident>> {
        let query: Vec<(&str, &str)> = service.map(|s| ("service", s)).into_iter().collect();
        self.get("/api/v1/incidents", &query).await
    }

    /// # Errors
    /// `NotFound`.
    pub async fn incident(&self, id: i64) -> Result<IncidentView> {
        self.get(&format!("/api/v1/incidents/{id}"), &NOTHING).await
    }
}
