//! What is said of a request once it was answered: its counts, its headers, its events.

use hyper::Response;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};

use super::counters::Served;
use super::state::State;
use super::tap;
use crate::base::Timestamp;
use crate::base::clock::{Clock, SystemClock};
use crate::capability::monitoring::{ArmRole, Prediction};
use crate::capability::rollout::Protocol;

pub const MODEL: HeaderName = HeaderName::from_static("x-opsroom-model");
pub const VERSION: HeaderName = HeaderName::from_static("x-opsroom-version");
pub const PREDICTION: HeaderName = HeaderName::from_static("x-opsroom-prediction-id");

/// What is said of a request afterwards.
pub struct Told {
    pub service: String,
    pub model: String,
    pub protocol: Protocol,
    pub version: u32,
    pub role: ArmRole,
    pub weight: u16,
    pub id: String,
    pub came: Timestamp,
    pub request: Option<Bytes>,
}

impl Told {
    pub fn count(&self, state: &State, failed: bool, latency_ms: Option<f64>) {
        state.counters.count(&Served {
            service: &self.service,
            version: self.version,
            arm: self.role,
            weight: self.weight,
            came: self.came,
            answered: SystemClock.now(),
            failed,
            latency_ms,
            differs: false,
        });
    }

    pub fn mark<B>(&self, mut answer: Response<B>) -> Response<B> {
        let headers = answer.headers_mut();
        let text = |t: &str| HeaderValue::from_str(t).unwrap_or_else(|_| HeaderValue::from_static("?"));
        headers.insert(MODEL, text(&self.model));
        headers.insert(VERSION, HeaderValue::from(self.version));
        headers.insert(PREDICTION, text(&self.id));
        answer
    }

    /// Events of the rows of a request.
    pub fn tell(&self, state: &State, answer: Option<&[u8]>, ms: f64) {
        let (Some(request), Some(answer)) = (&self.request, answer) else { return state.tap.drop_one() };
        let rows = tap::rows(self.protocol, request, answer);
        if rows.is_empty() && self.protocol != Protocol::None {
            return state.tap.drop_one();
        }
        let many = rows.len() > 1;
        for (i, (features, prediction)) in rows.into_iter().enumerate() {
            state.tap.give(Prediction {
                id: if many { format!("{}/{i}", self.id) } else { self.id.clone() },
                service: self.service.clone(),
                model: Some(self.model.clone()),
                version: Some(self.version.to_string()),
                time: Some(self.came),
                features,
                prediction,
                score: None,
                latency_ms: Some(ms),
                error: None,
                slices: std::collections::BTreeMap::new(),
                batch: None,
                usage: None,
            });
        }
    }
}
