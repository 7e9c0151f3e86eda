//! The agent of the user's default store on another host, through ssh: its socket is forwarded to one of ours, so that
//! the far kernel still says who is calling.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::base::clock::Stopwatch;
use crate::base::id::random_u128;
use crate::base::{Fault, fault::Result};
use crate::config::Paths;

const PATIENCE: Duration = Duration::from_secs(20);

/// A forwarded socket; closed when dropped.
pub struct Tunnel {
    socket: PathBuf,
    // Ends with us.
    _ssh: Child,
}

impl Tunnel {
    /// Asks the host where its agent's socket is, and forwards it.
    ///
    /// # Errors
    /// `Unavailable` with what ssh said.
    pub async fn open(host: &str, paths: &Paths) -> Result<Self> {
        let remote = remote_socket(host).await?;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&paths.runtime)
            .map_err(|e| Fault::unavailable(format!("cannot make {}", paths.runtime.display())).why(e.to_string()))?;
        let socket = paths.runtime.join(format!("ssh-{:x}.sock", random_u128()));
        let mut ssh = Command::new("ssh")
            .args(["-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes", "-o", "ServerAliveInterval=15", "-N", "-L"])
            .arg(format!("{}:{remote}", socket.display()))
            .arg(host)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| no_ssh(&e))?;
        let watch = Stopwatch::start();
        while !socket.exists() {
            let ended = ssh.try_wait().ok().flatten();
            if ended.is_some() || watch.elapsed() > PATIENCE {
                return Err(Fault::unavailable(format!("ssh does not forward the agent's socket of {host}"))
                    .next(format!("check `ssh {host}` and that its server allows AllowStreamLocalForwarding")));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { socket, _ssh: ssh })
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        // ssh leaves it behind.
        let _ = std::fs::remove_file(&self.socket);
    }
}

async fn remote_socket(host: &str) -> Result<String> {
    let asked = Command::new("ssh")
        .args(["-o", "BatchMode=yes", host, "opsroom", "agent", "status", "--json"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|e| no_ssh(&e))?;
    let text = String::from_utf8_lossy(&asked.stdout);
    let status: Option<serde_json::Value> = serde_json::from_slice(text.as_bytes()).ok();
    if let Some(socket) = status.as_ref().and_then(|s| s["socket"].as_str()).filter(|s| s.starts_with('/')) {
        return Ok(socket.to_owned());
    }
    let said = String::from_utf8_lossy(&asked.stderr);
    Err(Fault::unavailable(format!("no agent can be reached on {host}"))
        .why(said.trim().replace('\n', " "))
        .next(format!("check `ssh {host} opsroom agent status`; start one with `ssh {host} opsroom agent start`")))
}

fn no_ssh(e: &std::io::Error) -> Fault {
    Fault::unavailable("cannot run ssh").why(e.to_string()).next("install an ssh client")
}
