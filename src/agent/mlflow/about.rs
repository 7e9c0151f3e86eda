//! The probes that a client makes, and the answers to what is not here.

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get};
use serde_json::json;

use super::super::json::Json;
use crate::agent::App;
use crate::agent::fault::{self, Mlflow};
use crate::base::{Fault, Kind};

/// The version of `MLflow` whose API this is.
const SPOKEN: &str = "3.17.2";

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/health", get(|| async { "OK" }))
        .route("/version", get(|| async { SPOKEN }))
        .route("/api/3.0/mlflow/server-info", get(server_info))
        .route("/ajax-api/3.0/mlflow/server-info", get(server_info))
        .route("/api/2.0/{*rest}", any(not_offered))
        .route("/api/2.11/{*rest}", any(not_offered))
        .route("/api/3.0/{*rest}", any(not_offered))
        .route("/ajax-api/{*rest}", any(not_offered))
        .route("/v1/traces", any(not_offered))
        .route("/gateway/{*rest}", any(not_offered))
        .fallback(nowhere)
}

/// What is switched on. Parts are offered for uploads; downloads come fastest as one stream.
async fn server_info() -> Response {
    Json(json!({
        "store_type": "SqlStore",
        "workspaces_enabled": false,
        "trace_archival_enabled": false,
        "multipart_uploads_enabled": true,
        "multipart_downloads_enabled": false,
        "presigned_upload_run_id_supported": false,
        "presigned_upload_model_id_supported": false,
        "features_enabled": { "gateway": false },
    }))
    .into_response()
}

/// A route of `MLflow` that opsroom does not have: 501, which no client retries. What `MLflow` has not either is a 404.
async fn not_offered(request: Request) -> Mlflow {
    let path = request.uri().path();
    let known = ["/mlflow/", "/v1/traces", "/gateway/", "/mlflow-artifacts/"];
    let gone = path.contains("/preview/");
    let offered_elsewhere = !gone && known.iter().any(|k| path.contains(k));
    let kind = if offered_elsewhere { Kind::Unsupported } else { Kind::NotFound };
    Mlflow(Fault::new(kind, format!("{} {path} is not offered by this server", request.method())))
}

/// What no route takes. Some clients join addresses with two slashes, and follow to the one that is meant.
async fn nowhere(request: Request) -> Response {
    let path = request.uri().path();
    if path.contains("//") {
        let single = path.split('/').filter(|part| !part.is_empty()).fold(String::new(), |all, part| all + "/" + part);
        let query = request.uri().query().map(|q| format!("?{q}")).unwrap_or_default();
        return Redirect::permanent(&format!("{single}{query}")).into_response();
    }
    let fault = Fault::not_found(format!("{} {path} is not known here", request.method()))
        .next("see /api/v1/openapi.json for opsroom's own API; MLflow's lies beneath /api/2.0/mlflow");
    fault::response(&fault, fault::dialect(path))
}

/// A known route, asked with another method.
pub(super) async fn wrong_method(request: Request) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    let body = json!({ "error_code": "BAD_REQUEST", "message": format!("{method} is not allowed for {path}") });
    (StatusCode::METHOD_NOT_ALLOWED, Json(body)).into_response()
}
