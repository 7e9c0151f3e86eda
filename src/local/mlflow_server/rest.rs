//! MLflow's REST API as a reader sees it: patient with a server that is slow, plain about one that is away.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::base::clock::Stopwatch;
use crate::base::fault::{Result, root_cause};
use crate::base::{Fault, Kind};

const CONNECT: Duration = Duration::from_secs(5);
/// A large page of a busy server takes its time. One that has not answered by then is not asked again at once.
const ANSWER: Duration = Duration::from_mins(2);
/// A connection that was idle for longer may lead to a server that is gone, and nobody would say so.
const IDLE: Duration = Duration::from_secs(5);
/// Tries, with longer and longer waits between them.
const TRIES: u32 = 4;
const WAIT: Duration = Duration::from_millis(500);

const AGAIN: &str = "see whether MLflow runs there, and try again: nothing is lost or doubled";

/// A server and how to come in.
#[derive(Debug, Clone)]
pub struct Rest {
    http: reqwest::Client,
    pub url: String,
    /// Bearer token, or user and password, as MLflow's own client takes them.
    token: Option<String>,
    user: Option<(String, String)>,
}

impl Rest {
    /// # Errors
    /// `Invalid` for an address, `Bug` when TLS cannot be set up.
    pub fn new(url: &str) -> Result<Self> {
        let url = url.trim_end_matches('/').to_owned();
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(Fault::invalid(format!("{url} is no address of a server")).next("give http://HOST:PORT"));
        }
        // Whoever set a provider before has the same one in mind.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().connect_timeout(CONNECT).timeout(ANSWER).pool_idle_timeout(IDLE).build();
        let http = http.map_err(|e| Fault::bug("HTTP client").why(e.to_string()))?;
        let set = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let user =
            set("MLFLOW_TRACKING_USERNAME").map(|user| (user, set("MLFLOW_TRACKING_PASSWORD").unwrap_or_default()));
        Ok(Self { http, url, token: set("MLFLOW_TRACKING_TOKEN"), user })
    }

    /// # Errors
    /// As [`Self::ask`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T> {
        self.ask(|| self.http.get(format!("{}/api/2.0/mlflow/{path}", self.url)).query(query)).await
    }

    /// # Errors
    /// As [`Self::ask`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T> {
        self.ask(|| self.http.post(format!("{}/api/2.0/mlflow/{path}", self.url)).json(body)).await
    }

    /// Whether the server is there and answers, at this moment.
    pub async fn answers(&self) -> bool {
        let body = serde_json::json!({ "max_results": 1 });
        let url = format!("{}/api/2.0/mlflow/experiments/search", self.url);
        self.once::<Value>(self.http.post(url).json(&body)).await.is_ok()
    }

    /// Asks until there is an answer that will not change: a server that is restarted answers again soon.
    ///
    /// # Errors
    /// `Unavailable` when it is away, `NotFound`, `Unauthenticated`, `Denied`, `Invalid`.
    async fn ask<T: DeserializeOwned>(&self, request: impl Fn() -> reqwest::RequestBuilder) -> Result<T> {
        let watch = Stopwatch::start();
        let mut tries = 0;
        loop {
            let answer = self.once(request()).await;
            tries += 1;
            match answer {
                Err(fault) if fault.kind == Kind::Unavailable && tries < TRIES && watch.elapsed() < ANSWER => {
                    tokio::time::sleep(WAIT * 2_u32.pow(tries)).await;
                }
                other => return other,
            }
        }
    }

    async fn once<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T> {
        let request = match (&self.token, &self.user) {
            (Some(token), _) => request.bearer_auth(token),
            (None, Some((user, password))) => request.basic_auth(user, Some(password)),
            (None, None) => request,
        };
        let away = |e: reqwest::Error| self.away(&root_cause(&e.without_url()));
        let response = request.send().await.map_err(away)?;
        let status = response.status();
        let body = response.bytes().await.map_err(away)?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|e| match e.classify() {
                // Its form is another one, and will be at the next try.
                serde_json::error::Category::Data => {
                    Fault::invalid(format!("{} answers otherwise than MLflow does", self.url)).why(e.to_string())
                }
                // A page of somebody who stands in for the server, as while it is upgraded.
                _ => self.away("what answers there is not MLflow"),
            });
        }
        let said: Value = serde_json::from_slice(&body).unwrap_or_default();
        // Whoever else answers for a server, as a proxy does while it is away, does not know MLflow's form.
        let by_mlflow = said["error_code"].is_string();
        let said = said["message"].as_str().unwrap_or_default().chars().take(300).collect::<String>();
        let kind = match status.as_u16() {
            401 => Kind::Unauthenticated,
            403 => Kind::Denied,
            408 | 429 | 500..=599 => Kind::Unavailable,
            _ if !by_mlflow => Kind::Unavailable,
            404 => Kind::NotFound,
            _ => Kind::Invalid,
        };
        let next = match kind {
            Kind::Unauthenticated | Kind::Denied => {
                "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and _PASSWORD"
            }
            Kind::Unavailable => AGAIN,
            _ => "",
        };
        Err(Fault::new(kind, format!("{} answered {status}", self.url)).why(said).next(next))
    }

    fn away(&self, why: &str) -> Fault {
        Fault::unavailable(format!("{} does not answer", self.url)).why(why).next(AGAIN)
    }
}
