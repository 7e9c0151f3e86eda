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

const MODEL: HeaderName = HeaderName::from_static("x-opsroom-model");
pub const VERSION: HeaderName = HeaderName::from_static("x-opsroom-version");
pub const PREDICTION: HeaderName = HeaderName::from_static("x-opsroom-prediction-id");

/// What is said of a request afterwards.
pub struct Told {
    pub live: Arc<Live>,
    pub version: u32,
    pub version_header: HeaderValue,
    pub role: ArmRole,
    pub id: HeaderValue,
    pub came: Timestamp,
    pub request: Option<Bytes>,
}

impl Told {
    pub fn count(&self, state: &State, failed: bool, latency_ms: Option<f64>) {
        state.counters.count(&Served {
            service: &self.live.service,
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
        headers.insert(MODEL, self.live.model.clone());
        headers.insert(VERSION, self.version_header.clone());
        headers.insert(PREDICTION, self.id.clone());
        answer
    }

    /// Leaves request and answer where events are made of them.
    pub fn tell(self, state: &State, answer: Option<Vec<u8>>, latency_ms: f64) {
        let Self { live, version, id, came, request, .. } = self;
        let Some((request, answer)) = request.zip(answer) else { return state.tap.drop_some(1) };
        // A copy: the bytes are a part of the connection's buffer, which would have to stay as long as they wait.
        let (request, id) = (Box::from(&request[..]), HeaderValue::from_bytes(id.as_bytes()).unwrap_or(id));
        state.tap.give(Raw { live, version, id, came, latency_ms, request, answer });
    }
}
