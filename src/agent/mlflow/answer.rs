//! Answers: JSON written straight into one buffer, and page tokens.

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde::{Deserialize, Serialize};

use crate::agent::fault::Mlflow;
use crate::base::{Fault, fault::Result};

/// What a handler of `MLflow`'s API gives.
pub(super) type Answer = Result<Response, Mlflow>;

/// JSON that is written already.
pub(super) fn written(body: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

/// `{}`, the answer of most writes.
pub(super) fn done() -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], "{}").into_response()
}

pub(super) fn json(value: &impl Serialize) -> Answer {
    let mut body = Vec::with_capacity(1024);
    serde_json::to_writer(&mut body, value)
        .map_err(|e| Fault::bug("an answer cannot be written").why(e.to_string()))?;
    Ok(written(body))
}

#[derive(Serialize, Deserialize)]
struct Place {
    offset: usize,
}

/// The token of the page that begins at `offset`.
pub(super) fn page_token(offset: usize) -> String {
    BASE64_STANDARD.encode(format!("{{\"offset\": {offset}}}"))
}

/// Where a page begins; no token is the first one.
///
/// # Errors
/// `Invalid` for a token that this server has not given.
pub(super) fn page_offset(token: Option<&str>) -> Result<usize> {
    let Some(token) = token.filter(|t| !t.is_empty()) else { return Ok(0) };
    let decoded =
        BASE64_STANDARD.decode(token).map_err(|_| Fault::invalid("Invalid page token, could not base64-decode"))?;
    let place: Place = serde_json::from_slice(&decoded).map_err(|_| {
        Fault::invalid(format!("Invalid page token, decoded value={}", String::from_utf8_lossy(&decoded)))
    })?;
    Ok(place.offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_as_the_offset_and_others_are_refused() {
        assert_eq!(page_offset(Some(&page_token(42))).unwrap(), 42);
        assert_eq!(page_offset(None).unwrap(), 0);
        for bad in ["%%%", "bm90IGpzb24=", "e30=", &BASE64_STANDARD.encode("{\"offset\": -1}")] {
            assert!(page_offset(Some(bad)).unwrap_err().to_string().starts_with("Invalid page token"), "{bad}");
        }
    }
}
