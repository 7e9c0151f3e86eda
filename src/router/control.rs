//! The router's own socket: the agent sends tables and takes counts, and a person without an agent can still go back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::{UnixListener, UnixStream};

use super::handover::{self, Upgrade};
use super::state::State;
use crate::base::{Fault, Kind, fault::Result};
use crate::capability::rollout::RouteTable;
use crate::capability::rollout::link::{Intent, Leftovers, SOCKET};

const BODY_BYTES_MAX: usize = 16 << 20;
/// The socket's name until its router takes requests.
const COMING: &str = "router.sock.new";
/// Events of one answer.
const EVENTS_MAX: usize = 5_000;
/// Nobody is kept waiting for longer.
const WAIT_MAX: Duration = Duration::from_mins(1);

/// The socket is for its owner alone; its peers are checked by the kernel's word.
///
/// # Errors
/// `Unavailable` when another router runs in the folder.
pub async fn bind(folder: &Path, inherit: bool) -> Result<UnixListener> {
    let path = folder.join(if inherit { COMING } else { SOCKET });
    let problem =
        |e: std::io::Error| Fault::unavailable(format!("cannot open the socket {}", path.display())).why(e.to_string());
    std::fs::create_dir_all(folder).map_err(problem)?;
    if !inherit && UnixStream::connect(&path).await.is_ok() {
        return Err(Fault::unavailable(format!("another router runs in {}", folder.display()))
            .next("end it, or give this one a folder of its own with --folder"));
    }
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(problem(e)),
        _ => {}
    }
    // Made with mode 0600 from its first moment.
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let bound = UnixListener::bind(&path);
    rustix::process::umask(before);
    bound.map_err(problem)
}

/// The socket that was bound beside the one before is the one from now on.
///
/// # Errors
/// `Unavailable`.
pub fn take_place(folder: &Path) -> Result<()> {
    std::fs::rename(folder.join(COMING), folder.join(SOCKET))
        .map_err(|e| Fault::unavailable("cannot take the place of the router before").why(e.to_string()))
}

pub async fn serve(listener: UnixListener, state: Arc<State>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(e) => {
                tracing::warn!("control socket: {e}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let own = rustix::process::getuid().as_raw();
        if !stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0) {
            continue;
        }
        let state = state.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let state = state.clone();
                async move { Ok::<_, std::convert::Infallible>(answer(&state, request).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            if let Err(e) = connection.await {
                tracing::debug!("control: {e}");
            }
        });
    }
}

async fn answer(state: &Arc<State>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let done = act(state, request).await;
    let (status, body) = match done {
        Ok(body) => (StatusCode::OK, body),
        Err(fault) => {
            let status = match fault.kind {
                Kind::NotFound => StatusCode::NOT_FOUND,
                Kind::Invalid => StatusCode::BAD_REQUEST,
                Kind::Conflict | Kind::Refused => StatusCode::CONFLICT,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, json(&fault).unwrap_or_default())
        }
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
}

fn json(value: &impl Serialize) -> Result<Bytes> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|e| Fault::bug("answer").why(e.to_string()))
}

async fn act(state: &Arc<State>, request: Request<Incoming>) -> Result<Bytes> {
    let (parts, body) = request.into_parts();
    let asked = |key: &str| -> Option<i64> {
        let pairs = parts.uri.query()?.split('&').filter_map(|p| p.split_once('='));
        pairs.filter(|(k, _)| *k == key).find_map(|(_, v)| v.parse().ok())
    };
    let path = parts.uri.path().to_owned();
    match (&parts.method, path.as_str()) {
        (&Method::GET, "/v1/status") => json(&state.status()),
        (&Method::GET, "/v1/table") => json(&state.table().table),
        (&Method::PUT, "/v1/table") => {
            let table: RouteTable = read(body).await?;
            json(&state.swap(table)?)
        }
        (&Method::GET, "/v1/windows") => json(&state.counters.take(state.id(), asked("after").unwrap_or(0))),
        // Asked with a time to wait, it answers once there is something; before that time in any case.
        (&Method::GET, "/v1/events") => {
            let number = |key| asked(key).and_then(|n| u64::try_from(n).ok());
            let most = number("most").and_then(|n| usize::try_from(n).ok()).unwrap_or(EVENTS_MAX);
            let after = number("after").unwrap_or(0);
            if let Some(ms) = number("wait") {
                within(state, ms, state.tap.filled(after)).await;
            }
            Ok(state.tap.take(after, most))
        }
        (&Method::GET, "/v1/news") => {
            let ms = asked("wait").and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
            within(state, ms, state.news(asked("after").unwrap_or(0))).await;
            json(&())
        }
        (&Method::GET, "/v1/intents") => json(&state.intents()?),
        (&Method::POST, "/v1/intents") => {
            let intent: Intent = read(body).await?;
            json(&state.wish(&intent)?)
        }
        (&Method::POST, "/v1/upgrade") => {
            let upgrade: Upgrade = read(body).await?;
            json(&handover::hand_over(state, &upgrade).await?)
        }
        (&Method::POST, "/v1/leftovers") => {
            let left: Leftovers = read(body).await?;
            state.tap.drop_some(left.events_dropped);
            json(&state.counters.add(&left.windows))
        }
        (&Method::POST, "/v1/stop") => {
            state.stop();
            json(&state.status())
        }
        (&Method::DELETE, path) if path.starts_with("/v1/intents/") => {
            state.forget_intent(path.trim_start_matches("/v1/intents/"))?;
            json(&())
        }
        (method, path) => Err(Fault::not_found(format!("the router has no {method} {path}"))),
    }
}

/// Waits for something, but no longer than it was asked to, and not while the router ends.
async fn within(state: &State, ms: u64, something: impl Future<Output = ()>) {
    tokio::select! {
        () = something => {}
        () = tokio::time::sleep(Duration::from_millis(ms).min(WAIT_MAX)) => {}
        () = state.stopped() => {}
    }
}

async fn read<T: serde::de::DeserializeOwned>(body: Incoming) -> Result<T> {
    let bytes = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let bytes = bytes.map_err(|e| Fault::invalid("the body cannot be read").why(e.to_string()))?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|e| Fault::invalid("the body cannot be read").why(e.to_string()))
}
