//! What is said of a request once it was answered: its counts, its headers, its events.

use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::client::Open;
use super::counters::Served;
use super::failed::Failed;
use super::live::LiveArm;
use super::passing::Answer;
use super::waiting::About;
use crate::base::Timestamp;
use crate::base::clock::{Clock, SystemClock};
use crate::capability::monitoring::ArmRole;
use crate::capability::rollout::Protocol;

pub const MODEL: HeaderName = HeaderName::from_static("x-opsroom-model");
pub const VERSION: HeaderName = HeaderName::from_static("x-opsroom-version");
pub const PREDICTION: HeaderName = HeaderName::from_static("x-opsroom-prediction-id");

/// What is said of a request afterwards.
pub struct Told {
    pub open: Open,
    pub role: ArmRole,
    pub id: HeaderValue,
    pub came: Timestamp,
}

impl Told {
    pub fn new(open: Open, is_candidate: bool, id: HeaderValue, came: Timestamp) -> Self {
        let role = if is_candidate { ArmRole::Candidate } else { ArmRole::Stable };
        Self { open, role, id, came }
    }

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

    /// There was no answer.
    pub fn failed(&self, failed: Failed) -> Answer {
        self.count(true, None);
        let mut answer = failed.answer(self.arm().version, &self.open.live.route.limits);
        self.mark(answer.headers_mut());
        answer
    }

    pub fn mark(&self, headers: &mut HeaderMap) {
        headers.insert(MODEL, self.open.live.model.clone());
        headers.insert(VERSION, self.arm().header.clone());
        headers.insert(PREDICTION, self.id.clone());
    }

    /// Whether an answer becomes an event.
    pub fn is_event(&self, status: StatusCode) -> bool {
        status.is_success() && self.open.live.route.protocol != Protocol::None
    }

    /// Leaves request and answer where events are made of them; `None` for one that was not kept.
    pub fn tell(&self, request: Option<&[u8]>, answer: Option<&[u8]>, latency_ms: f64) {
        let tap = &self.open.client.state.tap;
        let (Some(request), Some(answer)) = (request, answer) else { return tap.drop_some(1) };
        let (live, version, came) = (self.open.live.clone(), self.arm().version, self.came);
        tap.give(About { live, version, came, latency_ms }, [self.id.as_bytes(), request, answer]);
    }
}
