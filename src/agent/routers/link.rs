//! One request to a router's own socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::base::{Fault, fault::Result};
use crate::capability::rollout::RouteTable;
use crate::capability::rollout::link::{Intent, RouterStatus, SOCKET, Windows};
use crate::router::Upgrade;

/// An upgrade takes the longest.
const TIMEOUT: Duration = Duration::from_secs(15);
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// How long the router is asked to wait for something to tell; its answer still comes in time.
const WAIT_MS: u64 = 10_000;

/// The way to the router in a folder.
#[derive(Debug, Clone)]
pub struct Link {
    socket: PathBuf,
}

impl Link {
    pub fn to(folder: &Path) -> Self {
        Self { socket: folder.join(SOCKET) }
    }

    /// # Errors
    /// `Unavailable` when no router answers there.
    pub async fn status(&self) -> Result<RouterStatus> {
        self.ask(Method::GET, "/v1/status", None::<&()>).await
    }

    /// # Errors
    /// `Conflict` when the router holds a newer one.
    pub async fn put_table(&self, table: &RouteTable) -> Result<i64> {
        self.ask(Method::PUT, "/v1/table", Some(table)).await
    }

    /// Counts since the batch `after`.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn windows(&self, after: i64) -> Result<Windows> {
        self.ask(Method::GET, &format!("/v1/windows?after={after}"), None::<&()>).await
    }

    /// Resolves once there is something to take: counts beyond the batch `after`, or an intent; or after a while.
    ///
    /// # Errors
    /// `Unavailable`; `NotFound` from a router of an earlier program.
    pub async fn news(&self, after: i64) -> Result<()> {
        self.ask(Method::GET, &format!("/v1/news?after={after}&wait={WAIT_MS}"), None::<&()>).await
    }

    /// Requests since the batch `after`, as soon as there are any; none after a while, or from a router of an earlier
    /// program at once. [`crate::router::tap::read`] reads them.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn events(&self, after: u64, most: usize) -> Result<Bytes> {
        self.bytes(Method::GET, &format!("/v1/events?after={after}&most={most}&wait={WAIT_MS}"), None::<&()>).await
    }

    /// # Errors
    /// `Unavailable`.
    pub async fn intents(&self) -> Result<Vec<Intent>> {
        self.ask(Method::GET, "/v1/intents", None::<&()>).await
    }

    /// # Errors
    /// `Unavailable`.
    pub async fn forget(&self, intent: &str) -> Result<()> {
        self.ask(Method::DELETE, &format!("/v1/intents/{intent}"), None::<&()>).await
    }

    /// Lets another program take over its address; answers how that one does.
    ///
    /// # Errors
    /// `Unavailable` when it does not come up: then the one before goes on.
    pub async fn upgrade(&self, upgrade: &Upgrade) -> Result<RouterStatus> {
        self.ask(Method::POST, "/v1/upgrade", Some(upgrade)).await
    }

    /// # Errors
    /// `Unavailable`.
    pub async fn stop(&self) -> Result<RouterStatus> {
        self.ask(Method::POST, "/v1/stop", None::<&()>).await
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<&impl Serialize>) -> Result<T> {
        let bytes = self.bytes(method, path, body).await?;
        serde_json::from_slice(&bytes).map_err(|e| gone(e.to_string()))
    }

    async fn bytes(&self, method: Method, path: &str, body: Option<&impl Serialize>) -> Result<Bytes> {
        let asked = async {
            let stream = UnixStream::connect(&self.socket).await.map_err(|e| gone(e.to_string()))?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| gone(e.to_string()))?;
            tokio::spawn(connection);
            let body = body.map(serde_json::to_vec).transpose().map_err(|e| gone(e.to_string()))?.unwrap_or_default();
            let request = Request::builder().method(method).uri(path).header("host", "router");
            let request = request.body(Full::new(Bytes::from(body))).map_err(|e| gone(e.to_string()))?;
            let response = sender.send_request(request).await.map_err(|e| gone(e.to_string()))?;
            let status = response.status();
            let bytes = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            let bytes = bytes.map_err(|e| gone(e.to_string()))?.to_bytes();
            if !status.is_success() {
                return Err(serde_json::from_slice(&bytes).unwrap_or_else(|_| gone(status.to_string())));
            }
            Ok(bytes)
        };
        tokio::time::timeout(TIMEOUT, asked).await.unwrap_or_else(|_| Err(gone("no answer within 15 s".to_owned())))
    }
}

fn gone(why: String) -> Fault {
    Fault::unavailable("the router does not answer").why(why).next("see router.log beside the store")
}
