//! From a fault to an HTTP answer: opsroom's own form, or `MLflow`'s.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::base::{Fault, Kind};

/// Which form of error a caller understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Own,
    Mlflow,
}

/// By the path that was asked for.
pub fn dialect(path: &str) -> Dialect {
    if path.starts_with("/api/v1/") { Dialect::Own } else { Dialect::Mlflow }
}

/// HTTP status of a kind. `MLflow`'s client retries 408, 429 and 5xx for minutes, so nothing permanent may be one.
pub fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Invalid | Kind::Exists | Kind::Refused => StatusCode::BAD_REQUEST,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Denied => StatusCode::FORBIDDEN,
        Kind::Exhausted => StatusCode::TOO_MANY_REQUESTS,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        Kind::Bug => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// `MLflow`'s name of a kind.
pub fn error_code(kind: Kind) -> &'static str {
    match kind {
        Kind::NotFound => "RESOURCE_DOES_NOT_EXIST",
        Kind::Invalid => "INVALID_PARAMETER_VALUE",
        Kind::Exists => "RESOURCE_ALREADY_EXISTS",
        Kind::Refused => "BAD_REQUEST",
        Kind::Conflict => "RESOURCE_CONFLICT",
        Kind::Unauthenticated => "UNAUTHENTICATED",
        Kind::Denied => "PERMISSION_DENIED",
        Kind::Exhausted => "REQUEST_LIMIT_EXCEEDED",
        Kind::Unavailable => "TEMPORARILY_UNAVAILABLE",
        Kind::Unsupported => "NOT_IMPLEMENTED",
        Kind::Bug => "INTERNAL_ERROR",
    }
}

#[derive(Serialize)]
struct MlflowError<'a> {
    error_code: &'a str,
    message: String,
}

/// The answer to a caller of either dialect.
pub fn response(fault: &Fault, dialect: Dialect) -> Response {
    let status = status(fault.kind);
    if matches!(fault.kind, Kind::Bug | Kind::Unavailable) {
        tracing::warn!("{fault}");
    }
    let mut response = match dialect {
        Dialect::Own => (status, super::json::Json(fault)).into_response(),
        Dialect::Mlflow => {
            let body = MlflowError { error_code: error_code(fault.kind), message: fault.to_string() };
            (status, super::json::Json(body)).into_response()
        }
    };
    if fault.kind == Kind::Unauthenticated {
        let basic = axum::http::HeaderValue::from_static("Basic realm=\"opsroom\"");
        response.headers_mut().insert(axum::http::header::WWW_AUTHENTICATE, basic);
    }
    response
}

/// A fault on opsroom's own routes.
#[derive(Debug)]
pub struct Own(pub Fault);

impl From<Fault> for Own {
    fn from(fault: Fault) -> Self {
        Self(fault)
    }
}

impl IntoResponse for Own {
    fn into_response(self) -> Response {
        response(&self.0, Dialect::Own)
    }
}

/// A fault on `MLflow`'s routes.
#[derive(Debug)]
pub struct Mlflow(pub Fault);

impl From<Fault> for Mlflow {
    fn from(fault: Fault) -> Self {
        Self(fault)
    }
}

impl IntoResponse for Mlflow {
    fn into_response(self) -> Response {
        response(&self.0, Dialect::Mlflow)
    }
}
