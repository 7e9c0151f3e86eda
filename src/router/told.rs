//! What is said of a request once it was answered: its counts, its headers, its events.

use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::client::Open;
use super::counters::Served;
use super::live::LiveArm;
use super::waiting::About;
use crate::base::Timestamp;
use crate::base::clock::{Clock, SystemClock};
use crate::capability::monitoring::ArmRole;

const MODEL: HeaderName = HeaderName::from_static("x-opsroom-model");
pub const VERSION: HeaderName = HeaderName::from_static("x-opsroom-version");
pub const PREDICTION: HeaderName = HeaderName::from_static("x-opsroom-prediction-id");

/// What is said of a request afterwards.
pub struct Told {
    pub open: Open,
    pub role: ArmRole,
    pub id: HeaderValue,
    pub came: Timestamp,
    pub request: Option<Bytes>,
}

impl Told {
    /// The arm that the request goes to.
    pub fn arm(&self) -> &LiveArm {
        let live = &self.open.live;
        live.candidate.as_ref().filter(|_| self.role == ArmRole::Candidate).unwrap_or(&live.stable)
    }

    pub fn count(&self, failed: bool, latency_ms: Option<f64>) {
        let live = &self.open.live;
        self.open.client.state.counters.count(&Served {
            service: &live.service,
            version: self.arm().version,
            arm: self.role,
            weight: live.route.weight,
            came: self.came,
            answered: SystemClock.now(),
            failed,
            latency_ms,
            differs: false,
        });
    }

    pub fn mark(&self, headers: &mut HeaderMap) {
        headers.insert(MODEL, self.open.live.model.clone());
        headers.insert(VERSION, self.arm().header.clone());
        headers.insert(PREDICTION, self.id.clone());
    }

    /// Leaves request and answer where events are made of them.
    pub fn tell(&self, answer: Option<&[u8]>, latency_ms: f64) {
        let tap = &self.open.client.state.tap;
        let (Some(request), Some(answer)) = (&self.request, answer) else { return tap.drop_some(1) };
        let (live, version, came) = (self.open.live.clone(), self.arm().version, self.came);
        tap.give(About { live, version, came, latency_ms }, [self.id.as_bytes(), request, answer]);
    }
}
