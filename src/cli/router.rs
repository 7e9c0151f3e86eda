//! The flags of `opsroom router`.

use std::path::PathBuf;

use clap::Args;

/// Run the data plane in the foreground: it sends requests to the versions of models. An agent starts one by itself.
#[derive(Debug, Clone, Args)]
pub struct Router {
    /// Where it takes requests; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:6280", value_name = "HOST:PORT")]
    pub listen: String,
    /// Folder of its socket, its table and its journal
    #[arg(long, value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Route table to begin with, as JSON
    #[arg(long, value_name = "FILE")]
    pub table: Option<PathBuf>,
    /// Threads that carry requests; a core each unless it is said
    #[arg(long, value_name = "N")]
    pub workers: Option<usize>,
    /// Headers that a request may have; more are answered with 431 [default: 100]
    #[arg(long, value_name = "N")]
    pub headers_max: Option<usize>,
    /// Certificate chain that clients are shown, PEM; with it they speak TLS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
    /// The listening socket is standard input
    #[arg(long, hide = true)]
    pub inherit: bool,
    /// Leave the terminal's session
    #[arg(long, hide = true)]
    pub detached: bool,
}
