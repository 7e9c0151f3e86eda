//! Encryption towards clients, with a certificate and a key from files that may be replaced while the router runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::base::{Fault, fault::Result};

/// Where certificate chain and key lie, both as PEM.
#[derive(Debug, Clone)]
pub struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Files {
    /// # Errors
    /// `Invalid` when they cannot be read, or do not belong to each other.
    pub fn read(&self) -> Result<TlsAcceptor> {
        let wrong = |path: &PathBuf, why: String| {
            Fault::invalid(format!("{} cannot be used", path.display()))
                .why(why)
                .next("give a certificate chain and its key as PEM files")
        };
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
            .map_err(|e| wrong(&self.certificate, e.to_string()))?;
        if chain.is_empty() {
            return Err(wrong(&self.certificate, "it holds no certificate".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|e| wrong(&self.key, e.to_string()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| Fault::bug("encryption").why(e.to_string()))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|e| wrong(&self.certificate, e.to_string()))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// When they were changed last.
    pub fn changed(&self) -> Option<SystemTime> {
        let of = |path: &PathBuf| std::fs::metadata(path).and_then(|m| m.modified()).ok();
        of(&self.certificate).max(of(&self.key))
    }
}
