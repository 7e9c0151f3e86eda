//! The route table as requests use it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use hashbrown::HashMap;
use hyper::header::HeaderValue;

use super::upstream::{Upstream, Upstreams};
use crate::capability::rollout::{Arm, Route, RouteTable};

/// A route as requests use it: nothing is looked up or written out for each of them.
pub struct Live {
    pub service: Arc<str>,
    pub model: HeaderValue,
    pub stable: LiveArm,
    pub candidate: Option<LiveArm>,
    pub route: Route,
    /// Requests that are open, against the route's limit.
    pub open: Arc<AtomicU64>,
}

/// A version with its addresses.
#[derive(Clone)]
pub struct LiveArm {
    pub version: u32,
    pub header: HeaderValue,
    pub upstreams: Vec<Arc<Upstream>>,
}

impl Live {
    pub fn new(route: Route, upstreams: &Upstreams) -> Self {
        let arm = |arm: &Arm| LiveArm {
            version: arm.version,
            header: HeaderValue::from(arm.version),
            upstreams: arm.urls.iter().filter_map(|url| upstreams.of(url)).collect(),
        };
        Self {
            service: route.service.as_str().into(),
            model: HeaderValue::from_str(&route.model).unwrap_or_else(|_| HeaderValue::from_static("?")),
            stable: arm(&route.stable),
            candidate: route.candidate.as_ref().map(arm),
            route,
            open: Arc::default(),
        }
    }
}

/// A table as requests use it.
pub struct Table {
    pub table: RouteTable,
    routes: HashMap<String, Arc<Live>>,
}

impl Table {
    pub fn new(table: RouteTable, before: Option<&Table>, upstreams: &Upstreams) -> Self {
        let live = |route: &Route| {
            let open = before.and_then(|b| b.routes.get(&route.service)).map(|l| l.open.clone()).unwrap_or_default();
            (route.service.clone(), Arc::new(Live { open, ..Live::new(route.clone(), upstreams) }))
        };
        Self { routes: table.routes.iter().map(live).collect(), table }
    }

    pub fn route(&self, service: &str) -> Option<&Arc<Live>> {
        self.routes.get(service)
    }
}
