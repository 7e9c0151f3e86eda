//! One request: whose it is, which version answers, what goes there and what comes back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri, Version};

use super::counters::Served;
use super::key;
use super::passing::{Answer, AtEnd, Open, Passing};
use super::pool::{Failed, Outgoing};
use super::state::{Live, LiveArm, State};
use super::tap::BODY_BYTES_MAX;
use super::told::{PREDICTION, Told, VERSION};
use super::upstream::Upstream;
use crate::base::Timestamp;
use crate::base::clock::{Clock, Stopwatch, SystemClock};
use crate::base::id::uuid7;
use crate::capability::monitoring::ArmRole;
use crate::capability::rollout::{Limits, Protocol, Route, StickyKey};

/// Whether a header holds between two neighbours only and is not passed on; the body is framed anew on each side.
fn is_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "upgrade"
            | "transfer-encoding"
            | "content-length"
            | "expect"
    )
}

fn refuse(status: StatusCode, what: &str, next: &str) -> Answer {
    let text = serde_json::json!({ "what": what, "next": next }).to_string();
    let mut answer = Response::new(Either::Left(Full::new(Bytes::from(text))));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// A request as far as it was looked at.
struct Asked {
    id: HeaderValue,
    came: Timestamp,
    method: Method,
    /// Path and query below the service.
    path: String,
    headers: HeaderMap,
    body: Outgoing,
    /// The body where it is held whole.
    whole: Option<Bytes>,
}

impl Asked {
    /// Once more, where the body is held whole.
    fn copy(&self) -> Option<Self> {
        let whole = self.whole.clone()?;
        Some(Self {
            id: self.id.clone(),
            came: self.came,
            method: self.method.clone(),
            path: self.path.clone(),
            headers: self.headers.clone(),
            body: Either::Left(Full::new(whole.clone())),
            whole: Some(whole),
        })
    }
}

/// Answers a client; on its way out it says whether its connection ends.
///
/// `own` is the service whose own address it came by; otherwise the path begins with the service.
pub async fn answer(state: &Arc<State>, request: Request<Incoming>, own: Option<&str>) -> Answer {
    let keeps_connection = request.version() == Version::HTTP_2;
    let mut answer = answered(state, request, own).await;
    if state.is_stopping() && !keeps_connection {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

async fn answered(state: &Arc<State>, request: Request<Incoming>, own: Option<&str>) -> Answer {
    let came = SystemClock.now();
    if request.version() == Version::HTTP_11 && !request.headers().contains_key(header::HOST) {
        return refuse(StatusCode::BAD_REQUEST, "no Host header", "HTTP/1.1 requires it");
    }
    let whole_path = request.uri().path_and_query().map_or("/", |p| p.as_str());
    let (service, path) = own.map_or_else(|| split(whole_path), |service| (service, whole_path));
    let table = state.table();
    let Some(live) = table.route(service) else {
        return refuse(
            StatusCode::NOT_FOUND,
            &format!("no service {service:?} is routed here"),
            "see opsroom service list",
        );
    };
    let limits = &live.route.limits;
    if live.open.load(Ordering::Relaxed) >= u64::from(limits.requests_max) {
        let mut answer = refuse(StatusCode::SERVICE_UNAVAILABLE, "too many requests are open", "try again in a second");
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        return answer;
    }
    let open = [Open::of(&live.open), state.busy()];
    let path = path.to_owned();
    match taken(&live.route, request, path, came).await {
        Ok(asked) => served(state, live, asked, open).await,
        Err(answer) => answer,
    }
}

/// Service and path below it.
fn split(path: &str) -> (&str, &str) {
    let path = path.trim_start_matches('/');
    path.split_at(path.find(['/', '?']).unwrap_or(path.len()))
}

/// Reads as much of the body as is needed to decide.
async fn taken(route: &Route, request: Request<Incoming>, path: String, came: Timestamp) -> Result<Asked, Answer> {
    let (parts, body) = request.into_parts();
    let limit = usize::try_from(route.limits.body_bytes_max).unwrap_or(usize::MAX);
    let too_long = || {
        let what = format!("the body is longer than {limit} bytes");
        refuse(StatusCode::PAYLOAD_TOO_LARGE, &what, "send less at a time")
    };
    let length = body.size_hint().exact();
    if length.is_some_and(|n| n > route.limits.body_bytes_max) {
        return Err(too_long());
    }
    let small = length.is_some_and(|n| n <= BODY_BYTES_MAX as u64);
    let (body, whole) = if small || matches!(route.key, StickyKey::Json(_)) {
        match Limited::new(body, limit).collect().await {
            Ok(collected) => {
                let bytes = collected.to_bytes();
                (Either::Left(Full::new(bytes.clone())), Some(bytes))
            }
            Err(e) if e.is::<http_body_util::LengthLimitError>() => return Err(too_long()),
            Err(e) => return Err(refuse(StatusCode::BAD_REQUEST, "the body broke off", &e.to_string())),
        }
    } else {
        (Either::Right(Limited::new(body, limit)), None)
    };
    let mut headers = parts.headers;
    strip_hop(&mut headers);
    // Who asks twice with one id is the same request.
    let given = headers.get(&PREDICTION).filter(|id| (1..=128).contains(&id.len()) && id.to_str().is_ok()).cloned();
    let id = given.or_else(|| HeaderValue::from_maybe_shared(Bytes::from(uuid7())).ok());
    let id = id.unwrap_or_else(|| HeaderValue::from_static("?"));
    Ok(Asked { id, came, method: parts.method, path, headers, body, whole })
}

/// Takes away what holds between two neighbours only, and what `Connection` names. Few requests have more than one of
/// these, so that looking costs less than removing each.
fn strip_hop(headers: &mut HeaderMap) {
    // What nearly every answer says names no header.
    let plain = |line: &HeaderValue| {
        let line = line.as_bytes();
        line.eq_ignore_ascii_case(b"keep-alive") || line.eq_ignore_ascii_case(b"close")
    };
    if !headers.get_all(header::CONNECTION).iter().all(plain) {
        let lines = headers.get_all(header::CONNECTION).iter().filter_map(|v| v.to_str().ok());
        let names = lines.flat_map(|line| line.split(',')).filter_map(|name| name.trim().parse().ok());
        for name in names.collect::<Vec<HeaderName>>() {
            headers.remove(name);
        }
    }
    while let Some(name) = headers.keys().find(|name| is_hop(name)).cloned() {
        headers.remove(name);
    }
}

async fn served(state: &Arc<State>, live: &Arc<Live>, asked: Asked, open: [Open; 2]) -> Answer {
    let route = &live.route;
    let key = key::of(&route.key, &asked.headers, asked.whole.as_deref());
    let candidate = live.candidate.as_ref().filter(|_| key::is_candidate(route, key.as_deref(), asked.id.as_bytes()));
    let (arm, role) = candidate.map_or((&live.stable, ArmRole::Stable), |arm| (arm, ArmRole::Candidate));
    let told = Told {
        live: live.clone(),
        version: arm.version,
        version_header: arm.header.clone(),
        role,
        id: asked.id.clone(),
        came: asked.came,
        request: asked.whole.clone(),
    };
    let shadow = live.candidate.as_ref().filter(|_| route.shadow && role == ArmRole::Stable);
    let shadow = shadow.and_then(|arm| Some((arm, asked.copy()?))).map(|(arm, copy)| {
        let (other, rx) = tokio::sync::oneshot::channel();
        tokio::spawn(shadowed(state.clone(), live.clone(), arm.clone(), copy, rx));
        other
    });
    let watch = Stopwatch::start();
    let sent = forward(state, arm, &route.limits, asked).await;
    let ms = watch.elapsed().as_secs_f64() * 1e3;
    match sent {
        Ok((response, upstream, connection)) => {
            let failed = response.status().is_server_error();
            told.count(state, failed, Some(ms));
            pass(state, response, (upstream, connection), told, ms, open, shadow)
        }
        Err(Refused::Client(answer)) => answer,
        Err(Refused::Upstream(answer)) => {
            told.count(state, true, None);
            told.mark(answer)
        }
    }
}

/// Who is to blame for there being no answer.
enum Refused {
    Client(Answer),
    Upstream(Answer),
}

type Sent = (Response<Incoming>, Arc<Upstream>, SendRequest<Outgoing>);

/// Sends a request to an arm; again over a fresh connection only where it cannot do anything twice.
async fn forward(state: &State, arm: &LiveArm, limits: &Limits, asked: Asked) -> Result<Sent, Refused> {
    let bad = |status, what: String| Refused::Upstream(refuse(status, &what, "see the model server's log"));
    let Some(upstream) = state.upstreams.pick(&arm.upstreams).cloned() else {
        return Err(bad(StatusCode::BAD_GATEWAY, format!("version {} has no address", arm.version)));
    };
    let connect = Duration::from_millis(limits.connect_timeout_ms);
    let idempotent =
        matches!(asked.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE);
    let again = idempotent || (limits.retry_post && asked.method == Method::POST);
    let mut spare = if again { asked.copy() } else { None };
    let Some(mut request) = outgoing(asked, &upstream, arm) else {
        return Err(Refused::Client(refuse(StatusCode::BAD_REQUEST, "the path cannot be passed on", "check it")));
    };
    let mut fresh = false;
    loop {
        let sent = upstream.pool.send(&upstream.authority, request, connect, fresh);
        let timeout = Duration::from_millis(limits.timeout_ms);
        match tokio::time::timeout(timeout, sent).await {
            Ok(Ok((response, connection))) => {
                upstream.worked();
                return Ok((response, upstream, connection));
            }
            // It went nowhere: an idle connection that had been closed.
            Ok(Err(Failed::Unsent(unsent))) if !fresh => {
                request = *unsent;
                fresh = true;
            }
            Ok(Err(Failed::Client(why))) => {
                return Err(Refused::Client(refuse(
                    StatusCode::BAD_REQUEST,
                    "the body broke off or is too long",
                    &why,
                )));
            }
            Ok(Err(Failed::Connect(why) | Failed::Broke(why))) => {
                if let Some(next) = spare.take().filter(|_| !fresh).and_then(|s| outgoing(s, &upstream, arm)) {
                    request = next;
                    fresh = true;
                    continue;
                }
                upstream.failed();
                return Err(bad(StatusCode::BAD_GATEWAY, format!("version {} does not answer: {why}", arm.version)));
            }
            Ok(Err(Failed::Unsent(_))) => {
                upstream.failed();
                return Err(bad(StatusCode::BAD_GATEWAY, format!("version {} closes its connections", arm.version)));
            }
            Err(_) => {
                upstream.failed();
                let what = format!("version {} took longer than {} ms", arm.version, limits.timeout_ms);
                return Err(bad(StatusCode::GATEWAY_TIMEOUT, what));
            }
        }
    }
}

/// The request as the model server gets it.
fn outgoing(asked: Asked, upstream: &Upstream, arm: &LiveArm) -> Option<Request<Outgoing>> {
    let slash = if asked.path.starts_with('/') { "" } else { "/" };
    let mut request = Request::new(asked.body);
    *request.method_mut() = asked.method;
    let path = [&upstream.prefix, slash, &asked.path].concat();
    *request.uri_mut() = Uri::from_maybe_shared(Bytes::from(path)).ok()?;
    *request.headers_mut() = asked.headers;
    let headers = request.headers_mut();
    headers.insert(header::HOST, upstream.host.clone());
    headers.insert(PREDICTION, asked.id);
    headers.insert(VERSION, arm.header.clone());
    Some(request)
}

/// Hands an answer on, and looks at it when it has passed.
fn pass(
    state: &Arc<State>,
    response: Response<Incoming>,
    connection: (Arc<Upstream>, SendRequest<Outgoing>),
    told: Told,
    ms: f64,
    open: [Open; 2],
    shadow: Option<tokio::sync::oneshot::Sender<Vec<u8>>>,
) -> Answer {
    let (mut parts, inner) = response.into_parts();
    let length = parts.headers.get(header::CONTENT_LENGTH).cloned();
    strip_hop(&mut parts.headers);
    // To HEAD and with 304 it speaks of a body that is not there.
    if let Some(length) = length.filter(|_| inner.is_end_stream()) {
        parts.headers.insert(header::CONTENT_LENGTH, length);
    }
    let shadow_looks = shadow.is_some();
    let length_hint = inner.size_hint().exact().map_or(0, |n| usize::try_from(n).unwrap_or(0).min(BODY_BYTES_MAX));
    let looked_at = parts.status.is_success() && told.live.route.protocol != Protocol::None;
    let mut answer = told.mark(Response::from_parts(parts, ()));
    let looking = state.clone();
    let at_end: AtEnd = Box::new(move |kept| {
        if let (Some(shadow), Some(kept)) = (shadow, &kept) {
            // Nobody listens when the shadow has failed.
            let _ = shadow.send(kept.clone());
        }
        if looked_at {
            told.tell(&looking, kept, ms);
        }
    });
    // What nobody will look at is not copied; it counts as dropped at the end.
    let looks = shadow_looks || (looked_at && !state.tap.is_full());
    let kept = looks.then(|| Vec::with_capacity(length_hint));
    let mut passing = Passing { kept, connection: Some(connection), at_end: Some(at_end), _open: open, inner };
    if passing.inner.is_end_stream() {
        passing.end();
    }
    let (parts, ()) = std::mem::replace(&mut answer, Response::new(())).into_parts();
    Response::from_parts(parts, Either::Right(passing))
}

/// The candidate answers too; nobody sees it, and differences are counted.
async fn shadowed(
    state: Arc<State>,
    live: Arc<Live>,
    arm: LiveArm,
    asked: Asked,
    stable: tokio::sync::oneshot::Receiver<Vec<u8>>,
) {
    let came = asked.came;
    let watch = Stopwatch::start();
    let sent = forward(&state, &arm, &live.route.limits, asked).await;
    let ms = watch.elapsed().as_secs_f64() * 1e3;
    let (failed, body) = match sent {
        Ok((response, upstream, connection)) => {
            let failed = response.status().is_server_error();
            let body = Limited::new(response.into_body(), BODY_BYTES_MAX)
                .collect()
                .await
                .ok()
                .map(http_body_util::Collected::to_bytes);
            if body.is_some() {
                upstream.pool.give_back(connection);
            }
            (failed, body)
        }
        Err(_) => (true, None),
    };
    let other = stable.await.ok();
    let json = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    let differs = match (&body, &other) {
        (Some(a), Some(b)) => a[..] != b[..] && (json(a).is_none() || json(a) != json(b)),
        _ => false,
    };
    state.counters.count(&Served {
        service: &live.service,
        version: arm.version,
        arm: ArmRole::Shadow,
        weight: 0,
        came,
        answered: SystemClock.now(),
        failed,
        latency_ms: body.is_some().then_some(ms),
        differs,
    });
}
