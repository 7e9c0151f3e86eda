//! MLflow's door in process: the agent's own router on a store of its own, asked without a socket.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use opsroom::agent::{App, auth::Peer, router};
use opsroom::config::AgentSettings;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::stores::Place;

/// A door with everything behind it.
pub struct Door {
    router: axum::Router,
    pub app: App,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The JSON of a 200.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }

    /// Fails the test unless it is this refusal in MLflow's form.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str, words: &str) {
        let body = self.json();
        assert_eq!(self.status, status, "{body}");
        assert_eq!(body["error_code"], code, "{body}");
        let message = body["message"].as_str().unwrap();
        assert!(message.contains(words), "{message:?} does not say {words:?}");
    }
}

impl Door {
    pub async fn on(place: &Place) -> Self {
        Self::on_with(place, AgentSettings::default()).await
    }

    pub async fn on_with(place: &Place, settings: AgentSettings) -> Self {
        let app = App::new(place.ctx_with(settings.rooms.clone()).await, settings, "http://127.0.0.1:0".to_owned());
        Self { router: router(app.clone()), app }
    }

    pub async fn send(&self, mut request: Request<Body>) -> Answer {
        request.extensions_mut().insert(ConnectInfo(Peer::Tcp(([127, 0, 0, 1], 1).into())));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer { status: parts.status, headers: parts.headers, body: to_bytes(body, usize::MAX).await.unwrap() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(full(path)).body(Body::empty()).unwrap()).await
    }

    /// A call with a JSON body.
    pub async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        self.raw(method, path, "application/json", body.to_string()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, body).await
    }

    pub async fn raw(&self, method: Method, path: &str, content_type: &str, body: impl Into<Body>) -> Answer {
        let request = Request::builder().method(method).uri(full(path)).header(CONTENT_TYPE, content_type);
        self.send(request.body(body.into()).unwrap()).await
    }

    /// A run in experiment 0.
    pub async fn run(&self) -> String {
        let made = self.post("runs/create", json!({"experiment_id": "0", "start_time": 5})).await.ok();
        made["run"]["info"]["run_id"].as_str().unwrap().to_owned()
    }

    pub async fn data(&self, run: &str) -> Value {
        self.get(&format!("runs/get?run_id={run}")).await.ok()["run"]["data"].clone()
    }
}

fn full(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/api/2.0/mlflow/{path}") }
}
