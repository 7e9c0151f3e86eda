//! Clients of HTTP that the agent calls others with.

use std::time::Duration;

use crate::base::{Fault, fault::Result};

/// A client of these addresses. The machine's certificates are read only where one of them asks for encryption: that takes
/// tens of milliseconds, which a model server's readiness or a start need not wait for.
///
/// # Errors
/// `Bug` when it cannot be made.
pub(super) fn client<'a>(patience: Duration, urls: impl IntoIterator<Item = &'a str>) -> Result<reqwest::Client> {
    // Whoever was first is right.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder().timeout(patience).no_proxy();
    if urls.into_iter().all(|url| url.starts_with("http://")) {
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|e| Fault::bug("HTTP client").why(e.to_string()))
}
