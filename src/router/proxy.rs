//! One request: whose it is, which version answers, what goes there and what comes back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{self, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Response, StatusCode, Version};

use super::asked::{Asked, Gone, strip_hop};
use super::client::{Client, Open};
use super::failed::{Failed, repeats};
use super::live::{Live, LiveArm};
use super::passing::{Answer, Ending, Passing, refuse};
use super::plain::Begun;
use super::pool::Outgoing;
use super::state::State;
use super::tap::BODY_BYTES_MAX;
use super::told::Told;
use super::upstream::Upstream;
use super::{key, shadow};
use crate::base::clock::{Clock, Stopwatch, SystemClock};
use crate::capability::monitoring::ArmRole;
use crate::capability::rollout::Limits;

/// Answers a client; on its way out it says whether its connection ends. `begun` is what went to its model server already.
///
/// All that can be known at once is known before there is a future: what it holds is moved with it, several times.
pub fn answer(
    client: Arc<Client>,
    request: Request<Incoming>,
    begun: Option<Box<Begun>>,
) -> impl Future<Output = Answer> {
    let multiplexed = request.version() == Version::HTTP_2;
    if !multiplexed && begun.is_none() {
        client.waits();
    }
    let begun = begin(&client, request, begun, multiplexed);
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
    begun: Option<Box<Begun>>,
    multiplexed: bool,
) -> Result<(Open, Box<Asked>, Incoming), Answer> {
    let came = SystemClock.now();
    if request.version() == Version::HTTP_11 && !request.headers().contains_key(header::HOST) {
        return Err(refuse(StatusCode::BAD_REQUEST, "no Host header", "HTTP/1.1 requires it"));
    }
    let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    let (service, skip) = named(client, path);
    let live = match &begun {
        Some(begun) => begun.open.live.clone(),
        None => admit(&client.state, service)?,
    };
    let (parts, body) = request.into_parts();
    let mut asked = Asked::new(parts, skip, came);
    let open = match begun {
        Some(begun) => asked.go_on(*begun),
        None => Open::new(client, live, multiplexed),
    };
    Ok((open, asked, body))
}

/// The route of a service that takes another request.
///
/// # Errors
/// What the client is answered instead.
pub fn admit(state: &State, service: &str) -> Result<Arc<Live>, Answer> {
    let Some(live) = state.route(service) else {
        let what = format!("no service {service:?} is routed here");
        return Err(refuse(StatusCode::NOT_FOUND, &what, "see opsroom service list"));
    };
    if live.open.load(Ordering::Relaxed) >= u64::from(live.route.limits.requests_max) {
        let mut answer = refuse(StatusCode::SERVICE_UNAVAILABLE, "too many requests are open", "try again in a second");
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        return Err(answer);
    }
    Ok(live)
}

/// The service that a request asks for, and how many bytes of its path stand before what is below it.
pub fn named<'a>(client: &'a Client, path: &'a str) -> (&'a str, usize) {
    client.own.as_deref().map_or_else(|| first_part(path), |own| (own, 0))
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
    let request = asked.whole.clone();
    let watch = asked.begun.as_ref().map_or_else(Stopwatch::start, |begun| begun.watch);
    let sent = forward(state, told.arm(), &live.route.limits, asked).await;
    let latency_ms = watch.elapsed().as_secs_f64() * 1e3;
    match sent {
        Ok((response, upstream, connection)) => {
            told.count(response.status().is_server_error(), Some(latency_ms));
            let is_event = told.is_event(response.status());
            pass(response, Ending { told, request, upstream, connection, is_event, shadow, latency_ms })
        }
        Err(Unanswered::Refused(answer)) => answer,
        Err(Unanswered::Failed(failed)) => told.failed(failed),
    }
}

/// Whose request it is, and which arm answers it.
fn told(open: Open, asked: &Asked) -> Told {
    let route = &open.live.route;
    let headers = asked.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let key = key::of(&route.key, headers, asked.whole.as_deref());
    let is_candidate = key::is_candidate(route, key.as_deref(), asked.id.as_bytes());
    Told::new(open, is_candidate, asked.id.clone(), asked.came)
}

/// Who is to blame for there being no answer.
pub enum Unanswered {
    /// The client: its body broke off, or its path cannot be passed on.
    Refused(Answer),
    Failed(Failed),
}

pub type Sent = (Response<Incoming>, Arc<Upstream>, SendRequest<Outgoing>);

/// Sends a request to an arm; again over a fresh connection only where it cannot do anything twice.
///
/// # Errors
/// Why there is no answer.
pub async fn forward(state: &State, arm: &LiveArm, limits: &Limits, asked: &mut Asked) -> Result<Sent, Unanswered> {
    let connect = Duration::from_millis(limits.connect_timeout_ms);
    let mut timeout = Duration::from_millis(limits.timeout_ms);
    let mut spare = if repeats(asked.method.as_str(), limits) { asked.copy() } else { None };
    let (upstream, mut begun, mut fresh) = match asked.begun.take() {
        Some(Gone { upstream, connection, since, fresh, .. }) => {
            timeout = timeout.saturating_sub(since.elapsed());
            (upstream, Some(connection), fresh)
        }
        None => match state.upstreams.pick(&arm.upstreams) {
            Some(upstream) => (upstream.clone(), None, false),
            None => return Err(Unanswered::Failed(Failed::NoAddress)),
        },
    };
    let mut unsent = None::<Box<Request<Outgoing>>>;
    loop {
        let connection = match begun.take() {
            Some(connection) => Ok(connection),
            None => upstream.pool.connection(&upstream.authority, connect, fresh).await,
        };
        let failed = match connection {
            Err(why) => Failed::Broke(why),
            Ok(mut connection) => {
                let request = unsent.take().map_or_else(|| asked.outgoing(&upstream, arm), |unsent| Some(*unsent));
                let Some(request) = request else {
                    let (what, next) = ("the path cannot be passed on", "check it");
                    return Err(Unanswered::Refused(refuse(StatusCode::BAD_REQUEST, what, next)));
                };
                let sending = connection.try_send_request(request);
                match tokio::time::timeout(timeout, sending).await {
                    Ok(Ok(response)) => {
                        upstream.worked();
                        return Ok((response, upstream, connection));
                    }
                    Ok(Err(mut error)) => {
                        unsent = error.take_message().map(Box::new);
                        match (&unsent, error.error()) {
                            (Some(_), _) => Failed::Closed,
                            (None, why) if why.is_user() => {
                                let what = "the body broke off or is too long";
                                let answer = refuse(StatusCode::BAD_REQUEST, what, &why.to_string());
                                return Err(Unanswered::Refused(answer));
                            }
                            (None, why) => Failed::Broke(why.to_string()),
                        }
                    }
                    Err(_) => Failed::Late,
                }
            }
        };
        match (failed, spare.take()) {
            (Failed::Closed, copy) if !fresh => spare = copy,
            (Failed::Broke(_), Some(copy)) if !fresh => *asked = *copy,
            (failed, _) => {
                upstream.failed();
                return Err(Unanswered::Failed(failed));
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
