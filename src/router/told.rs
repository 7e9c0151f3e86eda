//! What is said of a request once it was answered: its counts, its headers, its events.

use std::sync::Arc;

use hyper::Response;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};

use super::counters::Served;
use super::state::{Live, State};
use super::tap::Raw;
use crate::base::Timestamp;
use crate::base::clock::{Clock, SystemClock};
use crate::capability::monitoring::ArmRole;

pub const MODEL: HeaderName = HeaderName::from_static("x-opsroom-model");
pub const VERSION: HeaderName = HeaderName::from_static("x-opsroom-version");
pub const PREDICTION: HeaderName = HeaderName::from_static("x-opsroom-prediction-id");

/// What is said of a request afterwards.
pub struct Told {
    pub live: Arc<Live>,
    pub version: u32,
    pub role: ArmRole,
    pub id: String,
    pub came: Timestamp,
    pub request: Option<Bytes>,
}

impl Told {
    pub fn count(&self, state: &State, failed: bool, latency_ms: Option<f64>) {
        state.counters.count(&Served {
            service: &self.live.route.service,
            version: self.version,
            arm: self.role,
            weight: self.live.route.weight,
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
        headers.insert(MODEL, text(&self.live.route.model));
        headers.insert(VERSION, HeaderValue::from(self.version));
        headers.insert(PREDICTION, text(&self.id));
        answer
    }

    /// Leaves request and answer where events are made of them.
    pub fn tell(self, state: &State, answer: Option<Vec<u8>>, latency_ms: f64) {
        let Self { live, version, id, came, request, .. } = self;
        match request.zip(answer) {
            Some((request, answer)) => state.tap.give(Raw { live, version, id, came, latency_ms, request, answer }),
            None => state.tap.drop_one(),
        }
    }
}
