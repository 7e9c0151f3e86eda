//! The demonstration's model server: a written model behind MLflow's scoring protocol, one process a version.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::model::Model;
use super::months::column_name;
use crate::base::{Fault, fault::Result};

const BODY_BYTES_MAX: usize = 16 << 20;

/// How a version is served, as its `serving.json` says it beside `model.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Serving {
    /// A flight with a value that was not recorded is an error, instead of the weight that was learned for that.
    pub refuses_missing: bool,
    /// Every answer takes so much longer.
    pub delay_ms: u64,
}

struct Server {
    model: Model,
    serving: Serving,
}

/// Serves the model below `artifact` on a port of this machine, until the process is ended.
///
/// # Errors
/// `Invalid` for a model that cannot be read, `Unavailable` when the port is taken.
pub async fn serve(artifact: &Path, port: u16) -> Result<()> {
    let unreadable = |path: &Path, why: String| Fault::invalid(format!("cannot read {}", path.display())).why(why);
    let at = artifact.join("model.json");
    let text = std::fs::read(&at).map_err(|e| unreadable(&at, e.to_string()))?;
    let model: Model = serde_json::from_slice(&text).map_err(|e| unreadable(&at, e.to_string()))?;
    let at = artifact.join("serving.json");
    let serving = match std::fs::read(&at) {
        Ok(text) => serde_json::from_slice(&text).map_err(|e| unreadable(&at, e.to_string()))?,
        Err(_) => Serving::default(),
    };
    let taken = |e: std::io::Error| Fault::unavailable(format!("cannot listen on port {port}")).why(e.to_string());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.map_err(taken)?;
    let server = Arc::new(Server { model, serving });
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let server = server.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let server = server.clone();
                async move { Ok::<_, std::convert::Infallible>(answer(&server, request).await) }
            });
            // A caller that leaves is no trouble.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(server: &Server, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/ping") => (StatusCode::OK, json!({})),
        (&Method::POST, "/invocations") => invoked(server, request.into_body()).await,
        _ => (StatusCode::NOT_FOUND, json!({"error": "POST /invocations, GET /ping"})),
    };
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    answer
}

async fn invoked(server: &Server, body: Incoming) -> (StatusCode, Value) {
    let bad = |why: String| (StatusCode::BAD_REQUEST, json!({ "error": why }));
    let bytes = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(e) => return bad(e.to_string()),
    };
    let asked: Value = match serde_json::from_slice(&bytes) {
        Ok(asked) => asked,
        Err(e) => return bad(e.to_string()),
    };
    let Some(rows) = asked["dataframe_records"].as_array() else {
        return bad("dataframe_records is missing: a list of flights".to_owned());
    };
    tokio::time::sleep(Duration::from_millis(server.serving.delay_ms)).await;
    let empty = Map::new();
    let scores: std::result::Result<Vec<f64>, String> =
        rows.iter().map(|row| score(server, row.as_object().unwrap_or(&empty))).collect();
    match scores {
        Ok(scores) => (StatusCode::OK, json!({ "predictions": scores })),
        Err(why) => (StatusCode::INTERNAL_SERVER_ERROR, json!({ "error": why })),
    }
}

/// The probability that a flight is late.
fn score(server: &Server, row: &Map<String, Value>) -> std::result::Result<f64, String> {
    if server.serving.refuses_missing {
        let columns = server.model.numeric.iter().map(|t| column_name(t.column));
        if let Some(missing) = columns.into_iter().find(|c| row.get(c).and_then(Value::as_f64).is_none()) {
            return Err(format!("unsupported operand: {missing} is None"));
        }
    }
    let number = |column| row.get(&column_name(column)).and_then(Value::as_f64);
    let category = |column| row.get(&column_name(column)).and_then(Value::as_str).unwrap_or_default();
    Ok(server.model.score_of(number, category))
}
