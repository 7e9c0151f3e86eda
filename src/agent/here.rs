//! Where a caller reaches this agent.

use axum::http::HeaderMap;
use axum::http::header::HOST;

use super::App;

/// `http://HOST:PORT` as the caller named it, so that what it is told leads back by the way it came.
pub fn base(app: &App, headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    match text(HOST.as_str()) {
        Some(host) => format!("{}://{host}", text("x-forwarded-proto").unwrap_or("http")),
        None => app.address().to_owned(),
    }
}
