//! One request: whose it is, which version answers, what goes there and what comes back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{self, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Response, StatusCode, Version};

use super::asked::{Asked, strip_hop};
use super::client::{Client, Open};
use super::live::LiveArm;
use super::passing::{Answer, Ending, Passing, refuse};
use super::pool::Outgoing;
use super::state::State;
use super::tap::BODY_BYTES_MAX;
use super::told::Told;
use super::upstream::Upstream;
use super::{key, shadow};
use crate::base::clock::{Clock, Stopwatch, SystemClock};
use crate::capability::monitoring::ArmRole;
use crate::capability::rollout::{Limits, Protocol};

/// Answers a client; on its way out it says whether its connection ends.
///
/// All that can be known at once is known before there is a future: what it holds is moved with it, several times.
pub fn answer(client: Arc<Client>, request: Request<Incoming>) -> impl Future<Output = Answer> {
    let multiplexed = request.version() == Version::HTTP_2;
    if !multiplexed {
        client.waits();
    }
    let begun = begin(&client, request, multiplexed);
    async move {
        let mut answer = match begun {
            Ok((open, mut asked, body)) => match asked.take(&open.live.route, body).await {
                Ok(()) => served(open, &mut asked).await,
                Err(answer) => answer,
            },
            Err(answer) => answer,
        };
        if !multiplexed && client.state.is_stopping() {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

fn begin(
    client: &Arc<Client>,
    request: Request<Incoming>,
    multiplexed: bool,
) -> Result<(Open, Box<Asked>, Incoming), Answer> {
    let came = SystemClock.now();
    if request.version() == Version::HTTP_11 && !request.headers().contains_key(header::HOST) {
        return Err(refuse(StatusCode::BAD_REQUEST, "no Host header", "HTTP/1.1 requires it"));
    }
    let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    let (service, skip) = client.own.as_deref().map_or_else(|| first_part(path), |own| (own, 0));
    let Some(live) = client.state.route(service) else {
        let what = format!("no service {service:?} is routed here");
        return Err(refuse(StatusCode::NOT_FOUND, &what, "see opsroom service list"));
    };
    if live.open.load(Ordering::Relaxed) >= u64::from(live.route.limits.requests_max) {
        let mut answer = refuse(StatusCode::SERVICE_UNAVAILABLE, "too many requests are open", "try again in a second");
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        return Err(answer);
    }
    let (parts, body) = request.into_parts();
    Ok((Open::new(client, live, multiplexed), Asked::new(parts, skip, came), body))
}

/// The service that a path begins with, and how many bytes stand before what is below it.
fn first_part(path: &str) -> (&str, usize) {
    let rest = path.trim_start_matches('/');
    let service = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    (service, path.len() - rest.len() + service.len())
}

async fn served(open: Open, asked: &mut Asked) -> Answer {
    let told = told(open, asked);
    let (state, live) = (&told.open.client.state, &told.open.live);
    let other = live.candidate.as_ref().filter(|_| live.route.shadow && told.role == ArmRole::Stable);
    let shadow = other.and_then(|other| Some(shadow::begin(state, live, other, asked.copy()?)));
    let watch = Stopwatch::start();
    let sent = forward(state, told.arm(), &live.route.limits, asked).await;
    let latency_ms = watch.elapsed().as_secs_f64() * 1e3;
    match sent {
        Ok((response, upstream, connection)) => {
            told.count(response.status().is_server_error(), Some(latency_ms));
            let is_event = response.status().is_success() && live.route.protocol != Protocol::None;
            pass(response, Ending { told, upstream, connection, is_event, shadow, latency_ms })
        }
        Err(Refused::Client(answer)) => answer,
        Err(Refused::Upstream(mut answer)) => {
            told.count(true, None);
            told.mark(answer.headers_mut());
            answer
        }
    }
}

/// Whose request it is, and which arm answers it.
fn told(open: Open, asked: &Asked) -> Told {
    let route = &open.live.route;
    let key = key::of(&route.key, &asked.headers, asked.whole.as_deref());
    let is_candidate = key::is_candidate(route, key.as_deref(), asked.id.as_bytes());
    let role = if is_candidate { ArmRole::Candidate } else { ArmRole::Stable };
    Told { open, role, id: asked.id.clone(), came: asked.came, request: asked.whole.clone() }
}

/// Who is to blame for there being no answer.
pub enum Refused {
    Client(Answer),
    Upstream(Answer),
}

pub type Sent = (Response<Incoming>, Arc<Upstream>, SendRequest<Outgoing>);

/// Why there is no answer.
enum Failed {
    /// It went nowhere: an idle connection that had been closed.
    Unsent(Box<Request<Outgoing>>),
    /// The client's own body broke off, or was longer than allowed.
    Client(String),
    Late,
    Broke(String),
}

impl Failed {
    fn of(mut error: TrySendError<Request<Outgoing>>) -> Self {
        match error.take_message() {
            Some(request) => Self::Unsent(Box::new(request)),
            None if error.error().is_user() => Self::Client(error.error().to_string()),
            None => Self::Broke(error.error().to_string()),
        }
    }

    fn refused(self, version: u32, limits: &Limits) -> Refused {
        let (status, what) = match self {
            Self::Client(why) => {
                let what = "the body broke off or is too long";
                return Refused::Client(refuse(StatusCode::BAD_REQUEST, what, &why));
            }
            Self::Unsent(_) => (StatusCode::BAD_GATEWAY, format!("version {version} closes its connections")),
            Self::Broke(why) => (StatusCode::BAD_GATEWAY, format!("version {version} does not answer: {why}")),
            Self::Late => {
                (StatusCode::GATEWAY_TIMEOUT, format!("version {version} took longer than {} ms", limits.timeout_ms))
            }
        };
        Refused::Upstream(refuse(status, &what, "see the model server's log"))
    }
}

/// Sends a request to an arm; again over a fresh connection only where it cannot do anything twice.
pub async fn forward(state: &State, arm: &LiveArm, limits: &Limits, asked: &mut Asked) -> Result<Sent, Refused> {
    let Some(upstream) = state.upstreams.pick(&arm.upstreams).cloned() else {
        let what = format!("version {} has no address", arm.version);
        return Err(Refused::Upstream(refuse(StatusCode::BAD_GATEWAY, &what, "give it one in the service's file")));
    };
    let connect = Duration::from_millis(limits.connect_timeout_ms);
    let timeout = Duration::from_millis(limits.timeout_ms);
    let idempotent =
        matches!(asked.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE);
    let again = idempotent || (limits.retry_post && asked.method == Method::POST);
    let mut spare = if again { asked.copy() } else { None };
    let (mut unsent, mut fresh) = (None::<Box<Request<Outgoing>>>, false);
    loop {
        let failed = match upstream.pool.connection(&upstream.authority, connect, fresh).await {
            Err(why) => Failed::Broke(why),
            Ok(mut connection) => {
                let request = unsent.take().map_or_else(|| asked.outgoing(&upstream, arm), |unsent| Some(*unsent));
                let Some(request) = request else {
                    let (what, next) = ("the path cannot be passed on", "check it");
                    return Err(Refused::Client(refuse(StatusCode::BAD_REQUEST, what, next)));
                };
                let sending = connection.try_send_request(request);
                match tokio::time::timeout(timeout, sending).await {
                    Ok(Ok(response)) => {
                        upstream.worked();
                        return Ok((response, upstream, connection));
                    }
                    Ok(Err(error)) => Failed::of(error),
                    Err(_) => Failed::Late,
                }
            }
        };
        match (failed, spare.take()) {
            (Failed::Unsent(request), copy) if !fresh => (unsent, spare) = (Some(request), copy),
            (Failed::Broke(_), Some(copy)) if !fresh => *asked = *copy,
            (failed, _) => {
                if !matches!(failed, Failed::Client(_)) {
                    upstream.failed();
                }
                return Err(failed.refused(arm.version, limits));
            }
        }
        fresh = true;
    }
}

/// Hands an answer on. Most are there as a whole when they begin; the others are looked at as they pass.
fn pass(response: Response<Incoming>, ending: Ending) -> Answer {
    let (mut parts, mut inner) = response.into_parts();
    let length = inner.size_hint().exact();
    if inner.is_end_stream() {
        // To HEAD and with 304 it speaks of a body that is not there.
        let length = parts.headers.get(header::CONTENT_LENGTH).cloned();
        strip_hop(&mut parts.headers, None);
        parts.headers.extend(length.map(|length| (header::CONTENT_LENGTH, length)));
    } else {
        strip_hop(&mut parts.headers, length);
    }
    ending.told.mark(&mut parts.headers);
    let first = if inner.is_end_stream() { Some(None) } else { inner.frame().now_or_never() };
    let body = match first {
        Some(None) => {
            ending.end(Some(&[]));
            Either::Left(Full::default())
        }
        Some(Some(Ok(frame))) if inner.is_end_stream() && frame.is_data() => {
            let whole = frame.into_data().unwrap_or_default();
            let looks = ending.looks() && whole.len() <= BODY_BYTES_MAX;
            ending.end(looks.then_some(&whole[..]));
            Either::Left(Full::new(whole))
        }
        Some(Some(first)) => Either::Right(Box::new(Passing::new(Some(first), inner, ending))),
        None => Either::Right(Box::new(Passing::new(None, inner, ending))),
    };
    Response::from_parts(parts, body)
}
