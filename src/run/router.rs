//! `opsroom router`: the data plane in a process of its own.

use std::io::Write;

use tokio::signal::unix::{SignalKind, signal};

use crate::base::{Fault, fault::Result};
use crate::capability::rollout::RouteTable;
use crate::cli::{Exit, Router};
use crate::router;

/// # Errors
/// The router's, and `Invalid` for a table that cannot be read.
pub async fn run(it: &Router) -> Result<Exit> {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    if it.detached {
        // Out of the session of whoever started it: their end is not its own.
        let _ = rustix::process::setsid();
    }
    let table = it.table.as_deref().map(read).transpose()?;
    let tls = it.tls_certificate.clone().zip(it.tls_key.clone());
    let options = router::Options {
        listen: it.listen.clone(),
        inherit: it.inherit,
        folder: it.folder.clone(),
        table,
        workers: it.workers,
        headers_max: it.headers_max,
        tls: tls.map(|(certificate, key)| router::TlsFiles { certificate, key }),
    };
    let running = router::Router::start(options).await?;
    let problem = |e: std::io::Error| Fault::bug("cannot wait for signals").why(e.to_string());
    let mut terminate = signal(SignalKind::terminate()).map_err(problem)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(problem)?;
    // Whoever started it may have gone; the line is for whoever looks.
    let _ = writeln!(std::io::stdout(), "router listening on {}", running.address());
    let stop = running.stopper();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop();
    });
    running.run().await;
    Ok(Exit::Done)
}

fn read(path: &std::path::Path) -> Result<RouteTable> {
    let unreadable = |why: String| Fault::invalid(format!("{} is no route table", path.display())).why(why);
    let text = std::fs::read(path).map_err(|e| unreadable(e.to_string()))?;
    serde_json::from_slice(&text).map_err(|e| unreadable(e.to_string()))
}
