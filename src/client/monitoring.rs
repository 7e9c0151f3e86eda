//! Calls about predictions, labels, quality and drift.

use reqwest::Method;

use super::Client;
use super::calls::encode;
use crate::base::{Timestamp, fault::Result};
use crate::capability::drift::{DriftReport, Feature};
use crate::capability::fleet::{AskedLive, Fleet, Live};
use crate::capability::monitoring::counters::{Accepted, Recount, Standing};
use crate::capability::monitoring::quality::{Asked, QualityReport};

const NOTHING: [(&str, &str); 0] = [];

fn query(asked: &Asked) -> Vec<(&'static str, String)> {
    let mut query = vec![("window", asked.window.to_string())];
    query.extend(asked.to.map(|t| ("to", t.to_string())));
    query.extend(asked.version.clone().map(|v| ("version", v)));
    query.extend(asked.slice.clone().map(|s| ("slice", s)));
    query
}

impl Client {
    /// Predictions, a JSON object a line.
    ///
    /// # Errors
    /// `Unavailable` when more comes than can be taken; then none was.
    pub async fn add_predictions(&self, lines: Vec<u8>) -> Result<Accepted> {
        self.add_lines("/api/v1/predictions", lines).await
    }

    /// Labels, a JSON object a line.
    ///
    /// # Errors
    /// As [`Self::add_predictions`].
    pub async fn add_labels(&self, lines: Vec<u8>) -> Result<Accepted> {
        self.add_lines("/api/v1/labels", lines).await
    }

    async fn add_lines(&self, path: &str, lines: Vec<u8>) -> Result<Accepted> {
        let request = self.request(Method::POST, path).header("content-type", "application/x-ndjson").body(lines);
        self.json(request).await
    }

    /// Versions that predictions came from, and what was shed.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn monitoring(&self) -> Result<Standing> {
        self.get("/api/v1/monitoring", &NOTHING).await
    }

    /// # Errors
    /// `NotFound` for a service of which nothing ever came.
    pub async fn quality(&self, service: &str, asked: &Asked) -> Result<QualityReport> {
        self.get(&format!("/api/v1/monitoring/{}/quality", encode(service)), &query(asked)).await
    }

    /// # Errors
    /// As [`Self::quality`].
    pub async fn drift(&self, service: &str, asked: &Asked) -> Result<DriftReport> {
        self.get(&format!("/api/v1/monitoring/{}/drift", encode(service)), &query(asked)).await
    }

    /// The same against the same hours of earlier weeks (`season`), or against another version in the same window.
    ///
    /// # Errors
    /// As [`Self::quality`].
    pub async fn drift_against(&self, service: &str, asked: &Asked, what: &str) -> Result<DriftReport> {
        let mut query = query(asked);
        query.push(("against", what.to_owned()));
        self.get(&format!("/api/v1/monitoring/{}/drift", encode(service)), &query).await
    }

    /// All services at a glance; the window in seconds.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn fleet(&self, window: u64, as_of: Option<Timestamp>) -> Result<Fleet> {
        let mut query = vec![("window", window.to_string())];
        query.extend(as_of.map(|t| ("as_of", t.to_string())));
        self.get("/api/v1/fleet", &query).await
    }

    /// # Errors
    /// `NotFound` for a service of which nothing is known.
    pub async fn live(&self, service: &str, asked: &AskedLive) -> Result<Live> {
        let mut query = vec![("window", asked.window.to_string())];
        query.extend(asked.to.map(|t| ("to", t.to_string())));
        query.extend(asked.as_of.map(|t| ("as_of", t.to_string())));
        query.extend(asked.metric.clone().map(|m| ("metric", m)));
        self.get(&format!("/api/v1/monitoring/{}/live", encode(service)), &query).await
    }

    /// One column in the training data and now.
    ///
    /// # Errors
    /// As [`Self::quality`].
    pub async fn feature(&self, service: &str, column: &str, asked: &Asked) -> Result<Feature> {
        let mut query = query(asked);
        query.push(("column", column.to_owned()));
        self.get(&format!("/api/v1/monitoring/{}/feature", encode(service)), &query).await
    }

    /// # Errors
    /// As [`Self::quality`].
    pub async fn recount(&self, service: &str) -> Result<Recount> {
        self.get(&format!("/api/v1/monitoring/{}/recount", encode(service)), &NOTHING).await
    }
}
