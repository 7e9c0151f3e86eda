//! Another program takes over the address: this process gives it the listening socket, answers what it has taken, and tells
//! it what it still counts. Nobody is refused meanwhile.

use std::os::fd::AsFd;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;

use super::state::State;
use crate::base::clock::Stopwatch;
use crate::base::{Fault, fault::Result};
use crate::capability::rollout::link::{Leftovers, RouterStatus, SOCKET};

/// How long the other program may take until it answers.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the agent asks for.
#[derive(Debug, Serialize, Deserialize)]
pub struct Upgrade {
    /// The program that takes over, with this process's own arguments.
    pub program: std::path::PathBuf,
    /// The newest batch of counts that has arrived.
    pub after: i64,
}

/// Starts the other one and waits until it answers; then this one takes no more connections.
///
/// # Errors
/// `Unavailable` when it does not come up: nothing has changed then.
pub async fn hand_over(state: &Arc<State>, upgrade: &Upgrade) -> Result<RouterStatus> {
    let failed = |why: String| {
        Fault::unavailable("the router was not replaced").why(why).next("the one before goes on; see router.log")
    };
    let listener = state.listener().ok_or_else(|| failed("it has no listening socket".to_owned()))?;
    let socket = listener.as_fd().try_clone_to_owned().map_err(|e| failed(e.to_string()))?;
    let _held = state.hold_table()?;
    let own: Vec<_> = std::env::args_os().skip(1).filter(|word| word != "--inherit").collect();
    let mut child = std::process::Command::new(&upgrade.program)
        .args(own)
        .arg("--inherit")
        .stdin(Stdio::from(socket))
        .stdout(Stdio::null())
        .stderr(log(state))
        .spawn()
        .map_err(|e| failed(format!("{}: {e}", upgrade.program.display())))?;
    let watch = Stopwatch::start();
    loop {
        if let Ok(status) = ask::<RouterStatus>(state, Method::GET, "/v1/status", Vec::new()).await
            && status.id != state.id()
        {
            std::thread::spawn(move || child.wait());
            // What arrived is forgotten; the rest goes to the other one.
            drop(state.counters.take(state.id(), upgrade.after));
            state.stop_handed_over();
            return Ok(status);
        }
        if let Ok(Some(ended)) = child.try_wait() {
            return Err(failed(ended.to_string()));
        }
        if watch.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return Err(failed("it did not answer in time".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What the other one has to say stands where this one's words stand.
fn log(state: &State) -> Stdio {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(state.folder().join("router.log"));
    file.map_or_else(|_| Stdio::null(), Stdio::from)
}

/// Until this process ends: what it counts goes to the one that has the address now.
pub async fn tell_the_other(state: Arc<State>) {
    let mut after = 0;
    loop {
        let last = state.has_ended();
        // Each batch is sent before the next one is taken, so that two are left at the end at most.
        let sent = send(&state, &mut after).await;
        match (last, sent) {
            (true, Ok(false)) => return,
            (true, Err(fault)) => return tracing::error!("counts are lost: {fault}"),
            (true, Ok(true)) => {}
            (false, sent) => {
                if let Err(fault) = sent {
                    tracing::warn!("counts stay here for now: {fault}");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Sends one batch; says whether there was one.
async fn send(state: &State, after: &mut i64) -> Result<bool> {
    let windows = state.counters.take(state.id(), *after);
    let dropped = state.tap.forget();
    if windows.windows.is_empty() && dropped == 0 {
        return Ok(false);
    }
    let left = Leftovers { windows: windows.windows, events_dropped: dropped };
    let body = serde_json::to_vec(&left).map_err(|e| Fault::bug("counts").why(e.to_string()))?;
    let told: Result<i64> = ask(state, Method::POST, "/v1/leftovers", body).await;
    if told.is_err() {
        state.tap.drop_some(dropped);
    }
    told?;
    *after = windows.sequence;
    Ok(true)
}

/// One question to whoever holds the control socket.
async fn ask<T: serde::de::DeserializeOwned>(state: &State, method: Method, path: &str, body: Vec<u8>) -> Result<T> {
    let gone = |why: String| Fault::unavailable("the other router does not answer").why(why);
    let asked = async {
        let stream = UnixStream::connect(state.folder().join(SOCKET)).await.map_err(|e| gone(e.to_string()))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| gone(e.to_string()))?;
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header("host", "router");
        let request = request.body(Full::new(Bytes::from(body))).map_err(|e| gone(e.to_string()))?;
        let response = sender.send_request(request).await.map_err(|e| gone(e.to_string()))?;
        if !response.status().is_success() {
            return Err(gone(response.status().to_string()));
        }
        let bytes = response.into_body().collect().await.map_err(|e| gone(e.to_string()))?.to_bytes();
        serde_json::from_slice(&bytes).map_err(|e| gone(e.to_string()))
    };
    tokio::time::timeout(Duration::from_secs(2), asked).await.unwrap_or_else(|_| Err(gone("no answer".to_owned())))
}
