//! How a client reaches an agent: a Unix socket or TCP. (A tunnel over ssh ends in a Unix socket too.)

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::fault::{Result, root_cause};
use crate::base::{Fault, Kind};

/// Where an agent answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Unix(PathBuf),
    /// `http(s)://HOST:PORT`
    Http(String),
    /// The agent of the user's default store on another host.
    Ssh(String),
}

impl FromStr for Address {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        if let Some(host) = text.strip_prefix("ssh://").filter(|h| !h.is_empty() && !h.starts_with('-')) {
            return Ok(Self::Ssh(host.trim_end_matches('/').to_owned()));
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            return Ok(Self::Http(text.trim_end_matches('/').to_owned()));
        }
        Err(Fault::invalid(format!("not an agent's address: {text:?}"))
            .next("write http://HOST:PORT, unix:PATH or ssh://HOST"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Http(url) => f.write_str(url),
            Self::Ssh(host) => write!(f, "ssh://{host}"),
        }
    }
}

/// A connection to one agent; cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    address: Address,
    token: Option<String>,
    via: &'static str,
}

const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_mins(1);

impl Client {
    /// `via` is how the person came: `tui` or `cli`. An ssh address has to be tunnelled to a socket first.
    ///
    /// # Errors
    /// `Invalid` for an ssh address, `Bug` when TLS cannot be set up.
    pub fn new(address: Address, token: Option<String>, via: &'static str) -> Result<Self> {
        // Whoever set a provider before has the same one in mind.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder().connect_timeout(CONNECT).no_proxy();
        let (builder, base) = match &address {
            // The machine's certificates are read where they are needed: that takes longer than most answers of a socket.
            Address::Unix(path) => {
                (builder.unix_socket(path.clone()).tls_certs_only([]), "http://localhost".to_owned())
            }
            Address::Http(url) if url.starts_with("http://") => (builder.tls_certs_only([]), url.clone()),
            Address::Http(url) => (builder, url.clone()),
            Address::Ssh(host) => {
                return Err(
                    Fault::invalid(format!("ssh://{host} needs a tunnel")).next("use `opsroom --agent ssh://HOST`")
                );
            }
        };
        let http = builder.build().map_err(|e| Fault::bug("HTTP client").why(e.to_string()))?;
        Ok(Self { http, base, address, token, via })
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).header("x-opsroom-via", self.via);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        match std::env::var("USER") {
            Ok(user) if self.token.is_none() => request.header("x-opsroom-actor", user),
            _ => request,
        }
    }

    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let response = request.send().await.map_err(|e| self.unreachable(&e))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refusal(response).await)
    }

    fn unreachable(&self, e: &reqwest::Error) -> Fault {
        Fault::unavailable(format!("no agent answers at {}", self.address))
            .why(root_cause(e))
            .next("start one with `opsroom agent`, or name another with --agent")
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, query: &impl Serialize) -> Result<T> {
        self.json(self.request(Method::GET, path).query(query)).await
    }

    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.json(self.request(Method::POST, path).json(body)).await
    }

    pub(super) async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        let response = self.send(request.timeout(ANSWER)).await?;
        let bytes = response.bytes().await.map_err(|e| self.unreachable(&e))?;
        serde_json::from_slice(&bytes).map_err(|e| {
            Fault::bug("the agent's answer cannot be read")
                .why(e.to_string())
                .next("run the same version of opsroom on both sides")
        })
    }
}

async fn refusal(response: Response) -> Fault {
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    if let Ok(fault) = serde_json::from_slice::<Fault>(text.as_bytes()) {
        return fault;
    }
    let kind = match status.as_u16() {
        400 | 405 | 413 | 422 => Kind::Invalid,
        401 => Kind::Unauthenticated,
        403 => Kind::Denied,
        404 => Kind::NotFound,
        409 => Kind::Conflict,
        429 => Kind::Exhausted,
        501 => Kind::Unsupported,
        503 => Kind::Unavailable,
        _ => Kind::Bug,
    };
    let shown: String = text.chars().take(300).collect();
    Fault::new(kind, format!("the agent answered {status}")).why(shown)
}
