//! Calls about what a run made: for its repetition.

use bytes::Bytes;
use reqwest::Method;
use serde_json::Value;

use super::Client;
use super::calls::encode;
use crate::base::id::RunId;
use crate::base::{Fault, fault::Result};
use crate::capability::tracking::outputs::Outputs;
use crate::capability::training::Point;

impl Client {
    /// Everything that a run made, each file with its digest.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn outputs(&self, id: RunId) -> Result<Outputs> {
        // No time limit: large models take a while to digest.
        let response = self.send(self.request(Method::GET, &format!("/api/v1/runs/{id}/outputs"))).await?;
        let broke = |e: reqwest::Error| Fault::unavailable("the agent broke off").why(e.to_string());
        let bytes = response.bytes().await.map_err(broke)?;
        serde_json::from_slice(&bytes).map_err(|e| Fault::bug("the agent's answer cannot be read").why(e.to_string()))
    }

    /// All bytes of a file that a run made.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn output(&self, id: RunId, path: &str) -> Result<Bytes> {
        let request = self.request(Method::GET, &format!("/api/v1/runs/{id}/output")).query(&[("path", path)]);
        let broke = |e: reqwest::Error| Fault::unavailable("the download broke off").why(e.to_string());
        self.send(request).await?.bytes().await.map_err(broke)
    }

    /// All bytes of an artifact.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn artifact_bytes(&self, id: RunId, path: &str) -> Result<Bytes> {
        let request = self.request(Method::GET, &format!("/api/v1/runs/{id}/artifact")).query(&[("path", path)]);
        let broke = |e: reqwest::Error| Fault::unavailable("the download broke off").why(e.to_string());
        self.send(request).await?.bytes().await.map_err(broke)
    }

    /// Every point of a metric in the order it was logged.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn points(&self, id: RunId, key: &str) -> Result<Vec<Point>> {
        let mut points = Vec::new();
        let mut page = String::new();
        loop {
            let path = format!("/api/2.0/mlflow/metrics/get-history?run_id={id}&metric_key={}{page}", encode(key));
            let answer = self.mlflow(Method::GET, &path, &Value::Null).await?;
            let metrics = answer["metrics"].as_array().cloned().unwrap_or_default();
            points.extend(metrics.iter().map(point));
            match answer["next_page_token"].as_str().filter(|t| !t.is_empty()) {
                Some(token) => page = format!("&page_token={}", encode(token)),
                None => return Ok(points),
            }
        }
    }
}

fn point(of: &Value) -> Point {
    let whole = |v: &Value| v.as_i64().or_else(|| v.as_str().and_then(|t| t.parse().ok())).unwrap_or(0);
    let value = of["value"].as_f64().unwrap_or_else(|| match of["value"].as_str() {
        Some("Infinity") => f64::INFINITY,
        Some("-Infinity") => f64::NEG_INFINITY,
        _ => f64::NAN,
    });
    Point { step: whole(&of["step"]), timestamp: whole(&of["timestamp"]), value }
}
