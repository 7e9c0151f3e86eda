//! Model servers: their addresses, their connections, and which of them do not answer at present.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http_body_util::{Either, Full};
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use hyper::{Request, Uri};

use super::pool::Pool;
use super::state::State;
use crate::base::Timestamp;
use crate::base::clock::{Clock, SystemClock};
use crate::capability::rollout::Route;

/// Failures in a row after which an address is left alone.
const FAILURES_MAX: u32 = 3;
/// For how long, doubled with each further failure.
const EJECTED_US: i64 = 1_000_000;
const EJECTED_DOUBLINGS_MAX: u32 = 5;
/// How long a server's answers are taken to be like one that was not plain.
const ODD_US: i64 = 1_000_000;
const HEALTH_PERIOD: Duration = Duration::from_secs(2);
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// One address.
pub struct Upstream {
    pub authority: String,
    /// As the `Host` of requests that go there.
    pub host: HeaderValue,
    /// Before the path of each request; without a slash at its end.
    pub prefix: String,
    pub pool: Pool,
    failures: AtomicU32,
    /// Microseconds since 1970.
    back_at: AtomicI64,
    /// The same, of the end of a time in which its answers are taken to be odd.
    odd_until: AtomicI64,
}

impl Upstream {
    fn new(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let authority = uri.authority()?;
        let authority = if authority.port().is_some() { authority.to_string() } else { format!("{authority}:80") };
        Some(Self {
            host: authority.parse().ok()?,
            authority,
            prefix: uri.path().trim_end_matches('/').to_owned(),
            pool: Pool::default(),
            failures: AtomicU32::new(0),
            back_at: AtomicI64::new(0),
            odd_until: AtomicI64::new(0),
        })
    }

    pub fn worked(&self) {
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
            self.back_at.store(0, Ordering::Relaxed);
        }
    }

    pub fn failed(&self) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures >= FAILURES_MAX {
            let doublings = (failures - FAILURES_MAX).min(EJECTED_DOUBLINGS_MAX);
            let until = SystemClock.now().0 + (EJECTED_US << doublings);
            self.back_at.store(until, Ordering::Relaxed);
        }
    }

    /// An answer was not plain: what goes there next is left to hyper from its beginning, whose connections are used again.
    pub fn answered_oddly(&self) {
        self.odd_until.store(SystemClock.now().0 + ODD_US, Ordering::Relaxed);
    }

    pub fn is_odd(&self, now: Timestamp) -> bool {
        self.odd_until.load(Ordering::Relaxed) > now.0
    }

    fn is_ejected(&self, now: i64) -> bool {
        self.back_at.load(Ordering::Relaxed) > now
    }
}

#[derive(Default)]
pub struct Upstreams {
    all: RwLock<HashMap<String, Arc<Upstream>>>,
    turn: AtomicUsize,
}

impl Upstreams {
    /// The known one of this address, or a new one.
    pub fn of(&self, url: &str) -> Option<Arc<Upstream>> {
        if let Some(known) = self.all.read().unwrap_or_else(PoisonError::into_inner).get(url) {
            return Some(known.clone());
        }
        let fresh = Arc::new(Upstream::new(url)?);
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        Some(all.entry(url.to_owned()).or_insert(fresh).clone())
    }

    /// Forgets the addresses that no table names any more; requests that are under way keep theirs.
    pub fn keep_only(&self, named: impl Fn(&str) -> bool) {
        self.all.write().unwrap_or_else(PoisonError::into_inner).retain(|url, _| named(url));
    }

    /// Forgets idle connections that their servers have closed.
    pub fn sweep(&self) {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        all.values().for_each(|upstream| upstream.pool.sweep());
    }

    /// The next of an arm's addresses that answers at present; when none does, one all the same.
    pub fn pick<'a>(&self, among: &'a [Arc<Upstream>]) -> Option<&'a Arc<Upstream>> {
        if let [only] = among {
            return Some(only);
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let now = SystemClock.now().0;
        let n = among.len();
        let nth = |i: usize| among.get((turn + i) % n.max(1));
        (0..n).filter_map(nth).find(|u| !u.is_ejected(now)).or_else(|| nth(0))
    }
}

/// Asks every address that has a health check, so that one which comes back is used soon, and one that is gone is not
/// found out by callers.
pub async fn check_health(state: Arc<State>) {
    loop {
        tokio::time::sleep(HEALTH_PERIOD).await;
        for (upstream, path) in with_checks(&state) {
            if is_healthy(&upstream, &path).await {
                upstream.worked();
            } else {
                upstream.failed();
            }
        }
    }
}

/// Addresses of all arms that say where to ask.
fn with_checks(state: &State) -> Vec<(Arc<Upstream>, String)> {
    let table = state.table();
    let arms = table.table.routes.iter().flat_map(Route::arms);
    let checked = arms.filter_map(|arm| Some((arm, arm.health.as_ref()?)));
    let addresses = checked.flat_map(|(arm, path)| arm.urls.iter().map(move |url| (url, path)));
    addresses.filter_map(|(url, path)| Some((state.upstreams.of(url)?, path.clone()))).collect()
}

async fn is_healthy(upstream: &Upstream, path: &str) -> bool {
    let path = format!("{}/{}", upstream.prefix, path.trim_start_matches('/'));
    let request = Request::get(path).header("host", &upstream.authority).body(Either::Left(Full::new(Bytes::new())));
    let Ok(request) = request else { return false };
    let answered = async {
        let mut connection = upstream.pool.connection(&upstream.authority, HEALTH_TIMEOUT, true).await.ok()?;
        connection.send_request(request).await.ok()
    };
    matches!(tokio::time::timeout(HEALTH_TIMEOUT, answered).await, Ok(Some(answer)) if answer.status().is_success())
}
